"""Scores of a trained network on a data set.

These are top-1, top-5 and the confusion; several views of a video are averaged.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vidattn.errors import UserError
from vidattn.training.distributed import position


class Evaluation(NamedTuple):
    """What a network says about each of n videos, and how often it is right.

    Args:
        top1: Share of videos whose class has the highest score, 0 to 1.
        top5: Share of videos whose class is among the five highest scores; all, where
            there are five classes or fewer.
        confusion: int64 `(K, K)`: row the true class, column the class with the highest
            score.
        logits: float32 `(n, K)`; their softmax is the averaged score.
        labels: int64 `(n,)`.
    """

    top1: float
    top5: float
    confusion: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


def score(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Count how often the highest scores hold the true class.

    Args:
        logits: `(n, K)`.
        labels: `(n,)`, 0 to K - 1.

    Raises:
        UserError: There is no video, or a logit is not finite.
    """
    count, classes = logits.shape
    if count == 0 or not np.isfinite(logits).all():
        raise UserError(
            f"{count} videos cannot be scored: one or more, with finite logits, are "
            "needed"
        )
    # A stable sort: of equal logits the lower class comes first, on every machine.
    ranking = np.argsort(-logits, axis=1, kind="stable")
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (labels, ranking[:, 0]), 1)
    top5 = (ranking[:, :5] == labels[:, None]).any(axis=1).mean()
    return Evaluation(
        float(np.trace(confusion) / count), float(top5), confusion, logits, labels
    )


def average_views(logits: Tensor) -> Tensor:
    """Return the logarithm of the mean score of several views, or of several networks.

    Args:
        logits: `(V, ..., K)`: V views, whose scores are averaged after softmax.

    Returns:
        `(..., K)`; its softmax is the average.
    """
    return torch.logsumexp(logits.log_softmax(-1), 0) - np.log(len(logits))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    dataset: "Dataset[Any]",
    *,
    batch: int = 16,
    device: str = "cpu",
    workers: int = 0,
) -> Evaluation:
    """Score every video of a data set.

    The processes of a group share the videos, with the network of process 0. Crops
    larger than those in training need nothing else: the network is convolutional up to
    its global mean.

    Args:
        model: `(B, 3, T, H, W)` -> `(B, K)`; its training mode is put back afterwards.
        dataset: Items `(views (V, 3, T, H, W), label)`.
        batch: Clips that pass through the network at once.
        device: Where the model is.
        workers: Processes that decode; 0 for none.

    Source:
        RNL, section IV-B: 'the video-level prediction is obtained by averaging all the
        clip prediction scores'. We read 'scores' as softmax scores; the paper does not
        say.
    """
    rank, world = position()
    for tensor in model.state_dict().values() if world > 1 else ():
        dist.broadcast(tensor, 0)
    total = len(dataset)  # type: ignore[arg-type]
    if total == 0:
        raise UserError("the data set holds no video")
    share = range(rank, total, world)
    was_training = model.training
    model.eval()
    rows: list[Tensor] = []
    labels: list[int] = []
    views: list[Tensor] = []  # of videos that wait for a full batch
    counts: list[int] = []

    def flush() -> None:
        clips = torch.cat(views)
        out = torch.cat(
            [model(part.to(device)).float().cpu() for part in clips.split(batch)]
        )
        rows.extend(average_views(part) for part in out.split(counts))
        views.clear()
        counts.clear()

    try:
        for clips, label in loader(
            dataset, workers=workers, batch_size=None, sampler=share
        ):
            views.append(clips)
            counts.append(len(clips))
            labels.append(int(label))
            if sum(counts) >= batch:
                flush()
        if views:
            flush()
    finally:
        model.train(was_training)
    shares = [list(zip(rows, labels, strict=True))] * world
    if world > 1:
        dist.all_gather_object(shares, shares[0])
    logits, truth = zip(
        *(shares[n % world][n // world] for n in range(total)), strict=True
    )
    return score(torch.stack(logits).numpy(), np.asarray(truth, dtype=np.int64))


def loader(
    dataset: "Dataset[Any]", *, workers: int, **options: Any
) -> "DataLoader[Any]":
    """Return a loader that touches no global random state and forks no worker.

    A forked worker would inherit an opened decoder and hang; the loader draws a seed
    even without workers, which would shift the stream that dropout draws from.
    """
    return DataLoader(
        dataset,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def within_pairs(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[tuple[int, int]]
) -> float:
    """Return how often the right one of two classes scores higher.

    It is counted over the videos of the given pairs. A guess is right half of the time;
    a network that cannot tell a clip from its time reversal scores one half on pairs of
    classes that are each other's reversal. Equal scores count one half.

    Args:
        logits: `(n, K)`.
        labels: `(n,)`.
        pairs: Pairs of classes, such as `[(0, 1), (2, 3)]`.

    Raises:
        UserError: No video belongs to a pair.
    """
    wins = [
        (np.sign(logits[labels == right, right] - logits[labels == right, wrong]) + 1)
        / 2
        for pair in pairs
        for right, wrong in (pair, pair[::-1])
    ]
    outcomes = np.concatenate(wins) if wins else np.empty(0)
    if len(outcomes) == 0:
        raise UserError(f"no video belongs to one of the pairs {list(pairs)}")
    return float(outcomes.mean())
