"""GloRe against its formula, position by position; the decoupled rivals against their
rival, part by part.
"""

import itertools

import numpy as np
import oracle
import pytest
import torch

from vidattn.blocks import DecoupledRival, GloRe, make_block
from vidattn.cost import count
from vidattn.errors import UserError

RIVALS = ("cgnl", "global_context", "glore")


def test_glore():
    block = oracle.randomise(GloRe(6, reduction=3), 0).eval()
    x = oracle.clip_like(2, 6, 3, 5, 4, seed=1)
    w = {name: value.detach().numpy() for name, value in block.state_dict().items()}
    places = list(itertools.product(range(3), range(5), range(4)))
    for clip, got in zip(x.numpy(), block(x).detach().numpy(), strict=True):
        at = {i: clip[:, i[0], i[1], i[2]] for i in places}
        b = {
            i: w["nodes.weight"][:, :, 0, 0, 0] @ at[i] + w["nodes.bias"]
            for i in places
        }
        phi = {i: w["v.weight"][:, :, 0, 0, 0] @ at[i] + w["v.bias"] for i in places}
        v = [sum(b[i][node] * phi[i] for i in places) for node in range(2)]
        z = []
        for node in range(2):
            spread = (
                sum(w["adjacency.weight"][node, m, 0] * v[m] for m in range(2))
                + w["adjacency.bias"][node]
            )
            z.append(w["update.weight"] @ np.maximum(v[node] + spread, 0))
        for i in places:
            y = w["out.weight"][:, :, 0, 0, 0] @ sum(
                b[i][node] * z[node] for node in range(2)
            )
            y = (y - w["bn.running_mean"]) / np.sqrt(w["bn.running_var"] + 1e-5)
            want = at[i] + y * w["bn.weight"] + w["bn.bias"]
            np.testing.assert_allclose(got[:, i[0], i[1], i[2]], want, rtol=1e-10)


def test_glore_costs_what_its_parts_do():
    # C = 16, N = 4 nodes, S = 8 states, 72 positions: theta, phi and W_z; V and B^T Z;
    # A_g and W_g.
    cost = count(make_block("glore")(16), (1, 16, 3, 4, 6))
    assert cost.macs == 72 * 16 * (4 + 8 + 8) + 2 * 72 * 4 * 8 + 4 * 4 * 8 + 4 * 8 * 8
    assert cost.params == 16 * (4 + 8 + 8) + 4 + 8 + 4 * 4 + 4 + 8 * 8 + 2 * 16


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("sides", [(3, 4, 2), (1, 3, 2), (3, 1, 1)])
def test_a_decoupled_rival_is_the_rival_in_each_frame_then_at_each_place(rival, sides):
    block = oracle.randomise(DecoupledRival(48, rival=rival), 2).eval()
    x = oracle.clip_like(2, 48, *sides, seed=2)
    y = torch.cat([block.spatial(x[:, :, t : t + 1]) for t in range(sides[0])], dim=2)
    z = torch.empty_like(y)
    for h, w in itertools.product(range(sides[1]), range(sides[2])):
        z[:, :, :, h : h + 1, w : w + 1] = block.temporal(
            y[:, :, :, h : h + 1, w : w + 1]
        )
    torch.testing.assert_close(block(x), z, rtol=1e-10, atol=1e-10)
    assert type(block.spatial) is type(block.temporal)
    assert not torch.allclose(block.spatial(x), y) or sides[0] == 1


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("shape", [(1, 48, 3, 2, 2), (2, 48, 2, 1, 2)])
def test_gradients_of_a_decoupled_rival_by_differences(rival, shape):
    # 48 channels, or the layer normalisation of the context block would see a single
    # number. Folded clips have sides of 1, where torch's own normalisation is easily
    # given a layout that it misreads.
    block = oracle.randomise(DecoupledRival(48, rival=rival), 3).eval()
    x, direction = (
        oracle.clip_like(*shape, seed=3).requires_grad_(),
        oracle.clip_like(*shape, seed=4),
    )
    cotangent = oracle.clip_like(*shape, seed=5)
    (gradient,) = torch.autograd.grad(block(x), x, cotangent)
    with torch.no_grad():
        ahead, behind = (block(x + step * direction) for step in (1e-6, -1e-6))
        want = ((ahead - behind) * cotangent).sum() / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rival", RIVALS)
def test_a_fresh_decoupled_rival_is_the_identity(rival):
    torch.manual_seed(0)
    x = oracle.clip_like(2, 32, 3, 5, 4, seed=0)
    assert torch.equal(DecoupledRival(32, rival=rival).double()(x), x)


WRONG = [
    (
        "glore",
        {"reduction": 0},
        r"reduction=0 is not possible; allowed: .* here 4096$",
    ),
    ("glore", {"reduction": 2.0}, r"reduction=2.0 is not possible"),
    (
        "decoupled_rival",
        {"rival": "nl"},
        r"rival='nl' is unknown; allowed: 'cgnl', 'global_context', 'glore'$",
    ),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG)
def test_each_mistake_is_one_line(kind, options, message):
    with pytest.raises(UserError, match=message):
        make_block(kind, **options)


def test_too_large_a_reduction_for_the_place():
    with pytest.raises(
        UserError,
        match=r"reduction=4 is not possible; allowed: .* from 1 to .* here 3$",
    ):
        GloRe(3)
