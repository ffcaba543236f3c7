"""GTA against its index-by-index oracle; each part alone; the one-matrix form; cost,
start, refusals.
"""

import itertools
from functools import partial

import oracle
import oracle_gta
import pytest
import torch
from einops import rearrange

from vidattn.blocks import GlobalTemporalAttention, SpatialAttention, make_block
from vidattn.cost import count
from vidattn.errors import UserError

PIXEL, REGION, BOTH = ("pixel",), ("region",), ("pixel", "region")
# 10 inner channels: 3, 4 and 8 do not divide them, and 4 and 8 do not divide the 6
# channels either.
HEADS = [*itertools.product((1, 2, 3, 4, 8), (False, True))]


def errors(
    shape,
    *,
    seed=1,
    training=False,
    inner=10,
    regions=None,
    groups=2,
    cross=True,
    **told,
):
    block = GlobalTemporalAttention(
        shape[1],
        frames=shape[2],
        inner=inner,
        regions=regions,
        groups=groups,
        cross_channel=cross,
        **{
            "pool_keys" if name == "pooled" else name: value
            for name, value in told.items()
        },
    )
    oracle.randomise(block.train(training), seed)
    judge = partial(oracle_gta.gta_oracle, groups=groups, cross=cross, **told)
    return oracle.worst_errors(block, oracle.clip_like(*shape, seed=seed), judge)


@pytest.mark.parametrize(("groups", "cross"), HEADS)
@pytest.mark.parametrize("paths", [PIXEL, REGION, BOTH], ids="-".join)
def test_every_path_and_every_kind_of_head_agrees_with_the_oracle(paths, groups, cross):
    found = errors(
        (2, 6, 3, 2, 2),
        groups=groups,
        cross=cross,
        paths=paths,
        regions=2,
        spatial=False,
    )
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("paths", [PIXEL, REGION, BOTH], ids="-".join)
def test_parts_alone_and_the_whole(paths, training, spatial):
    found = errors((2, 5, 3, 4, 2), training=training, paths=paths, spatial=spatial)
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("regions", [1, 2, 3, 7, 12])
def test_any_number_of_regions(regions):
    found = errors((2, 5, 2, 3, 2), regions=regions, paths=REGION, spatial=False)
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize(
    "sides", [(1, 3, 4), (3, 1, 2), (3, 2, 1), (4, 1, 1), (1, 1, 1)]
)
def test_sides_of_length_one(sides):
    found = errors((2, 5, *sides), inner=4, training=sides != (1, 1, 1))
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("kind", ["decoupled_nonlocal", "global_temporal_attention"])
@pytest.mark.parametrize("sides", [(1, 3, 4), (3, 1, 2), (3, 2, 1), (4, 1, 1)])
def test_gradients_in_float32_where_a_side_is_one(kind, sides):
    # The CPU has other convolutions for float32. torch's own normalisation gives a
    # wrong gradient where the one that it gets is laid out with the channels last and a
    # side is 1.
    options = {"groups": 2, "frames": sides[0], "inner": 4}
    block, x = (
        oracle.randomise(make_block(kind, **options)(6), 3),
        oracle.clip_like(2, 6, *sides, seed=3),
    )
    found = []
    for dtype in (torch.float64, torch.float32):
        leaves = [x.to(dtype).requires_grad_(), *block.to(dtype).parameters()]
        gradients = torch.autograd.grad(block(leaves[0]).sigmoid().sum(), leaves)
        found.append(torch.cat([gradient.double().flatten() for gradient in gradients]))
    assert float((found[1] - found[0]).norm() / found[0].norm()) < 1e-4


def test_pooled_keys_in_the_spatial_part():
    found = errors((2, 5, 3, 4, 3), pooled="after")
    assert max(found.values()) < 1e-9, found


def made(seed=2, shape=(2, 12, 3, 4, 2), **options):
    block = oracle.randomise(
        GlobalTemporalAttention(shape[1], frames=shape[2], **options), seed
    ).eval()
    return block, oracle.clip_like(*shape, seed=seed)


def test_cross_channel_heads_are_one_matrix_for_all_slots():
    block, x = made(inner=8, groups=4, paths=PIXEL, spatial=False)
    matrix = rearrange(block.m["pixel"], "k g t s -> (k t) (g s)")
    v = rearrange(block.v["pixel"](x), "b (g c) s h w -> b (g s) (c h w)", g=4)
    a = rearrange(matrix @ v, "b (k t) (c h w) -> b (k c) t h w", k=4, h=4, w=2)
    torch.testing.assert_close(
        block(x), x + block.out["pixel"](a), rtol=1e-12, atol=1e-12
    )


