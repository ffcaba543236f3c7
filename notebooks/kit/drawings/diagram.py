"""Diagrams of blocks, drawn from the layers that ran and the shapes that they gave."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from vidattn.figures.style import COLOURS, INK
from vidattn.meta import meta_copy

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
        sizes = (
            ["matrix"]
            if isinstance(layer, nn.Linear)
            else map(str, getattr(layer, "kernel_size", ()))
        )
        runs.setdefault(name, []).append(
            Ran("×".join(sizes), *(tuple(x.shape[1:]) for x in (given[0], out)))
        )

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
        text = (labels or {}).get(name) or (
            name[0] if sign else SYMBOLS.get(name, name)
        )
        text += (
            (f": {kernel}" if kernel else "")
            + "\n" * bool(out)
            + "×".join(map(str, out))
        )
        colour = (
            INK if not kernel else "#b5402f" if name == "f_theta" else COLOURS["region"]
        )
        fill, ink = (colour, "white") if kernel else ("white", INK)
        box = {
            "boxstyle": "circle,pad=0.2" if sign else "round,pad=0.35",
            "fc": fill,
            "ec": colour,
        }
        drawn[name] = axis.text(
            x, y, text, ha="center", va="center", fontsize=8, color=ink, bbox=box
        )
    for a, b in edges:
        ends = {
            "patchA": drawn[a].get_bbox_patch(),
            "patchB": drawn[b].get_bbox_patch(),
        }
        arrow = {
            "arrowstyle": "-|>",
            "color": INK,
            "lw": 0.9,
            "shrinkA": 1,
            "shrinkB": 1,
            **ends,
        }
        axis.annotate("", positions[b], positions[a], arrowprops=arrow)
    axis.axis("off")
