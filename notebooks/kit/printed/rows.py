"""A printed figure of a row beside what the row's networks cost, and a difference of
two rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from notebooks.kit.printed.explain import Figure, judge
from notebooks.kit.printed.models import Network, differences, readings
from notebooks.kit.printed.thop import Convention


def cell(row: Mapping[str, str], more: Sequence[tuple[str, float]] = ()) -> Figure:
    """Return a row's figure, recomputed.

    Args:
        row: A printed figure, as `printed_efficiency` gives it.
        more: Further readings and what they give.
    """
    reading, metric = readings(row["paper"])[row["table"], row["row"]], row["metric"]
    others = [(why, network.value(metric)) for why, network in reading.others.items()]
    text, counted = reading.text.value(metric), reading.text.value(metric, "all")
    figure = judge(row, text, counted, [*others, *more], reading.text.convention)
    network = reading.others.get(figure.reading, reading.text)
    return (
        figure
        if figure.unit != "GMAC"
        else replace(figure, convention=network.convention)
    )


def difference(
    row: Mapping[str, str], more: Sequence[tuple[str, float]] = ()
) -> Figure:
    """Return a figure that is the difference of two rows, recomputed; or in % of the
    smaller, as printed.

    Of either row the text's network is taken, then the likeliest.
    """
    metric = row["metric"]
    of = [
        readings(row["paper"])[key]
        for key in differences(row["paper"])[row["table"], row["row"]]
    ]

    def value(
        networks: Sequence[Network], convention: Convention | None = None
    ) -> float:
        larger, smaller = (network.value(metric, convention) for network in networks)
        return 100 * (larger - smaller) / smaller if "%" in metric else larger - smaller

    text = [reading.text for reading in of]
    # What is guessed of either network, or of both where the guesses differ.
    guesses = "; ".join(why for reading in of for why in [*reading.others][:1]).split(
        "; "
    )
    others = [
        (
            "; ".join(dict.fromkeys(guesses)),
            value([reading.likeliest for reading in of]),
        )
    ]
    return judge(
        row, value(text), value(text, "all"), [*others, *more], text[0].convention
    )
