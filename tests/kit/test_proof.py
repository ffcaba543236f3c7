"""The proof that two blocks are the same: it sees each way in which they can differ."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from notebooks.kit.proof import draw, error, prove, randomise, same

SHAPE = (2, 6, 3, 4, 5)


class Scale(nn.Module):
    """x times a weight a channel, normalised over the batch."""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1, 1))
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x * self.weight) + x


def clear(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    y = x * p["weight"]
    mean = y.mean(dim=(0, 2, 3, 4), keepdim=True)
    variance = y.var(dim=(0, 2, 3, 4), keepdim=True, unbiased=False)
    y = (y - mean) / (variance + 1e-5) ** 0.5
    return y * p["bn.weight"].view(-1, 1, 1, 1) + p["bn.bias"].view(-1, 1, 1, 1) + x


def test_the_error_is_relative_to_the_largest_wanted_number() -> None:
    assert error(torch.tensor([1.0, 4.4]), torch.tensor([1.2, 4.0])) == pytest.approx(
        0.1
    )


def test_every_weight_is_drawn_anew_in_float64() -> None:
    torch.manual_seed(0)
    block = randomise(Scale(500), std=0.3)
    for weight in block.parameters():
        assert weight.dtype == torch.float64
        assert weight.std().item() == pytest.approx(0.3, rel=0.1)


def test_equal_blocks_differ_by_rounding_alone() -> None:
    torch.manual_seed(0)
    assert 0 < same(clear, Scale(), SHAPE) < 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, p: clear(x, p) * 1.001,  # the value
        lambda x, p: clear(x.detach(), p) + x - x.detach(),  # the input's gradient
        lambda x, p: (
            clear(x, {**p, "weight": p["weight"].detach()}) + 0 * p["weight"].sum()
        ),  # a weight's gradient
    ],
)
def test_a_difference_of_value_or_gradient_is_seen(wrong: Any) -> None:
    torch.manual_seed(0)
    assert same(wrong, Scale(), SHAPE) > 1e-4


def test_weights_may_have_other_names() -> None:
    def renamed(x: Tensor, p: dict[str, Tensor]) -> Tensor:
        return clear(x, {"weight": p["w"], **p})

    def weights(p: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"w" if name == "weight" else name: value for name, value in p.items()}

    torch.manual_seed(0)
    assert same(renamed, Scale(), SHAPE, weights=weights) < 1e-12


def test_a_table_has_a_row_a_case_and_the_worst_shape_counts() -> None:
    torch.manual_seed(0)
    cases = [({"name": name}, clear, Scale) for name in ("one", "two")]
    table = prove(cases, [SHAPE, (3, 6, 1, 2, 2)])
    assert list(table.columns) == ["name", "error"] and list(table["name"]) == [
        "one",
        "two",
    ]

    def wrong_on_small(x: Tensor, p: dict[str, Tensor]) -> Tensor:
        return clear(x, p) * (1.1 if x.shape[2] == 1 else 1.0)

    with pytest.raises(AssertionError, match=r"the two differ: .*'name': 'two'"):
        prove(
            [*cases[:1], ({"name": "two"}, wrong_on_small, Scale)],
            [SHAPE, (3, 6, 1, 2, 2)],
        )


def test_nothing_compared_is_no_proof() -> None:
    with pytest.raises(AssertionError, match="nothing was compared"):
        prove([], [SHAPE])
    with pytest.raises(AssertionError):
        prove([({"name": "one"}, clear, Scale)], [])


def test_draws_are_float64() -> None:
    assert draw(2, 3).dtype == torch.float64 and draw(2, 3).shape == (2, 3)
