"""A printed figure beside the recomputed one, and whether they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, product
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast

from vidattn.cost import Cost

Verdict = Literal["agrees", "agrees, fitted", "not explained"]
Model = TypeVar("Model")

TEXT = "as the text has it"


@dataclass(frozen=True)
class Figure:
    """One printed figure, recomputed.

    Attributes:
        paper: Key of the printed figure, with `table`, `row` and `metric`.
        table: See `paper`.
        row: See `paper`.
        metric: See `paper`.
        printed: The figure as the paper prints it.
        computed: The figure under the reading that comes nearest, in `unit`.
        text: That of the model which the text describes, counted like `computed`.
        all_counted: That of the same model with everything counted, in `unit`.
        unit: `"GMAC"` (10^9), `"M"` (10^6 parameters) or `"%"`.
        convention: How `computed` was counted.
        verdict: `"agrees"`: the model that the text describes gives the printed digits
            under the convention that is used for the whole table. `"agrees, fitted"`: a
            model gives them that was chosen because it does, or that only the authors'
            public code shows. `"not explained"`: none of those tried.
        reading: The reading behind `computed`, in one line.
        others: The other readings that were tried, each with its figure.
        given: Nothing was counted: the paper quotes it, or it is 100% of itself. It
            could not have disagreed.
    """

    paper: str
    table: str
    row: str
    metric: str
    printed: str
    computed: float
    text: float
    all_counted: float
    unit: str
    convention: str
    verdict: Verdict
    reading: str
    others: tuple[tuple[str, float], ...]
    given: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """What the reading takes to be so beyond the text, one choice each."""
        return () if self.reading == TEXT else tuple(self.reading.split("; "))


@dataclass(frozen=True)
class Reading(Generic[Model]):
    """What a row's model is taken to be.

    Attributes:
        text: The model that the text describes.
        others: Models chosen because they fit, or that only public code shows, by what
            each takes to be so; the likeliest first, and after it those whose figures
            are worth a look.
    """

    text: Model
    others: Mapping[str, Model] = field(default_factory=dict)

    @property
    def likeliest(self) -> Model:
        """The first of the others, or the text's where there are none."""
        return next(iter(self.others.values()), self.text)


class Fit(NamedTuple):
    """How many of several figures one way of counting gives.

    Attributes:
        choices: For each choice, by name, what was chosen.
        agreeing: Number of figures that it gives to the printed digit.
        rows: Number of figures.
        distinct: Number of different figures among those that it gives.
    """

    choices: Mapping[str, bool | int | str]
    agreeing: int
    rows: int
    distinct: int


def decimals(printed: str) -> int:
    """Return the number of digits that a printed figure has after its point."""
    return len(printed.partition(".")[2])


def agrees(printed: str, computed: float) -> bool:
    """Return whether a figure, rounded to as many digits as the printed one, is the
    printed one.
    """
    return f"{computed:.{decimals(printed)}f}" == printed


def in_unit(cost: Cost, metric: str) -> float:
    """Return a cost's parameters in millions, or its MACs in 10^9, whichever the metric
    names.
    """
    return cost.params / 1e6 if metric.startswith("param") else cost.macs / 1e9


def judge(
    row: Mapping[str, str],
    text: float,
    all_counted: float,
    others: Sequence[tuple[str, float]],
    convention: str = "modules",
) -> Figure:
    """Judge a printed figure: by the text's reading first, then by the others in turn,
    else by the nearest.

    Args:
        row: A printed figure, as `printed_efficiency` gives it.
        text: What the text's model gives.
        all_counted: The same with everything counted.
        others: Further readings and what they give, the likeliest first.
        convention: How all but `all_counted` are counted; parameters need none.
    """
    printed, metric = row["printed"], row["metric"]
    unit = "%" if "%" in metric else "M" if metric.startswith("param") else "GMAC"
    readings = [(TEXT, text), *others]
    verdict: Verdict = "not explained"
    best = min(readings, key=lambda reading: abs(reading[1] - float(printed)))
    for reading in reversed(readings):
        if agrees(printed, reading[1]):
            best, verdict = (
                reading,
                "agrees" if reading is readings[0] else "agrees, fitted",
            )
    return Figure(
        **cast(dict[str, Any], row),
        computed=best[1],
        text=text,
        all_counted=all_counted,
        unit=unit,
        convention=convention if unit == "GMAC" else "parameters",
        verdict=verdict,
        reading=best[0],
        others=tuple(reading for reading in readings if reading is not best),
    )


def fit(
    choices: Mapping[str, bool | int | str], figures: Sequence[tuple[str, float]]
) -> Fit:
    """Return how many figures, each printed and computed, one way of counting gives."""
    given = [printed for printed, computed in figures if agrees(printed, computed)]
    return Fit(choices, len(given), len(figures), len(set(given)))


def ways_of_counting(
    rows: Sequence[tuple[str, float, Mapping[str, float]]],
) -> list[Fit]:
    """Return how well each way of counting fits several figures, the models being the
    same for all.

    Args:
        rows: For each figure what is printed, what every way counts, and the parts that
            a way may count or not, by name and the same for all rows; costs in 10^9.
    """
    names = [*rows[0][2]]
    return [
        fit(
            dict(zip(names, counted, strict=True)),
            [
                (printed, always + sum(compress(parts.values(), counted)))
                for printed, always, parts in rows
            ],
        )
        for counted in product((False, True), repeat=len(names))
    ]


def letters(figures: Sequence[Figure]) -> dict[str, str]:
    """Return a letter for each reading that figures were fitted by; a star marks those
    that call themselves a guess.
    """
    fitted = dict.fromkeys(f.reading for f in figures if f.verdict == "agrees, fitted")
    return {
        r: chr(ord("A") + i) + ("*" if "guess" in r else "")
        for i, r in enumerate(fitted)
    }


def table(figures: Sequence[Figure]) -> list[dict[str, str]]:
    """Return one row for each figure, as the book's pages show it, with the letters of
    `letters`.

    `nearest` is left empty where it is the text's model.
    """
    letter, rows = letters(figures), []
    for f in figures:
        text, nearest, everything = (
            f"{value:.{decimals(f.printed) + 1}f}"
            for value in (f.text, f.computed, f.all_counted)
        )
        fitted = f"fitted, {letter[f.reading]}" if f.verdict == "agrees, fitted" else ""
        rows.append(
            {
                "table: row": f"{f.table}: {f.row}",
                "figure": f.metric,
                "printed": f.printed,
                "text's model": text,
                "nearest": "" if f.reading == TEXT else nearest,
                "verdict": fitted or {"agrees": "✓"}.get(f.verdict, "✗"),
                "everything": everything,
            }
        )
    return rows
