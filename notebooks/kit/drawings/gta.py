"""The figures of the GTA chapter and of its companions."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from einops import reduce
from matplotlib.figure import Figure
from torch import Tensor, nn

from notebooks.kit.drawings.clips import Seen
from notebooks.kit.drawings.diagram import AFTER_RES3, diagram, layers_that_ran
from notebooks.kit.drawings.page import sheet
from notebooks.kit.seen import cover, mean_on
from vidattn.blocks import DecoupledNonLocal, GlobalTemporalAttention, NonLocal
from vidattn.figures.maps import capture
from vidattn.figures.pictures import lay_over
from vidattn.figures.style import COLOURS, INK
from vidattn.training import build_data

PATHS = ("pixel", "region")
FIVE_ROWS = ("NL", "DNL, space", "DNL, time", "swapped, space", "swapped, time")
LEVELS = ("(a) NL", 1.1), ("(b) DNL", 2.3), ("(c) GTA", 1.8)  # half of its height


def clip_and_reversal(
    frames: np.ndarray, shown: Sequence[int], classes: tuple[str, str]
) -> Figure:
    """Draw some frames of a clip, and below them the same ones, last first.

    Args:
        frames: The clip, uint8 (T, H, W, 3).
        shown: The frames' numbers.
        classes: The clip's class, and that of its reversal.
    """
    figure, axes = sheet(2.7, 2, len(shown))
    for row, order, name in zip(axes, (shown, shown[::-1]), classes, strict=True):
        for axis, t in zip(row, order, strict=True):
            axis.imshow(frames[t])
            axis.set(xticks=[], yticks=[], xlabel=f"frame {t}")
        row[0].set_ylabel(name)
    return figure


def overview(shape: tuple[int, ...] = AFTER_RES3) -> Figure:
    """Draw the paper's Figure 2, with the layers that ran in the library's blocks."""
    c, t, h, w = shape[1:]
    gta = GlobalTemporalAttention(c, frames=t)
    rows: list[tuple[nn.Module, Drawn]] = [
        (NonLocal(c), _entangled(t * h * w)),
        (DecoupledNonLocal(c), _in_space_and_time(h * w, t)),
        (gta, _global(gta.groups * t)),
    ]
    figure, axes = sheet(8.2, 3, height_ratios=(1, 2, 1.75))
    for axis, (block, drawn), (name, half) in zip(axes, rows, LEVELS, strict=True):
        ran = layers_that_ran(block, shape)
        diagram(axis, ran, *drawn)
        # The spatial attention before GTA is one box: it is all of (b)'s upper row.
        missing = {n for n, layer in ran.items() if layer.kernel} - {*drawn[0]}
        assert all(n.startswith("spatial.") for n in missing)
        axis.set(xlim=(-0.4, 7.1), ylim=(-half, 1.5 if block is gta else half))
        axis.text(-0.4, half * 0.8, name, fontsize=9, va="top")
    return figure


Boxes = dict[str, tuple[float, float]]
Drawn = tuple[Boxes, list[tuple[str, str]], dict[str, str]]  # boxes, arrows, texts


def _attention(prefix: str, size: str, y: float, start: str, end: str) -> Drawn:
    """Return one attention: three projections, softmax, product, W_O."""
    q, k, v, out = (f"{prefix}{name}" for name in ("q", "k", "v", "out"))
    m, times = f"M{prefix}", f"⊗{prefix}"
    at = {q: (1.5, y + 0.72), k: (1.5, y), v: (1.5, y - 0.72), m: (3.1, y + 0.36)}
    at |= {times: (4.3, y), out: (5.4, y)}
    arrows = [(start, q), (start, k), (start, v), (q, m), (k, m)]
    arrows += [(m, times), (v, times), (times, out), (out, end)]
    said = {q: "$W_Q$", k: "$W_K$", v: "$W_V$", out: "$W_O$", m: f"softmax\n{size}"}
    return at, arrows, said


def _entangled(positions: int) -> Drawn:
    at, arrows, said = _attention("", f"{positions}×{positions}", 0, "x", "y")
    at |= {"x": (0, 0), "y": (6.7, 0)}
    return at, arrows, said | {"x": "$X$", "y": "$Y$"}


def _in_space_and_time(places: int, frames: int) -> Drawn:
    at: Boxes = {"x": (0, 1.2), "Ys": (6.7, 1.2)}
    at |= {"Ys ": (0, -1.2), "y": (6.7, -1.2)}
    space = _attention("0.", f"{places}×{places}\na frame", 1.2, "x", "Ys")
    time = _attention("1.", f"{frames}×{frames}\na place", -1.2, "Ys ", "y")
    said = {"x": "$X$", "Ys": "$Y_s$", "Ys ": "$Y_s$", "y": "$Y_t$"}
    return at | space[0] | time[0], space[1] + time[1], space[2] | time[2] | said


def _global(side: int) -> Drawn:
    at = {"x": (0.0, 0.0), "SA": (0.75, 0), "v.pixel": (2.3, 1), "MP": (4.3, 1)}
    at |= {"out.pixel.0": (5.7, 1), "⊕": (6.7, 0), "w_g": (1.8, -0.2)}
    at |= {"v.region": (1.8, -1.35), "⊗1": (2.85, -1.05), "MR": (3.75, -1.35)}
    at |= {"⊗2": (4.6, -0.6), "out.region.0": (5.7, -0.6)}
    pixel = ["x", "SA", "v.pixel", "MP", "out.pixel.0", "⊕"]
    region = ["SA", "w_g", "⊗1", "MR", "⊗2", "out.region.0", "⊕"]
    arrows = [*pairwise(pixel), *pairwise(region)]
    arrows += [("SA", "v.region"), ("v.region", "⊗1"), ("w_g", "⊗2")]
    said = {"x": "$X$", "SA": "SA,\nEq. (3)", "w_g": "$W_G$"}
    said |= {f"v.{path}": "$W_V$" for path in PATHS}
    said |= {f"out.{path}.0": "$W_O$" for path in PATHS}
    said["MP"] = f"$\\hat{{M}}_P$, heads\n{side}×{side}"
    said["MR"] = f"$\\hat{{M}}_R$\n{side}×{side}"
    return at, arrows, said


def order_plot(table: pd.DataFrame) -> Figure:
    """Draw for every setting of a block how far the scores of a clip are from those of
    its reversal.

    Args:
        table: What `notebooks.kit.order.sweep` returns.
    """
    table = table.sort_values("scores", kind="stable").reset_index(drop=True)
    figure, axis = sheet(0.19 * len(table) + 0.6)
    for row, (kind, off) in enumerate(zip(table["kind"], table["scores"], strict=True)):
        tone, marker, size = "region" if off > 1e-12 else "baseline", "o", 5
        if kind == "global_temporal_attention":
            tone, marker, size = "temporal", "D", 6
        axis.plot(max(off, 1e-17), row, marker, color=COLOURS[tone], ms=size)
    axis.axvline(1e-9, color=INK, lw=0.8, ls=":")
    said = "scores of a clip and its reversal: relative difference"
    axis.set(xscale="log", xlabel=said, ylim=(-0.7, len(table) - 0.3))
    names = (table["kind"] + " " + table["options"]).str.strip().str.replace("_", " ")
    axis.set_yticks(range(len(table)), names, fontsize=7)
    return figure


def five_rows(
    nl: nn.Module, dnl: Any, x_nl: Tensor, x_dnl: Tensor, query: Sequence[int]
) -> Tensor:
    """Return the rows of Figure 17: maps of one query in NL, in the two parts of DNL,
    and in the two after their projections have been swapped.

    Args:
        nl: A non-local block.
        dnl: A `DecoupledNonLocal`, which is left as it is.
        x_nl: The first one's input, (1, C, T, H, W).
        x_dnl: The second one's.
        query: Its frame, row and column.

    Returns:
        (5, T, H, W).
    """
    sides = x_nl.shape[2:]
    flat = torch.tensor([np.ravel_multi_index(tuple(query), sides)])
    with torch.no_grad():
        maps = [nl.attention(x_nl, flat)]  # type: ignore[operator]
        for _ in range(2):
            maps.append(dnl[0].attention(x_dnl, flat))
            maps.append(dnl[1].attention(dnl[0](x_dnl), flat))
            dnl.swap()  # the second time back
    return torch.cat(maps).reshape(5, *sides)


def query_on(mask: np.ndarray, sides: Sequence[int]) -> tuple[int, ...]:
    """Return frame, row and column of the cell that an object covers most."""
    covered = cover(mask, sides)
    return tuple(int(i) for i in np.unravel_index(int(covered.argmax()), covered.shape))


class SeenClip(NamedTuple):
    """A test clip, as a network at rest sees it.

    Attributes:
        frames: As it was drawn, uint8 (T, H, W, 3).
        clip: As it was decoded, (1, 3, T, H, W).
        mask: Where its object is, bool (T, H, W).
        label: Its class.
    """

    frames: np.ndarray
    clip: Tensor
    mask: np.ndarray
    label: int


def seen_clips(experiment: Any, most: int) -> list[SeenClip]:
    """Return the first test clips of a synthetic task.

    Args:
        experiment: A description of a run, on synthetic clips.
        most: How many.
    """
    task, sampling = experiment.data.test, experiment.sampling
    test, found = build_data(experiment)[1], []
    for index in range(min(most, len(test))):
        drawn = Seen(task, index, sampling.frames, sampling.size)
        mask = drawn.cut(drawn.scene.target)
        clip, label = test[index]
        found.append(SeenClip(drawn.pictures, clip, mask, label))
    return found


def averaged(block: Any) -> dict[str, Tensor]:
    """Return the squares of Figure 15: the matrices of each path averaged over groups
    and heads, absolute values.
    """
    pattern, matrices = "... t s -> t s", block.m.items()
    return {path: reduce(m.detach(), pattern, "mean").abs() for path, m in matrices}


def show_matrices(columns: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw a column for each block, a row for each path.

    Args:
        columns: What `averaged` returns, by the blocks' names.
    """
    figure, axes = sheet(3.1, 2, len(columns), squeeze=False)
    for column, (title, squares) in enumerate(columns.items()):
        for axis, path in zip(axes[:, column], PATHS, strict=True):
            axis.set(xticks=[], yticks=[], ylabel="" if column else path)
            if path in squares:
                axis.imshow(squares[path], cmap="Greys")
        axes[-1, column].set_xlabel(title)
    return figure


