"""Frames, and attention maps drawn over them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from vidattn.errors import UserError
from vidattn.figures.maps import Query, own_positions
from vidattn.figures.style import WIDTH


def show_maps(
    frames: np.ndarray, maps: Tensor, queries: Sequence[Query], titles: Sequence[str] | None = None
) -> Figure:
    """Draw a row for each query: the clip, the query's weights over it as heat, the query as a dot.

    The heat is matplotlib's `inferno`, perceptually uniform, on a logarithmic scale, since the softmax of
    unscaled inner products spans many powers of ten. Each row has a range of its own: from its median weight,
    and what lies below, which are not tinted, to its largest. The query's own position does not count for
    that: an RNL block's outshines all others, and the dot hides it. Weights of 0 or less are not tinted.

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
        raise UserError(f"maps over {maps.shape[1]} frames do not fit a clip of {len(frames)}")
    figure, axes = clip_rows(frames, len(maps), titles)
    high, wide = frames.shape[1:3]
    for q, (query, weights) in enumerate(zip(queries, maps.double().numpy(), strict=True)):
        norm = _range(np.delete(weights.ravel(), int(own[q])))
        for t, axis in enumerate(axes[q]):
            heat = np.clip(weights[t], norm.vmin, norm.vmax)
            opacity = 0.9 * np.asarray(norm(heat)) ** 0.8
            lay_over(axis, heat, (high, wide), cmap="inferno", norm=norm, alpha=opacity)
        row, column = (
            (place + 0.5) * pixels / cells - 0.5
            for place, pixels, cells in zip(query[1:], (high, wide), maps.shape[2:], strict=True)
        )
        axes[q, query[0]].plot(
            column, row, "o", color="#00d5ff", markersize=4.5, markeredgecolor="black", markeredgewidth=0.8
        )
    return figure


def clip_rows(frames: np.ndarray, rows: int, titles: Sequence[str] | None = None) -> tuple[Figure, Any]:
    """Draw a clip several times, one below the other, some colour taken away for what is drawn over it.

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
    row_height = (WIDTH - 0.35) / len(frames) * high / wide + 0.05  # a third of an inch for the titles
    figure, axes = grid(titles or [""] * rows, len(frames), rows * row_height + 0.25)
    for (_, t), axis in np.ndenumerate(axes):
        axis.imshow(_faded(frames[t]))
        axis.spines[:].set_visible(False)
    return figure, axes


def grid(titles: Sequence[str], columns: int, height: float) -> tuple[Figure, Any]:
    """Return a figure of so many inches and its axes: a row for each title, time to the right."""
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
    """Take half of the colour and some contrast away, so that the heat stands out; values 0 to 1."""
    grey = frames @ np.array([0.299, 0.587, 0.114])
    return 0.1 + 0.75 * (0.5 * frames + 0.5 * grey[..., None]) / 255


def _range(others: np.ndarray) -> LogNorm:
    positive = others[others > 0]
    if not len(positive):
        return LogNorm(0.1, 1)  # nothing is tinted
    top = float(positive.max())
    low = float(max(np.median(others), positive.min()))
    return LogNorm(low if low < top else top / 10, top)  # equal weights are all tinted alike