def test_heads_that_meet_their_own_group_alone_are_plain_heads():
    cross, x = made(inner=8, groups=4, regions=3)
    plain, _ = made(inner=8, groups=4, regions=3, cross_channel=False)
    assert not torch.allclose(plain(x), cross(x), atol=1e-3)
    with torch.no_grad():
        for path in BOTH:
            own = torch.eye(4, dtype=torch.bool)[:, :, None, None]
            cross.m[path].copy_(torch.where(own, plain.m[path][None], 0))
    plain.load_state_dict(
        {**cross.state_dict(), **{f"m.{p}": plain.m[p] for p in BOTH}}
    )
    torch.testing.assert_close(plain(x), cross(x), rtol=1e-12, atol=1e-12)


def test_one_group_is_the_same_with_and_without_cross_channel_heads():
    cross, x = made(groups=1)
    plain, _ = made(groups=1, cross_channel=False)
    assert (cross.m["pixel"].shape, plain.m["pixel"].shape) == ((1, 1, 3, 3), (1, 3, 3))
    torch.testing.assert_close(plain(x), cross(x))


def test_the_paths_add_up():
    both, x = made(regions=3, groups=2, spatial=False)
    alone = {}
    for path in BOTH:
        block, _ = made(regions=3, groups=2, spatial=False, paths=(path,))
        block.load_state_dict(
            {n: w for n, w in both.state_dict().items() if n in block.state_dict()}
        )
        alone[path] = block(x) - x
    torch.testing.assert_close(both(x), x + alone["pixel"] + alone["region"])
    swapped = GlobalTemporalAttention(
        12, frames=3, regions=3, groups=2, spatial=False, paths=["region", "pixel"]
    )
    swapped.double().eval().load_state_dict(both.state_dict())
    torch.testing.assert_close(swapped(x), both(x))


def test_the_spatial_part_comes_first():
    block, x = made(groups=2)
    without, _ = made(groups=2, spatial=False)
    spatial = SpatialAttention(12).double().eval()
    spatial.load_state_dict(block.spatial.state_dict())
    without.load_state_dict(
        {n: w for n, w in block.state_dict().items() if not n.startswith("spatial.")}
    )
    torch.testing.assert_close(block(x), without(spatial(x)))
    assert not torch.allclose(block(x), spatial(without(x)), atol=1e-3)


def test_the_matrix_does_not_depend_on_the_clip_but_the_regions_do():
    # The pixel path is linear in X, the region path of third order.
    for paths, power in ((PIXEL, 1), (REGION, 3)):
        block, x = made(groups=2, paths=paths, spatial=False, regions=3)
        block.out[paths[0]][1] = torch.nn.Identity()
        torch.testing.assert_close(
            block(2 * x) - 2 * x, 2**power * (block(x) - x), rtol=1e-10, atol=1e-10
        )


def test_the_pixel_path_keeps_places_apart_and_the_region_path_does_not():
    for paths, reaches in ((PIXEL, 3), (REGION, 24)):
        block, x = made(groups=2, paths=paths, spatial=False, regions=3)
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(block(x)[0, :, 1, 2, 1].sum(), x)
        assert (gradient[0].abs().amax(dim=0) > 0).sum() == reaches


def test_a_fresh_block_is_the_identity_and_both_paths_can_leave_it():
    torch.manual_seed(0)
    block, x = (
        GlobalTemporalAttention(32, frames=3).double(),
        oracle.clip_like(2, 32, 3, 5, 4, seed=0),
    )
    z = block(x)
    assert torch.equal(z, x)
    z.square().sum().backward()
    for bn in (*(out[1] for out in block.out.values()), block.spatial.bn):
        assert float(bn.weight.grad.abs().max()) > 0


@pytest.mark.parametrize(
    ("options", "terms"),
    [({}, 8 * 8), ({"cross_channel": False}, 8), ({"groups": 1}, 8)],
)
def test_the_matrices_start_random_with_a_variance_of_one_over_their_terms(
    options, terms
):
    torch.manual_seed(0)
    for m in GlobalTemporalAttention(64, frames=8, **options).m.values():
        assert 0.6 < float(m.detach().var()) * terms < 1.5
        assert abs(float(m.detach().mean())) < 0.1


