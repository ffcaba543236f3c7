"""Who sees the order of frames: every kind of block, and a network as a whole; and
orders of positions that keep regions together.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from torch import Tensor, nn

from notebooks.kit.claims.probes import reversed_pairs
from notebooks.kit.proof import draw, error, randomise
from vidattn.backbones import BACKBONES, place
from vidattn.blocks import BLOCKS, make_block
from vidattn.training.evaluate import within_pairs

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
# Their sums run over a set of frames, or over one frame.
SETS = {
    "nonlocal",
    "cgnl",
    "global_context",
    "double_attention",
    "glore",
    "decoupled_rival",
    "pyramid",
    "crisscross",
    "recurrent_crisscross",
    "spatial_attention",
    "temporal_attention",
    "decoupled_nonlocal",
}


def predicted(kind: str, options: Mapping[str, Any]) -> str | None:
    """Return with which orders of frames a block commutes by the chapter's argument;
    None where it has none.
    """
    if kind == "global_temporal_attention" or options.get("positions"):
        return "none"
    if options.get("kernel", (1,))[0] > 1:  # a neighbourhood in time
        return "reversal alone" if options.get("region") in ("avg", "max") else "none"
    return "every permutation" if kind in SETS else None


def tell(
    network: nn.Module, clips: Tensor, labels: Sequence[int], classes: Sequence[str]
) -> tuple[float, float]:
    """Ask a network to tell clips from their reversals.

    Args:
        network: In evaluation mode.
        clips: (B, 3, T, H, W).
        labels: Their classes.
        classes: Names of all classes, some of which are each other's reversal.

    Returns:
        The largest difference of the scores of clips and reversals, relative to the
        largest score; and how often the right one of a class and its reversal has the
        higher score, 0.5 being a guess.
    """
    pairs = reversed_pairs(classes)
    partner = dict(pairs) | {b: a for a, b in pairs}
    with torch.no_grad():
        scores, back = network(clips), network(clips.flip(2))
    both = torch.cat([scores, back]).numpy()
    truth = np.array([*labels, *(partner[label] for label in labels)])
    return error(back, scores), within_pairs(both, truth, pairs)


def sweep(rounding: float = 1e-12) -> pd.DataFrame:
    """Ask every kind of block of the library with which orders of four frames it
    commutes.

    Weights are random. A block commutes with an order if shuffled frames give the
    shuffled output, up to rounding.

    Args:
        rounding: A smaller relative difference is none.

    Returns:
        For each kind and setting, under `commutes with`: every permutation, reversal
        alone or none; under `predicted` the same by argument; under `reversal` how far the block is from commuting with it;
        under `scores` how far the scores of a clip and of its reversal are from each
        other in a network of single frames with this block.

    Raises:
        AssertionError: A block commutes with some other set of orders, or a difference
            is neither rounding nor clearly more.
    """
    torch.manual_seed(0)
    clip, x = draw(1, 3, FRAMES, 16, 16), draw(2, 32, FRAMES, 4, 3)
    orders = [*permutations(range(FRAMES))][1:]  # the first one changes nothing
    names = {(): "none", (orders[-1],): "reversal alone"}
    names[tuple(orders)] = "every permutation"
    rows = []
    for kind, options in [(k, o) for k in BLOCKS for o in SETTINGS.get(k, [{}])]:
        off, scores = _differences(kind, options, orders, x, clip)
        known = (*off.values(), scores)
        assert all(not rounding <= value <= 1e-6 for value in known), (kind, options)
        alike = tuple(order for order, value in off.items() if value < rounding)
        assert alike in names, (kind, options, alike)
        told = [
            str(value) if name in SAID_ALONE else f"{name}={value}"
            for name, value in options.items()
            if name != "frames"
        ]
        argued, back = predicted(kind, options), off[orders[-1]]
        rows.append((kind, ", ".join(told), argued, names[alike], back, scores))
    columns = ["kind", "options", "predicted", "commutes with", "reversal", "scores"]
    return pd.DataFrame(rows, columns=columns)


def _differences(
    kind: str,
    options: dict[str, Any],
    orders: list[tuple[int, ...]],
    x: Tensor,
    clip: Tensor,
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


def of_regions(t: int, h: int, w: int) -> dict[str, np.ndarray]:
    """Return orders of a clip's positions, by what they keep together.

    Args:
        t: Frames.
        h: Rows, a multiple of 4.
        w: Columns, a multiple of 4.
    """
    rng, positions = np.random.default_rng(0), np.arange(t * h * w).reshape(t, h, w)
    at = {"t": t, "i": h // 4, "j": w // 4, "p": 2, "q": 2, "r": 2, "s": 2}
    inside, outside = "(t i j) (p q) (r s)", "t (i p r) (j q s)"
    nested = rearrange(positions, f"{outside} -> {inside}", **at)
    # Regions of side 4 go anywhere, those of side 2 stay in them, positions in those.
    nested = nested[rng.permutation(len(nested))]
    nested = np.take_along_axis(nested, rng.random((len(nested), 4, 1)).argsort(1), 1)
    nested = np.take_along_axis(nested, rng.random(nested.shape).argsort(2), 2)
    return {
        "any permutation": rng.permutation(positions.size),
        "regions kept together": rearrange(nested, f"{inside} -> {outside}", **at),
        "frames permuted": positions[rng.permutation(t)],
        "time reversed": positions[::-1],
        "shifted by one": np.roll(positions, 1, axis=2),
        "shifted by four": np.roll(positions, 4, axis=2),
    }
