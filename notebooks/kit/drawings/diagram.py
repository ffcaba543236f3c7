"""Diagrams of blocks, drawn from the layers that ran and the shapes that they gave."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from vidattn.figures.style import COLOURS, INK
from vidattn.meta import meta_copy

AFTER_RES3 = (1, 512, 8, 28, 28)  # features of a ResNet-50
SYMBOLS = {
    "f_theta": r"$F_\theta$",
    "out": "$W_z$",
    "bn": "BN",
    "linear_q": "linear Q",
    "linear_k": "linear K",
}


class Ran(NamedTuple):
    """One run of a layer.

    Attributes:
        kernel: Its kernel, such as `"3×7×7"`; `"matrix"` of a linear layer; empty for
            one without.
        given: Shape of its input without the batch.
        out: Shape of its output without the batch.
    """

    kernel: str
    given: tuple[int, ...]
    out: tuple[int, ...]


def times(sizes: Iterable[int]) -> str:
    """Return sizes as they are written, such as 3×7×7."""
    return "×".join(map(str, sizes))


def layers_that_ran(block: nn.Module, shape: Sequence[int]) -> dict[str, Ran]:
    """Run a block on the meta device, which costs nothing, and return what its layers
    took and gave.

    Args:
        block: A block, which is left as it is.
        shape: Shape of its input, `(B, C, T, H, W)`.

    Returns:
        By the name of the layer, in the order in which they first ran; a layer that ran
        several times is there as `"q 0"`, `"q 1"`.
    """
    runs: dict[str, list[Ran]] = {}

    def note(
        name: str, layer: nn.Module, given: tuple[Tensor, ...], out: Tensor
    ) -> None:
        linear = isinstance(layer, nn.Linear)
        kernel = "matrix" if linear else times(getattr(layer, "kernel_size", ()))
        run = Ran(kernel, tuple(given[0].shape[1:]), tuple(out.shape[1:]))
        runs.setdefault(name, []).append(run)

    on_meta = meta_copy(block)
    for name, layer in on_meta.named_modules():
        if not list(layer.children()):
            layer.register_forward_hook(partial(note, name))
    on_meta(torch.empty(tuple(shape), device="meta"))
    return {
        name if len(found) == 1 else f"{name} {number}": run
        for name, found in runs.items()
        for number, run in enumerate(found)
    }


def diagram(
    axis: Axes,
    layers: Mapping[str, Ran],
    positions: Mapping[str, tuple[float, float]],
    edges: Iterable[tuple[str, str]],
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw boxes and arrows: filled boxes are layers with weights, each with its kernel
    and output shape.

    Args:
        axis: Where to draw; its limits are the caller's to set.
        layers: What `layers_that_ran` gave.
        positions: Centre of each box, by name: that of a layer, or any other. A name
            that begins with `⊗` or `⊕` becomes a circle with this sign; what follows
            only tells it from others.
        edges: Pairs of names, each an arrow.
        labels: Texts of boxes that differ from the layer's symbol or the name.
    """
    drawn = {}
    for name, (x, y) in positions.items():
        kernel, _, out = layers.get(name, Ran("", (), ()))
        sign = name[0] in "⊗⊕"
        usual = name[0] if sign else SYMBOLS.get(name, name)
        text = (labels or {}).get(name) or usual
        text += (f": {kernel}" if kernel else "") + (f"\n{times(out)}" if out else "")
        layer = "#b5402f" if name == "f_theta" else COLOURS["region"]
        edge, fill, ink = (layer, layer, "white") if kernel else (INK, "white", INK)
        shape = "circle,pad=0.2" if sign else "round,pad=0.35"
        box = {"boxstyle": shape, "fc": fill, "ec": edge}
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
        drawn[name] = axis.text(x, y, text, color=ink, bbox=box, **look)
    line = {"arrowstyle": "-|>", "color": INK, "lw": 0.9, "shrinkA": 1, "shrinkB": 1}
    for a, b in edges:
        ends = [drawn[name].get_bbox_patch() for name in (a, b)]
        arrow: dict[str, Any] = line | dict(
            zip(("patchA", "patchB"), ends, strict=True)
        )
        axis.annotate("", positions[b], positions[a], arrowprops=arrow)
    axis.axis("off")


def around(
    axis: Axes, start: float, end: float, *, edge: float, top: float, bottom: float
) -> None:
    """Draw a residual connection: from the top, along an edge on the right, to the
    bottom.
    """
    line = [start, edge, edge, end], [top, top, bottom, bottom]
    axis.plot(*line, color=INK, lw=0.9)
