"""Every parameter and FLOPs figure that the PNL paper prints, recomputed.

The paper does not say how it counts. Its MFNet costs 11.176 G under the convention of `vidattn.cost` called
`"modules"`, if linear layers are counted as one operation a weight, not two: what the tool of RNL's tables
did a little later. All FLOPs are counted so.

Three rows of Table 5 (Res50-NL, -CGD, -CGNL) are quoted: that paper's own networks are not known here, and
are taken to be PNL's ResNet-50 first.

Source:
    Xu, Cao, Yang, Mao, Yin, See: PNL: Efficient Long-Range Dependencies Extraction with Pyramid Non-Local
    Module for Action Recognition, 2020, Tables 3, 5, 6, Section 4. Linear layers in the tool: pytorch-
    OpCounter (thop), `count_linear` in `count_hooks` and later in `basic_hooks`, read for its facts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import floor

from torch import nn

from vidattn.backbones import mfnet, place, resnet50
from vidattn.backbones.resnet import Bottleneck
from vidattn.blocks import CompactGeneralizedNonLocal, CompactGlobalDescriptor, NonLocal, PyramidNonLocal
from vidattn.cost import Convention, Cost, count
from vidattn.papers.explain import Figure, Fit, Reading, in_unit, judge, ways_of_counting
from vidattn.papers.printed import printed_efficiency

MakeBlock = Callable[[int], nn.Module]

CONVENTION = "modules, linear layers once"
ONE = {"conv4": (5,)}
FIVE = {"conv3": (1, 3), "conv4": (1, 3, 5)}
MINI_KINETICS, UCF101, IMAGENET = 200, 101, 1000
UNSHARED = "a set of convolutions for each scale"
NARROW = f"{UNSHARED}, linear layers to C'/8"

Build = Callable[[int], nn.Module]  # from the number of classes


def narrow_pyramid(channels: int, divisor: int = 8, *, shared: bool = False) -> PyramidNonLocal:
    """Return a PNL block whose linear layers lead from C' to C' / `divisor`, not to C' / 2 as ours do."""
    block = PyramidNonLocal(channels, shared=shared)
    block.linear_q, block.linear_k = (nn.Linear(block.width, block.width // divisor) for _ in range(2))
    return block


def with_mfnet(block: MakeBlock | None = None, places: Mapping[str, Sequence[int]] = ONE) -> Build:
    """Return a function that makes MFNet with a block at each place; ONE is before the last unit of conv4."""
    return lambda classes: _placed(mfnet(num_classes=classes), places, block)


def with_resnet(block: MakeBlock | None = None) -> Build:
    """Return a function that makes the C2D ResNet-50 with a block before the last bottleneck of res4."""
    return lambda classes: _placed(resnet50(num_classes=classes, temporal="pool"), {"res4": (5,)}, block)


def described_resnet(classes: int) -> nn.Module:
    """Return the C2D ResNet-50 with CGD behind the first convolution of every bottleneck, as in its code."""
    model = resnet50(num_classes=classes, temporal="pool")
    for block in list(model.modules()):
        if isinstance(block, Bottleneck):
            descriptor = CompactGlobalDescriptor(block.conv1.out_channels)
            block.conv1 = nn.Sequential(block.conv1, descriptor)  # type: ignore[assignment]
    return model


def _placed(model: nn.Module, places: Mapping[str, Sequence[int]], block: MakeBlock | None) -> nn.Module:
    return model if block is None else place(model, places, block)


@dataclass(frozen=True)
class Network:
    """What a row's network is taken to be.

    Attributes:
        build: Makes it for a number of classes.
        frames: Frames of a clip of 224 x 224 pixels.
        classes: Number of classes.
    """

    build: Build
    frames: int = 16
    classes: int = MINI_KINETICS


def _pyramids(places: Mapping[str, Sequence[int]] = ONE) -> Reading[Network]:
    return Reading(
        Network(with_mfnet(PyramidNonLocal, places)),
        {
            NARROW: Network(with_mfnet(narrow_pyramid, places)),
            UNSHARED: Network(with_mfnet(partial(PyramidNonLocal, shared=False), places)),
        },
    )


def _quoted(build: Build) -> Reading[Network]:
    network = Network(build, frames=32)
    return Reading(network, {"with 1000 classes, as ImageNet has": replace(network, classes=IMAGENET)})


def _on_ucf101(block: MakeBlock | None, fitted: MakeBlock | None = None) -> Reading[Network]:
    text = Network(with_resnet(block), frames=32, classes=UCF101)
    likely = Network(with_resnet(fitted or block), frames=32)
    why = "with 200 classes, not 101" + (f"; {NARROW}" if fitted else "")
    return Reading(text, {why: likely, f"{why}; 16 frames, not 32": replace(likely, frames=16)})


ROWS: dict[tuple[str, str], Reading[Network]] = {
    ("3", "MFNet baseline"): Reading(Network(with_mfnet())),
    ("3", "concatenation"): Reading(
        Network(with_mfnet(partial(PyramidNonLocal, combine="concat"))),
        {UNSHARED: Network(with_mfnet(partial(PyramidNonLocal, combine="concat", shared=False)))},
    ),
    ("3", "self-attention"): _pyramids(),
    ("5", "Res50-NL"): _quoted(with_resnet(NonLocal)),
    ("5", "Res50-CGD"): _quoted(described_resnet),
    ("5", "Res50-CGNL"): _quoted(with_resnet(CompactGeneralizedNonLocal)),
    ("5", "MFNet"): Reading(Network(with_mfnet())),
    ("5", "MFNet-NL"): Reading(Network(with_mfnet(NonLocal))),
    ("5", "MFNet-PNL(x1)"): _pyramids(),
    ("5", "MFNet-PNL(x5)"): _pyramids(FIVE),
    ("6", "R-50"): _on_ucf101(None),
    ("6", "R-50+NL"): _on_ucf101(NonLocal),
    ("6", "R-50+CGNL"): _on_ucf101(CompactGeneralizedNonLocal),
    ("6", "R-50+PNL(x1)"): _on_ucf101(PyramidNonLocal, narrow_pyramid),
}
DIFFERENCES = {
    "self-attn vs concat": (("3", "self-attention"), ("3", "concatenation")),
    "NL - PNL (MFNet)": (("5", "MFNet-NL"), ("5", "MFNet-PNL(x1)")),
    "NL - PNL (R-50)": (("6", "R-50+NL"), ("6", "R-50+PNL(x1)")),
}


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of the printed ones."""
    return [_difference(row) if row["table"] == "text" else _cell(row) for row in printed_efficiency("PNL")]


def conventions() -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of MFNet's rows in Tables 3 and 5.

    A way counts or does not count one addition an output for a convolution with a bias, two operations an
    element for batch normalisation, and a second operation a weight for a linear layer.
    """
    rows = []
    for row in printed_efficiency("PNL"):
        network = ROWS.get((row["table"], row["row"]))
        if row["metric"] == "FLOPs G" and network is not None and network.text.frames == 16:
            kinds = _cost(network.text, "modules").by_kind
            parts = {"biases": "bias", "batch normalisation": "norm", "linear layers twice": "linear"}
            in_g = {name: kinds[kind] / (2e9 if kind == "linear" else 1e9) for name, kind in parts.items()}
            rows.append((row["printed"], (kinds["conv"] + kinds["linear"] / 2) / 1e9, in_g))
    return ways_of_counting(rows)


@cache
def _cost(network: Network, convention: Convention) -> Cost:
    shape = (1, 3, network.frames, 224, 224)
    return count(lambda: network.build(network.classes), shape, convention)


def _value(network: Network, metric: str, convention: Convention = "modules") -> float:
    cost = _cost(network, convention)
    once = 0 if metric.startswith("param") else cost.by_kind.get("linear", 0) / 2e9
    return in_unit(cost, metric) - once


def _cell(row: dict[str, str]) -> Figure:
    reading, metric = ROWS[row["table"], row["row"]], row["metric"]
    text = _value(reading.text, metric)
    others = [(why, _value(network, metric)) for why, network in reading.others.items()]
    if (row["row"], metric) == ("MFNet", "FLOPs G"):
        others.append(("cut off after its two digits, not rounded", floor(text * 100) / 100))
    return judge(row, text, _value(reading.text, metric, "all"), others, CONVENTION)


def _difference(row: dict[str, str]) -> Figure:
    metric, (larger, smaller) = row["metric"], (ROWS[name] for name in DIFFERENCES[row["row"]])

    def value(a: Network, b: Network, convention: Convention = "modules") -> float:
        first, second = _value(a, metric, convention), _value(b, metric, convention)
        return 100 * (first - second) / second if "%" in metric else first - second

    text = value(larger.text, smaller.text)
    # What is guessed of either network, or of both where the guesses differ.
    guesses = [reason for reading in (larger, smaller) for reason in [*reading.others][:1]]
    why = "; ".join(dict.fromkeys(guesses))
    others = [(why, value(larger.likeliest, smaller.likeliest))]
    if row["row"] == "self-attn vs concat" and "%" not in metric:
        others.append(("the decimal point one place off", 10 * text))
    return judge(row, text, value(larger.text, smaller.text, "all"), others, CONVENTION)
