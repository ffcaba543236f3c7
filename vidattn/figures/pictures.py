"""Frames, and drawn over them what a network does with them.

That is attention, regions, and evidence for a class.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from vidattn.errors import UserError
from vidattn.figures.maps import Query, Region, own_positions
from vidattn.figures.style import WIDTH

# Colours that are seen on grey pictures, on any page.
SCALES = ("#35b8ff", "#ff7a5c", "#ffd23f", "#7ee081")


def show_maps(
    frames: np.ndarray,
    maps: Tensor,
    queries: Sequence[Query],
    titles: Sequence[str] | None = None,
) -> Figure:
    """Draw for each query a row: the clip, the weights as heat, the query as a dot.

    The heat is matplotlib's `inferno`, perceptually uniform, on a logarithmic scale,
    since the softmax of unscaled inner products spans many powers of ten. Each row has
    a range of its own: from its median weight, and what lies below, which are not
    tinted, to its largest. The query's own position does not count for that: an RNL
    block's outshines all others, and the dot hides it. Weights of 0 or less are not
    tinted.

    Args:
        frames: The network's clip as pictures, uint8 `(T, H, W, 3)`.
        maps: `(Q, T, H', W')`.
        queries: The positions (t, row, column) of the Q queries on the maps' grid.
        titles: What to write before each row.

    Raises:
        UserError: Frames, maps, queries or titles do not fit each other.
    """
    own = own_positions(maps, queries)
    if len(frames) != maps.shape[1]:
        raise UserError(
            f"maps over {maps.shape[1]} frames do not fit a clip of {len(frames)}"
        )
    figure, axes = clip_rows(frames, len(maps), titles)
    size = frames.shape[1:3]
    cell = np.divide(size, maps.shape[2:])  # in pixels
    dot = {"color": "#00d5ff", "ms": 4.5, "mec": "black", "mew": 0.8}
    for q, weights in enumerate(maps.double().numpy()):
        norm = _range(np.delete(weights.ravel(), int(own[q])))
        for t, axis in enumerate(axes[q]):
            heat = np.clip(weights[t], norm.vmin, norm.vmax)
            opacity = 0.9 * np.asarray(norm(heat)) ** 0.8
            lay_over(axis, heat, size, cmap="inferno", norm=norm, alpha=opacity)
        row, column = (np.array(queries[q][1:]) + 0.5) * cell - 0.5
        axes[q, queries[q][0]].plot(column, row, "o", **dot)
    return figure


def show_regions(
    frames: np.ndarray,
    found: Sequence[Sequence[Region]],
    titles: Sequence[str] | None = None,
) -> Figure:
    """Draw for each scale a row: the clip and the regions over it.

    The query's region is white, the others are numbered by their weight.

    Args:
        frames: As many pictures as the feature map has frames, uint8 `(T, H, W, 3)`.
        found: What `correlated_regions` gave, or some of its scales.
        titles: What to write before each row.

    Raises:
        UserError: A region lies in a frame that is not there, or the titles are not as
            many as the rows.
    """
    last = max(region.t for regions in found for region in regions)
    if last >= len(frames):
        raise UserError(
            f"a region lies in frame {last}, but there are {len(frames)} frames"
        )
    figure, axes = clip_rows(frames, len(found), titles)
    high, wide = frames.shape[1:3]
    centred = {"fontsize": 8, "ha": "center", "va": "center"}
    halo = [withStroke(linewidth=2, foreground="black")]
    for row, regions, colour in zip(axes, found, cycle(SCALES), strict=False):
        for rank, (_, t, box) in enumerate(regions):
            x, y, width, height = np.array(box) * (wide, high, wide, high)
            ink, corner = colour if rank else "white", (x - 0.5, y - 0.5)
            frame = Rectangle(corner, width, height, fill=False, ec=ink, lw=1.8)
            row[t].add_patch(frame)
            middle = (x + width / 2 - 0.5, y + height / 2 - 0.5)
            number = row[t].text(*middle, str(rank or ""), color=ink, **centred)
            number.set_path_effects(halo)
    return figure


def show_activation(
    frames: np.ndarray, maps: Sequence[Tensor], titles: Sequence[str] | None = None
) -> Figure:
    """Draw for each map a row: the clip, and over it what speaks for a class.

    What speaks for it is red, what speaks against it blue. A row's colours reach from
    minus to plus its largest absolute value, and fade towards zero.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        maps: What `activation_maps` gave for each network, `(T, H', W')`.
        titles: What to write before each row.

    Raises:
        UserError: Maps or titles do not fit the frames.
    """
    for each in maps:
        if len(each) != len(frames):
            raise UserError(
                f"a map over {len(each)} frames does not fit a clip of {len(frames)}"
            )
    figure, axes = clip_rows(frames, len(maps), titles)
    look = {"cmap": "coolwarm", "vmin": -1, "vmax": 1}
    for row, each in zip(axes, maps, strict=True):
        largest = each.abs().max().clamp(min=torch.finfo(each.dtype).tiny)
        for axis, share in zip(row, (each / largest).double().numpy(), strict=True):
            opacity = 0.9 * np.abs(share)
            lay_over(axis, share, frames.shape[1:3], alpha=opacity, **look)
    return figure


def show_channels(x: Tensor, z: Tensor, channels: Sequence[int]) -> Figure:
    """Draw some channels before and after a block.

    Each has a row, with time to the right, and each channel one grey scale.

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


