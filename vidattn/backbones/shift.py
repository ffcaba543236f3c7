"""Temporal shift: part of the channels looks one frame ahead, part one frame back."""

import torch
import torch.nn.functional as F
from torch import Tensor


def temporal_shift(x: Tensor, parts: int = 8) -> Tensor:
    """Shift a part of the channels from the future and a part from the past.

    Each part has `C // parts` channels. Channel c < C/8 of frame t becomes that of
    frame t + 1, channel C/8 <= c < 2C/8 that of frame t - 1, zeros where there is no
    such frame; all other channels stay. The input is left as it is.

    Args:
        x: Features `(B, C, T, H, W)`.
        parts: One part in `parts` of the channels goes each way; 8 in TSM's published
            models.

    Returns:
        A new tensor `(B, C, T, H, W)`.

    Source:
        Lin, Gan, Han: TSM, ICCV 2019, Section 3 and 4 (the direction of each part as in
        its public code).
    """
    fold = x.shape[1] // parts
    future = F.pad(x[:, :fold, 1:], (0, 0, 0, 0, 0, 1))
    past = F.pad(x[:, fold : 2 * fold, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat([future, past, x[:, 2 * fold :]], dim=1)
