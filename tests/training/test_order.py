import numpy as np

from vidattn.training.order import epoch_order, micro_batches


def test_every_clip_once_an_epoch_in_an_order_that_seed_and_epoch_decide() -> None:
    orders = [
        epoch_order(20, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)
    ]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_order(20, 1, 1).tolist() == orders[3]


def test_the_order_shares_no_stream_with_the_augmentation() -> None:
    # numpy seeds [a, b] and [a, b, 0] alike: clip 0's generator would otherwise be the
    # order's.
    assert (
        epoch_order(20, 3, 4).tolist()
        != np.random.default_rng([3, 4, 0]).permutation(20).tolist()
    )


def test_skipping_done_steps_leaves_the_rest_unchanged() -> None:
    whole = list(micro_batches(11, 4, 2, seed=0, epoch=3))
    assert [len(part) for part in whole] == [
        2,
        2,
        2,
        2,
    ]  # 2 steps of 4; 3 clips wait for another epoch
    assert list(micro_batches(11, 4, 2, seed=0, epoch=3, first_step=1)) == whole[2:]


def test_two_processes_share_the_micro_batches_of_the_same_steps() -> None:
    alone = list(micro_batches(16, 8, 4, seed=0, epoch=0))
    shared = [
        list(micro_batches(16, 8, 4, seed=0, epoch=0, rank=rank, world=2))
        for rank in (0, 1)
    ]
    assert [len(share) for share in shared] == [
        4,
        4,
    ]  # two steps of two micro-batches each
    assert [part for pair in zip(*shared, strict=True) for part in pair] == alone
