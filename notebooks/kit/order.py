"""Which kinds of blocks see the order of frames: every one of them, in many settings."""

from itertools import permutations
from typing import Any

import pandas as pd
import torch

from notebooks.kit.proof import draw, error, randomise
from vidattn.backbones import BACKBONES, place
from vidattn.blocks import BLOCKS, make_block

FRAMES = 4
NEAR = {"kernel": (3, 3, 3)}
TAPE = {"positions": "sinusoidal"}
CROSSED = {"groups": 4, "cross_channel": True}
# A kind that is not listed is tried as it comes.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "nonlocal": [
        {},
        {"form": "gaussian"},
        {"form": "dot_product"},
        {"form": "concatenation"},
        {"pool_keys": "after"},
    ],
    "region": [
        NEAR,
        NEAR | {"form": "cosine"},
        NEAR | {"region": "avg"},
        NEAR | {"region": "max"},
        {"kernel": (1, 3, 3)},
    ],
    "cbam": [{}, NEAR],
    "chain": [NEAR, NEAR | {"region": "avg"}],
    "pyramid": [{}, {"combine": "concat", "pool": "max", "shared": False}],
    "temporal_attention": [
        {},
        CROSSED,
        TAPE,
        {"positions": "learned", "frames": FRAMES},
    ],
    "decoupled_nonlocal": [{}, TAPE, TAPE | CROSSED],
    "global_temporal_attention": [
        {"frames": FRAMES},
        {"frames": FRAMES, "cross_channel": False},
        {"frames": FRAMES, "paths": ["pixel"], "spatial": False, "groups": 1},
        {"frames": FRAMES, "paths": ["region"], "spatial": False, "groups": 1},
    ],
    "decoupled_rival": [
        {"rival": name} for name in ("cgnl", "global_context", "glore")
    ],
}
SAID_ALONE = ("form", "rival", "pool", "region", "positions")  # their values say enough


def sweep(rounding: float = 1e-12) -> pd.DataFrame:
    """Ask every kind of block of the library with which orders of four frames it
    commutes.

    Weights are random. A block commutes with an order if shuffled frames give the
    shuffled output, up to rounding.

    Args:
        rounding: A smaller relative difference is none.

    Returns:
        For each kind and setting, under `commutes with`: every permutation, reversal
        alone or none; under `reversal` how far the block is from commuting with it;
        under `scores` how far the scores of a clip and of its reversal are from each
        other in a network of single frames with this block.

    Raises:
        AssertionError: A block commutes with some other set of orders, or a difference
            is neither rounding nor clearly more.
    """
    torch.manual_seed(0)
    clip, x = draw(1, 3, FRAMES, 16, 16), draw(2, 32, FRAMES, 4, 3)
    orders = [*permutations(range(FRAMES))][1:]  # the first one changes nothing
    rows = []
    for kind, options in [(k, o) for k in BLOCKS for o in SETTINGS.get(k, [{}])]:
        off, scores = _differences(kind, options, orders, x, clip)
        known = (*off.values(), scores)
        assert all(not rounding <= value <= 1e-6 for value in known), (kind, options)
        alike = [order for order, value in off.items() if value < rounding]
        commutes = {
            (): "none",
            (orders[-1],): "reversal alone",
            tuple(orders): "every permutation",
        }[tuple(alike)]
        told = [
            str(value) if name in SAID_ALONE else f"{name}={value}"
            for name, value in options.items()
            if name != "frames"
        ]
        rows.append((kind, ", ".join(told), commutes, off[orders[-1]], scores))
    columns = ["kind", "options", "commutes with", "reversal", "scores"]
    return pd.DataFrame(rows, columns=columns)


def _differences(
    kind: str,
    options: dict[str, Any],
    orders: list[tuple[int, ...]],
    x: torch.Tensor,
    clip: torch.Tensor,
) -> tuple[dict[tuple[int, ...], float], float]:
    """Return how far a block is from commuting with each order, and the scores of a
    clip and its reversal from each other.
    """
    torch.manual_seed(1)
    make = make_block(kind, **options)
    block = randomise(make(x.shape[1]), std=0.1).eval()
    network = BACKBONES["resnet_mini"](num_classes=5)
    network = place(network, {"res3": (1,)}, lambda c: randomise(make(c), std=0.1))
    network = network.double().eval()
    with torch.no_grad():
        z = block(x)
        off = {order: error(block(x[:, :, order]), z[:, :, order]) for order in orders}
        return off, error(network(clip.flip(2)), network(clip))
