"""A printed cost beside the recomputed one, and whether they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, cast

from notebooks.kit.printed.choices import CHOICES, Reading
from notebooks.kit.printed.metrics import METRICS


class Verdict(StrEnum):
    """Whether a recomputed cost is the printed one.

    Attributes:
        AGREES: The network that the text describes gives the printed digits under the
            convention that is used for the whole table.
        FITTED: A network gives them that was chosen because it does, or that only
            public code shows.
        UNEXPLAINED: None of those that were tried gives them.
        GIVEN: Nothing was counted: the paper quotes the cost, or it is 100% of itself.
            It could not have disagreed.
    """

    AGREES = "agrees"
    FITTED = "agrees, fitted"
    UNEXPLAINED = "not explained"
    GIVEN = "given"


class Recounted(NamedTuple):
    """What one reading of a row gives.

    Attributes:
        reading: What it takes to be so.
        value: The cost, in the unit of the printed one.
        convention: How MACs were counted; parameters need no convention.
    """

    reading: Reading
    value: float
    convention: str = "modules"


@dataclass(frozen=True)
class PrintedCost:
    """One printed cost, recomputed.

    Attributes:
        paper: Key of the printed cost, with `table`, `row` and `metric`.
        table: See `paper`.
        row: See `paper`.
        metric: See `paper`.
        printed: The cost as the paper prints it.
        computed: The cost under the reading that comes nearest, in `unit`.
        text: That of the network which the text describes, counted like `computed`.
        all_counted: That of the same network with everything counted, in `unit`.
        unit: `"GMAC"` (10^9), `"M"` (10^6 parameters), `"%"` or `"ratio"`.
        convention: How `computed` was counted.
        agreement: Whether the digits agree, whatever was counted: never
            `Verdict.GIVEN`.
        reading: The reading behind `computed`.
        others: The other readings that were tried, each with its cost.
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
    agreement: Verdict
    reading: Reading
    others: Mapping[Reading, float]

    @property
    def verdict(self) -> Verdict:
        """`agreement`, or that nothing was counted."""
        given = any(CHOICES[choice].given for choice in self.reading)
        return Verdict.GIVEN if given else self.agreement

    @property
    def tried(self) -> dict[Reading, float]:
        """All readings that were tried, each with its cost, the nearest first."""
        return {self.reading: self.computed, **self.others}

    @property
    def digits(self) -> int:
        """How many digits are shown of recomputed costs: one more than is printed."""
        return decimals(self.printed) + 1


def decimals(printed: str) -> int:
    """Return the number of digits that a printed number has after its point."""
    return len(printed.partition(".")[2])


def agrees(printed: str, computed: float) -> bool:
    """Return whether a number, rounded to as many digits as the printed one, is the
    printed one.
    """
    return f"{computed:.{decimals(printed)}f}" == printed


def judge(
    printed: Mapping[str, str],
    text: Recounted | None,
    all_counted: float,
    others: Sequence[Recounted],
) -> PrintedCost:
    """Judge a printed cost: by the text's reading first, then by the others in turn,
    else by the nearest.

    Args:
        printed: A printed cost, as `printed_efficiency` gives it.
        text: What the text's network gives; None: the text does not describe it.
        all_counted: The same with everything counted.
        others: What further readings give, the likeliest first.
    """
    metric, digits = METRICS[printed["metric"]], printed["printed"]
    tried = [*([text] if text else []), *others]
    hits = [recounted for recounted in tried if agrees(digits, recounted.value)]
    best = min(tried, key=lambda recounted: abs(recounted.value - float(digits)))
    best = hits[0] if hits else best
    agreement = Verdict.AGREES if best is text else Verdict.FITTED
    return PrintedCost(
        **cast(dict[str, Any], printed),
        computed=best.value,
        text=text.value if text else float("nan"),
        all_counted=all_counted,
        unit=metric.unit,
        convention="parameters" if metric.of == "params" else best.convention,
        agreement=agreement if hits else Verdict.UNEXPLAINED,
        reading=best.reading,
        others={r.reading: r.value for r in tried if r is not best},
    )
