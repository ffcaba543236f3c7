"""Figures of the PNL paper: drawn from a module that ran, or remade with networks."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from pandas.io.formats.style import Styler
from torch import nn

from notebooks.kit.claims import Record, mean_interval
from notebooks.kit.drawings.diagram import (
    AFTER_RES3,
    Ran,
    around,
    diagram,
    layers_that_ran,
    times,
)
from notebooks.kit.drawings.page import sheet
from vidattn import figures
from vidattn.blocks import NonLocal, PyramidNonLocal
from vidattn.figures.maps import Region
from vidattn.training import Result
from vidattn.video.datasets import VideoDataset
from vidattn.video.synthetic import SyntheticSpec, render

SCALES = 4
KINDS = {"baseline": "baseline", "NL": "nonlocal", "PNL": "pyramid"}

Layers = dict[str, Ran]


def _column(
    ran: Layers, at: float, name: str, first: str
) -> tuple[dict[str, tuple[float, float]], dict[str, str]]:
    """One non-local operation as boxes: theta, phi, g in one, since they have one
    shape; pairs; W_z.
    """
    q, k, v, out = (name.format(layer) for layer in ("q", "k", "v", "out"))
    assert ran[q] == ran[k] == ran[v]
    pairs, count = f"pairs {name}", prod(ran[q].out[1:])
    boxes = {first: (at, -1), q: (at, -2.2), pairs: (at, -3.4), out: (at, -4.6)}
    texts = {
        first: f"${first}$\n{times(ran[q].given)}",
        q: r"$\theta,\,\phi,\,g$",
        pairs: f"softmax, ⊗\n{count}×{count}",
        out: "$W_z$",
    }
    return boxes, texts


def figure_2(nonlocal_: Layers, module: Layers) -> Figure:
    """Draw the non-local block and the PNL module from their layers.

    Args:
        nonlocal_: The layers of a `NonLocal` that ran.
        module: Those of a `PyramidNonLocal` of four scales.
    """
    fig, (left, right) = sheet(6, columns=2, width_ratios=(1, 3.4))
    boxes, texts = _column(nonlocal_, 0, "{}", "x")
    boxes |= {"bn": (0, -6.4), "⊕": (0, -7.4)}
    diagram(left, nonlocal_, boxes, pairwise(boxes), texts)

    ends = {"f": (1.65, -5.7), "bn": (1.65, -6.6), "⊕": (1.65, -7.4)}
    places, arrows = {"x": (1.65, 0.1), **ends}, [*pairwise(ends)]
    texts |= {"x": f"$x$\n{times(AFTER_RES3[1:])}", "f": "$f_{comb}$"}
    for k in range(SCALES):
        boxes, more = _column(module, 1.1 * k, f"operations.0.{{}} {k}", f"X_{k}")
        places, texts = places | boxes, texts | more
        arrows += [("x", f"X_{k}"), *pairwise(boxes), ([*boxes][-1], "f")]
    diagram(right, module, places, arrows, texts)
    for axis, middle, top, edge in ((left, 0, -1, 0.6), (right, 1.65, 0.1, 3.92)):
        around(axis, middle + 0.5, middle + 0.2, edge=edge, top=top, bottom=-7.4)
        axis.set(xlim=(-0.6, edge + 0.05), ylim=(-7.8, 0.6))
    return fig


def blocks_that_ran() -> tuple[Layers, Layers]:
    """Return the layers of the non-local block and of the PNL module, given the
    features after res3 of a ResNet-50.
    """
    block, module = NonLocal(512), PyramidNonLocal(512)
    return layers_that_ran(block, AFTER_RES3), layers_that_ran(module, AFTER_RES3)


def figure_3(module: Layers) -> Figure:
    """Draw f_comb from the layers of a `PyramidNonLocal` that ran."""
    fig, axis = sheet(4.1)
    results = [f"operations.0.out {k}" for k in range(SCALES)]
    given, wide = module["linear_q"].given, module[results[0]].out
    stacked = times((given[0], *wide))
    texts = {name: f"$Y_{k}$" for k, name in enumerate(results)} | {
        "means": f"mean over regions, stack: $Y'_{{stack}}$\n{times(given)}",
        "softmax": f"softmax of $QK^⊤ / \\sqrt{{C'}}$\n{given[0]}×{given[0]}",
        "stack": f"repeat, stack: $Y_{{stack}}$\n{stacked}",
        "reshape": f"reshape\n{times(module['bn'].given)}",
    }
    places = {name: (1.2 * k, 0.0) for k, name in enumerate(results)}
    places |= {"means": (0.6, -1), "linear_q": (0.05, -2), "linear_k": (1.15, -2)}
    places |= {"softmax": (0.6, -3), "stack": (3, -2), "⊗": (1.8, -3.8)}
    places |= {"reshape": (1.8, -4.6)}
    arrows = [(name, to) for name in results for to in ("means", "stack")]
    for linear in ("linear_q", "linear_k"):
        arrows += pairwise(("means", linear, "softmax"))
    arrows += [*pairwise(("softmax", "⊗", "reshape")), ("stack", "⊗")]
    plain = {k: v._replace(kernel="") if ".out" in k else v for k, v in module.items()}
    diagram(axis, plain, places, arrows, texts)
    axis.set(xlim=(-0.6, 4.2), ylim=(-5, 0.4))
    return fig


def figure_1(
    pictures: np.ndarray, positions: list[Region], regions: list[Region], side: int
) -> Figure:
    """Draw arrows from a position, and from the region that holds it, to those that
    they are correlated with most.

    Args:
        pictures: Frames, one for each frame of the features.
        positions: The query, then the positions that it attends to.
        regions: The same of the largest scale.
        side: Height and width of a picture, in pixels.
    """
    figure = figures.show_regions(
        pictures, [positions, regions], ["positions", "regions"]
    )
    axes = np.array(figure.axes).reshape(2, -1)
    for row, (own, *others) in zip(axes, (positions, regions), strict=True):
        for region in others:
            ends = _middle(own, side), _middle(region, side)
            inside = row[own.t].transData, row[region.t].transData
            colour = row[region.t].patches[-1].get_edgecolor()
            look = {"arrowstyle": "-|>", "color": colour, "lw": 0.9}
            figure.add_artist(ConnectionPatch(*ends, *inside, **look))
    return figure


def _middle(region: Region, side: int) -> tuple[float, float]:
    left, top, width, height = region.box
    return side * (left + width / 2), side * (top + height / 2)


def figure_4(records: Sequence[Record], classes: Sequence[str]) -> Figure:
    """Draw the accuracy of the recorded networks in each class: mean over seeds, and
    its 95% interval where there are two seeds or more.
    """
    fig, axis = sheet(2.6)
    for shift, (name, kind) in zip((-0.2, 0, 0.2), KINDS.items(), strict=True):
        colour, marker = figures.COLOURS[kind], figures.MARKERS[kind]
        tables = [np.array(row.confusion) for row in records if row.variant == name]
        shares = np.array([100 * t.diagonal() / t.sum(axis=1) for t in tables])
        for place, values in enumerate(shares.T):
            if len(values) > 1:
                _, low, high = mean_interval([*values])
                axis.plot([place + shift] * 2, [low, high], color=colour)
        if len(shares):
            at = np.arange(len(classes)) + shift
            mean = shares.mean(axis=0)
            axis.plot(at, mean, color=colour, marker=marker, ls="", label=name)
    axis.set(xticks=range(len(classes)), xticklabels=classes, ylabel="accuracy (%)")
    if records:
        axis.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return fig


def scale_weights(
    network: nn.Module, module: PyramidNonLocal, test: VideoDataset, clips: int
) -> Styler:
    """Return how much each scale of a trained module takes from each: mean and standard
    deviation over some test clips.
    """
    shown = (test[i][0][:1] for i in range(min(clips, len(test))))
    inputs = [figures.capture(network, module, clip) for clip in shown]
    a = torch.cat([module.scale_weights(x) for x in inputs]).detach()
    pairs = zip(a.mean(0).tolist(), a.std(0).tolist(), strict=True)
    rows = [[f"{m:.3f} ± {s:.3f}" for m, s in zip(*row, strict=True)] for row in pairs]
    scales = [f"scale {k}" for k in range(module.scales)]
    columns = [f"takes from {name}" for name in scales]
    return pd.DataFrame(rows, index=scales, columns=columns).style.set_caption(
        "a_kl of the live PNL module: mean and standard deviation over clips."
    )


def _right(results: Mapping[str, Result]) -> dict[str, np.ndarray]:
    return {name: x.logits().argmax(1) == x.labels() for name, x in results.items()}


def first_win(results: Mapping[str, Result]) -> int:
    """Return the first test clip that PNL gets right and the bare network wrong, or the
    first clip if there is none.
    """
    right = _right(results)
    if not {"PNL", "baseline"} <= {*right}:
        return 0
    wins = np.flatnonzero(right["PNL"] & ~right["baseline"])
    return int(wins[0]) if len(wins) else 0


def _examples(results: Mapping[str, Result]) -> list[int]:
    """Return the first two test clips that PNL alone gets right, and the first two that
    it alone gets wrong; the first two of all if there are none.
    """
    right = _right(results)
    ours = right.pop("PNL")
    theirs = np.array([*right.values()])
    alone = np.flatnonzero(ours & ~theirs.any(0))
    against = np.flatnonzero(~ours & theirs.all(0))
    print(
        f"Of {len(ours)} test clips, PNL alone gets {len(alone)} right and "
        f"{len(against)} wrong."
    )
    return [int(i) for i in (*alone[:2], *against[:2])] or [0, 1]


def figure_5(results: Mapping[str, Result], spec: SyntheticSpec | None) -> Figure:
    """Draw the three most probable classes of each network, the true one filled, for
    clips that PNL alone gets right or wrong.

    Args:
        results: The networks' results, by name; PNL's among them.
        spec: Description of the test clips, if they are ours.
    """
    clips = _examples(results)
    classes = spec.classes if spec else [str(i) for i in range(10**3)]
    height, rows, columns = 1.05 * len(clips), len(clips), len(results) + 1
    fig, axes = sheet(height, rows, columns, squeeze=False)
    for row, i in zip(axes, clips, strict=True):
        if spec:
            row[0].imshow(render(spec, i).frames[spec.frames // 2])
        row[0].set(xticks=[], yticks=[], ylabel=f"clip {i}")
        for axis, (name, result) in zip(row[1:], results.items(), strict=True):
            logits, colour = result.logits()[i], figures.COLOURS[KINDS[name]]
            odds = np.exp(logits - logits.max())
            shares, true = 100 * odds / odds.sum(), result.labels()[i]
            best = np.argsort(-shares)[:3]
            fills = [colour if c == true else "none" for c in best]
            names = [classes[c] for c in best]
            axis.barh(names, shares[best], color=fills, ec=colour)
            last = row[0] is axes[-1, 0]
            axis.set(xlim=(0, 100), xticks=[0, 50, 100] if last else [])
            axis.invert_yaxis()
            axis.set_title(name if row[0] is axes[0, 0] else "", fontsize=9)
    return fig
