"""The attention chain of the RNL paper: channels first, then positions."""

from typing import Any

from torch import Tensor, nn

from vidattn.blocks.region import RegionNonLocal
from vidattn.blocks.squeeze import AdditiveSqueezeExcite


class AttentionChain(nn.Module):
    """Run the additive squeeze-excite, then the region-based block ('SE+RNL').

    Args:
        channels: C of the input.
        reduction: Of the squeeze-excite. Eq. 11 says 2; the parameters of Table III ask
            for 16.
        **region_options: The options of `RegionNonLocal`.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: As the two blocks do.

    Source:
        Huang, Bors: Region-based Non-local Operation for Video Classification, ICPR
        2020, section III-D.
    """

    def __init__(
        self, channels: int, *, reduction: int = 2, **region_options: Any
    ) -> None:
        super().__init__()
        self.squeeze_excite = AdditiveSqueezeExcite(channels, reduction=reduction)
        self.region = RegionNonLocal(channels, **region_options)

    def forward(self, x: Tensor) -> Tensor:
        return self.region(self.squeeze_excite(x))
