"""SA, TA, TAPE and DNL against their index-by-index oracle; where they become NL; cost
and memory.
"""

import copy
import itertools
from functools import partial

import oracle
import oracle_gta
import pytest
import torch

from vidattn.blocks import (
    DecoupledNonLocal,
    NonLocal,
    SpatialAttention,
    TemporalAttention,
    make_block,
)
from vidattn.blocks.space_time import sinusoids
from vidattn.cost import count
from vidattn.errors import UserError

UNEVEN = (2, 3, 2)
ONE_LONG = [(1, 3, 4), (3, 1, 2), (3, 2, 1), (4, 1, 1), (1, 1, 1)]
# 10 inner channels: 3, 4 and 8 do not divide them, and 4 and 8 do not divide the 6
# channels either.
HEADS = [*itertools.product((1, 2, 3, 4, 8), (False, True))]
TYPES = {"space": SpatialAttention, "time": TemporalAttention}


def errors(block, axis, shape, seed=1, **told):
    oracle.randomise(block, seed)
    judge = partial(oracle_gta.attention_oracle, axis=axis, **told)
    return oracle.worst_errors(block, oracle.clip_like(*shape, seed=seed), judge)


@pytest.mark.parametrize(("groups", "cross"), HEADS)
@pytest.mark.parametrize("axis", TYPES)
def test_attention_agrees_with_the_oracle(axis, groups, cross):
    # Statistics of the batch where the heads are plain, running ones where they mix the
    # groups.
    block = TYPES[axis](6, inner=10, groups=groups, cross_channel=cross).train(
        not cross
    )
    assert block.q.out_channels == 10 - 10 % groups
    found = errors(block, axis, (2, 6, *UNEVEN), groups=groups, cross=cross)
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("sides", ONE_LONG)
@pytest.mark.parametrize("axis", TYPES)
def test_sides_of_length_one(axis, sides):
    found = errors(TYPES[axis](5, inner=3), axis, (2, 5, *sides))
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("pooled", ["before", "after"])
@pytest.mark.parametrize("sides", [(2, 4, 2), (3, 5, 2), (1, 3, 5)])
def test_pooled_keys_agree_with_the_oracle(pooled, sides):
    found = errors(
        SpatialAttention(5, inner=3, pool_keys=pooled),
        "space",
        (2, 5, *sides),
        pooled=pooled,
    )
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize(
    ("groups", "cross"), [(1, False), (2, False), (3, True), (8, True)]
)
@pytest.mark.parametrize("sides", [(3, 2, 1), (1, 2, 1)])
def test_tape_agrees_with_the_oracle(positions, groups, cross, sides):
    block = TemporalAttention(
        5,
        inner=8,
        positions=positions,
        frames=sides[0],
        groups=groups,
        cross_channel=cross,
    )
    found = errors(
        block, "time", (2, 5, *sides), groups=groups, cross=cross, positions=positions
    )
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pooled": "after"},
        {"pooled": "before"},
        {"positions": "sinusoidal"},
        {"positions": "learned"},
        {"positions": "learned", "groups": 2, "cross": True, "pooled": "after"},
        {"groups": 2},
    ],
)
def test_dnl_agrees_with_the_oracle(options):
    names = {"pooled": "pool_keys", "cross": "cross_channel"}
    told = {names.get(name, name): value for name, value in options.items()}
    block = oracle.randomise(DecoupledNonLocal(6, inner=4, frames=3, **told), 3)
    judge = partial(oracle_gta.decoupled_oracle, **options)
    found = oracle.worst_errors(block, oracle.clip_like(2, 6, 3, 4, 2, seed=3), judge)
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("sides", [(1, 3, 4), (3, 1, 2), (3, 2, 1), (4, 1, 1)])
def test_dnl_with_sides_of_length_one(sides):
    block = oracle.randomise(DecoupledNonLocal(5, inner=4), 3)
    found = oracle.worst_errors(
        block, oracle.clip_like(2, 5, *sides, seed=3), oracle_gta.decoupled_oracle
    )
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize(
    ("axis", "options", "told"),
    [
        ("space", {}, {}),
        ("space", {"pool_keys": "after"}, {"pooled": "after"}),
        ("time", {}, {}),
        ("space", {"groups": 2}, {"groups": 2}),
        ("time", {"groups": 2, "cross_channel": True}, {"groups": 2, "cross": True}),
        ("time", {"positions": "sinusoidal"}, {"positions": "sinusoidal"}),
    ],
)
def test_attention_gives_the_weights_of_a_few_queries(axis, options, told):
    block = oracle.randomise(TYPES[axis](6, inner=4, **options), 4)
    x = oracle.clip_like(2, 6, 3, 4, 2, seed=4)
    queries = torch.tensor([0, 23, 9, 9])
    got, want = (
        block.attention(x, queries),
        oracle_gta.attention_oracle(block, x, axis, **told)[1],
    )
    torch.testing.assert_close(got, want[:, queries], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.sum(dim=-1), torch.ones(2, 4).double())
    # One frame of eight places, two where the keys are pooled; or one place of three
    # frames.
    assert (
        (got > 0).sum(dim=-1)
        == {"space": 2 if "pooled" in told else 8, "time": 3}[axis]
    ).all()


