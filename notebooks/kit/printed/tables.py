"""The audit of all printed costs in tables: why each has its verdict, and how many
choices explain how many of them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any, NamedTuple

from notebooks.kit.printed.choices import CHOICES, ORIGINS, Reading, says
from notebooks.kit.printed.verdict import PrintedCost, Verdict

MARKS = {
    Verdict.AGREES: "✓",
    Verdict.FITTED: "(✓)",
    Verdict.GIVEN: "=",
    Verdict.UNEXPLAINED: "✗",
}
AGREEMENT = {
    Verdict.AGREES: "agrees to the printed digit",
    Verdict.FITTED: "agrees under a stated reading",
    Verdict.UNEXPLAINED: "not explained",
}


class Beside(NamedTuple):
    """What stands beside a table.

    Attributes:
        paper: Whose table it is.
        table: Its name.
        verdicts: How many costs have each verdict.
        free: What was chosen because it fits, and for how many costs: ways of counting
            and readings that neither text nor public code states.
        decisions: How many decisions these are: some choices are several.
        distinct: How many different costs the free choices explain: those of one
            network and metric count once, and a percentage not at all where the table
            prints its total, too.
    """

    paper: str
    table: str
    verdicts: Counter[Verdict]
    free: Counter[str]
    decisions: int
    distinct: int


def by_table(costs: Iterable[PrintedCost]) -> dict[tuple[str, str], list[PrintedCost]]:
    """Return the costs of each table, by paper and table."""
    tables: dict[tuple[str, str], list[PrintedCost]] = {}
    for cost in costs:
        tables.setdefault((cost.paper, cost.table), []).append(cost)
    return tables


def free_choices(cost: PrintedCost) -> list[str]:
    """Return what of a cost's way of counting and reading nothing but the fit speaks
    for.
    """
    used = cost.convention, *cost.reading
    return [choice for choice in used if CHOICES[choice].origin == "fit"]


def decisions(choices: Iterable[str]) -> int:
    """Return how many decisions some choices are."""
    return sum(CHOICES[choice].decisions for choice in choices)


def beside_tables(costs: Sequence[PrintedCost]) -> list[Beside]:
    """Return for each table how many free choices explain how many distinct costs."""
    beside = []
    for (paper, table), own in by_table(costs).items():
        agree = [x for x in own if x.verdict in (Verdict.AGREES, Verdict.FITTED)]
        explained = [cost for cost in agree if free_choices(cost)]
        free = Counter(choice for cost in explained for choice in free_choices(cost))
        totals = {cost.row for cost in own if cost.unit != "%"}
        distinct = {
            (cost.unit, cost.computed)
            for cost in explained
            if cost.unit != "%" or cost.row not in totals
        }
        verdicts = Counter(cost.verdict for cost in own)
        count = decisions(free), len(distinct)
        beside.append(Beside(paper, table, verdicts, free, *count))
    return beside


def reason(cost: PrintedCost) -> str:
    """Return one line that says why a cost has its verdict."""
    if cost.verdict is Verdict.GIVEN:
        return f"nothing to count: {says(cost.reading)}"
    if cost.verdict is Verdict.FITTED:
        taken = (CHOICES[choice] for choice in cost.reading)
        return "; ".join(f"{ORIGINS[of.origin]}: {of.says}" for of in taken)
    if cost.verdict is Verdict.AGREES or isnan(cost.computed):
        return says(cost.reading)
    others = cost.others.items()
    tried = " | ".join(f"{says(why)} = {value:.4f}" for why, value in others)
    return f"nearest: {says(cost.reading)}; also tried: {tried or 'nothing'}"


def csv_row(cost: PrintedCost) -> dict[str, Any]:
    """Return a cost as the command prints it."""
    row = {name: getattr(cost, name) for name in COLUMNS}
    return row | {"verdict": AGREEMENT[cost.agreement], "reason": reason(cost)}


COLUMNS = (
    "paper",
    "table",
    "row",
    "metric",
    "printed",
    "computed",
    "unit",
    "convention",
)


def shown(cost: PrintedCost, value: float) -> str:
    """Return a recomputed cost with one digit more than is printed."""
    return "–" if isnan(value) else f"{value:.{cost.digits}f}"


def letters(costs: Sequence[PrintedCost]) -> dict[Reading, str]:
    """Return a letter for each reading that costs were fitted by; a star marks those
    that call themselves a guess.
    """
    fitted = dict.fromkeys(x.reading for x in costs if x.agreement is Verdict.FITTED)
    return {
        reading: chr(ord("A") + i) + "*" * any(CHOICES[c].guess for c in reading)
        for i, reading in enumerate(fitted)
    }
