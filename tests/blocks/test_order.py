"""Which blocks see the order of the frames: do they commute with permutations of them,
or with reversal?

TABLE has what is known of the papers' blocks; what follows for a network is asked of
every block. What commutes with a permutation gives a permuted clip the permuted output,
and the mean over all positions, which a network ends in, does not change at all.
"""

import itertools
from typing import Literal, get_args, get_origin, get_type_hints

import oracle
import pytest
import torch

from vidattn.backbones import place, resnet_mini
from vidattn.blocks import BLOCKS, make_block

T = 4
ALL, REVERSAL, NONE = "every permutation", "reversal alone", "none"
LEARNED = {"positions": "learned", "frames": T}

TABLE = [
    ("nonlocal", {}, ALL),
    ("nonlocal", {"form": "gaussian"}, ALL),
    ("nonlocal", {"form": "dot_product"}, ALL),
    ("nonlocal", {"form": "concatenation"}, ALL),
    ("nonlocal", {"pool_keys": "after"}, ALL),
    # Regions are surroundings in time, too: a convolution tells before from after,
    # pooling does not.
    ("region", {"kernel": (3, 3, 3)}, NONE),
    ("region", {"kernel": (3, 3, 3), "form": "cosine"}, NONE),
    ("region", {"kernel": (3, 3, 3), "region": "avg"}, REVERSAL),
    ("region", {"kernel": (3, 3, 3), "region": "max"}, REVERSAL),
    ("region", {"kernel": (1, 3, 3)}, ALL),
    ("squeeze_excite", {}, ALL),
    ("additive_squeeze_excite", {}, ALL),
    ("cbam", {}, ALL),
    ("cbam", {"kernel": (3, 3, 3)}, NONE),
    ("global_context", {}, ALL),
    ("chain", {"kernel": (3, 3, 3)}, NONE),
    ("chain", {"kernel": (3, 3, 3), "region": "avg"}, REVERSAL),
    ("pyramid", {}, ALL),
    ("pyramid", {"combine": "concat", "pool": "max", "shared": False}, ALL),
    ("cgnl", {}, ALL),
    ("cgd", {}, ALL),
    ("double_attention", {}, ALL),
    ("crisscross", {}, ALL),
    ("recurrent_crisscross", {}, ALL),
    ("spatial_attention", {}, ALL),
    ("temporal_attention", {}, ALL),
    ("temporal_attention", {"groups": 4, "cross_channel": True}, ALL),
    ("temporal_attention", {"positions": "sinusoidal"}, NONE),
    ("temporal_attention", LEARNED, NONE),
    ("decoupled_nonlocal", {}, ALL),
    ("decoupled_nonlocal", {"positions": "sinusoidal"}, NONE),
    ("decoupled_nonlocal", {**LEARNED, "groups": 4, "cross_channel": True}, NONE),
    ("global_temporal_attention", {"frames": T}, NONE),
    (
        "global_temporal_attention",
        {"frames": T, "paths": ["pixel"], "spatial": False},
        NONE,
    ),
    (
        "global_temporal_attention",
        {"frames": T, "paths": ["region"], "groups": 1},
        NONE,
    ),
    ("glore", {}, ALL),
    ("decoupled_rival", {"rival": "cgnl"}, ALL),
    ("decoupled_rival", {"rival": "global_context"}, ALL),
    ("decoupled_rival", {"rival": "glore"}, ALL),
]
CASES = pytest.mark.parametrize(("kind", "options", "commutes"), TABLE)


def made(kind, options, channels):
    """A block in evaluation mode with random weights, small enough that no softmax is
    saturated.
    """
    block = oracle.randomise(make_block(kind, **options)(channels), 1).eval()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.5)
    return block


def difference(got, want):
    return float((got - want).abs().max() / want.abs().max())


def every_choice():
    """Each kind of block as it comes, and with each value of its options of names."""
    for kind, block in BLOCKS.items():
        yield kind, oracle.needed(kind, T)
        for name, hint in get_type_hints(block.__init__).items():
            for literal in (hint, *get_args(hint)):
                if get_origin(literal) is Literal:
                    for value in get_args(literal):
                        yield kind, oracle.needed(kind, T) | {name: value}


def off_by_order(block):
    """How far a block is from commuting with each permutation of the frames."""
    x = oracle.clip_like(2, 32, T, 4, 3, seed=1)
    with torch.no_grad():
        z = block(x)
        return {
            order: difference(block(x[:, :, order]), z[:, :, order])
            for order in itertools.permutations(range(T))
        }


@CASES
def test_order_of_the_frames(kind, options, commutes):
    off = off_by_order(made(kind, options, 32))
    assert off.pop((0, 1, 2, 3)) == 0
    if commutes == ALL:
        assert max(off.values()) < 1e-12
    elif commutes == REVERSAL:
        assert off.pop((3, 2, 1, 0)) < 1e-12
        assert min(off.values()) > 1e-6
    else:
        assert min(off.values()) > 1e-6


@pytest.mark.parametrize(
    ("kind", "options"), [*every_choice(), *(case[:2] for case in TABLE)]
)
def test_a_network_of_single_frames_tells_a_clip_from_its_reversal_as_its_block_does(
    kind, options
):
    reversed_off = off_by_order(made(kind, options, 32))[3, 2, 1, 0]
    torch.manual_seed(0)
    network = resnet_mini(num_classes=5).double().eval()
    place(network, {"res3": (1,)}, lambda channels: made(kind, options, channels))
    clip = oracle.clip_like(2, 3, T, 16, 16, seed=2)
    with torch.no_grad():
        off = difference(network(clip.flip(2)), network(clip))
    assert off < 1e-12 if reversed_off < 1e-12 else min(off, reversed_off) > 1e-6
