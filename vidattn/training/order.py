"""The order of training clips, a pure function of (seed, epoch).

A resumed run skips what is done.
"""

from collections.abc import Iterator

import numpy as np


def epoch_order(size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the permutation of `0 .. size - 1` in which an epoch visits the clips."""
    # The third number keeps this stream apart from the augmentation's, (seed, epoch,
    # index): no index equals the size.
    return np.random.default_rng([seed, epoch, size]).permutation(size)


def micro_batches(
    size: int,
    batch: int,
    accumulate: int,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[list[int]]:
    """Yield an epoch's micro-batches, `accumulate` of them for each optimiser step.

    The last, incomplete batch of an epoch is left out; which clips those are differs
    from epoch to epoch.

    Args:
        size: Number of training clips.
        batch: Clips of one optimiser step, over all processes.
        accumulate: Micro-batches of one optimiser step, over all processes.
        seed: The run's seed.
        epoch: Epoch, counting from 0.
        first_step: Steps of this epoch that are already done.
        rank: Number of this process: it takes every `world`-th micro-batch, so that
            which clips meet in one does not depend on the number of processes.
        world: Number of processes; it divides `accumulate`.
    """
    order = epoch_order(size, seed, epoch)
    for step in range(first_step, size // batch):
        for part in np.split(order[step * batch : (step + 1) * batch], accumulate)[
            rank::world
        ]:
            yield part.tolist()