def clip_rows(
    frames: np.ndarray, rows: int, titles: Sequence[str] | None = None
) -> tuple[Figure, Any]:
    """Draw a clip several times, one below the other.

    Some colour is taken away for what is drawn over it.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        rows: How often.
        titles: What to write before each row.

    Returns:
        The figure and its axes `(rows, T)`.

    Raises:
        UserError: The titles are not as many as the rows.
    """
    if titles is not None and len(titles) != rows:
        raise UserError(f"{rows} rows need {rows} titles, not {len(titles)}")
    high, wide = frames.shape[1:3]
    # A third of an inch for the titles.
    row_height = (WIDTH - 0.35) / len(frames) * high / wide + 0.05
    figure, axes = grid(titles or [""] * rows, len(frames), rows * row_height + 0.25)
    for (_, t), axis in np.ndenumerate(axes):
        axis.imshow(_faded(frames[t]))
        axis.spines[:].set_visible(False)
    return figure, axes


def grid(titles: Sequence[str], columns: int, height: float) -> tuple[Figure, Any]:
    """Return a figure and its axes: a row for each title, time to the right.

    The height is in inches.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    axes = figure.subplots(len(titles), columns, squeeze=False)
    for (row, t), axis in np.ndenumerate(axes):
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"t = {t}" if row == 0 else "", fontsize=8, pad=2)
        axis.set_ylabel(titles[row] if t == 0 else "", fontsize=8)
    return figure, axes


def lay_over(axis: Axes, heat: np.ndarray, size: tuple[int, int], **look: Any) -> None:
    """Draw cells of a coarser grid over a picture of a size in pixels (H, W)."""
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    axis.imshow(heat, extent=extent, interpolation="nearest", **look)


def _faded(frames: np.ndarray) -> np.ndarray:
    """Take half of the colour and some contrast away; values are 0 to 1.

    The heat then stands out.
    """
    grey = frames @ np.array([0.299, 0.587, 0.114])
    return 0.1 + 0.75 * (0.5 * frames + 0.5 * grey[..., None]) / 255


def _range(others: np.ndarray) -> LogNorm:
    positive = others[others > 0]
    if not len(positive):
        return LogNorm(0.1, 1)  # nothing is tinted
    top = float(positive.max())
    low = float(max(np.median(others), positive.min()))
    # Equal weights are all tinted alike.
    return LogNorm(low if low < top else top / 10, top)