def as_nonlocal(block, channels):
    """NL with the same weights, scaled by the square root of its inner width and
    without biases.
    """
    block_nl = oracle.randomise(
        NonLocal(channels, inner=block.q.out_channels, scaled=True), 0
    ).eval()
    with torch.no_grad():
        for ours, theirs in (
            (block.q, "q"),
            (block.k, "k"),
            (block.v, "v"),
            (block.out, "out"),
        ):
            getattr(block_nl, theirs).weight.copy_(ours.weight)
            getattr(block_nl, theirs).bias.zero_()
    block_nl.bn.load_state_dict(block.bn.state_dict())
    return block_nl


def test_with_one_frame_or_one_place_it_is_nl():
    for block_type, sides, other in (
        (SpatialAttention, (1, 3, 4), (2, 3, 4)),
        (TemporalAttention, (5, 1, 1), (5, 2, 1)),
    ):
        block = oracle.randomise(block_type(6, inner=4), 5).eval()
        block_nl = as_nonlocal(block, 6)
        x = oracle.clip_like(2, 6, *sides, seed=5)
        torch.testing.assert_close(block(x), block_nl(x), rtol=1e-12, atol=1e-12)
        x = oracle.clip_like(2, 6, *other, seed=5)
        assert not torch.allclose(block(x), block_nl(x), atol=1e-3)


def test_frames_and_places_do_not_see_each_other():
    x = oracle.clip_like(1, 6, 3, 4, 2, seed=6).requires_grad_()
    for block_type, own in (
        (SpatialAttention, (1,)),
        (TemporalAttention, (slice(None), 2, 1)),
    ):
        block = oracle.randomise(block_type(6, inner=4), 6).eval()
        (gradient,) = torch.autograd.grad(block(x)[0, :, 1, 2, 1].sum(), x)
        reached, want = (
            gradient[0].abs().amax(dim=0) > 0,
            torch.zeros(3, 4, 2, dtype=torch.bool),
        )
        want[own] = True
        assert torch.equal(reached, want)


def test_groups_of_one_head_need_no_cross_channel():
    x = oracle.clip_like(1, 6, 3, 2, 2, seed=7)
    plain = oracle.randomise(TemporalAttention(6, inner=4), 7)
    cross = TemporalAttention(6, inner=4, cross_channel=True).double()
    cross.load_state_dict(plain.state_dict())
    torch.testing.assert_close(cross(x), plain(x))


def test_sinusoids_by_hand():
    got = sinusoids(torch.zeros(1, 3, 3, 1, 1, dtype=torch.float64))[..., 0, 0]
    want = torch.tensor(
        [
            [0, 0.8414709848078965, 0.9092974268256817],
            [1, 0.5403023058681398, -0.4161468365471424],
            [0, 0.0021544330233656, 0.0043088560467428],  # sin(t / 10000^(2/3))
        ]
    ).double()
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-9)


