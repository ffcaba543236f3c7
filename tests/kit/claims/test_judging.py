"""Intervals over seeds, and the verdicts on claims."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from notebooks.kit.claims import (
    Card,
    Claim,
    Ledger,
    Record,
    judge,
    mean_interval,
    paired_interval,
)
from notebooks.kit.claims.judging import Interval, judge_claim, verdict
from vidattn.errors import UserError

Make = Callable[..., list[Record]]


@pytest.mark.parametrize(
    ("level", "freedom", "value"),
    # Two-sided quantiles as printed tables of Student's t give them.
    [
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 3, 3.182),
        (0.95, 4, 2.776),
        (0.95, 9, 2.262),
        (0.95, 10, 2.228),
        (0.90, 9, 1.833),
        (0.99, 9, 3.250),
        (0.99, 20, 2.845),
        (0.95, 30, 2.042),
        (0.95, 120, 1.980),
        (0.5, 1, 1.0),
    ],
)
def test_quantiles_are_the_printed_ones(
    level: float, freedom: int, value: float
) -> None:
    t = quantile(level, freedom)
    assert t == pytest.approx(value, abs=5.1e-4)
    assert central(t, freedom) == pytest.approx(level, abs=1e-12)


def half_width(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


def quantile(level: float, freedom: int) -> float:
    """The t of an interval over as many values, by their mean's standard error."""
    x = np.arange(freedom + 1.0)
    error = x.std(ddof=1) / math.sqrt(len(x))
    return half_width(mean_interval(list(x), level)) / float(error)


