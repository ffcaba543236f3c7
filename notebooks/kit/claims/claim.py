"""A chapter's primary claims, written down before the runs that judge them."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from notebooks.kit.claims.stats import Interval, Verdict, paired_interval, verdict
from vidattn.errors import UserError
from vidattn.training.validation import Part


class Judgement(NamedTuple):
    """The paired interval, counted positive in the claimed direction, and the verdict
    that follows.
    """

    interval: Interval
    verdict: Verdict


class Claim(Part):
    """One comparison that a paper makes, as it will be judged.

    Args:
        id: Short name, unique in its ledger.
        paper: Short name of the paper.
        statement: The claim in one sentence.
        better: Name of the run that is claimed to be better.
        worse: Name of the run that it is compared with.
        metric: What is compared.
        effect: Predicted size of the difference, above 0, in the metric's unit.
        direction: Whether the metric of `better` is predicted to be higher or lower.
        tolerance: Largest difference that would not count as the claimed effect; see
            `stats.verdict`.
        seeds: Number of paired seeds.
    """

    id: Annotated[str, Field(min_length=1)]
    paper: str
    statement: str
    better: str
    worse: str
    metric: str = "top1"
    effect: Annotated[float, Field(gt=0)]
    direction: Literal["higher", "lower"] = "higher"
    tolerance: Annotated[float, Field(ge=0)]
    seeds: Annotated[int, Field(ge=10)] = 10

    @model_validator(mode="after")
    def _tolerance_below_effect(self) -> "Claim":
        if self.tolerance >= self.effect:
            raise ValueError(
                f"tolerance {self.tolerance} must be below the effect {self.effect}"
            )
        if self.better == self.worse:
            raise ValueError(
                f"better and worse are both {self.better!r}: a claim compares two runs"
            )
        return self

    def judge(
        self, better: Sequence[float], worse: Sequence[float], level: float = 0.95
    ) -> Judgement:
        """Judge the claim by its metric's values, one a seed, in the same order of
        seeds on both sides.

        Raises:
            UserError: There are fewer pairs than the claim promised.
        """
        if len(better) < self.seeds:
            raise UserError(
                f"claim {self.id!r} promises {self.seeds} paired seeds, {len(better)} are given"
            )
        higher, lower = (
            (better, worse) if self.direction == "higher" else (worse, better)
        )
        interval = paired_interval(higher, lower, level)
        return Judgement(
            interval, verdict(interval.low, interval.high, self.effect, self.tolerance)
        )