def test_swapping_exchanges_what_is_compared_and_nothing_else():
    block = oracle.randomise(
        DecoupledNonLocal(6, inner=4, pool_keys="after", positions="learned", frames=3),
        8,
    )
    x, before = oracle.clip_like(2, 6, 3, 4, 2, seed=8), copy.deepcopy(block)
    block.swap()
    for part, giver in ((block[0], before[1]), (block[1], before[0])):
        for name in ("q", "k", "v"):
            assert torch.equal(getattr(part, name).weight, getattr(giver, name).weight)
    assert torch.equal(block[0].out.weight, before[0].out.weight)
    assert torch.equal(block[1].p, before[1].p)
    want = oracle_gta.decoupled_oracle(block, x, pooled="after", positions="learned")[0]
    torch.testing.assert_close(block(x), want, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(block(x), before(x), atol=1e-3)
    block.swap()
    assert torch.equal(block(x), before(x))


@pytest.mark.parametrize(
    ("kind", "options", "macs"),
    [
        # N = T H W = 3 * 4 * 6 = 72, C = 16, C' = 4: four projections, 4 N C C'; then
        # the products.
        ("spatial_attention", {}, 4 * 72 * 64 + 2 * 3 * 24**2 * 4),
        ("spatial_attention", {"pool_keys": "after"}, 4 * 72 * 64 + 2 * 3 * 24 * 6 * 4),
        (
            "spatial_attention",
            {"pool_keys": "before"},
            2 * 72 * 64 + 2 * 18 * 64 + 2 * 3 * 24 * 6 * 4,
        ),
        ("temporal_attention", {}, 4 * 72 * 64 + 2 * 24 * 3**2 * 4),
        ("temporal_attention", {"groups": 2}, 4 * 72 * 64 + 2 * 24 * 3**2 * 4),
        (
            "temporal_attention",
            {"groups": 2, "cross_channel": True},
            4 * 72 * 64 + 2 * 2 * 24 * 3**2 * 4,
        ),
        (
            "temporal_attention",
            {"positions": "sinusoidal"},
            4 * 72 * 64 + 2 * 24 * 3**2 * 4,
        ),
    ],
)
def test_macs_are_what_the_docstrings_say(kind, options, macs):
    cost = count(make_block(kind, **options)(16), (1, 16, 3, 4, 6))
    assert (cost.macs, cost.params) == (macs, 4 * 64 + 2 * 16)


def test_the_attention_is_fused_and_dnl_is_its_two_parts():
    shape = (1, 32, 4, 6, 5)
    parts = [
        count(make_block(kind)(32), shape)
        for kind in ("spatial_attention", "temporal_attention")
    ]
    assert all(
        part.by_kind["attention"] > 0 and part.by_kind["matmul"] == 0 for part in parts
    )
    both = count(make_block("decoupled_nonlocal")(32), shape)
    assert (both.macs, both.params) == tuple(
        sum(getattr(p, n) for p in parts) for n in ("macs", "params")
    )


def test_learned_positions_are_the_only_further_parameters():
    assert count(
        make_block("temporal_attention", positions="learned", frames=5)(16),
        (1, 16, 5, 2, 2),
    ).params == (4 * 64 + 2 * 16 + 5 * 16)


@pytest.mark.parametrize(
    "kind", ["spatial_attention", "temporal_attention", "decoupled_nonlocal"]
)
def test_no_matrix_of_pairs_in_training(kind):
    block = oracle.randomise(make_block(kind)(16), 0).float()
    x = torch.randn(
        1, 16, 4, 12, 14, requires_grad=True
    )  # N = 672; of a frame's pairs 4 * 168^2 = 112896
    with oracle.Largest() as largest:
        block(x).square().sum().backward()
    assert x.grad is not None
    assert 16 * 672 <= largest.elements <= 20_000


WRONG = [
    (
        "spatial_attention",
        {"pool_keys": "between"},
        r"pool_keys='between' is unknown; allowed: None, 'before', 'after'$",
    ),
    (
        "spatial_attention",
        {"inner": 0},
        r"inner=0 is not possible; allowed: a whole number of at least 1$",
    ),
    (
        "temporal_attention",
        {"positions": "sine"},
        r"positions='sine' is unknown; allowed: None, 'sinusoidal', 'learned'$",
    ),
    (
        "temporal_attention",
        {"positions": "learned", "frames": 0},
        r"frames=0 is not possible; allowed: ",
    ),
    (
        "temporal_attention",
        {"groups": 5, "inner": 4},
        r"groups=5 is not possible; .* from 1 to 4$",
    ),
    ("temporal_attention", {"groups": 2.0}, r"groups=2.0 is not possible"),
    ("temporal_attention", {"groups": True}, r"groups=True is not possible"),
    ("decoupled_nonlocal", {"inner": 2.5}, r"inner=2.5 is not possible"),
    ("decoupled_nonlocal", {"pool_keys": 1}, r"pool_keys=1 is unknown"),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG)
def test_each_mistake_is_one_line(kind, options, message):
    with pytest.raises(UserError, match=message) as caught:
        make_block(kind, **options)
    assert "\n" not in str(caught.value)


def test_learned_positions_refuse_another_number_of_frames():
    for block in (
        TemporalAttention(4, positions="learned", frames=5),
        DecoupledNonLocal(4, positions="learned", frames=5),
    ):
        with pytest.raises(
            UserError, match=r"^frames=5 is not possible; allowed: T of .* here 3$"
        ):
            block(torch.zeros(1, 4, 3, 2, 2))
    for positions in (None, "sinusoidal"):
        assert (
            TemporalAttention(4, positions=positions, frames=5)(
                torch.zeros(1, 4, 3, 2, 2)
            ).shape[2]
            == 3
        )


@pytest.mark.parametrize(
    "options",
    [
        {"positions": "learned", "frames": 3},
        {"positions": "sinusoidal"},
        {"groups": 4, "cross_channel": True},
    ],
)
def test_tape_and_heads_start_as_the_identity_and_can_leave_it(options):
    torch.manual_seed(0)
    block = TemporalAttention(32, **options).double()
    x = oracle.clip_like(2, 32, 3, 5, 4, seed=0)
    z = block(x)
    assert torch.equal(z, x)
    z.square().sum().backward()
    assert float(block.bn.weight.grad.abs().max()) > 0
