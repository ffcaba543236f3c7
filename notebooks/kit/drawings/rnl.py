"""Figures of the RNL paper, drawn from modules that ran."""

from itertools import pairwise

from matplotlib.figure import Figure
from torch import nn

from notebooks.kit.drawings.diagram import (
    AFTER_RES3,
    around,
    diagram,
    layers_that_ran,
)
from notebooks.kit.drawings.page import sheet
from vidattn import figures
from vidattn.blocks import NonLocal, RegionNonLocal

RED, BLUE = "#b5402f", figures.COLOURS["region"]
TAIL = {"softmax": (-0.55, -3.5), "⊗'": (0, -4.3), "out": (0, -5.2)}
TAIL |= {"bn": (0, -6.25), "⊕": (0, -7.2)}


def figure_2() -> Figure:
    """Draw the RNL block and the NL block from their layers, each with the shape that
    leaves it when the block is given the features after res3.
    """
    fig, (left, right) = sheet(5.6, columns=2)
    ends = {"x": (0, 0.2), "⊗": (-0.55, -2.7)} | TAIL
    places = ends | {"v": (0, -0.7), "f_theta": (-0.55, -1.7)}
    arrows = [*pairwise(("x", "v", "f_theta", "⊗", "softmax")), ("v", "⊗'")]
    arrows += pairwise(TAIL)
    ran = layers_that_ran(RegionNonLocal(512), AFTER_RES3)
    diagram(left, ran, places, arrows, {"v": "$W_g$"})

    places = ends | {"q": (-1.08, -1.2), "k": (0, -1.2), "v": (1.08, -1.2)}
    arrows = [*pairwise(("x", "q", "⊗", "softmax")), *pairwise(("x", "k", "⊗"))]
    arrows += [*pairwise(("x", "v", "⊗'")), *pairwise(TAIL)]
    texts = {"q": r"$\theta$", "k": r"$\phi$", "v": "$g$"}
    diagram(right, layers_that_ran(NonLocal(512), AFTER_RES3), places, arrows, texts)
    for axis in (left, right):
        around(axis, 0.15, 0.22, edge=1.52, top=0.2, bottom=-7.2)
        axis.set(xlim=(-1.6, 1.6), ylim=(-7.7, 0.5))
    return fig


def figure_3(*convolutions: nn.Conv3d) -> Figure:
    """Draw convolutions between as many channels as lines, one for each pair of an
    input and an output channel that are connected.
    """
    fig, axes = sheet(1.7, columns=len(convolutions))
    for axis, convolution in zip(axes, convolutions, strict=True):
        channels, groups = convolution.out_channels, convolution.groups
        each = channels // groups  # input channels that one output channel sees
        for out in range(channels):
            first = out // each * each
            for source in range(first, first + each):
                colour = RED if each == 1 else figures.INK
                axis.plot([source, out], [1, 0], color=colour, lw=1)
        dots = [*range(channels)] * 2, [1] * channels + [0] * channels
        axis.scatter(*dots, s=60, color=BLUE, zorder=3)
        kind = "channel-wise" if each == 1 else "conventional"
        axis.set(
            ylim=(-0.25, 1.25),
            xlabel=f"{kind}: {convolution.weight.numel()} weights",
            xticks=[],
            yticks=[0, 1],
            yticklabels=["out", "in"],
        )
        axis.spines[:].set_visible(False)
    return fig
