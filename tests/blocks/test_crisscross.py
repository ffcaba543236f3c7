"""Criss-cross attention against its index-by-index oracle; what depends on what; what
it costs.
"""

import itertools
from functools import partial

import oracle
import pytest
import torch

from vidattn.blocks import CrissCross3d, RecurrentCrissCross3d
from vidattn.cost import count

STRUCTURES = ("a", "b", "c", "d")
REDUCTIONS = (2, 4, 8, 16)
UNEVEN = (2, 3, 4)
ONE_LONG = [(1, 3, 4), (3, 1, 2), (3, 2, 1), (1, 1, 4), (1, 4, 1), (4, 1, 1), (1, 1, 1)]


def recurrent(passes, structure, channels=16, **options):
    """A block in float64 with random weights, small enough that four passes stay of
    order one.
    """
    block = RecurrentCrissCross3d(
        channels, passes=passes, structure=structure, **options
    )
    oracle.randomise(block, passes)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.7)
    return block


def errors(block, x):
    return oracle.worst_errors(
        block,
        x,
        partial(
            oracle.recurrent_oracle, passes=block.passes, structure=block.structure
        ),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("reduce_values", [False, True])
def test_one_pass_agrees_with_the_oracle(reduction, reduce_values):
    block = oracle.randomise(
        CrissCross3d(16, reduction=reduction, reduce_values=reduce_values), 1
    )
    x = oracle.clip_like(2, 16, *UNEVEN, seed=1)
    found = oracle.worst_errors(block, x, oracle.crisscross_oracle)
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("sides", ONE_LONG)
@pytest.mark.parametrize("reduce_values", [False, True])
def test_lines_of_length_one(sides, reduce_values):
    block = oracle.randomise(
        CrissCross3d(6, reduction=3, reduce_values=reduce_values), 2
    )
    x = oracle.clip_like(2, 6, *sides, seed=2)
    found = oracle.worst_errors(block, x, oracle.crisscross_oracle)
    assert max(found.values()) < 1e-9, found
    found = errors(recurrent(3, "a", 6), x)
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize(
    ("structure", "passes", "reduction"),
    [*itertools.product(STRUCTURES, (1, 2, 3, 4), REDUCTIONS)],
)
def test_every_structure_agrees_with_the_oracle(structure, passes, reduction):
    found = errors(
        recurrent(passes, structure, reduction=reduction),
        oracle.clip_like(1, 16, *UNEVEN, seed=3),
    )
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_batch_of_another_uneven_size(structure):
    found = errors(recurrent(3, structure, 5), oracle.clip_like(2, 5, 4, 2, 3, seed=4))
    assert max(found.values()) < 1e-9, found


def test_with_one_pass_a_b_and_d_are_one_function():
    x = oracle.clip_like(1, 8, *UNEVEN, seed=5)
    blocks = [recurrent(1, structure, 8) for structure in ("a", "b", "d")]
    for block in blocks[1:]:
        block.load_state_dict(blocks[0].state_dict())
        assert torch.equal(block(x), blocks[0](x))
    two = [recurrent(2, structure, 8) for structure in ("a", "b", "d")]
    for block in two:
        block.load_state_dict(blocks[0].state_dict())
    for one, other in itertools.combinations(two, 2):
        assert not torch.allclose(one(x), other(x), atol=1e-3)


def test_what_is_not_given_is_the_paper_s_choice():
    # Section IV-C: R = 3, structure a, C' = C / 4, gamma from 1.
    torch.manual_seed(0)
    given = RecurrentCrissCross3d(
        8, passes=3, structure="a", reduction=4, gamma=1.0
    ).double()
    silent = RecurrentCrissCross3d(8).double()
    assert silent.gamma == 1
    silent.load_state_dict(given.state_dict())
    x = oracle.clip_like(1, 8, *UNEVEN, seed=6)
    assert torch.equal(silent(x), given(x))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_start(structure):
    # Gamma 0 is the identity, and can leave it; the default, 1, is not.
    x = oracle.clip_like(1, 8, *UNEVEN, seed=6)
    torch.manual_seed(0)
    block = RecurrentCrissCross3d(8, structure=structure, gamma=0.0).double()
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert float(block.gamma.grad.abs()) > 1e-3
    assert not torch.allclose(
        RecurrentCrissCross3d(8, structure=structure).double()(x), x, atol=0.01
    )
    assert float(RecurrentCrissCross3d(8).gamma.detach()) == 1


def counted(sides, passes):
    """How many positions an output depends on: those of three lines, of three planes,
    all.
    """
    t, h, w = sides
    return (t + h + w - 2, t * h + t * w + h * w - t - h - w + 1, t * h * w)[passes - 1]


@pytest.mark.parametrize("sides", [(2, 3, 4), (4, 2, 5), (3, 5, 2)])
@pytest.mark.parametrize(
    ("structure", "passes"), [*itertools.product(STRUCTURES, (1, 2, 3))]
)
def test_what_an_output_depends_on(structure, passes, sides):
    # Holds for all four structures, with random weights: each pass adds one coordinate
    # that may differ. X is added at the position itself, which every set contains; so
    # d, which adds it late, is no exception.
    block = recurrent(passes, structure, 4)
    x = oracle.clip_like(1, 4, *sides, seed=7).requires_grad_()
    at = tuple(side // 2 for side in sides)
    slope = oracle.clip_like(4, seed=8)
    (gradient,) = torch.autograd.grad(block(x)[0, :, at[0], at[1], at[2]] @ slope, x)
    depends = gradient[0].abs().amax(dim=0)
    for place in itertools.product(*(range(side) for side in sides)):
        differs = sum(a != b for a, b in zip(place, at, strict=True))
        value = float(depends[place])
        assert value > 1e-12 if differs <= passes else value == 0, (place, value)
    assert int((depends != 0).sum()) == counted(sides, passes)


def test_a_position_counts_once():
    # All scores are equal, and v is the identity: every position on the lines weighs 1
    # / (T + H + W - 2), the position itself, too. Counted thrice it would weigh 3 / (T
    # + H + W), twice 2 / (T + H + W - 1).
    block = CrissCross3d(2, reduction=1).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.v.weight.copy_(torch.eye(2)[:, :, None, None, None])
    x = torch.zeros(1, 2, 4, 3, 5, dtype=torch.float64)
    x[0, 0, 1, 2, 3] = 1
    h = block(x).detach()
    assert float(h[0, 0, 1, 2, 3]) == pytest.approx(1 / 10, abs=1e-12)
    assert float(h[0, 0, 3, 2, 3]) == pytest.approx(1 / 10, abs=1e-12)
    assert float(h[0, 0, 1, 1, 3]) == pytest.approx(1 / 10, abs=1e-12)
    assert float(h[0, 0, 1, 2, 0]) == pytest.approx(1 / 10, abs=1e-12)
    assert int((h[0, 0] > 0).sum()) == 10


@pytest.mark.parametrize("sides", [UNEVEN, (1, 3, 4), (3, 1, 1)])
def test_attention_is_the_oracle_s_and_makes_h(sides):
    block = oracle.randomise(CrissCross3d(6, reduction=2), 9)
    x = oracle.clip_like(2, 6, *sides, seed=9)
    want, weights = oracle.crisscross_oracle(block, x)
    n = sides[0] * sides[1] * sides[2]
    got = block.attention(x, torch.arange(n))
    torch.testing.assert_close(got, weights, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        got.sum(-1), torch.ones(2, n, dtype=x.dtype), rtol=1e-12, atol=0
    )
    assert int((got[0, 0] != 0).sum()) == sum(sides) - 2
    h = got @ block.v(x).flatten(2).transpose(1, 2)
    torch.testing.assert_close(
        h.transpose(1, 2).reshape(x.shape), want, rtol=1e-9, atol=1e-12
    )
    some = torch.tensor([n - 1, 0])
    torch.testing.assert_close(
        block.attention(x, some), weights[:, some], rtol=1e-9, atol=1e-12
    )
    whole = RecurrentCrissCross3d(6, reduction=2).double()
    whole.crisscross.load_state_dict(block.state_dict())
    assert torch.equal(whole.attention(x, some), block.attention(x, some))


@pytest.mark.parametrize(
    ("channels", "reduction", "structure", "passes", "sides"),
    [
        (16, 4, "a", 3, (2, 3, 4)),
        (12, 5, "b", 2, (4, 6, 3)),
        (16, 8, "c", 4, (2, 5, 3)),
        (6, 1, "d", 1, (3, 2, 7)),
    ],
)
def test_multiply_adds_and_parameters_are_the_polynomials(
    channels, reduction, structure, passes, sides
):
    # No side of 1: the product with a single key is no matrix product, and is not
    # counted.
    c, n, line = channels, sides[0] * sides[1] * sides[2], sum(sides)
    d = c // reduction
    e = d if structure == "c" else c  # channels of v
    restored = d * c if structure == "c" else 0
    block = RecurrentCrissCross3d(
        c, passes=passes, structure=structure, reduction=reduction
    )
    cost = count(block, (2, c, *sides))
    assert cost.macs == 2 * passes * n * (2 * c * d + c * e + restored + line * (d + e))
    biases = 2 * d + e + (c if structure == "c" else 0)
    assert cost.params == 2 * c * d + c * e + restored + biases + 1  # gamma


@pytest.mark.parametrize("structure", STRUCTURES)
def test_memory_grows_with_positions_times_lines_in_training(structure):
    kept = {}

    def note(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    n, line, c = 6 * 16 * 10, 6 + 16 + 10, 8  # N x N is 921600, N (T + H + W) 30720
    block = RecurrentCrissCross3d(c, structure=structure)
    x = torch.randn(1, c, 6, 16, 10, requires_grad=True)
    with (
        oracle.Largest() as largest,
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        block(x).square().sum().backward()
    assert x.grad is not None
    assert largest.elements == n * line
    # A pass keeps the weights, once as they are and once line by line, and a few maps.
    assert n * line <= sum(kept.values()) <= 3 * n * (2 * line + 10 * c)


WRONG = [
    ({"structure": "e"}, r"structure='e' is unknown; allowed: 'a', 'b', 'c', 'd'$"),
    (
        {"passes": 0},
        r"passes=0 is not possible; allowed: a whole number of at least 1$",
    ),
    ({"passes": 2.0}, r"passes=2.0 is not possible"),
    ({"passes": True}, r"passes=True is not possible"),
    ({"reduction": 9}, r"reduction=9 is not possible; allowed: .* here 8$"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_each_mistake_is_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentCrissCross3d(8, **options)