def fresh_like(block: Any, options: Mapping[str, Any]) -> nn.Module:
    """Return a block whose weights have learned nothing, made as a trained one was.

    Args:
        block: The trained one.
        options: What it was made with.
    """
    torch.manual_seed(0)
    (channels,) = {layer.in_channels for layer in block.v.values()}
    return GlobalTemporalAttention(channels, **options).eval()


def regions(
    network: nn.Module, blocks: Sequence[Any], seen: Sequence[SeenClip]
) -> list[list[Tensor]]:
    """Return the regions' weights (K, T, H, W) of some clips, for each of some blocks.

    Args:
        network: A trained network.
        blocks: The first one stands in it; all are given what this one is given.
        seen: The clips.
    """
    given = [capture(network, blocks[0], each.clip) for each in seen]
    with torch.no_grad():
        return [[block.regions(x)[0] for x in given] for block in blocks]


def level_on(regions: Sequence[Tensor], seen: Sequence[SeenClip]) -> float:
    """Return how much the region that answers most to an object lies above the mean on
    it, in standard deviations of its map; the mean over clips.
    """
    levels = []
    for g_r, each in zip(regions, seen, strict=True):
        over = (1, 2, 3)
        on_object = torch.tensor([mean_on(weights, each.mask) for weights in g_r])
        level = (on_object - g_r.mean(dim=over)) / g_r.std(dim=over)
        levels.append(level.abs().max().item())
    return float(np.mean(levels))


def show_two_regions(seen: Sequence[SeenClip], regions: Sequence[Tensor]) -> Figure:
    """Draw the two regions whose weights vary most, two rows a clip: red is positive,
    blue negative.

    Args:
        seen: The clips.
        regions: Weights of the regions of each, (K, T, H, W).
    """
    rows, frames = 2 * len(seen), len(seen[0].frames)
    figure, axes = sheet(5.9 * rows / 6, rows, frames, squeeze=False)
    for row in range(rows):
        pictures, g_r = seen[row // 2].frames, regions[row // 2]
        varying = g_r.flatten(1).std(dim=1).argsort(descending=True)
        k = int(varying[row % min(2, len(g_r))])
        top = g_r[k].abs().max().item()
        look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -top, "vmax": top}
        maps = g_r[k].numpy()
        for axis, picture, weights in zip(axes[row], pictures, maps, strict=True):
            axis.imshow(picture)
            lay_over(axis, weights, pictures.shape[1:3], alpha=0.55, **look)
            axis.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(f"clip {row // 2 + 1},\nregion {k + 1}", fontsize=7)
    return figure
