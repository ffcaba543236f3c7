"""What a block does to its features, and where in a clip a network finds evidence for a class."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from vidattn.errors import UserError
from vidattn.figures.maps import capture
from vidattn.figures.pictures import clip_rows, grid, lay_over
from vidattn.figures.style import WIDTH


def activation_maps(model: nn.Module, clip: Tensor, label: int) -> Tensor:
    """Return what each position adds to the score of a class: a class activation map over space and time.

        m_i = w_label . f_i        score_label = mean over i of m_i, plus b_label

    f are the last features, w and b weight and bias of the linear layer `fc`. The score is that of the mean
    of f, and a linear function of a mean is the mean of the function: nothing is approximated.

    Args:
        model: A network that ends in a mean over T, H and W and a linear layer: it has `features` and `fc`,
            and between them nothing that does anything in evaluation mode.
        clip: One clip `(1, 3, T, H, W)`.
        label: The class.

    Returns:
        `(T', H', W')`, on the grid of the last features, in units of the score; negative where a position
        speaks against the class.

    Raises:
        UserError: The network does not end so, the class does not exist, or there is more than one clip.

    Source:
        Zhou et al.: Learning deep features for discriminative localization, CVPR 2016, for one picture; over
        all frames of a clip at once in the RCCA-3D paper, section IV-G and Figure 7.
    """
    fc = getattr(model, "fc", None)
    if not isinstance(fc, nn.Linear) or not hasattr(model, "features"):
        raise UserError(f"{type(model).__name__} does not end in `features`, their mean and a linear `fc`")
    if clip.dim() != 5 or clip.shape[0] != 1:
        raise UserError(f"maps are those of one clip (1, 3, T, H, W), not of {tuple(clip.shape)}")
    if not 0 <= label < fc.out_features:
        raise UserError(f"there is no class {label}: allowed are 0 to {fc.out_features - 1}")
    with torch.no_grad():
        features = copy.deepcopy(model).eval().features(clip)  # type: ignore[operator]
        return torch.einsum("c,cthw->thw", fc.weight[label], features[0])


def in_and_out(model: nn.Module, block: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features that a block of a network is given and those that it gives, in evaluation mode.

    Args:
        model: The network.
        block: One of its modules that takes one tensor.
        clip: The network's input `(B, 3, T, H, W)`.

    Raises:
        UserError: The forward pass does not reach the block.
    """
    x = capture(model, block, clip)
    with torch.no_grad():
        return x, copy.deepcopy(block).eval()(x)


def show_channels(x: Tensor, z: Tensor, channels: Sequence[int]) -> Figure:
    """Draw some channels before and after a block: a row each, time to the right, one grey scale a channel.

    Args:
        x: Features `(C, T, H, W)`.
        z: As many.
        channels: Which ones.
    """
    high, wide = x.shape[2:]
    titles = [f"{channel} {part}" for channel in channels for part in ("in", "out")]
    height = len(titles) * (WIDTH / x.shape[1] * high / wide + 0.05) + 0.2
    figure, axes = grid(titles, x.shape[1], height)
    for rows, channel in zip(axes.reshape(len(channels), 2, -1), channels, strict=True):
        maps = torch.stack([x[channel], z[channel]]).double().numpy()
        for place, axis in np.ndenumerate(rows):
            axis.imshow(maps[place], cmap="gray", vmin=maps.min(), vmax=maps.max())
    return figure


def show_activation(
    frames: np.ndarray, maps: Sequence[Tensor], titles: Sequence[str] | None = None
) -> Figure:
    """Draw a row for each map: the clip, and over it what speaks for the class (red) and against it (blue).

    A row's colours reach from minus to plus its largest absolute value, and fade towards zero.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        maps: What `activation_maps` gave for each network, `(T, H', W')`.
        titles: What to write before each row.

    Raises:
        UserError: Maps or titles do not fit the frames.
    """
    for each in maps:
        if len(each) != len(frames):
            raise UserError(f"a map over {len(each)} frames does not fit a clip of {len(frames)}")
    figure, axes = clip_rows(frames, len(maps), titles)
    for row, each in zip(axes, maps, strict=True):
        shares = (each / each.abs().max().clamp(min=torch.finfo(each.dtype).tiny)).double().numpy()
        for axis, share in zip(row, shares, strict=True):
            look = {"cmap": "coolwarm", "vmin": -1, "vmax": 1, "alpha": 0.9 * np.abs(share)}
            lay_over(axis, share, frames.shape[1:3], **look)
    return figure
