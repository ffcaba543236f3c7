"""A printed figure beside the recomputed one, and whether they agree."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["agrees", "agrees, fitted", "not explained"]


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
        all_counted: That of the model which the text describes, with everything counted, in `unit`.
        unit: `"GMAC"` (10^9) or `"M"` (10^6 parameters).
        convention: How `computed` was counted.
        verdict: `"agrees"`: the model that the text describes gives the printed digits under the convention
            that is used for the whole table. `"agrees, fitted"`: a model gives them that was chosen because
            it does, or that only the authors' public code shows. `"not explained"`: none of those tried.
        reason: The reading in one line, with the figure of the text's own model when that one differs.
    """

    paper: str
    table: str
    row: str
    metric: str
    printed: str
    computed: float
    all_counted: float
    unit: str
    convention: str
    verdict: Verdict
    reason: str


def decimals(printed: str) -> int:
    """Return the number of digits that a printed figure has after its point."""
    return len(printed.partition(".")[2])


def agrees(printed: str, computed: float) -> bool:
    """Return whether a figure, rounded to as many digits as the printed one, is the printed one."""
    return f"{computed:.{decimals(printed)}f}" == printed
