"""Deliberate faults in PNL, and the checks that catch them.

Run `pytest tests/mutants -s` to see the table: which check kills which mutant.
"""

from collections.abc import Callable
from functools import partial

import oracle
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidattn.blocks import NonLocal, PyramidNonLocal

OPTIONS = {"scales": 3, "shared": False}
SHAPE = (2, 6, 2, 5, 6)  # neither 2 nor 4 divides 5; 4 does not divide 6


class GroupsSwapped(PyramidNonLocal):
    """Pools the first channels most, the last not at all."""

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        return super()._pyramid(torch.cat(x.chunk(self.scales, dim=1)[::-1], dim=1))


class SumOverTheOtherScale(PyramidNonLocal):
    """Sums A_lk Y_l over l, not A_kl Y_l."""

    def _weights(self, parts: list[Tensor]) -> Tensor:
        return super()._weights(parts).transpose(1, 2)


class ScaledByQueryWidth(PyramidNonLocal):
    """Divides by the square root of the width of Q and K, C' / 2, as most attention
    does.
    """

    def _weights(self, parts: list[Tensor]) -> Tensor:
        means = torch.stack([part.mean(dim=(2, 3, 4)) for part in parts], dim=1)
        q, k = self.linear_q(means), self.linear_k(means)
        return (q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(dim=-1)


class MeanAfterRepeating(PyramidNonLocal):
    """Takes the mean of Y_k over positions, not over regions: a smaller region counts
    less.
    """

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        self.size = x.shape[-2:]
        return super()._pyramid(x)

    def _weights(self, parts: list[Tensor]) -> Tensor:
        h, w = self.size
        wide = [
            p.repeat_interleave(2**k, 3).repeat_interleave(2**k, 4)
            for k, p in enumerate(parts)
        ]
        return super()._weights([p[..., :h, :w] for p in wide])


class FloorInsteadOfCeil(PyramidNonLocal):
    """Leaves what does not fill a region out; the last whole region stands for it."""

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        groups = x.chunk(self.scales, dim=1)
        whole = [F.avg_pool3d(group, (1, 2**k, 2**k)) for k, group in enumerate(groups)]
        (h, w), padded = x.shape[-2:], []
        for k, part in enumerate(whole):
            missing = -(-w // 2**k) - part.shape[-1], -(-h // 2**k) - part.shape[-2]
            padded.append(
                F.pad(part, (0, missing[0], 0, missing[1], 0, 0), mode="replicate")
            )
        return padded


class PaddingCounted(PyramidNonLocal):
    """Divides the sum over a smaller region by the size of a full one."""

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        first, *groups = x.chunk(self.scales, dim=1)
        full = [
            F.pad(group, (0, -x.shape[4] % 2**k, 0, -x.shape[3] % 2**k))
            for k, group in enumerate(groups, 1)
        ]
        return [
            first,
            *(F.avg_pool3d(group, (1, 2**k, 2**k)) for k, group in enumerate(full, 1)),
        ]


class FirstOperationForAll(PyramidNonLocal):
    """Shares the first scale's weights although each scale has its own."""

    def _operation(self, k: int) -> NonLocal:
        return super()._operation(0)


class FirstScaleLearns(PyramidNonLocal):
    """Values right, but no gradient through the pooled scales."""

    def _dependencies(self, x: Tensor) -> list[Tensor]:
        first, *others = super()._dependencies(x)
        return [first, *(part.detach() for part in others)]


class NoResidual(PyramidNonLocal):
    """Forgets + X."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - x


class QueriesAsRegions(PyramidNonLocal):
    """Takes a flat position of the full map for a region of the pooled one."""

    def attention(self, x: Tensor, queries: Tensor, scale: int = 0) -> Tensor:
        at_scale = self._pyramid(x)[scale]
        return self._operation(scale).attention(
            at_scale, queries % at_scale[0, 0].numel()
        )


MUTANTS = (
    GroupsSwapped,
    SumOverTheOtherScale,
    ScaledByQueryWidth,
    MeanAfterRepeating,
    FloorInsteadOfCeil,
    PaddingCounted,
    FirstOperationForAll,
    FirstScaleLearns,
    NoResidual,
    QueriesAsRegions,
)


def made(
    block_type: type[PyramidNonLocal], seed: int
) -> tuple[PyramidNonLocal, Tensor]:
    return oracle.randomise(block_type(6, **OPTIONS), seed).eval(), oracle.clip_like(
        *SHAPE, seed=seed
    )


def errors_against_oracle(block_type: type[PyramidNonLocal]) -> dict[str, float]:
    return oracle.worst_errors(
        *made(block_type, 0), partial(oracle.pyramid_oracle, n=3)
    )


def values_agree(block_type: type[PyramidNonLocal]) -> bool:
    return errors_against_oracle(block_type)["values"] < 1e-9


def gradients_agree(block_type: type[PyramidNonLocal]) -> bool:
    return errors_against_oracle(block_type)["gradients"] < 1e-9


def starts_as_identity(block_type: type[PyramidNonLocal]) -> bool:
    torch.manual_seed(0)
    x = oracle.clip_like(*SHAPE, seed=0)
    return torch.equal(block_type(6, **OPTIONS).double()(x), x)


def rows_of_scale_weights_sum_to_one(block_type: type[PyramidNonLocal]) -> bool:
    block, x = made(block_type, 1)
    sums = block.scale_weights(x).sum(dim=-1)
    return torch.allclose(sums, torch.ones_like(sums))


def attention_is_that_of_the_region(block_type: type[PyramidNonLocal]) -> bool:
    block, x = made(block_type, 2)
    queries = torch.tensor(
        [2 * 6 + 4, 30 + 4 * 6 + 1]
    )  # frame 0, row 2, column 4; frame 1, row 4, column 1
    wanted = ((0, 16), (1, 55)), ((0, 1 * 3 + 2), (1, 9 + 2 * 3)), ((0, 1), (1, 4 + 2))
    weights = oracle.pyramid_oracle(block, x, n=3)[2]
    return all(
        torch.allclose(block.attention(x, queries, k)[:, n], weights[k][:, region])
        for k, regions in enumerate(wanted)
        for n, region in regions
    )


def becomes_nonlocal(block_type: type[PyramidNonLocal]) -> bool:
    block = oracle.randomise(block_type(6, scales=1), 3).eval()
    plain = NonLocal(6).double().eval()
    for name in ("q", "k", "v", "out"):
        getattr(plain, name).load_state_dict(
            getattr(block.operations[0], name).state_dict()
        )
    plain.bn.load_state_dict(block.bn.state_dict())
    x = oracle.clip_like(*SHAPE, seed=3)
    return torch.allclose(block(x), plain(x))


CHECKS: tuple[Callable[[type[PyramidNonLocal]], bool], ...] = (
    values_agree,
    gradients_agree,
    starts_as_identity,
    rows_of_scale_weights_sum_to_one,
    attention_is_that_of_the_region,
    becomes_nonlocal,
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_block_itself_passes(check):
    assert check(PyramidNonLocal)


@pytest.mark.parametrize("mutant", MUTANTS[:-1])
def test_each_mutant_of_the_sum_fails_the_oracle(mutant):
    errors = errors_against_oracle(mutant)
    assert errors["gradients"] > 1e-6
    assert errors["values"] > 1e-6 or mutant is FirstScaleLearns


def test_table_of_kills(table_of_kills):
    table_of_kills(MUTANTS, CHECKS)