# C = 16, C' = 4, K = 2, G = 2, T = 3 and N = 3 * 4 * 6 = 72.
V_AND_O, MIX = 2 * 72 * 64, 2 * 3 * 72 * 4
REGIONS = V_AND_O + 72 * 2 * (16 + 2 * 4) + 2 * 3 * 6 * 4
SPATIAL = 4 * 72 * 64 + 2 * 3 * 24**2 * 4


@pytest.mark.parametrize(
    ("options", "macs", "params"),
    [
        ({"paths": PIXEL, "spatial": False}, V_AND_O + MIX, 2 * 64 + 32 + 4 * 9),
        (
            {"paths": PIXEL, "spatial": False, "cross_channel": False},
            V_AND_O + MIX // 2,
            2 * 64 + 32 + 2 * 9,
        ),
        ({"paths": REGION, "spatial": False}, REGIONS, 2 * 64 + 32 + 4 * 9 + 2 * 16),
        ({}, SPATIAL + V_AND_O + MIX + REGIONS, 8 * 64 + 3 * 32 + 2 * 4 * 9 + 2 * 16),
    ],
)
def test_macs_and_parameters_are_what_the_docstring_says(options, macs, params):
    cost = count(
        make_block("global_temporal_attention", frames=3, groups=2, **options)(16),
        (1, 16, 3, 4, 6),
    )
    assert (cost.macs, cost.params) == (macs, params)


def test_no_matrix_of_pairs_in_training():
    block = oracle.randomise(GlobalTemporalAttention(16, frames=4, groups=2), 0).float()
    x = torch.randn(
        1, 16, 4, 12, 14, requires_grad=True
    )  # a frame's pairs: 4 * 168^2 = 112896
    with oracle.Largest() as largest:
        block(x).square().sum().backward()
    assert x.grad is not None
    assert 16 * 672 <= largest.elements <= 20_000


WRONG = [
    (
        {"frames": 0},
        r"frames=0 is not possible; allowed: a whole number of at least 1$",
    ),
    ({"frames": 8.0}, r"frames=8.0 is not possible"),
    ({"regions": 0}, r"regions=0 is not possible"),
    (
        {"groups": 1025},
        r"groups=1025 is not possible; allowed: a whole number from 1 to 1024$",
    ),
    ({"groups": 0}, r"groups=0 is not possible"),
    ({"inner": 0}, r"inner=0 is not possible"),
    (
        {"paths": []},
        r"paths=\[\] is not possible; allowed: 'pixel', 'region', or both, as a list$",
    ),
    ({"paths": ["frame"]}, r"paths=\['frame'\] is not possible"),
    ({"paths": "pixel"}, r"paths='pixel' is not possible"),
    ({"pool_keys": "between"}, r"pool_keys='between' is unknown"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_each_mistake_is_one_line(options, message):
    with pytest.raises(UserError, match=message) as caught:
        make_block("global_temporal_attention", **options)
    assert "\n" not in str(caught.value)


def test_too_many_groups_for_the_place():
    with pytest.raises(
        UserError,
        match=r"^groups=8 is not possible; allowed: a whole number from 1 to 4$",
    ):
        GlobalTemporalAttention(16)


def test_another_number_of_frames_is_one_line_that_names_both():
    with pytest.raises(
        UserError, match=r"^frames=8 is not possible; allowed: T of .* here 3$"
    ):
        GlobalTemporalAttention(32)(torch.zeros(1, 32, 3, 2, 2))


NORMALISED = {"spatial_attention": 1, "temporal_attention": 1, "decoupled_nonlocal": 2}
NORMALISED["global_temporal_attention"] = 3


@pytest.mark.parametrize("kind", NORMALISED)
def test_all_normalisations_start_where_they_are_told_to(kind):
    for start in (0.0, 1.0, 0.5):
        block = make_block(kind, start=start)(64)
        weights = [
            part.weight
            for part in block.modules()
            if isinstance(part, torch.nn.BatchNorm3d)
        ]
        assert len(weights) == NORMALISED[kind]
        assert all((weight == start).all() for weight in weights)
    with pytest.raises(
        UserError, match="start=nan is not possible; allowed: a finite number"
    ):
        make_block(kind, start=float("nan"))
