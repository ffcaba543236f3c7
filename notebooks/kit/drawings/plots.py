"""Means over seeds with their 95 % intervals: as rows of dots, and as differences."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from notebooks.kit.claims import Interval, mean_interval
from notebooks.kit.drawings.page import sheet
from vidattn.figures.style import COLOURS, INK, MARKERS

# For each variant the mechanism in `COLOURS` that it is drawn as.
Kinds = Mapping[str, str] | None


def dot_plot(
    values: Mapping[str, Sequence[float]],
    label: str,
    *,
    kinds: Kinds = None,
    reference: float | None = None,
) -> Figure:
    """Draw a row for each variant: a faint dot a seed, the mean over seeds and its 95 %
    interval.

    Args:
        values: For each variant one value a seed; a variant of one seed gets no
            interval.
        label: What the values are, with unit.
        kinds: For each variant the mechanism in `COLOURS` that it is drawn as; where it
            is not given, that of its own name, else grey.
        reference: Where a vertical line is drawn, such as chance.
    """
    intervals = {name: _interval(seeds) for name, seeds in values.items()}
    figure = interval_plot(intervals, label, kinds=kinds, reference=reference)
    for row, (name, seeds) in enumerate(values.items()):
        colour, _ = _look(name, kinds)
        look: dict[str, Any] = {"color": colour, "alpha": 0.3, "ms": 4, "zorder": 1}
        figure.axes[0].plot(seeds, [row] * len(seeds), "o", **look)
    return figure


def interval_plot(
    intervals: Mapping[str, Interval],
    label: str,
    *,
    kinds: Kinds = None,
    predicted: Mapping[str, float] | None = None,
    reference: float | None = 0,
) -> Figure:
    """Draw a row for each difference: its mean and 95 % interval, beside zero and what
    was predicted.

    Args:
        intervals: Mean, low and high of each difference.
        label: What the differences are, with unit.
        kinds: As in `dot_plot`.
        predicted: Effects that were predicted, drawn as open diamonds.
        reference: Where a vertical line is drawn.
    """
    names = list(intervals)
    figure, axis = sheet(0.34 * len(names) + 0.75)
    axis.set_yticks(range(len(names)), labels=names)
    axis.set(ylim=(len(names) - 0.5, -0.5), xlabel=label, axisbelow=True)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x")
    if reference is not None:
        axis.axvline(reference, color=INK, linewidth=0.9, zorder=0)
    for row, (name, (mean, low, high)) in enumerate(intervals.items()):
        colour, marker = _look(name, kinds)
        axis.plot([low, high], [row, row], color=colour, linewidth=2.2)
        axis.plot(mean, row, marker, color=colour, markersize=7)
        if predicted is not None and name in predicted:
            look = {"ms": 7, "mfc": "none", "color": INK, "zorder": 1}
            axis.plot(predicted[name], row, "D", **look)
    return figure


def _look(name: str, kinds: Kinds) -> tuple[str, str]:
    """Return the colour and the marker of a variant's mechanism."""
    kind = (kinds or {}).get(name, name)
    return COLOURS.get(kind, COLOURS["baseline"]), MARKERS.get(kind, "o")


def _interval(seeds: Sequence[float]) -> Interval:
    # Two seeds have an interval, too, but one that is many times as wide as the plot.
    mean = sum(seeds) / len(seeds)
    return mean_interval(seeds) if len(seeds) > 2 else Interval(mean, mean, mean)
