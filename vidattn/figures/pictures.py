"""Frames, and attention maps drawn over them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
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
    if titles is not None and len(titles) != len(maps):
        raise UserError(f"{len(maps)} maps need {len(maps)} titles, not {len(titles)}")
    high, wide = frames.shape[1:3]
    row_height = (WIDTH - 0.35) / len(frames) * high / wide + 0.05  # a third of an inch for the titles
    figure, axes = _strips(len(maps), len(frames), (WIDTH, len(maps) * row_height + 0.25))
    pictures = _faded(frames)
    for q, (query, weights) in enumerate(zip(queries, maps.double().numpy(), strict=True)):
        norm = _range(np.delete(weights.ravel(), int(own[q])))
        for t, axis in enumerate(axes[q]):
            axis.imshow(pictures[t])
            heat = np.clip(weights[t], norm.vmin, norm.vmax)
            axis.imshow(
                heat, cmap="inferno", norm=norm, alpha=0.9 * np.asarray(norm(heat)) ** 0.8,
                extent=(-0.5, wide - 0.5, high - 0.5, -0.5), interpolation="nearest",
            )  # fmt: skip
            if q == 0:
                axis.set_title(f"t = {t}", fontsize=8, pad=2)
        row, column = (
            (place + 0.5) * pixels / cells - 0.5
            for place, pixels, cells in zip(query[1:], (high, wide), maps.shape[2:], strict=True)
        )
        axes[q, query[0]].plot(
            column, row, "o", color="#00d5ff", markersize=4.5, markeredgecolor="black", markeredgewidth=0.8
        )
        if titles is not None:
            axes[q, 0].set_ylabel(titles[q], fontsize=8)
    return figure


def filmstrip(frames: np.ndarray, every: int = 1, start: int = 0) -> Figure:
    """Draw frames of a clip side by side, with their numbers.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        every: Step from one drawn frame to the next.
        start: The first drawn frame.

    Raises:
        UserError: No frame would be drawn.
    """
    if every < 1 or not 0 <= start < len(frames):
        raise UserError(f"no frame to draw: start={start} and every={every} of {len(frames)} frames")
    numbers = range(start, len(frames), every)
    high, wide = frames.shape[1:3]
    side = min(WIDTH / len(numbers), 1.5)
    figure, axes = _strips(1, len(numbers), (side * len(numbers), side * high / wide + 0.22))
    for axis, number in zip(axes[0], numbers, strict=True):
        axis.imshow(frames[number], interpolation="nearest")
        axis.set_xlabel(str(number), fontsize=8, labelpad=2)
    return figure


def _strips(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


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
