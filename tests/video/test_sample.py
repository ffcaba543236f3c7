"""Frame indices: formulas worked by hand, and the symmetry that time reversal needs."""

import numpy as np
import pytest

from vidattn.video.sample import (
    dense_eval,
    dense_train,
    sample,
    uniform_eval,
    uniform_train,
)


@pytest.mark.parametrize(
    ("total", "frames", "expected"),
    [
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (
            24,
            8,
            [1, 4, 7, 10, 13, 16, 19, 22],
        ),  # an odd number of frames a segment: exactly the middles
        (
            16,
            8,
            [1, 3, 5, 7, 8, 10, 12, 14],
        ),  # an even one: no middle, the mirror image decides
        (10, 3, [1, 5, 8]),
        (4, 8, [0, 0, 1, 1, 2, 2, 3, 3]),
        (1, 4, [0, 0, 0, 0]),
    ],
)
def test_uniform_evaluation_by_hand(total, frames, expected):
    assert uniform_eval(total, frames).tolist() == [expected]


def test_uniform_evaluation_is_its_own_time_reversal():
    for total in range(1, 80):
        for frames in range(1, 20):
            indices = uniform_eval(total, frames)[0]
            mirrored = total - 1 - indices[::-1]
            if (
                frames % 2 and total % 2 == 0
            ):  # no frame is the middle: off by one there, and only there
                middle = frames // 2
                assert indices[middle] - mirrored[middle] == 1
                indices, mirrored = (
                    np.delete(indices, middle),
                    np.delete(mirrored, middle),
                )
            assert np.array_equal(indices, mirrored), (total, frames)


def test_uniform_evaluation_stays_in_its_segments_and_near_tsm():
    for total in range(1, 80):
        for frames in range(1, 20):
            indices = uniform_eval(total, frames)[0]
            assert (
                (np.diff(indices) >= 0).all()
                and indices[0] >= 0
                and indices[-1] < total
            )
            tsm = np.array(
                [int(total / frames / 2 + total / frames * t) for t in range(frames)]
            )
            assert np.abs(indices - tsm).max() <= 1
            if total >= frames:
                assert len(set(indices.tolist())) == frames


def test_two_clips_are_tsm_s_twice_sample():
    tick = 40 / 8
    second = [int(tick * t) for t in range(8)]
    clips = uniform_eval(40, 8, 2)
    assert np.array_equal(clips[0], uniform_eval(40, 8)[0])
    assert clips[0].tolist() == [2, 7, 12, 17, 22, 27, 32, 37]
    assert clips[1].tolist() == second
    assert uniform_eval(40, 2, 4).tolist() == [[10, 29], [15, 35], [0, 20], [5, 25]]


@pytest.mark.parametrize("total", [3, 8, 21, 100])
def test_uniform_training_draws_every_frame_of_each_segment(total):
    rng = np.random.default_rng(0)
    drawn = np.stack([uniform_train(total, 8, rng) for _ in range(3000)])
    assert set(drawn.ravel().tolist()) == set(range(total))  # the last ones too
    for t in range(8):
        low, high = t * total // 8, -(-(t + 1) * total // 8) - 1
        assert (drawn[:, t].min(), drawn[:, t].max()) == (low, high)
    assert (np.diff(drawn, axis=1) >= 0).all()
    if total == 100:  # 12.5 frames a segment: all equally often
        counts = np.bincount(drawn.ravel(), minlength=total) / 3000
        assert np.abs(counts - 8 / 100).max() < 0.025


def test_dense_evaluation_by_hand():
    assert dense_eval(20, 4, 3).tolist() == [
        [5, 8, 11, 14]
    ]  # symmetric: 5 frames before, 5 behind
    assert dense_eval(20, 4, 3, 3).tolist() == [
        [0, 3, 6, 9],
        [5, 8, 11, 14],
        [10, 13, 16, 19],
    ]
    assert dense_eval(7, 4, 3).tolist() == [
        [0, 3, 6, 2]
    ]  # too short: again from the beginning
    assert dense_eval(300, 8, 8, 10)[:, 0].tolist() == [
        0,
        27,
        54,
        81,
        108,
        135,
        162,
        189,
        216,
        243,
    ]
    assert dense_eval(300, 8, 8, 10)[-1, -1] == 299


def test_dense_training_reaches_every_start():
    rng = np.random.default_rng(0)
    drawn = np.stack([dense_train(20, 4, 3, rng) for _ in range(300)])
    assert set(drawn[:, 0].tolist()) == set(range(11)) and drawn.max() == 19
    assert (np.diff(drawn, axis=1) == 3).all()
    assert dense_train(5, 4, 3, rng).tolist() == [0, 3, 1, 4]


def test_randomness_comes_from_the_generator_only():
    for sampling in ("uniform", "dense"):
        first, again, other = (
            sample(sampling, 90, 8, 4, rng=np.random.default_rng(seed)).tolist()
            for seed in (1, 1, 2)
        )
        assert first == again != other
        assert sample(sampling, 90, 8, 4, clips=3).shape == (3, 8)
    assert np.array_equal(sample("uniform", 90, 8), uniform_eval(90, 8))
    assert np.array_equal(sample("dense", 90, 8, 4, clips=2), dense_eval(90, 8, 4, 2))


def test_an_unknown_sampling_is_refused():
    with pytest.raises(ValueError, match="uniform or dense, not 'sparse'"):
        sample("sparse", 9, 3)
