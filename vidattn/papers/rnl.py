"""Every parameter and FLOPs figure that the RNL paper prints, recomputed.

The paper does not say how it counts. One convention gives all FLOPs of Table III within their last digit:
that of `vidattn.cost` called `"modules"`, on a network that scores each frame and averages the scores, as
TSM's public code does. It leaves out F_theta and both products of attention, since no module does them.

Source:
    Huang, Bors: Region-based Non-local Operation for Video Classification, ICPR 2021, Tables II(c), III,
    Section IV. What is said of the public code refers to guoxih/region-based-non-local-network, files
    ops/rnl.py and ops/depthwise_conv.py, read for its facts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidattn.backbones import ResNet, place
from vidattn.blocks import (
    CBAM,
    AdditiveSqueezeExcite,
    AttentionChain,
    GlobalContext,
    NonLocal,
    RegionNonLocal,
    SqueezeExcite,
)
from vidattn.cost import Convention, Cost, count
from vidattn.papers.explain import Figure, Verdict, agrees, decimals
from vidattn.papers.printed import printed_efficiency

Build = Callable[[], nn.Module]
MakeBlock = Callable[[int], nn.Module]

CLIP = (1, 3, 8, 224, 224)
RES3 = (1, 512, 8, 28, 28)
FIVE = {"res3": (1, 3), "res4": (1, 3, 5)}
ONE = {"res3": (1,)}
KINETICS, SOMETHING = 400, 174


class FrameScores(ResNet):
    """The backbone with TSM's head: every frame is scored, and the scores are averaged.

    Dropout aside it is the same function as scoring the mean frame, at T times the cost of the linear layer.

    Shape:
        `(B, 3, T, H, W)` -> logits `(B, num_classes)`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, temporal="tsm")
        self.pool = nn.AdaptiveAvgPool3d((None, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        frames = self.pool(self.features(x)).flatten(2).transpose(1, 2)
        return self.fc(self.dropout(frames)).mean(dim=1)


class MaskedGroupedConv3d(nn.Module):
    """F_theta as the public code holds it: channel-wise, hidden in a grouped convolution. For counting only.

    A grouped convolution with 32 channels a group is multiplied by a mask that leaves one of the 32 inputs of
    each channel. Weight and mask are both parameters: 64 times as many as the function has. It is called as a
    function, which a counter of modules does not see.

    Args:
        channels: Number of channels, a multiple of 32.
        kernel: Size of the region (T, H, W), each odd.

    Shape:
        `(B, channels, T, H, W)` -> the same.
    """

    group = 32

    def __init__(self, channels: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.padding = tuple(size // 2 for size in kernel)
        self.weight = nn.Parameter(torch.randn(channels, self.group, *kernel))
        mask = torch.zeros_like(self.weight)
        mask[torch.arange(channels), torch.arange(channels) % self.group] = 1
        self.mask = nn.Parameter(mask, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[1] // self.group
        return F.conv3d(x, self.weight * self.mask, padding=self.padding, groups=groups)


class PositionGate(nn.Module):
    """The second half of CBAM as its authors' code has it, with normalisation.

    Shape:
        `(B, C, T, H, W)` -> the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 1, (1, 7, 7), padding=(0, 3, 3), bias=False)
        self.bn = nn.BatchNorm3d(1)

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return self.bn(self.conv(summary)).sigmoid() * x


def channel_wise_region(channels: int) -> RegionNonLocal:
    """Return the RNL block of the text, with the public code's kernels: 3x7x7 in res3 and 3x3x3 in res4."""
    return RegionNonLocal(channels, kernel=(3, 7, 7) if channels == RES3[1] else (3, 3, 3))


def coded_region(channels: int) -> nn.Module:
    """Return the RNL block as the public code has it: a masked F_theta, 3x7x7 in res3 and 3x3x3 in res4."""
    block = channel_wise_region(channels)
    block.f_theta = MaskedGroupedConv3d(channels // 2, (3, 7, 7) if channels == RES3[1] else (3, 3, 3))
    return block


def coded_gate(channels: int, reduction: int = 16) -> nn.Module:
    """Return the public code's channel gate: global context with batch normalisation."""
    block = GlobalContext(channels, reduction=reduction)
    block.norm = nn.BatchNorm1d(channels // reduction)  # type: ignore[assignment]
    return block


def bare_context(channels: int) -> nn.Module:
    """Return the global context block without its layer normalisation."""
    block = GlobalContext(channels)
    block.norm = nn.Identity()  # type: ignore[assignment]
    return block


def chain_of(*makers: MakeBlock) -> MakeBlock:
    """Return a function that makes one block out of several, run in a row."""
    return lambda channels: nn.Sequential(*(make(channels) for make in makers))


def network(
    make_block: MakeBlock | None = None,
    classes: int = KINETICS,
    places: Mapping[str, Sequence[int]] | None = None,
) -> nn.Module:
    """Return TSM ResNet-50 with a block at each of the paper's five places, or at those given."""
    model = FrameScores(classes)
    return model if make_block is None else place(model, places or FIVE, make_block)


@dataclass(frozen=True)
class Reading:
    """What a row's model is taken to be.

    Attributes:
        text: The block that the text describes; None for the bare backbone.
        fitted: A block chosen because it fits, or that only the public code shows; None where none was
            needed.
        why: What the fitted block takes to be so, in one line.
        beside: Further blocks, by what they are, whose figures are worth a look.
    """

    text: MakeBlock | None
    fitted: MakeBlock | None = None
    why: str = ""
    beside: dict[str, MakeBlock] = field(default_factory=dict)


max_pooled_region = partial(RegionNonLocal, region="max")

CODED = (
    "public code: F_theta as a masked grouped convolution, mask counted and convolution not, 3x3x3 in res4"
)

TABLE_3: dict[str, Reading] = {
    "baseline": Reading(None),
    "+5 SE": Reading(SqueezeExcite),
    "+5 CBAM": Reading(
        CBAM,
        chain_of(coded_gate, lambda channels: PositionGate()),
        "a guess: CBAM's channel gate replaced by the public code's, position gate with batch normalisation",
        {"CBAM with kernel 7x7x7": partial(CBAM, kernel=(7, 7, 7))},
    ),
    "+5 GC": Reading(GlobalContext, bare_context, "a guess: without the layer normalisation"),
    "+5 NL": Reading(NonLocal),
    "+5 RNL": Reading(
        RegionNonLocal, coded_region, CODED, {"truly channel-wise, 3x3x3 in res4": channel_wise_region}
    ),
    "+5 [SE+RNL]": Reading(
        AttentionChain,
        chain_of(coded_gate, coded_region),
        f"{CODED}; the public code's channel gate at its default reduction 16, not Eqs. 10-12",
        {
            "Eqs. 10-12 with reduction 16": chain_of(
                partial(AdditiveSqueezeExcite, reduction=16), coded_region
            )
        },
    ),
}

TABLE_2C: dict[str, Reading] = {
    "channel-wise conv": Reading(RegionNonLocal, coded_region, CODED),
    "average pooling": Reading(partial(RegionNonLocal, region="avg")),
    "max pooling": Reading(max_pooled_region),
}


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of the printed ones."""
    explained = {"II(c)": _table_2c, "III K400": _table_3, "III SSv1": _table_3, "text": _text}
    return [explained[row["table"]](row) for row in printed_efficiency("RNL")]


@dataclass(frozen=True)
class Fit:
    """How many FLOPs figures of Table III one way of counting gives.

    Attributes:
        bias: Whether one addition an output is counted for a convolution with a bias.
        norm: Whether two operations an element are counted for batch normalisation.
        region: Whether F_theta is counted, as a channel-wise convolution.
        agreeing: Number of rows that it gives to the printed digit, of those on Kinetics.
        rows: Number of those rows.
    """

    bias: bool
    norm: bool
    region: bool
    agreeing: int
    rows: int


def conventions() -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of Table III, the models being the same for all."""
    region = sum(
        macs
        for name, macs in _network_cost(channel_wise_region, KINETICS, "modules").by_layer.items()
        if name.endswith("f_theta")
    )
    printed = [r for r in printed_efficiency("RNL") if r["table"] == "III K400" and r["metric"] == "FLOPs G"]
    fits = []
    for with_bias, with_norm, with_region in product((False, True), repeat=3):
        agreeing = 0
        for row in printed:
            reading = TABLE_3[row["row"]]
            cost = _network_cost(reading.fitted or reading.text, KINETICS, "modules")
            total = cost.macs + (region if with_region and "RNL" in row["row"] else 0)
            total -= 0 if with_bias else cost.by_kind["bias"]
            total -= 0 if with_norm else cost.by_kind["norm"]
            agreeing += agrees(row["printed"], total / 1e9)
        fits.append(Fit(with_bias, with_norm, with_region, agreeing, len(printed)))
    return fits


@cache
def _network_cost(
    make_block: MakeBlock | None, classes: int, convention: Convention, one: bool = False
) -> Cost:
    return count(lambda: network(make_block, classes, ONE if one else FIVE), CLIP, convention)


@cache
def _block_cost(make_block: MakeBlock, convention: Convention) -> Cost:
    return count(lambda: make_block(RES3[1]), RES3, convention)


def _in_unit(cost: Cost, metric: str) -> float:
    return cost.params / 1e6 if metric.startswith("params") else cost.macs / 1e9


def _figure(row: dict[str, str], text: float, all_counted: float, others: list[tuple[str, float]]) -> Figure:
    """Judge a figure: the text's reading first, then the others in turn, else the nearest of all."""
    printed, parameters = row["printed"], row["metric"].startswith("params")
    readings = [("as the text has it", text), *others]
    verdict: Verdict = "not explained"
    why, computed = min(readings, key=lambda reading: abs(reading[1] - float(printed)))
    for reading in reversed(readings):
        if agrees(printed, reading[1]):
            why, computed = reading
            verdict = "agrees" if reading is readings[0] else "agrees, fitted"
    digits = decimals(printed) + 2
    also = [f"{what}: {value:.{digits}f}" for what, value in readings if what != why]
    return Figure(
        **row,
        computed=computed,
        all_counted=all_counted,
        unit="M" if parameters else "GMAC",
        convention="parameters" if parameters else "modules",
        verdict=verdict,
        reason="; ".join([why, *also]),
    )


def _table_3(row: dict[str, str]) -> Figure:
    reading, metric = TABLE_3[row["row"]], row["metric"]
    classes = KINETICS if "K400" in row["table"] else SOMETHING

    def value(make_block: MakeBlock | None, classes: int) -> float:
        return _in_unit(_network_cost(make_block, classes, "modules"), metric)

    others: list[tuple[str, float]] = []
    head = "" if classes == KINETICS else f"with {KINETICS} classes, not {classes}"
    if head:
        others.append((head, value(reading.text, KINETICS)))
    if reading.fitted is not None:
        others.append(("; ".join(filter(None, (head, reading.why))), value(reading.fitted, KINETICS)))
        if head:
            others.append((f"the same with {classes} classes", value(reading.fitted, classes)))
    others += [(what, value(make_block, KINETICS)) for what, make_block in reading.beside.items()]
    all_counted = _in_unit(_network_cost(reading.text, classes, "all"), metric)
    return _figure(row, value(reading.text, classes), all_counted, others)


def _table_2c(row: dict[str, str]) -> Figure:
    reading, metric = TABLE_2C[row["row"]], row["metric"]
    assert reading.text is not None
    others: list[tuple[str, float]] = []
    if reading.fitted is not None:
        others.append((reading.why, _in_unit(_block_cost(reading.fitted, "modules"), metric)))
    if not metric.startswith("params"):
        with_one = _network_cost(coded_region, KINETICS, "modules", one=True).macs / 1e9
        without = _network_cost(None, KINETICS, "modules").macs / 1e9
        digits = decimals(row["printed"])
        rounded = round(with_one, digits) - round(without, digits)
        others.append(
            ("the network's rounded total with the block, less that without; F_theta not counted", rounded)
        )
    text = _in_unit(_block_cost(reading.text, "modules"), metric)
    return _figure(row, text, _in_unit(_block_cost(reading.text, "all"), metric), others)


def _text(row: dict[str, str]) -> Figure:
    if row["row"] == "RNL vs NL":
        nl, text, coded = (
            _network_cost(make, KINETICS, "modules").macs for make in (NonLocal, RegionNonLocal, coded_region)
        )
        nl_all, text_all = (_network_cost(make, KINETICS, "all").macs for make in (NonLocal, RegionNonLocal))
        return _figure(row, (nl - text) / 1e9, (nl_all - text_all) / 1e9, [(CODED, (nl - coded) / 1e9)])
    conv, coded, pool = (
        _block_cost(make, "modules").params for make in (RegionNonLocal, coded_region, max_pooled_region)
    )
    return _figure(row, (conv - pool) / 1e6, (conv - pool) / 1e6, [(CODED, (coded - pool) / 1e6)])
