"""The figures of the RCCA-3D chapter: its clips, the module's parts and structures,
where three passes reach.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from notebooks.kit.drawings.diagram import diagram, layers_that_ran, times
from notebooks.kit.drawings.page import sheet
from vidattn.backbones import BACKBONES, place
from vidattn.blocks import CrissCross3d, RecurrentCrissCross3d
from vidattn.figures.style import COLOURS, INK

BY_PASS = ("#3b1782", "#7f57d6", "#cbbcec")  # of the pass that first reaches a position


def one_pass(channels: int, sides: Sequence[int]) -> Figure:
    """Draw the layers of a pass and what they gave, without and with reduced values:
    the paper's Fig. 3.

    Args:
        channels: C of the features.
        sides: T, H and W of the features.
    """
    figure, axes = sheet(4.2, columns=2)
    weights = times((sum(sides) - 2, *sides))
    for axis, reduced in zip(axes, (False, True), strict=True):
        block = CrissCross3d(channels, reduce_values=reduced)
        ran = layers_that_ran(block, (1, channels, *sides))
        layers = {name: run for name, run in ran.items() if run.kernel}
        features = times(ran["q"].given)
        texts = {name: f"${name}$" for name in "qkv"} | {"⊗": "⊗", "out": "restore"}
        texts |= {name: f"${name}$\n{features}" for name in "xy"}
        texts |= {"A": f"affinity, softmax\n{weights}"}
        positions = {"x": (0, 0), "q": (-1.15, -1.3), "k": (0, -1.3), "v": (1.15, -1.3)}
        positions |= {"A": (-0.57, -2.6), "⊗": (0.4, -3.6)}
        restored = "out" in layers
        positions |= {"out": (0.4, -4.6)} if restored else {}
        positions |= {"y": (0.4, -5.7 if restored else -4.9)}
        edges = [("x", "q"), ("x", "k"), ("x", "v"), ("q", "A"), ("k", "A")]
        edges += [("A", "⊗"), ("v", "⊗")]
        edges += pairwise(("⊗", "out", "y") if restored else ("⊗", "y"))
        diagram(axis, layers, positions, edges, texts)
        axis.set(xlim=(-1.75, 1.75), ylim=(-6.1, 0.4))
    return figure


def structures(inside: Sequence[str], others: Mapping[str, Sequence[str]]) -> Figure:
    """Draw modules as rows of boxes, an arc for what a pass adds: the paper's Figs. 2
    and 5.

    Args:
        inside: What each pass of the module in the first row adds: `"x"`, `"input"` or
            `"none"`. That module stands in a TSM ResNet-50, behind block 3 of res3.
        others: The same of further modules, by their names.
    """

    def box(name: str, shape: Sequence[int]) -> str:
        return f"{name}\n{times(shape)}"

    model = BACKBONES["resnet50"](num_classes=101, temporal="tsm")
    place(model, {"res3": (3,)}, RecurrentCrissCross3d)
    network = layers_that_ran(model, (1, 3, 8, 224, 224))
    given = network["res3.placed.3.crisscross.q 0"].given
    last, scores = network["res5.blocks.2.conv3"].out, network["fc"].out
    before = [box("clip", network["conv1"].given), box("to block 3\nof res3", given)]
    after = [box("block 4 of\nres3 to res5", last), box("mean, fc", scores)]
    figure, axis = sheet(3.6)
    _structure(axis, inside, 0.0, 0.0, before, after)
    for number, (name, added) in enumerate(others.items(), start=1):
        _structure(axis, added, -1.7 * number, 3.95)
        axis.text(0, -1.7 * number, name, va="center", fontsize=9)
    axis.set(xlim=(-0.8, 13.1), ylim=(-7.2, 1.3))
    return figure


def _structure(
    axis: Axes,
    added: Sequence[str],
    y: float,
    start: float,
    before: Sequence[str] = (),
    after: Sequence[str] = ("z",),
) -> None:
    names, arcs = [*before, "x"], []
    for r, rest in enumerate(added, start=1):
        if rest != "none":
            arcs.append(("x" if rest == "x" else names[-1], f"⊕ {r}"))
        names += [f"F {r}"] + [f"⊕ {r}"] * (rest != "none")
    names += after
    widths = {name: 0.75 for name in (*before, *after) if name != "z"}
    at = {}
    for name, following in zip(names, [*names[1:], ""], strict=True):
        at[name] = (start, y)
        start += 0.4 + widths.get(name, 0.2) + widths.get(following, 0.2)
    texts = {name: r"$\gamma\,\mathcal{F}$" for name in names if name[:2] == "F "}
    diagram(axis, {}, at, pairwise(names), texts | {"x": "$x$", "z": "$z$"})
    look: dict[str, Any] = {"arrowstyle": "-|>", "color": COLOURS["crisscross"]}
    look |= {"lw": 1.1, "shrinkA": 11, "shrinkB": 9}
    for a, b in arcs:
        bend = -0.42 if at[b][0] - at[a][0] < 3 else -0.28
        arrow = look | {"connectionstyle": f"arc3,rad={bend}"}
        axis.annotate("", at[b], at[a], arrowprops=arrow)


def reach_by_frame(maps: Sequence[np.ndarray], at: tuple[int, int, int]) -> Figure:
    """Draw how strongly one output depends on each input, a row for each number of
    passes, darker being stronger: the paper's Fig. 4.

    Args:
        maps: For one pass, two passes and so on the dependence (T, H, W).
        at: The position (t, row, column) of the output, which gets a ring.
    """
    low, high = min(m[m > 0].min() for m in maps), max(m.max() for m in maps)
    figure, axes = sheet(4.1, len(maps), len(maps[0]))
    for (r, t), axis in np.ndenumerate(axes):
        m = maps[r][t]
        logarithm = np.log(np.maximum(m, low) / low) / np.log(high / low)
        shade = np.where(m > 0, 0.15 + 0.85 * logarithm, 0)
        axis.imshow(shade, cmap="Purples", vmin=0, vmax=1)
        axis.set_xticks(np.arange(m.shape[1] + 1) - 0.5, [])
        axis.set_yticks(np.arange(m.shape[0] + 1) - 0.5, [])
        axis.grid(True, alpha=0.5)
        axis.tick_params(length=0)
        if t == at[0]:
            ring = {"mfc": "none", "mec": COLOURS["nonlocal"], "mew": 1.8}
            axis.plot(at[2], at[1], "o", ms=7, **ring)
        if t == 0:
            axis.set_ylabel(f"R = {r + 1}\n{(maps[r] > 0).sum()} of {maps[r].size}")
        if r == len(maps) - 1:
            axis.set_xlabel(f"frame {t}")
    return figure


def reach_in_perspective(
    maps: Sequence[np.ndarray], at: tuple[int, int, int]
) -> Figure:
    """Draw which positions one output depends on, frames one behind the other, a panel
    for each number of passes: the paper's Fig. 1.

    Args:
        maps: As for `reach_by_frame`.
        at: The position of the output.
    """
    reached = np.array(maps) > 0
    first = 1 + (~reached).cumprod(axis=0).sum(axis=0)  # the pass that first gets there
    corners = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])  # of a cell: row, column
    figure, axes = sheet(1.75, columns=len(maps))
    for R, axis in enumerate(axes, start=1):
        for (t, h, w), number in np.ndenumerate(first):
            down, right = (corners + np.array([h, w])).T
            fill = BY_PASS[number - 1] if number <= R else "none"
            if (t, h, w) == at:
                fill = COLOURS["nonlocal"]
            seen_aside = (3.6 * t + 0.42 * right, 0.3 * right - down)
            axis.fill(*seen_aside, fc=fill, ec=INK, lw=0.35)
        label = f"R = {R}: {(first <= R).sum()} positions"
        axis.set(aspect="equal", xticks=[], yticks=[], xlabel=label)
        axis.spines[:].set_visible(False)
    return figure
