"""Judging: intervals over seeds, and the verdict on a claim."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from notebooks.kit.claims.ledger import Card, Claim, Ledger
from notebooks.kit.claims.records import Record
from vidattn.errors import UserError

Verdict = Literal["reproduced", "not reproduced", "undecided", "needs more seeds"]


class Interval(NamedTuple):
    """A mean and the confidence interval around it."""

    mean: float
    low: float
    high: float


class Judgement(NamedTuple):
    """The paired interval, counted positive as claimed, and the verdict on it."""

    interval: Interval
    verdict: Verdict


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean over seeds and Student's interval around it.

    Args:
        values: One value a seed, two or more.
        level: Confidence level, between 0 and 1.

    Raises:
        UserError: Fewer than two values, one that is not finite, or another level.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise UserError(
            f"an interval needs two or more finite values, one a seed, not {[*values]}"
        )
    if not 0 < level < 1:
        raise UserError(f"level={level}: allowed is 0 < level < 1")
    # Not `stats.t.interval`: where all values are equal its scale of 0 gives NaN.
    t = float(stats.t.ppf((1 + level) / 2, len(x) - 1))
    mean, half = float(x.mean()), t * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Interval(mean, mean - half, mean + half)


def paired_interval(
    a: Sequence[float], b: Sequence[float], level: float = 0.95
) -> Interval:
    """Return the mean of `a - b` and Student's interval around it.

    A pair shares its seed.

    Raises:
        UserError: The lengths differ, or there are fewer than two pairs.
    """
    if len(a) != len(b):
        raise UserError(
            "a paired interval needs as many values on both sides, not "
            f"{len(a)} and {len(b)}"
        )
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], level)


def verdict(
    low: float, high: float, predicted_effect: float, tolerance: float = 0.0
) -> Verdict:
    """Judge a claim by the paired interval of its difference, counted positive in the
    claimed direction.

    One threshold decides: `tolerance`, the largest difference that would still *not*
    count as the claimed effect. The claim asserts that the true difference lies above
    it. Exactly one of these holds for any interval:

    - 'reproduced': the whole interval lies above the tolerance, `low > tolerance`.
    - 'not reproduced': the whole interval lies at or below it, `high <= tolerance`: a
      difference worth the claim is excluded.
    - otherwise the interval straddles the tolerance, `low <= tolerance < high`, and its
      half-width decides: 'undecided' if it is below `predicted_effect` (seeds enough to
      have seen the predicted effect: an interval of this width that is centred on it
      excludes zero), else 'needs more seeds', which is no verdict.

    The first two contradict each other as statements on the true difference, so no
    shift of the interval leads from one to the other without passing 'undecided'. That
    is why 'not reproduced' is not 'the predicted effect is excluded': an interval
    between 0 and the predicted effect would then satisfy both.

    What follows for choosing the tolerance, before any run: with 0 the claim is about
    the direction alone, and a true difference of exactly zero ends 'undecided', save
    for the 2.5% on either side in which a 95% interval errs. With half the predicted
    effect, zero and the predicted effect lie equally far from the threshold, and both
    'reproduced' and 'not reproduced' can be reached. Seeds added after a look at the
    interval make its level optimistic; say so.

    Args:
        low: Lower end of the interval.
        high: Upper end.
        predicted_effect: Predicted difference, above 0.
        tolerance: Threshold, at least 0 and below `predicted_effect`.

    Raises:
        UserError: The numbers are not ordered as said.
    """
    if not low <= high:
        raise UserError(f"low={low} must not exceed high={high}")
    if not 0 <= tolerance < predicted_effect:
        raise UserError(
            f"tolerance={tolerance} must be at least 0 and below {predicted_effect=}"
        )
    if low > tolerance:
        return "reproduced"
    if high <= tolerance:
        return "not reproduced"
    return "undecided" if (high - low) / 2 < predicted_effect else "needs more seeds"


def judge_claim(
    claim: Claim, better: Sequence[float], worse: Sequence[float], level: float = 0.95
) -> Judgement:
    """Judge a claim by its metric's values, one a seed, in the same order of seeds.

    Raises:
        UserError: There are fewer pairs than the claim promised.
    """
    if len(better) < claim.seeds:
        raise UserError(
            f"claim {claim.id!r} promises {claim.seeds} paired seeds, {len(better)} "
            "are given"
        )
    pair = (better, worse) if claim.direction == "higher" else (worse, better)
    interval = paired_interval(*pair, level)
    return Judgement(
        interval, verdict(interval.low, interval.high, claim.effect, claim.tolerance)
    )


def judge(
    ledger: Ledger, records: Sequence[Record], card: Card
) -> dict[str, Judgement]:
    """Judge the ledger's claims by its records, each by its own seeds.

    A claim that was given more seeds is judged by all of them; a claim that shares its
    runs is not. A claim whose runs are not complete is left out.

    Raises:
        UserError: A run of a claim was recorded without the claim's metric.
    """
    found = {(record.variant, record.seed): record for record in records}
    judged = {}
    for claim in ledger.claims:
        seeds = card.seeds_of(claim)
        if all((v, s) in found for v in (claim.better, claim.worse) for s in seeds):
            better, worse = (
                [found[variant, seed].value(claim.metric) for seed in seeds]
                for variant in (claim.better, claim.worse)
            )
            judged[claim.id] = judge_claim(claim, better, worse)
    return judged
