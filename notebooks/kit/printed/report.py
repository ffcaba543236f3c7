"""What the pages of costs show: tables of printed costs, of readings and of ways of
counting.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from notebooks.kit.drawings.page import say, show_rows, show_table
from notebooks.kit.printed.audit import efficiency
from notebooks.kit.printed.choices import TEXT, says
from notebooks.kit.printed.tables import MARKS, letters, shown
from notebooks.kit.printed.verdict import PrintedCost, Verdict, agrees
from notebooks.kit.printed.ways import Way

Named = dict[tuple[str, str, str], PrintedCost]  # by table, row and metric


def named(costs: Sequence[PrintedCost]) -> Named:
    """Return a paper's costs by table, row and metric; each agrees with the text's
    network if its verdict says so.
    """
    for cost in costs:
        by_text = cost.agreement is Verdict.AGREES
        assert agrees(cost.printed, cost.text) == by_text, cost
    return {(cost.table, cost.row, cost.metric): cost for cost in costs}


def printed_costs(paper: str) -> tuple[list[PrintedCost], Named]:
    """Return a paper's costs, as a list and by table, row and metric."""
    costs = efficiency(paper)
    return costs, named(costs)


def agreements(costs: Sequence[PrintedCost]) -> tuple[int, int, int]:
    """Return how many costs agree with the text's network, how many under a fitted
    reading, and how many with none.
    """
    found = Counter(cost.agreement for cost in costs)
    return found[Verdict.AGREES], found[Verdict.FITTED], found[Verdict.UNEXPLAINED]


def say_agreements(costs: Sequence[PrintedCost], among: str = "") -> None:
    """Say how many costs agree.

    Args:
        costs: Printed costs.
        among: What stands behind those that agree with the text's network.
    """
    agreeing, by_fit, unexplained = agreements(costs)
    say(
        f"{agreeing} of {len(costs)} figures agree with the model that the text "
        f"describes{among}, {by_fit} under a fitted reading, {unexplained} not at all."
    )


def fitted(costs: Sequence[PrintedCost]) -> list[PrintedCost]:
    """Return the costs that agree under a fitted reading."""
    return [cost for cost in costs if cost.agreement is Verdict.FITTED]


def show_costs(costs: Sequence[PrintedCost]) -> None:
    """Show each cost beside the text's network and the nearest reading, and what the
    letters stand for; `nearest` is left empty where it is the text's network.
    """
    letter, rows = letters(costs), []
    for cost in costs:
        by_reading = f"fitted, {letter.get(cost.reading)}"
        is_fitted = cost.agreement is Verdict.FITTED
        nearest = shown(cost, cost.computed)
        rows.append(
            {
                "table: row": f"{cost.table}: {cost.row}",
                "figure": cost.metric,
                "printed": cost.printed,
                "text's model": shown(cost, cost.text),
                "nearest": "" if cost.reading == TEXT else nearest,
                "verdict": by_reading if is_fitted else MARKS[cost.agreement],
                "everything": shown(cost, cost.all_counted),
            }
        )
    show_table(pd.DataFrame(rows))
    show_readings(costs)


def show_readings(costs: Sequence[PrintedCost]) -> None:
    """Show what the letters of fitted readings stand for."""
    lines = [
        f"- **{letter.replace('*', chr(92) + '*')}** {says(reading)}"
        for reading, letter in letters(costs).items()
    ]
    say("\n".join(["Readings:", "", *lines]))


def show_choices(costs: Sequence[PrintedCost], words: Mapping[str, str]) -> None:
    """Show how many fitted costs need each choice; every one must need some.

    Args:
        costs: Printed costs.
        words: For each choice what the page calls it.
    """
    readings = [cost.reading for cost in fitted(costs)]
    assert readings and all(set(reading) & set(words) for reading in readings)
    needing = Counter(choice for reading in readings for choice in {*reading})
    lines = [(word, needing[choice]) for choice, word in words.items()]
    show_rows(lines, ["choice", "figures that need it"])


def show_ways(ways: Sequence[Way], agreeing: str) -> None:
    """Show how many costs each way of counting gives.

    Args:
        ways: The ways.
        agreeing: What the column of those that agree is called.
    """
    words = {True: "counted", False: "–"}
    lines = []
    for way in ways:
        chosen = way.choices.items()
        line = {name: words[c] if isinstance(c, bool) else c for name, c in chosen}
        line[agreeing] = f"{way.agreeing} of {way.rows}"
        lines.append(line | {"different ones": way.distinct})
    show_table(pd.DataFrame(lines))
