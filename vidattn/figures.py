"""The plots and numbers that several chapters share: attention maps, how alike they are, means with
intervals, run cards.

All figures are drawn for the width of the page's column, transparent, and returned as `Figure` objects
outside pyplot's list of open figures, so that a notebook's cell shows one once.
"""

import copy
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from vidattn.backbones.place import insertion, place, stages
from vidattn.backbones.resnet import resnet50
from vidattn.blocks import NonLocal, RegionNonLocal, make_block
from vidattn.errors import UserError
from vidattn.training.checkpoint import random_states, restore_random_states, write_atomically
from vidattn.training.experiment import Sampling, Synthetic, load_experiment
from vidattn.training.fit import load_trained
from vidattn.training.result import Result
from vidattn.training.stats import Interval, mean_interval
from vidattn.video import augment
from vidattn.video.decode import probe, read_frames
from vidattn.video.sample import sample

Query = tuple[int, int, int]

# One colour a mechanism through the whole book. Hues follow the colour-blind-safe set of Okabe and Ito
# (2008), darkened where needed to stand out from white by 3 : 1. More than eight colours cannot all be told
# apart by everybody: each mechanism has a marker of its own, too, and every plot writes the names.
COLOURS = {
    "baseline": "#8b9198",
    "nonlocal": "#d55e00",
    "region": "#0072b2",
    "squeeze_excite": "#008f68",
    "cbam": "#7a5a00",
    "global_context": "#c4649f",
    "chain": "#2f9fd8",
    "oracle": "#4d545c",
    "pyramid": "#b87800",
    "crisscross": "#7b5cc4",
    "temporal": "#0a9396",
}
MARKERS = dict(zip(COLOURS, ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "h"), strict=True))
# Between black and white: 5 : 1 on white, 4.6 : 1 on the light panel that the book puts behind figures in
# dark mode, and still 3.6 : 1 on near-black where nobody puts a panel (a notebook opened in a dark editor).
INK = "#646e79"
WIDTH = 7.4  # inches; the page's column
RNL_PLACES = {"res3": (1, 3), "res4": (1, 3, 5)}  # RNL paper, Table III: five blocks


def use_style() -> None:
    """Set seaborn's theme and the book's rules for every figure drawn from now on.

    Notebooks get vector figures with letters as outlines ('path'): the site shows a figure as an image of
    its own, which can reach no font of the page, and must look the same without a network and without the
    fonts of this machine.
    """
    import seaborn as sns
    from cycler import cycler

    sns.set_theme(
        context="notebook",
        style="ticks",
        font="DejaVu Sans",  # comes with matplotlib: the same on every machine
        rc={
            "figure.figsize": (WIDTH, 3.2),
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "savefig.edgecolor": "none",
            "figure.dpi": 110,
            "savefig.dpi": 200,
            "font.size": 10,
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9.5,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.linewidth": 0.8,
            "grid.color": INK,
            "grid.alpha": 0.2,
            "grid.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.8,
            "axes.prop_cycle": cycler(color=list(COLOURS.values())),
            "image.interpolation": "nearest",
            "svg.fonttype": "path",
            "svg.hashsalt": "vidattn",  # the same figure gives the same file
        },
    )
    # Only inside IPython: asking for its formats elsewhere would start a shell.
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


# Maps
# ---------------------------------------------------------------------------------------------------------------


def capture(model: nn.Module, module: nn.Module, clip: Tensor) -> Tensor:
    """Return what a module of a network is given in one forward pass, in evaluation mode and without
    gradients.

    Args:
        model: The network; the modes of its modules are the old ones afterwards.
        module: One of its modules, mostly a placed block.
        clip: The network's input `(B, 3, T, H, W)`.

    Returns:
        A copy of the module's first input, mostly `(B, C, T, H', W')`.

    Raises:
        UserError: The forward pass does not reach the module.
    """
    inputs: list[Tensor] = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs.append(given[0].detach().clone())

    modes = [(part, part.training) for part in model.modules()]
    handle = module.register_forward_pre_hook(note)
    try:
        with torch.no_grad():
            model.eval()(clip)
    finally:
        handle.remove()
        for part, training in modes:
            part.training = training
    if not inputs:
        raise UserError(f"the network's forward pass does not reach this {type(module).__name__}")
    return inputs[0]


