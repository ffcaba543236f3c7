"""A printed cost of a row beside what the row's networks cost, and of a row that
compares two others.
"""

from collections.abc import Iterable, Mapping, Sequence

from notebooks.kit.printed.choices import TEXT, Reading
from notebooks.kit.printed.metrics import METRICS
from notebooks.kit.printed.readings import Key, Row, comparisons, readings
from notebooks.kit.printed.recount import RowNetwork
from notebooks.kit.printed.thop import Convention
from notebooks.kit.printed.verdict import PrintedCost, Recounted, judge


def cell(printed: Mapping[str, str], more: Sequence[Recounted] = ()) -> PrintedCost:
    """Return a row's cost, recomputed.

    Args:
        printed: A printed cost, as `printed_efficiency` gives it.
        more: What further readings give.
    """
    row, metric = row_of(printed), METRICS[printed["metric"]]
    text, *others = (
        Recounted(reading, metric(network.amount()), network.convention)
        for reading, network in ((TEXT, row.text), *row.others.items())
    )
    return judge(printed, text, metric(row.text.amount("all")), [*others, *more])


def comparison(
    printed: Mapping[str, str], more: Sequence[Recounted] = ()
) -> PrintedCost:
    """Return a cost that compares two rows, recomputed.

    Of either row the text's network is taken, then the likeliest.

    Args:
        printed: A printed cost, as `printed_efficiency` gives it.
        more: What further readings give.
    """
    kind, rows = compared(printed)

    def value(
        networks: Iterable[RowNetwork], convention: Convention | None = None
    ) -> float:
        metric = METRICS[printed["metric"]]
        first, second = (metric(network.amount(convention)) for network in networks)
        if kind == "saving":
            return 100 * (1 - first / second)
        return 100 * (first - second) / second if metric.unit == "%" else first - second

    text = [row.text for row in rows]
    way, fitted = text[0].convention, value(row.likeliest for row in rows)
    others = [Recounted(assumed(rows), fitted, way), *more]
    return judge(printed, Recounted(TEXT, value(text), way), value(text, "all"), others)


def row_of(printed: Mapping[str, str]) -> Row:
    """Return the row of a printed cost."""
    return readings(printed["paper"])[printed["table"], printed["row"]]


def compared(printed: Mapping[str, str]) -> tuple[str, list[Row]]:
    """Return how a row compares two others, and those."""
    key: Key = printed["table"], printed["row"]
    ((kind, rows),) = (
        (kind, rows)
        for kind, rows in comparisons(printed["paper"])[key].items()
        if kind in ("difference", "saving")
    )
    return kind, [readings(printed["paper"])[tuple(row)] for row in rows]


def assumed(rows: Iterable[Row]) -> Reading:
    """Return what the likeliest networks of some rows take to be so, each choice
    once.
    """
    likeliest = (next(iter(row.others), TEXT) for row in rows)
    return tuple(dict.fromkeys(choice for reading in likeliest for choice in reading))
