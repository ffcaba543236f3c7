import math

import pytest

from vidattn.training.experiment import Optim
from vidattn.training.loop import learning_rate
from vidattn.training.schedule import cosine, step_decay


def test_cosine_is_half_a_cosine_from_one_to_zero() -> None:
    factors = [cosine(step, 4) for step in range(4)]
    assert factors == pytest.approx(
        [1, (1 + math.sqrt(0.5)) / 2, 0.5, 0.146447], abs=1e-6
    )


def test_warm_up_is_linear_and_the_cosine_starts_at_its_end() -> None:
    assert [cosine(step, 8, warmup=4) for step in range(7)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, (1 + math.sqrt(0.5)) / 2, 0.5]
    )


def test_step_decay_falls_at_the_milestones() -> None:
    factors = [step_decay(step, [2, 4], 0.1, warmup=2) for step in range(6)]
    assert factors == pytest.approx([0.5, 1, 0.1, 0.1, 0.01, 0.01])


def test_epochs_become_steps() -> None:
    step = Optim(
        epochs=4, batch=2, lr=0.2, schedule="step", milestones=[1, 3], gamma=0.5
    )
    rates = [learning_rate(step, done, 2) for done in range(8)]
    assert rates == pytest.approx([0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    half_way = Optim(epochs=5, batch=2, lr=0.2, warmup_epochs=1)
    assert learning_rate(half_way, 0, 10) == pytest.approx(0.02)
    assert learning_rate(half_way, 10, 10) == pytest.approx(0.2)
    assert learning_rate(half_way, 30, 10) == pytest.approx(0.1)
