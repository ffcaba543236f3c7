import pytest
from notebooks.kit.claims.stats import (
    mean_interval,
    paired_interval,
    seeds_from_commit,
    student_t_central,
    student_t_quantile,
    verdict,
)

from vidattn.errors import UserError

SHA = "0123456789abcdef0123456789abcdef01234567"


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
    assert student_t_quantile(level, freedom) == pytest.approx(value, abs=5.1e-4)
    assert student_t_central(
        student_t_quantile(level, freedom), freedom
    ) == pytest.approx(level, abs=1e-12)


def test_intervals_by_hand() -> None:
    # 1, 2, 3, 4: mean 2.5, deviation sqrt(5/3), t = 3.182446 for 3 degrees of freedom.
    mean, low, high = mean_interval([1, 2, 3, 4])
    assert (mean, low, high) == pytest.approx(
        (2.5, 2.5 - 2.054260, 2.5 + 2.054260), abs=1e-5
    )
    paired = paired_interval([11, 22, 33, 44], [10, 20, 30, 40])
    assert paired == pytest.approx((mean, low, high))
    assert paired.half_width == pytest.approx(2.054260, abs=1e-5)


def test_what_has_no_interval_is_refused() -> None:
    for values in ([1.0], [], [1.0, float("nan")]):
        with pytest.raises(UserError, match="two or more finite values"):
            mean_interval(values)
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


def test_seeds_follow_from_the_commit_alone() -> None:
    seeds = seeds_from_commit(SHA, 10)
    # int(sha256("0123456789abcdef0123456789abcdef01234567:0").hexdigest(), 16) % 2**31,
    # by sha256sum
    assert seeds[0] == 1758151719
    assert seeds_from_commit(SHA, 3) == seeds[:3]
    assert len(set(seeds)) == 10 and all(0 <= seed < 2**31 for seed in seeds)
    assert not set(seeds) & set(seeds_from_commit(SHA[::-1], 10))
    with pytest.raises(UserError, match="40 hexadecimal digits"):
        seeds_from_commit("0123abc", 3)
