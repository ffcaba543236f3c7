"""Deliberate faults in the attentions of the GTA paper, and the checks that catch them.

Run `pytest tests/mutants -s` to see the tables: which check kills which mutant.
"""

from functools import partial
from typing import Any

import oracle
import oracle_gta
import pytest
import torch
from torch import Tensor, nn

from vidattn.blocks import GlobalTemporalAttention, SpatialAttention, TemporalAttention
from vidattn.blocks.space_time import sinusoids

SHAPE = (2, 6, 3, 2, 2)  # T is not H


class TimeTransposed(GlobalTemporalAttention):
    """Frame s gets what frame t should: M^T."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        return _mixed(self, self.m[path].transpose(2, 3), v)


class GroupsTransposed(GlobalTemporalAttention):
    """Head k has the matrices of group k, not those for it."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        return _mixed(self, self.m[path].transpose(0, 1), v)


class OwnGroupAlone(GlobalTemporalAttention):
    """Does not sum over the groups, Eq. 8."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        own = torch.eye(self.groups, dtype=v.dtype)[:, :, None, None]
        return _mixed(self, self.m[path] * own, v)


class MatrixSoftmax(GlobalTemporalAttention):
    """Normalises the learned matrices as if they were attention."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        return _mixed(self, self.m[path].softmax(dim=-1), v)


class MatrixDoesNotLearn(GlobalTemporalAttention):
    """Right values, but no gradient to the matrices."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        return _mixed(self, self.m[path].detach() + 0 * self.m[path], v)


class OneMatrixForBothPaths(GlobalTemporalAttention):
    """Mixes the regions by the matrices of the places."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        return super()._mix("pixel", v)


class HeadsInterleaved(GlobalTemporalAttention):
    """Reads Nh x T x C/G as channels with the head varying fastest."""

    def _mix(self, path: str, v: Tensor) -> Tensor:
        return (
            super()
            ._mix(path, v)
            .unflatten(1, (self.groups, -1))
            .transpose(1, 2)
            .flatten(1, 2)
        )


class RegionsNormalised(GlobalTemporalAttention):
    """Makes the K weights of a position sum to 1."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.w_g.register_forward_hook(lambda conv, inputs, g_r: g_r.softmax(dim=1))


class SpatialLast(GlobalTemporalAttention):
    """Runs the spatial attention on the result."""

    def forward(self, x: Tensor) -> Tensor:
        spatial, self.spatial = self.spatial, nn.Identity()
        y = super().forward(x)
        self.spatial = spatial
        return spatial(y)


class ResidualOfTheInput(GlobalTemporalAttention):
    """Adds the paths to the input of the block, not to what the spatial attention
    gives.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - self.spatial(x) + x


class UnscaledInside(GlobalTemporalAttention):
    """Has spatial attention without the division by sqrt(C')."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.spatial.q.register_forward_hook(
            lambda conv, inputs, q: q * conv.out_channels**0.5
        )


class _AllFrames(SpatialAttention):
    def forward(self, x: Tensor) -> Tensor:
        t = x.shape[2]
        return (
            super()
            .forward(x.flatten(2, 3).unsqueeze(2))
            .squeeze(2)
            .unflatten(2, (t, -1))
        )


class AllFramesInside(GlobalTemporalAttention):
    """Has spatial attention that sees the other frames, too."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.spatial = _AllFrames(channels, inner=options["inner"])


def _mixed(block: GlobalTemporalAttention, m: Tensor, v: Tensor) -> Tensor:
    v = v.unflatten(1, (block.groups, -1))
    return torch.einsum("kgts,bgcshw->bkcthw", m, v).flatten(1, 2)


class PositionsInResidual(TemporalAttention):
    """Adds P for good, not for the projections alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + sinusoids(x)


class PositionsOfValuesAlone(TemporalAttention):
    """Compares frames without P."""

    def _embed(self, x: Tensor) -> tuple[Tensor, ...]:
        q, k, _ = super()._embed(x - sinusoids(x))
        return q, k, super()._embed(x)[2]


class NoPositions(TemporalAttention):
    """Leaves P out."""

    def _embed(self, x: Tensor) -> tuple[Tensor, ...]:
        return super()._embed(x - sinusoids(x))


class PlainHeads(TemporalAttention):
    """Has plain heads where cross-channel ones are asked for."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options | {"cross_channel": False})


class ScaledByAllChannels(TemporalAttention):
    """Divides by sqrt(C'), though a head compares C' / G channels."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.q.register_forward_hook(lambda conv, inputs, q: q * self.groups**-0.5)


class AlongRows(TemporalAttention):
    """Attends along the rows of a frame."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(2, 3)).transpose(2, 3)