def central(t: float, freedom: int) -> float:
    """The probability that Student's t lies between -t and t, by a finite sum:
    Abramowitz, Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = cosine if odd else 1.0, 0.0
    for k in range(odd, freedom - 1, 2):  # powers of the cosine up to freedom - 2
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@pytest.mark.parametrize("freedom", [1, 2, 9, 16, 19, 31])
def test_intervals_are_those_of_the_bisection_that_the_first_pages_used(
    freedom: int,
) -> None:
    low, high = 0.0, 1e3
    for _ in range(80):  # halvings: more than a double has digits
        middle = (low + high) / 2
        low, high = (middle, high) if central(middle, freedom) < 0.95 else (low, middle)
    assert quantile(0.95, freedom) == pytest.approx(low, rel=1e-12)


def test_intervals_by_hand() -> None:
    # 1, 2, 3, 4: mean 2.5, deviation sqrt(5/3), t = 3.182446 for 3 degrees of freedom.
    mean, low, high = mean_interval([1, 2, 3, 4])
    assert (mean, low, high) == pytest.approx(
        (2.5, 2.5 - 2.054260, 2.5 + 2.054260), abs=1e-5
    )
    paired = paired_interval([11, 22, 33, 44], [10, 20, 30, 40])
    assert paired == pytest.approx((mean, low, high))
    assert half_width(paired) == pytest.approx(2.054260, abs=1e-5)


def test_what_has_no_interval_is_refused() -> None:
    for values in ([1.0], [], [1.0, float("nan")]):
        with pytest.raises(UserError, match="two or more finite values"):
            mean_interval(values)
    with pytest.raises(UserError, match="allowed is 0 < level < 1"):
        mean_interval([1.0, 2.0], 95)
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    with pytest.raises(UserError, match="not 2 and 3"):
        paired_interval([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("low", "high", "tolerance", "expected"),
    [
        (0.1, 9.0, 0.0, "reproduced"),
        (0.0, 1.0, 0.0, "undecided"),  # the threshold itself is not above the threshold
        (-1.0, 0.0, 0.0, "not reproduced"),
        (-1.0, 0.1, 0.0, "undecided"),
        (-1.0, 2.9, 0.0, "undecided"),  # half-width 1.95, effect 2
        (-1.0, 3.0, 0.0, "needs more seeds"),  # half-width 2
        (-5.0, -1.0, 0.0, "not reproduced"),  # wide, but on one side
        (0.1, 2.0, 1.0, "undecided"),  # the direction is clear, the size not
        (
            -0.5,
            0.9,
            1.0,
            "not reproduced",
        ),  # a zero difference can be told from the effect
        (1.1, 3.0, 1.0, "reproduced"),
    ],
)
def test_verdicts(low: float, high: float, tolerance: float, expected: str) -> None:
    assert verdict(low, high, predicted_effect=2.0, tolerance=tolerance) == expected


def test_verdicts_never_jump_from_one_to_its_opposite() -> None:
    for width in (0.5, 1.0, 3.0):
        seen = [
            verdict(low / 100, low / 100 + width, 2.0, 0.5) for low in range(-500, 500)
        ]
        assert list(dict.fromkeys(seen)) == [
            "not reproduced",
            "undecided",
            "reproduced",
        ]


def test_verdicts_need_ordered_numbers() -> None:
    with pytest.raises(UserError, match="must not exceed"):
        verdict(1, 0, 2)
    for effect, tolerance in ((2, 2), (2, -1), (0, 0)):
        with pytest.raises(UserError, match="at least 0 and below"):
            verdict(0, 1, effect, tolerance)


CLAIM = Claim(
    id="rnl-over-nl",
    paper="rnl",
    statement="A region's similarity beats a position's.",
    better="rnl",
    worse="nl",
    effect=0.02,
    tolerance=0.01,
)


def test_a_claim_is_judged_by_its_values() -> None:
    lower = CLAIM.model_copy(update={"direction": "lower"})
    high, low = [0.53, 0.54] * 5, [0.50, 0.51] * 5
    assert judge_claim(CLAIM, high, low).verdict == "reproduced"
    assert judge_claim(CLAIM, low, high).verdict == "not reproduced"
    assert judge_claim(lower, low, high).verdict == "reproduced"
    assert judge_claim(lower, low, high).interval.mean == pytest.approx(0.03)
    assert judge_claim(CLAIM, [0.50, 0.53] * 5, low).verdict == "undecided"
    with pytest.raises(UserError, match="promises 10 paired seeds, 9 are given"):
        judge_claim(CLAIM, high[:9], low[:9])


def test_claims_are_judged_in_their_direction(
    ledger: Ledger, records: Make, ten: Card
) -> None:
    judged = judge(ledger, records(10, RNL=0.1), ten)
    assert judged["over-baseline"].verdict == "reproduced"
    assert judged["over-baseline"].interval.mean == pytest.approx(0.1)
    # RNL's maps are 0.1 more alike here, where less was claimed.
    assert judged["query-specific-maps"].interval.mean == pytest.approx(-0.1)
    assert judged["query-specific-maps"].verdict == "not reproduced"
    little = judge(ledger, records(10, RNL=0.01), ten)
    assert little["over-non-local"].verdict == "not reproduced"


def test_a_claim_with_too_few_seeds_is_not_judged(
    ledger: Ledger, records: Make, ten: Card
) -> None:
    assert judge(ledger, records(9, RNL=0.1), ten) == {}


def test_a_claim_whose_runs_lack_its_metric_is_an_error(
    ledger: Ledger, records: Make, ten: Card
) -> None:
    *others, last = records(10, RNL=0.1)
    poor = last.model_copy(update={"metrics": {"top1": 0.5}})
    with pytest.raises(UserError, match=f"the record of {last} has no 'noise 0.2'"):
        judge(ledger, [*others, poor], ten)


def test_more_seeds_judge_the_claim_that_they_were_given_to_and_no_other(
    ledger: Ledger, records: Make
) -> None:
    # Ten seeds favour RNL by 0.1, ten more by nothing.
    found = [*records(10, RNL=0.1), *records(10, first=10)]
    card = Card(seeds=tuple(range(20)), more={"over-non-local": 20})
    judged = judge(ledger, found, card)
    assert judged["over-non-local"].interval.mean == pytest.approx(0.05)
    assert judged["over-baseline"].interval.mean == pytest.approx(0.1)
    # Not yet complete.
    assert "over-non-local" not in judge(ledger, found[:-2], card)


def test_pairs_are_matched_by_seed_not_by_order(
    ledger: Ledger, records: Make, ten: Card
) -> None:
    found = records(10, RNL=0.1)
    turned = sorted(found[::-1], key=lambda one: one.variant == "RNL")
    turned[:30] = turned[:30][::-1]
    judged = judge(ledger, turned, ten)["over-baseline"].interval
    assert judged.mean == pytest.approx(0.1) and half_width(judged) < 1e-9
