"""Which way of counting gives a paper's printed costs: every way is tried."""

from collections.abc import Mapping, Sequence
from itertools import compress, product
from typing import NamedTuple

from notebooks.kit.printed.verdict import agrees


class Way(NamedTuple):
    """How many of several printed costs one way of counting gives.

    Attributes:
        choices: For each choice, by name, what was chosen.
        agreeing: Number of costs that it gives to the printed digit.
        rows: Number of costs.
        distinct: Number of different costs among those that it gives.
    """

    choices: Mapping[str, bool | int | str]
    agreeing: int
    rows: int
    distinct: int


def way(
    choices: Mapping[str, bool | int | str], costs: Sequence[tuple[str, float]]
) -> Way:
    """Return how many costs, each printed and computed, one way of counting gives."""
    hits = [printed for printed, computed in costs if agrees(printed, computed)]
    return Way(choices, len(hits), len(costs), len(set(hits)))


def ways_of_counting(
    rows: Sequence[tuple[str, float, Mapping[str, float]]],
) -> list[Way]:
    """Return how well each way of counting fits several costs, the networks being the
    same for all.

    Args:
        rows: For each cost what is printed, what every way counts, and the parts that a
            way may count or not, by name and the same for all rows; in MACs.
    """
    names, ways = [*rows[0][2]], []
    for counted in product((False, True), repeat=len(names)):
        costs = [
            (printed, (always + sum(compress(parts.values(), counted))) / 1e9)
            for printed, always, parts in rows
        ]
        ways.append(way(dict(zip(names, counted, strict=True)), costs))
    return ways
