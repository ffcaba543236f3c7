"""Means over seeds with their 95 % intervals: as rows of dots, as differences, and as lines with bands."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vidattn.errors import UserError
from vidattn.figures.style import COLOURS, INK, MARKERS, WIDTH
from vidattn.training.stats import Interval, mean_interval


def dot_plot(
    values: Mapping[str, Sequence[float]],
    label: str,
    *,
    kinds: Mapping[str, str] | None = None,
    reference: float | None = None,
) -> Figure:
    """Draw a row for each variant: a faint dot a seed, the mean over seeds and its 95 % interval.

    Args:
        values: For each variant one value a seed; a variant of one seed gets no interval.
        label: What the values are, with unit.
        kinds: For each variant the mechanism in `COLOURS` that it is drawn as; where it is not given, that of
            its own name, else grey.
        reference: Where a vertical line is drawn, such as chance.
    """
    intervals = {name: _interval(seeds) for name, seeds in values.items()}
    figure = interval_plot(intervals, label, kinds=kinds, reference=reference)
    for row, (name, seeds) in enumerate(values.items()):
        colour, _ = _look(name, kinds)
        figure.axes[0].plot(seeds, [row] * len(seeds), "o", color=colour, alpha=0.3, markersize=4, zorder=1)
    return figure


def interval_plot(
    intervals: Mapping[str, Interval],
    label: str,
    *,
    kinds: Mapping[str, str] | None = None,
    predicted: Mapping[str, float] | None = None,
    reference: float | None = 0,
) -> Figure:
    """Draw a row for each difference: its mean and 95 % interval, beside zero and what was predicted.

    Args:
        intervals: Mean, low and high of each difference.
        label: What the differences are, with unit.
        kinds: As in `dot_plot`.
        predicted: Effects that were predicted, drawn as open diamonds.
        reference: Where a vertical line is drawn.
    """
    names = list(intervals)
    figure = Figure(figsize=(WIDTH, 0.34 * len(names) + 0.75), layout="constrained")
    axis = figure.subplots()
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
            axis.plot(predicted[name], row, "D", markersize=7, markerfacecolor="none", color=INK, zorder=1)
    return figure


def lines_with_bands(
    x: Sequence[float],
    values: Mapping[str, np.ndarray],
    x_label: str,
    y_label: str,
    *,
    kinds: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a line for each variant: the mean over seeds, and its pointwise 95 % interval as a band.

    Args:
        x: n positions, such as noise levels.
        values: For each variant `(seeds, n)`; a variant of one seed gets no band.
        x_label: What x is, with unit.
        y_label: What the values are, with unit.
        kinds: As in `dot_plot`.

    Raises:
        UserError: A variant's values are not `(seeds, n)`.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    for name, given in values.items():
        table = np.asarray(given, dtype=float)
        if table.ndim != 2 or table.shape[1] != len(x):
            raise UserError(f"{name!r} has values of shape {table.shape}, not (seeds, {len(x)})")
        mean, low, high = np.transpose([_interval(column) for column in table.T])
        colour, marker = _look(name, kinds)
        axis.plot(x, mean, color=colour, marker=marker, markersize=6, label=name)
        if len(table) > 1:
            axis.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.grid(axis="y")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _look(name: str, kinds: Mapping[str, str] | None) -> tuple[str, str]:
    """Return the colour and the marker of a variant's mechanism."""
    kind = (kinds or {}).get(name, name)
    return COLOURS.get(kind, COLOURS["baseline"]), MARKERS.get(kind, "o")


def _interval(seeds: Sequence[float] | np.ndarray) -> Interval:
    values = [float(value) for value in seeds]
    # Two seeds have an interval, too, but one that is many times as wide as the plot.
    return mean_interval(values) if len(values) > 2 else Interval(*[sum(values) / len(values)] * 3)
