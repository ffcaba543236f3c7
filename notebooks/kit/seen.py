"""What a feature of a network sees, and what features say of a place in a clip."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from notebooks.kit.drawings.clips import Seen
from notebooks.kit.proof import draw


class Window(NamedTuple):
    """What one feature of a map sees.

    Attributes:
        frames: Number of frames.
        pixels: Side of a square in pixels.
        step: Pixels from one feature's window to the next one's.
    """

    frames: int
    pixels: int
    step: int


def window(network: nn.Module, before: nn.Module | None = None) -> Window:
    """Return what one feature sees, from the kernels and strides on its way.

    Args:
        network: A backbone whose layers run in the order of their names.
        before: The feature is given to this module; None: one of the last features.
    """
    frames, pixels, step = 1, 1, 1
    for name, part in network.named_modules():
        if part is before:
            break
        if isinstance(part, nn.Conv3d | nn.MaxPool3d) and "downsample" not in name:
            kernel, stride = (
                np.broadcast_to(size, 3) for size in (part.kernel_size, part.stride)
            )
            frames += kernel[0] - 1
            pixels += (kernel[2] - 1) * step
            step *= stride[2]
        if getattr(part, "temporal", "none") == "tsm" and hasattr(part, "conv2"):
            frames += 2  # a shift: one frame each way
    return Window(int(frames), int(pixels), int(step))


def windows(
    network: nn.Module, places: Mapping[str, nn.Module | None], check: bool = True
) -> pd.DataFrame:
    """Return a table of what one feature sees at some places of a network.

    Args:
        network: A backbone, in float64 and in evaluation mode.
        places: What the place is called, and the module that the feature is given to,
            None for the last features.
        check: Whether derivatives confirm what kernels and strides say.
    """
    rows = []
    for name, before in places.items():
        found = window(network, before)
        large = (25, 8 * found.step, 16 * found.step)
        assert not check or window_by_derivative(network, before, large) == found[:2]
        rows.append([name, *found[:2]])
    return pd.DataFrame(rows, columns=["", "frames", "pixels a side"])


def window_by_derivative(
    network: nn.Module, before: nn.Module | None, shape: tuple[int, int, int]
) -> tuple[int, int]:
    """Return frames and pixels of the window, from where the derivative of one feature
    in the middle of a large random clip is not zero.

    Args:
        network: A backbone, in float64 and in evaluation mode.
        before: As for `window`.
        shape: T, H and W of the clip.
    """
    given: list[Tensor] = []
    x = draw(1, 3, *shape).requires_grad_()
    if before is None:
        features = network.features(x)  # type: ignore[operator]
    else:
        hook = before.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
        network(x)
        hook.remove()
        features = given[0]
    t, h, w = (side // 2 for side in features.shape[2:])
    (slope,) = torch.autograd.grad(features[0, :, t, h, w].sum(), x)
    t, _, w = torch.nonzero(slope[0].sum(dim=0), as_tuple=True)
    return int(t.max() - t.min()) + 1, int(w.max() - w.min()) + 1


def positions_that_see(mask: np.ndarray, of: Window) -> Tensor:
    """Return the positions (t, row, column), (n, 3), whose windows touch a mask.

    Args:
        mask: True where something is, (T, H, W), as the network is given it.
        of: The window of the map's features, whose middle stands over their position.
    """
    size, step = (of.frames, of.pixels, of.pixels), (1, of.step, of.step)
    halves = [side // 2 for side in size]
    touched = F.max_pool3d(torch.from_numpy(mask)[None].double(), size, step, halves)
    return torch.nonzero(touched[0])


def coordinates_between(clip: Seen, of: Window) -> int:
    """Return in how many coordinates the nearest two positions of a map differ, one
    that sees the ring and one that sees an object.

    Args:
        clip: A clip with a ring, on a plain ground and without noise.
        of: The window of the map's features.
    """
    pictures, ring = clip.pictures, clip.cut(clip.scene.ring)
    drawn = (pictures != pictures[0, 0, 0]).any(axis=-1)  # soft edges, too
    with_ring = ring.any(axis=(1, 2), keepdims=True)  # frames
    masks = (drawn & with_ring, drawn & ~with_ring)
    rings, objects = (positions_that_see(mask, of) for mask in masks)
    return 3 - int((rings[:, None] == objects).sum(dim=-1).max())


def upper_halves(x: Tensor, z: Tensor) -> tuple[float, float]:
    """Return the shares of the points of two features (1, C, T, H, W) that lie in the
    upper half of their channel's range, which is that of both.
    """
    flat = [features.flatten(2)[0] for features in (x, z)]  # (C, T H W)
    both = torch.cat(flat, dim=1)
    middle = (both.amin(1, keepdim=True) + both.amax(1, keepdim=True)) / 2
    before, after = ((part > middle).double().mean().item() for part in flat)
    return before, after


def cover(mask: np.ndarray, sides: Sequence[int]) -> Tensor:
    """Return the share of each cell of a map that a mask fills.

    Args:
        mask: True where something is, (T, H, W).
        sides: T, H and W of the map.
    """
    t, h, w = sides
    return F.adaptive_avg_pool3d(torch.from_numpy(mask)[None].double(), (t, h, w))[0]


def mean_on(values: Tensor, mask: np.ndarray) -> float:
    """Return the mean of a map over a mask of the clip, a position counting by the
    share of it that the mask fills.

    Args:
        values: (T', H', W').
        mask: True where something is, (T, H, W).
    """
    share = cover(mask, values.shape).to(values.dtype)
    return ((values * share).sum() / share.sum()).item()
