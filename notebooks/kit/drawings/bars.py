"""Stacked bars: where the multiply-adds of networks and blocks go."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd

from vidattn.cost import Cost
from vidattn.figures.style import COLOURS, WIDTH


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
    _, axes = plt.subplots(
        1,
        len(panels),
        figsize=(WIDTH, height),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    colours = [COLOURS[name] for name in mechanisms]
    for axis, (label, parts) in zip(axes[0], panels.items(), strict=True):
        left = pd.Series(0.0, index=parts.index)
        for (name, widths), colour in zip(parts.items(), colours, strict=True):
            axis.barh(parts.index, widths, left=left, color=colour, label=name)
            left += widths
        axis.set(xlabel=label)
    axes[0, 0].invert_yaxis()
    axes[0, 0].legend(ncols=len(colours), loc="lower left", bbox_to_anchor=(0, 1))
    plt.show()
