"""What the pages of costs draw."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd

from vidattn.cost import Cost
from vidattn.figures.style import COLOURS, INK, WIDTH

if TYPE_CHECKING:
    from notebooks.kit.printed.verdict import PrintedCost

MECHANISMS = {
    "RNL": "region",
    "PNL": "pyramid",
    "RCCA-3D": "crisscross",
    "GTA": "temporal",
}
MARKS = {"agrees": "o", "agrees, fitted": "D", "not explained": "X"}


def parts_of_costs(costs: Mapping[str, Cost]) -> pd.DataFrame:
    """Return the convolutions and the products of each cost, in GMAC."""
    parts = {
        name: (cost.by_kind["conv"], cost.macs - cost.by_kind["conv"])
        for name, cost in costs.items()
    }
    columns = ["convolutions", "products"]
    return pd.DataFrame.from_dict(parts, orient="index", columns=columns) / 1e9


def stacked_bars(
    panels: Mapping[str, pd.DataFrame], mechanisms: Sequence[str], height: float
) -> None:
    """Draw stacked bars: a panel for each table, a bar for each row, a part a column.

    Args:
        panels: The tables, by what the label of their axis says.
        mechanisms: Whose colour each column has: keys of `COLOURS`.
        height: Height of the picture in inches.
    """
    fig = plt.figure(figsize=(WIDTH, height), layout="constrained")
    axes = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (label, parts) in zip(axes, panels.items(), strict=True):
        left = pd.Series(0.0, index=parts.index)
        for (name, widths), mechanism in zip(parts.items(), mechanisms, strict=True):
            colour = COLOURS[mechanism]
            axis.barh(parts.index, widths, left=left, color=colour, label=name)
            left += widths
        axis.set(xlabel=label)
    axes[0].invert_yaxis()
    axes[0].legend(ncols=len(mechanisms), loc="lower left", bbox_to_anchor=(0, 1))
    plt.show()


def printed_against_recomputed(
    costs: Sequence["PrintedCost"], names: Mapping[str, str]
) -> None:
    """Draw every cost that was recomputed against the printed one, and below how far
    off it is, in units of the last printed digit.

    Args:
        costs: Printed costs.
        names: What the legend calls each verdict.
    """
    table = pd.DataFrame(
        (of.paper, of.verdict, float(of.printed), of.computed, 10 ** (of.digits - 1))
        for of in costs
        if of.verdict in MARKS
    ).dropna()
    table.columns = ["paper", "verdict", "printed", "computed", "steps"]
    table["off"] = (table["computed"] - table["printed"]) * table["steps"]
    within = table["off"].abs() <= 0.5 + 1e-9
    assert (within == (table["verdict"] != "not explained")).all()
    assert table["off"].abs().max() < 1e3
    fig = plt.figure(figsize=(WIDTH, 6.2), layout="constrained")
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for (paper, verdict), part in table.groupby(["paper", "verdict"], sort=False):
        style = {
            "color": COLOURS[MECHANISMS[paper]],
            "marker": MARKS[verdict],
            "markersize": 7 if verdict == "not explained" else 4,
            "markeredgecolor": "none",
            "linestyle": "none",
        }
        above.plot(part["printed"], part["computed"], **style)
        below.plot(part["printed"], part["off"], **style)
    ends = [table["printed"].min() / 1.5, table["printed"].max() * 1.5]
    above.plot(ends, ends, color=INK, lw=0.6, zorder=0)
    below.axhspan(-0.5, 0.5, color=INK, alpha=0.12, lw=0, zorder=0)
    for paper, mechanism in MECHANISMS.items():
        above.plot([], [], "o", color=COLOURS[mechanism], label=paper)
    for verdict, mark in MARKS.items():
        above.plot([], [], mark, color=INK, label=names[verdict])
    above.set(xscale="log", yscale="log", ylabel="recomputed: G, M, %")
    below.set_yscale("symlog", linthresh=1)
    away = "recomputed less printed,\nunits of the last digit"
    below.set(xlabel="printed: G, M, %", ylabel=away, ylim=(-1e3, 1e3))
    above.legend(ncols=2)
    plt.show()
