"""What holds for every block: the start, the shape, the gradients, mixed precision."""

import itertools

import oracle
import pytest
import torch

from vidattn.blocks import BLOCKS, NonLocal, RegionNonLocal

IDENTITIES = (
    "nonlocal",
    "region",
    "additive_squeeze_excite",
    "global_context",
    "chain",
    "pyramid",
    "cgnl",
    "double_attention",
    "spatial_attention",
    "temporal_attention",
    "decoupled_nonlocal",
    "global_temporal_attention",
    "glore",
    "decoupled_rival",
)


@pytest.mark.parametrize("kind", IDENTITIES)
@pytest.mark.parametrize("training", [False, True])
def test_a_fresh_block_is_the_identity_and_can_leave_it(kind, training):
    torch.manual_seed(0)
    block = BLOCKS[kind](32, **oracle.needed(kind, 3)).double().train(training)
    x = oracle.clip_like(2, 32, 3, 5, 4, seed=0)
    z = block(x)
    assert torch.equal(z, x)
    z.square().sum().backward()
    assert any(
        float(p.grad.abs().max()) > 0 for p in block.parameters() if p.grad is not None
    )


@pytest.mark.parametrize(
    ("block_type", "norm"),
    [*itertools.product((NonLocal, RegionNonLocal), (False, True))],
)
def test_zero_init_decides(block_type, norm):
    torch.manual_seed(0)
    x = oracle.clip_like(2, 8, 3, 5, 4, seed=0)
    assert torch.equal(block_type(8, norm=norm).double()(x), x)
    assert not torch.allclose(block_type(8, norm=norm, zero_init=False).double()(x), x)


@pytest.mark.parametrize("kind", ["squeeze_excite", "cbam"])
def test_gates_are_not_the_identity_at_the_start(kind):
    torch.manual_seed(0)
    x = oracle.clip_like(2, 32, 3, 5, 4, seed=0)
    ratio = BLOCKS[kind](32).double()(x) / x
    assert float(ratio.detach().min()) > 0
    assert float(ratio.detach().max()) < 1


@pytest.mark.parametrize("kind", BLOCKS)
def test_shape_and_layout_are_kept(kind):
    # In float32, where the CPU's convolutions hand the layout of their input on to the
    # next stage.
    block = oracle.randomise(BLOCKS[kind](32, **oracle.needed(kind, 3)), 1).float()
    z = block(oracle.clip_like(2, 32, 3, 5, 4, seed=1).float())
    assert z.shape == (2, 32, 3, 5, 4)
    assert z.is_contiguous()


MIXED = [(kind, oracle.needed(kind, 3)) for kind in BLOCKS]
MIXED += [
    ("nonlocal", {"form": form})
    for form in ("gaussian", "dot_product", "concatenation")
]
MIXED += [
    ("pyramid", {"form": form}) for form in ("gaussian", "dot_product", "concatenation")
]
MIXED += [("region", {"form": form}) for form in ("dot_product", "cosine")]


@pytest.mark.parametrize(("kind", "options"), MIXED)
def test_mixed_precision_is_near_float32(kind, options):
    block = oracle.randomise(BLOCKS[kind](32, **options), 2).float().eval()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.3)  # logits of order 1: bfloat16 keeps about 3 digits
    x = oracle.clip_like(2, 32, 3, 5, 4, seed=2).float()
    want = block(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = block(x)
        got.float().sum().backward()
    assert float(((got.float() - want).norm() / want.norm()).detach()) < 0.02
