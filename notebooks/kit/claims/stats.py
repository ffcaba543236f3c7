"""Intervals over seeds, and the verdict on a claim."""

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from vidattn.errors import UserError

Verdict = Literal["reproduced", "not reproduced", "undecided", "needs more seeds"]


class Interval(NamedTuple):
    """A mean and the confidence interval around it."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the distance from low to high."""
        return (self.high - self.low) / 2


def student_t_central(t: float, freedom: int) -> float:
    """Return the probability that Student's t lies between -t and t.

    Source:
        Abramowitz, Stegun: Handbook of Mathematical Functions, 26.7.3 and 26.7.4: a
        finite sum for whole degrees of freedom, exact, so that no statistics package is
        needed.
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(odd, freedom - 1, 2):  # powers of the cosine up to freedom - 2
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def student_t_quantile(level: float, freedom: int) -> float:
    """Return the t for which Student's t lies in [-t, t] with probability `level`;
    2.262 for 0.95 and 9.

    Raises:
        UserError: `level` is not between 0 and 1 or `freedom` below 1.
    """
    if not 0 < level < 1 or freedom < 1:
        raise UserError(
            f"level={level}, freedom={freedom}: allowed are 0 < level < 1 and freedom >= 1"
        )
    low, high = 0.0, 1.0
    while student_t_central(high, freedom) < level:
        high *= 2
    for _ in range(80):  # halvings: more than a double has digits
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if student_t_central(middle, freedom) < level
            else (low, middle)
        )
    return (low + high) / 2


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean over seeds and Student's interval around it.

    Args:
        values: One value a seed, two or more.
        level: Confidence level.

    Raises:
        UserError: Fewer than two values, or one that is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise UserError(
            f"an interval needs two or more finite values, one a seed, not {list(values)}"
        )
    half = (
        student_t_quantile(level, len(x) - 1) * float(x.std(ddof=1)) / math.sqrt(len(x))
    )
    mean = float(x.mean())
    return Interval(mean, mean - half, mean + half)


def paired_interval(
    a: Sequence[float], b: Sequence[float], level: float = 0.95
) -> Interval:
    """Return the mean of `a - b` and Student's interval around it; a pair shares its
    seed.

    Raises:
        UserError: The lengths differ, or there are fewer than two pairs.
    """
    if len(a) != len(b):
        raise UserError(
            f"a paired interval needs as many values on both sides, not {len(a)} and {len(b)}"
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


def seeds_from_commit(sha: str, n: int) -> list[int]:
    """Return `n` seeds below 2**31 that nobody chose: from the hash of the commit that
    fixed the claims.

    Args:
        sha: The commit, 40 hexadecimal digits.
        n: Number of seeds; the first seeds do not depend on it.

    Raises:
        UserError: `sha` is not a full commit hash.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise UserError(f"a commit is named by 40 hexadecimal digits, not {sha!r}")
    return [
        int(hashlib.sha256(f"{sha}:{i}".encode()).hexdigest(), 16) % 2**31
        for i in range(n)
    ]
