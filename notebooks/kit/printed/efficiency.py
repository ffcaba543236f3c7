"""All printed parameters and FLOPs, each recomputed, and what had to be chosen for them
to come out.

`data/choices.yaml` says of each choice beyond the text's models and of each way of
counting where it comes
from: the text, public code, or nothing but the fit.
"""

from collections import Counter
from collections.abc import Sequence
from math import isnan
from typing import Any, NamedTuple

from notebooks.kit.printed import gta, pnl, rcca, rnl
from notebooks.kit.printed.explain import Figure
from notebooks.kit.printed.models import DATA
from vidattn.errors import UserError
from vidattn.yamlfile import read_yaml

EXPLAINED = {
    "RNL": rnl.efficiency,
    "PNL": pnl.efficiency,
    "RCCA-3D": rcca.efficiency,
    "GTA": gta.efficiency,
}
_DATA = read_yaml(DATA / "choices.yaml")
CHOICES = _DATA["conventions"] | {
    choice["says"]: choice for choice in _DATA["choices"].values()
}
ORIGINS = {"text": "stated", "code": "public code", "fit": "fitted"}
VERDICTS = {
    "agrees": "agrees to the printed digit",
    "agrees, fitted": "agrees under a stated reading",
    "not explained": "not explained",
}


class Choices(NamedTuple):
    """What stands beside a table.

    Attributes:
        paper: Whose table it is.
        table: Its name.
        verdicts: How many figures have each verdict.
        free: What was chosen because it fits, and for how many figures: ways of
            counting and readings that neither text nor public code states.
        decisions: How many decisions these are: some readings are several.
        distinct: How many different figures the free choices explain: those of one
            model and metric count once, and a percentage not at all where the table
            prints its total, too.
    """

    paper: str
    table: str
    verdicts: Counter[str]
    free: Counter[str]
    decisions: int
    distinct: int


def efficiency(paper: str | None = None) -> list[Figure]:
    """Return every printed figure of one paper, or of all, recomputed, in the order of
    the printed ones.

    Raises:
        UserError: The paper is unknown.
    """
    if paper not in (None, *EXPLAINED):
        raise UserError(
            f"paper={paper!r} is not recomputed: allowed are {', '.join(EXPLAINED)}"
        )
    return [
        figure
        for name in EXPLAINED
        if paper in (None, name)
        for figure in EXPLAINED[name]()
    ]


def free_choices(figure: Figure) -> list[str]:
    """Return what of a figure's way of counting and reading nothing but the fit speaks
    for.
    """
    return [
        what
        for what in (figure.convention, *figure.choices)
        if CHOICES[what]["from"] == "fit"
    ]


def beside_tables(figures: Sequence[Figure]) -> list[Choices]:
    """Return for each table how many free choices explain how many distinct figures."""
    tables = []
    for paper, table in dict.fromkeys((f.paper, f.table) for f in figures):
        own = [f for f in figures if (f.paper, f.table) == (paper, table)]
        explained = [
            f
            for f in own
            if f.verdict != "not explained" and not f.given and free_choices(f)
        ]
        free = Counter(what for f in explained for what in free_choices(f))
        decisions = sum(CHOICES[what].get("decisions", 1) for what in free)
        totals = {f.row for f in own if "%" not in f.metric}
        distinct = {
            (f.unit, f.computed)
            for f in explained
            if "%" not in f.metric or f.row not in totals
        }
        tables.append(
            Choices(
                paper,
                table,
                Counter(f.verdict for f in own),
                free,
                decisions,
                len(distinct),
            )
        )
    return tables


def reason(figure: Figure) -> str:
    """Return one line that says why a figure has its verdict."""
    if figure.given:
        return f"nothing to count: {figure.reading}"
    if figure.verdict == "agrees, fitted":
        return "; ".join(
            f"{ORIGINS[CHOICES[what]['from']]}: {what}" for what in figure.choices
        )
    if figure.verdict == "agrees" or isnan(figure.computed):
        return figure.reading
    tried = " | ".join(f"{why} = {value:.4f}" for why, value in figure.others)
    return f"nearest: {figure.reading}; also tried: {tried or 'nothing'}"


def csv_row(figure: Figure) -> dict[str, Any]:
    """Return a figure as the command prints it."""
    names = (
        "paper",
        "table",
        "row",
        "metric",
        "printed",
        "computed",
        "unit",
        "convention",
    )
    row = {name: getattr(figure, name) for name in names}
    return row | {"verdict": VERDICTS[figure.verdict], "reason": reason(figure)}
