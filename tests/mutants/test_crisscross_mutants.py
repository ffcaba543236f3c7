"""Deliberate faults in RCCA-3D, and the checks that catch them.

Run `pytest tests/mutants -s` to see the table: which check kills which mutant.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import oracle
import pytest
import torch
from einops import einsum
from torch import Tensor

from vidattn.blocks import CrissCross3d, RecurrentCrissCross3d
from vidattn.blocks.crisscross import LINES

SHAPE = (1, 6, 2, 3, 4)  # H is not W


class ItselfThrice(CrissCross3d):
    """Masks nothing: the position counts on each of its lines."""

    def _weights(self, x: Tensor) -> Tensor:
        return _scores(self, x).softmax(dim=-1)


class ItselfTwice(CrissCross3d):
    """Masks one line of two: the position counts along T and along H."""

    def _weights(self, x: Tensor) -> Tensor:
        scores, (t, h, w) = _scores(self, x), x.shape[2:]
        scores[..., t + h :].masked_fill_(torch.eye(w, dtype=torch.bool), -torch.inf)
        return scores.softmax(dim=-1)


class SoftmaxOfEachLine(CrissCross3d):
    """Normalises each line by itself, not the three together."""

    def _weights(self, x: Tensor) -> Tensor:
        parts = super()._weights(x).split(x.shape[2:], dim=-1)
        return torch.cat(
            [part / part.sum(dim=-1, keepdim=True) for part in parts], dim=-1
        )


class RowsForColumns(CrissCross3d):
    """Has the lines along H and W in the other order than their values."""

    def _weights(self, x: Tensor) -> Tensor:
        along_t, along_h, along_w = super()._weights(x).split(x.shape[2:], dim=-1)
        return torch.cat([along_t, along_w, along_h], dim=-1)


class Scaled(CrissCross3d):
    """Divides the scores by the square root of C', as most attention does and this
    paper does not.
    """

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.q.register_forward_hook(
            lambda conv, inputs, q: q * conv.out_channels**-0.5
        )


class WeightsDoNotLearn(CrissCross3d):
    """Right values, but no gradient through the weights."""

    def _weights(self, x: Tensor) -> Tensor:
        return super()._weights(x).detach()


def _scores(block: CrissCross3d, x: Tensor) -> Tensor:
    q, k = block.q(x), block.k(x)
    return torch.cat(
        [einsum(q, k, f"b c t h w, b c {line} -> b t h w s") for line in LINES], dim=-1
    )


class _WithLines(RecurrentCrissCross3d):
    lines: type[CrissCross3d]

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.crisscross = self.lines(channels, reduction=options["reduction"])


class GammaOnX(RecurrentCrissCross3d):
    """Y = gamma (F(X) + X): gamma weighs the appearance, too."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for _ in range(self.passes):
            y = self.gamma * (self.crisscross(y) + x)
        return y


class StructureB(RecurrentCrissCross3d):
    """Adds each pass to its own input."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options | {"structure": "b"})


class TwoPasses(RecurrentCrissCross3d):
    """Eq. 5 as it is printed, with two F."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options | {"passes": 2})


class GammaOnce(RecurrentCrissCross3d):
    """Weighs the last pass only."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for _ in range(self.passes - 1):
            y = self.crisscross(y) + x
        return self.gamma * self.crisscross(y) + x


IN_A_PASS = (
    ItselfThrice,
    ItselfTwice,
    SoftmaxOfEachLine,
    RowsForColumns,
    Scaled,
    WeightsDoNotLearn,
)
MUTANTS = (
    *(type(lines.__name__, (_WithLines,), {"lines": lines}) for lines in IN_A_PASS),
    GammaOnX,
    StructureB,
    TwoPasses,
    GammaOnce,
)


def made(
    block_type: type[RecurrentCrissCross3d], seed: int
) -> tuple[RecurrentCrissCross3d, Tensor]:
    block = oracle.randomise(block_type(6, passes=3, structure="a", reduction=2), seed)
    return block, oracle.clip_like(*SHAPE, seed=seed)


def errors_against_oracle(block_type: type[RecurrentCrissCross3d]) -> dict[str, float]:
    judge = partial(oracle.recurrent_oracle, passes=3, structure="a")
    return oracle.worst_errors(*made(block_type, 0), judge)


def values_agree(block_type: type[RecurrentCrissCross3d]) -> bool:
    return errors_against_oracle(block_type)["values"] < 1e-9


def gradients_agree(block_type: type[RecurrentCrissCross3d]) -> bool:
    return errors_against_oracle(block_type)["gradients"] < 1e-9


def attention_agrees(block_type: type[RecurrentCrissCross3d]) -> bool:
    block, x = made(block_type, 1)
    want = oracle.crisscross_oracle(block.crisscross, x)[1]
    return torch.allclose(block.attention(x, torch.arange(want.shape[1])), want)


def weights_sum_to_one(block_type: type[RecurrentCrissCross3d]) -> bool:
    block, x = made(block_type, 2)
    sums = block.attention(x, torch.tensor([0, 23])).sum(dim=-1)
    return torch.allclose(sums, torch.ones_like(sums))


def gamma_zero_is_the_identity(block_type: type[RecurrentCrissCross3d]) -> bool:
    block, x = made(block_type, 3)
    torch.nn.init.zeros_(block.gamma)
    return torch.equal(block(x), x)


def an_output_depends_on_all_positions(block_type: type[RecurrentCrissCross3d]) -> bool:
    block, x = made(block_type, 4)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(block(x)[0, :, 1, 1, 2].sum(), x)
    return bool((gradient.abs().amax(dim=1) > 0).all())


CHECKS: tuple[Callable[[type[RecurrentCrissCross3d]], bool], ...] = (
    values_agree,
    gradients_agree,
    attention_agrees,
    weights_sum_to_one,
    gamma_zero_is_the_identity,
    an_output_depends_on_all_positions,
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_block_itself_passes(check):
    assert check(RecurrentCrissCross3d)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_each_mutant_fails_the_oracle(mutant):
    errors = errors_against_oracle(mutant)
    assert errors["gradients"] > 1e-6
    assert errors["values"] > 1e-6 or mutant.__name__ == "WeightsDoNotLearn"


def test_table_of_kills(table_of_kills):
    table_of_kills(MUTANTS, CHECKS)