def attention_maps(
    model: nn.Module, place: str, number: int, clip: Tensor, queries: Iterable[Query]
) -> Tensor:
    """Return the weights that a placed block gives from some positions to all positions.

    They are computed in float64 from the float32 network: after unscaled inner products float32 would round
    small weights to zero, and maps without their query's own position are made of just these.

    Args:
        model: A network.
        place: Stage that the block stands in, such as `"res3"`.
        number: Block of the stage, counting from 1, that it stands behind.
        clip: One clip `(1, 3, T, H, W)`.
        queries: Q positions (t, row, column) on the block's feature map, counted from 0.

    Returns:
        float64 maps `(Q, T, H', W')`, w / C(x), on the keys' grid: that of the feature map, or half of its
        height and width where keys are pooled. In an attention chain they are those of its region-based
        block, which sees what the squeeze-excite gives.

    Raises:
        UserError: The place holds no block with pairwise weights, a query lies outside, or there is more
            than one clip.
    """
    if clip.dim() != 5 or clip.shape[0] != 1:
        raise UserError(f"maps are those of one clip (1, 3, T, H, W), not of {tuple(clip.shape)}")
    block = _pairwise(insertion(model, place, number), f"{place} after block {number}")
    x = capture(model, block, clip)
    t, h, w = x.shape[2:]
    flat = []
    for query in queries:
        if any(not 0 <= i < size for i, size in zip(query, (t, h, w), strict=True)):
            raise UserError(f"query {tuple(query)} lies outside the feature map of size {(t, h, w)}")
        flat.append((query[0] * h + query[1]) * w + query[2])
    with torch.no_grad():
        maps = copy.deepcopy(block).double().attention(x.double(), torch.tensor(flat))[0]
    if maps.shape[1] != t * h * w:
        h, w = h // 2, w // 2
    return maps.reshape(-1, t, h, w)


def _pairwise(block: nn.Module, where: str) -> NonLocal | RegionNonLocal:
    found = [part for part in block.modules() if isinstance(part, NonLocal | RegionNonLocal)]
    if len(found) != 1:
        raise UserError(f"{where}: {type(block).__name__} has no map of weights; NonLocal, RegionNonLocal, AttentionChain do")
    return found[0]


def map_similarity(
    maps: Tensor, queries: Sequence[Query] | None = None, *, without_self: bool = False
) -> float:
    """Return how alike the maps of different queries are: the mean cosine over all pairs of queries.

        mean over a < b of  <m_a, m_b> / (|m_a| |m_b|)

    1 if all maps are the same up to a factor, 0 if no two overlap; maps without negative weights give nothing below 0. A
    map that is zero everywhere is like no other: its cosines count as 0.

    Args:
        maps: `(Q, ...)`, two or more.
        queries: The positions (t, row, column) of the Q queries on the maps' grid; needed for `without_self`.
        without_self: Leave the positions of both queries of a pair out of both of their maps. An RNL block compares a
            region with itself by the same vector, which favours the query's own position by construction; what is left
            is what a query thinks of the others.

    Raises:
        UserError: Fewer than two maps, or queries that do not fit them.
    """
    if len(maps) < 2:
        raise UserError(f"a similarity needs the maps of two or more queries, not {len(maps)}")
    own = _own_positions(maps, queries) if without_self else None
    flat = maps.reshape(len(maps), -1).double()
    cosines = []
    for a in range(len(flat)):
        for b in range(a + 1, len(flat)):
            pair = flat[[a, b]]
            if own is not None:
                pair[:, [own[a], own[b]]] = 0
            # Divided by their largest weights first: squares of small weights would vanish.
            pair = pair / pair.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(pair.dtype).tiny)
            norms = pair.norm(dim=1).prod()
            cosines.append(float(pair[0] @ pair[1] / norms) if norms > 0 else 0.0)
    return float(np.mean(cosines))


def own_weight(maps: Tensor, queries: Sequence[Query]) -> float:
    """Return the share of its weight that a query gives to its own position, w_ii / sum_j |w_ij|, mean over queries.

    Uniform maps give 1 / N. A map that is zero everywhere counts as 0.

    Args:
        maps: `(Q, T, H', W')`.
        queries: The positions (t, row, column) of the Q queries on the maps' grid (with pooled keys: row // 2 and
            column // 2 of those on the feature map).

    Raises:
        UserError: The queries do not fit the maps.
    """
    own = _own_positions(maps, queries)
    flat = maps.reshape(len(maps), -1).double()
    totals = flat.abs().sum(dim=1)
    shares = flat[torch.arange(len(flat)), own] / totals.clamp(min=torch.finfo(flat.dtype).tiny)
    return float(shares.mean())


def _own_positions(maps: Tensor, queries: Sequence[Query] | None) -> Tensor:
    if queries is None or len(queries) != len(maps):
        raise UserError(f"{len(maps)} maps need {len(maps)} queries, not {0 if queries is None else len(queries)}")
    t, h, w = maps.shape[1:]
    for query in queries:
        if any(not 0 <= i < size for i, size in zip(query, (t, h, w), strict=True)):
            raise UserError(f"query {tuple(query)} lies outside the maps of size {(t, h, w)}")
    return torch.tensor([(i * h + j) * w + k for i, j, k in queries])
