"""Five deliberate faults in RNL, and the checks that catch them.

Run `pytest tests/mutants -s` to see the table: which check kills which mutant.
"""

from collections.abc import Callable
from functools import partial

import oracle
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidattn.blocks import NonLocal, RegionNonLocal
from vidattn.blocks.pairwise import aggregate, flatten, unflatten

KERNEL = (3, 5, 3)


class SoftmaxOverQueries(RegionNonLocal):
    """Normalises over i instead of j."""

    def response(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        return self.out(unflatten((q @ k.transpose(1, 2)).softmax(dim=1) @ v, like=x))


class NoResidual(RegionNonLocal):
    """Forgets + x of Eq. 8."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - x


class ScaledLogits(RegionNonLocal):
    """Divides the logits by the square root of d, as most attention does and this paper
    does not.
    """

    def response(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        y = aggregate(q, k, v, "softmax", q.shape[-1] ** -0.5)
        return self.out(unflatten(y, like=x))


class ShiftedKernel(RegionNonLocal):
    """Centres the region one column to the right of the position."""

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g = self.v(x)
        t, h, w = (size // 2 for size in self.f_theta.kernel_size)
        padded = F.pad(g, (w - 1, w + 1, h, h, t, t))
        r = flatten(F.conv3d(padded, self.f_theta.weight, groups=g.shape[1]))
        return r, r, flatten(g)


class NoNormalisation(RegionNonLocal):
    """Leaves the batch normalisation after W_z out."""

    def forward(self, x: Tensor) -> Tensor:
        return self.response(x) + x


MUTANTS = (SoftmaxOverQueries, NoResidual, ScaledLogits, ShiftedKernel, NoNormalisation)


def errors_against_oracle(block_type: type[RegionNonLocal]) -> dict[str, float]:
    block = oracle.randomise(block_type(4, kernel=KERNEL), 0).eval()
    judge = partial(oracle.region_oracle, region="conv", kernel=KERNEL)
    return oracle.worst_errors(block, oracle.clip_like(2, 4, 2, 3, 4, seed=0), judge)


def values_agree(block_type: type[RegionNonLocal]) -> bool:
    return errors_against_oracle(block_type)["values"] < 1e-9


def gradients_agree(block_type: type[RegionNonLocal]) -> bool:
    return errors_against_oracle(block_type)["gradients"] < 1e-9


def starts_as_identity(block_type: type[RegionNonLocal]) -> bool:
    torch.manual_seed(0)
    x = oracle.clip_like(2, 4, 2, 3, 4, seed=0)
    return torch.equal(block_type(4, kernel=KERNEL).double()(x), x)


def mirrors_with_its_kernel(block_type: type[RegionNonLocal]) -> bool:
    block = oracle.randomise(block_type(4, kernel=KERNEL), 1).eval()
    x = oracle.clip_like(2, 4, 2, 3, 4, seed=1)
    with torch.no_grad():
        z = block(x).flip(4)
        block.f_theta.weight.copy_(block.f_theta.weight.flip(4))
        return torch.allclose(block(x.flip(4)), z)


def becomes_nonlocal(block_type: type[RegionNonLocal]) -> bool:
    block = oracle.randomise(block_type(4, kernel=(1, 1, 1)), 2).eval()
    torch.nn.init.ones_(block.f_theta.weight)
    plain = NonLocal(4).double().eval()
    for name, source in {
        "q": "v",
        "k": "v",
        "v": "v",
        "out": "out",
        "bn": "bn",
    }.items():
        getattr(plain, name).load_state_dict(getattr(block, source).state_dict())
    x = oracle.clip_like(2, 4, 2, 3, 4, seed=2)
    return torch.allclose(block(x), plain(x))


CHECKS: tuple[Callable[[type[RegionNonLocal]], bool], ...] = (
    values_agree,
    gradients_agree,
    starts_as_identity,
    mirrors_with_its_kernel,
    becomes_nonlocal,
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_block_itself_passes(check):
    assert check(RegionNonLocal)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_each_mutant_fails_the_oracle(mutant):
    errors = errors_against_oracle(mutant)
    assert errors["values"] > 1e-3
    assert errors["gradients"] > 1e-3


def test_table_of_kills(table_of_kills):
    table_of_kills(MUTANTS, CHECKS)