GTA = (
    TimeTransposed,
    GroupsTransposed,
    OwnGroupAlone,
    MatrixSoftmax,
    MatrixDoesNotLearn,
    OneMatrixForBothPaths,
    HeadsInterleaved,
    RegionsNormalised,
    SpatialLast,
    ResidualOfTheInput,
    UnscaledInside,
    AllFramesInside,
)
TAPE = (
    PositionsInResidual,
    PositionsOfValuesAlone,
    NoPositions,
    PlainHeads,
    ScaledByAllChannels,
    AlongRows,
)


def made(block_type: type, seed: int) -> tuple[nn.Module, Tensor]:
    options = {"frames": SHAPE[2], "inner": 4, "groups": 2, "cross_channel": True}
    options |= (
        {"positions": "sinusoidal"}
        if issubclass(block_type, TemporalAttention)
        else {"regions": 2}
    )
    block = oracle.randomise(block_type(SHAPE[1], **options), seed).eval()
    return block, oracle.clip_like(*SHAPE, seed=seed)


def errors_against_oracle(block_type: type) -> dict[str, float]:
    judge = partial(oracle_gta.gta_oracle, groups=2)
    if issubclass(block_type, TemporalAttention):
        judge = partial(
            oracle_gta.attention_oracle,
            axis="time",
            groups=2,
            cross=True,
            positions="sinusoidal",
        )
    return oracle.worst_errors(*made(block_type, 0), judge)


def values_agree(block_type: type) -> bool:
    return errors_against_oracle(block_type)["values"] < 1e-9


def gradients_agree(block_type: type) -> bool:
    return errors_against_oracle(block_type)["gradients"] < 1e-9


def unnormalised(block: nn.Module) -> nn.Module:
    for layers in block.out.values():
        layers[1] = nn.Identity()
    return block


def without_matrices_the_spatial_part_is_left(block_type: type) -> bool:
    block, x = made(block_type, 1)
    for m in unnormalised(block).m.values():
        nn.init.zeros_(m)
    return torch.allclose(
        block(x), oracle_gta.attention_oracle(block.spatial, x, "space")[0]
    )


def one_entry_leads_from_one_frame_to_one_frame(block_type: type) -> bool:
    # M_gk of head k = 0 and group g = 1, from frame 0 to frame 2.
    block, x = made(block_type, 2)
    for m in unnormalised(block).m.values():
        nn.init.zeros_(m)
    with torch.no_grad():
        block.m["pixel"][0, 1, 2, 0] = 1
    x_s = block.spatial(x)
    want = torch.zeros_like(x)
    v = block.v["pixel"](x_s)[:, 2:, 0]
    want[:, :, 2] = torch.einsum(
        "oc,bchw->bohw", block.out["pixel"][0].weight[:, :2, 0, 0, 0], v
    )
    return torch.allclose(block(x) - x_s, want)


def the_region_path_is_of_third_order(block_type: type) -> bool:
    block, x = made(block_type, 3)
    unnormalised(block).spatial = nn.Identity()
    nn.init.zeros_(block.out["pixel"][0].weight)
    return torch.allclose(block(2 * x) - 2 * x, 8 * (block(x) - x))


def reversal_is_noticed(block_type: type) -> bool:
    block, x = made(block_type, 4)
    return not torch.allclose(block(x.flip(2)).flip(2), block(x))


def places_do_not_see_each_other(block_type: type) -> bool:
    block, x = made(block_type, 5)
    (gradient,) = torch.autograd.grad(block(x.requires_grad_())[0, :, 1, 1, 1].sum(), x)
    return int((gradient.abs().amax(dim=1) > 0).sum()) == SHAPE[2]


FAMILIES = {
    GlobalTemporalAttention: (
        GTA,
        (
            values_agree,
            gradients_agree,
            without_matrices_the_spatial_part_is_left,
            one_entry_leads_from_one_frame_to_one_frame,
            the_region_path_is_of_third_order,
        ),
    ),
    TemporalAttention: (
        TAPE,
        (
            values_agree,
            gradients_agree,
            reversal_is_noticed,
            places_do_not_see_each_other,
        ),
    ),
}


@pytest.mark.parametrize(
    ("block_type", "check"),
    [(family, check) for family, (_, checks) in FAMILIES.items() for check in checks],
)
def test_the_block_itself_passes(block_type, check):
    assert check(block_type)


@pytest.mark.parametrize("mutant", GTA + TAPE, ids=lambda mutant: mutant.__name__)
def test_each_mutant_fails_the_oracle(mutant):
    errors = errors_against_oracle(mutant)
    assert errors["gradients"] > 1e-6 or mutant is PositionsInResidual
    assert errors["values"] > 1e-6 or mutant is MatrixDoesNotLearn


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_table_of_kills(family, table_of_kills):
    table_of_kills(*FAMILIES[family])
