import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidattn.errors import UserError
from vidattn.training.evaluate import average_views, evaluate, score, within_pairs


class Views:
    """Videos whose clips `(3, 1, 1, 1)` are filled with the number of the class that
    `Reader` sees.
    """

    def __init__(self, videos: list[tuple[list[float], int]]) -> None:
        self.videos = videos

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        views, label = self.videos[index]
        return torch.tensor(views).view(-1, 1, 1, 1, 1).expand(
            -1, 3, 1, 1, 1
        ).clone(), label


class Reader(nn.Module):
    """Scores class k by -2 |value - k|, and remembers how many clips came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        self.batches.append(len(x))
        return -2 * (x.mean((1, 2, 3, 4))[:, None] - torch.arange(7.0)).abs()


def test_confusion_top1_and_top5_by_hand() -> None:
    model = Reader()
    videos = Views(
        [([0.0], 0), ([1.0], 0), ([1.0], 1), ([6.0], 6), ([0.0], 4), ([0.0], 5)]
    )
    result = evaluate(model, videos, batch=4)  # type: ignore[arg-type]
    expected = np.zeros((7, 7), dtype=np.int64)
    for true, predicted in ((0, 0), (0, 1), (1, 1), (6, 6), (4, 0), (5, 0)):
        expected[true, predicted] += 1
    assert (result.confusion == expected).all() and result.confusion.dtype == np.int64
    assert result.top1 == pytest.approx(3 / 6)
    assert result.top5 == pytest.approx(
        5 / 6
    )  # for a clip of class 0, class 4 comes fifth and class 5 sixth
    assert result.labels.tolist() == [0, 0, 1, 6, 4, 5] and result.logits.shape == (
        6,
        7,
    )
    assert model.batches == [4, 2] and model.training


def test_five_classes_or_fewer_are_all_among_the_best_five() -> None:
    assert score(np.array([[3.0, 2.0, 1.0]]), np.array([2])).top5 == 1.0


def test_views_are_averaged_after_softmax() -> None:
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 0.9], [0.0, 1.0, 0.9]])
    mean = logits.softmax(1).mean(0)
    torch.testing.assert_close(average_views(logits).softmax(0), mean)
    torch.testing.assert_close(average_views(logits).exp(), mean)


def test_views_of_a_video_stay_together_whatever_the_batch() -> None:
    videos = Views([([0.0, 1.0, 2.0], 1), ([3.0], 3), ([5.0, 5.0], 5)])
    whole = evaluate(Reader(), videos, batch=100)  # type: ignore[arg-type]
    apart = evaluate(Reader(), videos, batch=2)  # type: ignore[arg-type]
    np.testing.assert_allclose(apart.logits, whole.logits, atol=1e-6)
    views = -2 * (torch.tensor([0.0, 1.0, 2.0])[:, None] - torch.arange(7.0)).abs()
    np.testing.assert_allclose(
        np.exp(whole.logits[0]), views.softmax(1).mean(0), atol=1e-6
    )
    assert whole.top1 == 1.0


def test_pairs_are_judged_among_themselves() -> None:
    logits = np.array(
        [[1, 0, 9, 9], [0, 1, 9, 9], [1, 0, 9, 9], [9, 9, 0, 2], [9, 9, 1, 1.0]]
    )
    labels = np.array([0, 1, 1, 3, 2])
    assert within_pairs(logits, labels, [(0, 1)]) == pytest.approx(2 / 3)
    assert within_pairs(logits, labels, [(2, 3)]) == pytest.approx(
        1.5 / 2
    )  # equal scores are half a win
    assert within_pairs(logits, labels, [(0, 1), (2, 3)]) == pytest.approx(3.5 / 5)
    with pytest.raises(UserError, match="no video belongs"):
        within_pairs(logits[:3], labels[:3], [(2, 3)])


def test_scores_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="no video"):
        evaluate(Reader(), Views([]))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="finite"):
        score(np.array([[np.nan, 1.0]]), np.array([0]))
