"""Learning-rate schedules as pure functions of the step.

A resumed run needs no scheduler state.
"""

import math
from collections.abc import Sequence


def warm_up(step: int, steps: float) -> float:
    """Return the factor of a linear warm-up: 1 / steps at step 0.

    From step `steps - 1` on it is 1.
    """
    return 1.0 if steps <= 0 else min(1.0, (step + 1) / steps)


def cosine(step: int, total: int, warmup: float = 0) -> float:
    """Return the learning rate's factor under half a cosine from 1 to 0.

    Args:
        step: Number of steps already done, from 0 to `total - 1`.
        total: Number of steps of the whole run.
        warmup: Number of steps of linear warm-up before the cosine starts.

    Returns:
        The factor: 1 at the end of the warm-up, 1/2 half-way from there to `total`, not
        quite 0 at the last step.

    Source:
        Loshchilov, Hutter: SGDR, ICLR 2017, Eq. (5), without restarts, per step.
    """
    if step < warmup:
        return warm_up(step, warmup)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def step_decay(
    step: int, milestones: Sequence[float], gamma: float, warmup: float = 0
) -> float:
    """Return the learning rate's factor under decay by `gamma` at each milestone.

    Args:
        step: Number of steps already done.
        milestones: Steps from which on the factor is `gamma` times smaller.
        gamma: What the rate is multiplied by at a milestone.
        warmup: Number of steps of linear warm-up.
    """
    return warm_up(step, warmup) * gamma ** sum(
        step >= milestone for milestone in milestones
    )
