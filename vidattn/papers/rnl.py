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
from functools import cache, partial

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
from vidattn.papers.explain import Figure, Fit, Reading, decimals, in_unit, judge, ways_of_counting
from vidattn.papers.printed import printed_efficiency

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


max_pooled_region = partial(RegionNonLocal, region="max")

CODED = (
    "public code: F_theta as a masked grouped convolution, mask counted and convolution not, 3x3x3 in res4"
)

TABLE_3: dict[str, Reading[MakeBlock | None]] = {
    "baseline": Reading(None),
    "+5 SE": Reading(SqueezeExcite),
    "+5 CBAM": Reading(
        CBAM,
        {
            "a guess: CBAM's channel gate replaced by the public code's, position gate with batch "
            "normalisation": chain_of(coded_gate, lambda channels: PositionGate()),
            "CBAM with kernel 7x7x7": partial(CBAM, kernel=(7, 7, 7)),
        },
    ),
    "+5 GC": Reading(GlobalContext, {"a guess: without the layer normalisation": bare_context}),
    "+5 NL": Reading(NonLocal),
    "+5 RNL": Reading(
        RegionNonLocal,
        {CODED: coded_region, "truly channel-wise, 3x3x3 in res4": channel_wise_region},
    ),
    "+5 [SE+RNL]": Reading(
        AttentionChain,
        {
            f"{CODED}; the public code's channel gate at its default reduction 16, not Eqs. 10-12": chain_of(
                coded_gate, coded_region
            ),
            "Eqs. 10-12 with reduction 16": chain_of(
                partial(AdditiveSqueezeExcite, reduction=16), coded_region
            ),
        },
    ),
}

TABLE_2C: dict[str, Reading[MakeBlock]] = {
    "channel-wise conv": Reading(RegionNonLocal, {CODED: coded_region}),
    "average pooling": Reading(partial(RegionNonLocal, region="avg")),
    "max pooling": Reading(max_pooled_region),
}


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of the printed ones."""
    explained = {"II(c)": _table_2c, "III K400": _table_3, "III SSv1": _table_3, "text": _text}
    return [explained[row["table"]](row) for row in printed_efficiency("RNL")]


def conventions() -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of Table III on Kinetics.

    A way counts or does not count one addition an output for a convolution with a bias, two operations an
    element for batch normalisation, and F_theta as a channel-wise convolution.
    """
    region = sum(
        macs
        for name, macs in _network_cost(channel_wise_region, KINETICS, "modules").by_layer.items()
        if name.endswith("f_theta")
    )
    rows = []
    for row in printed_efficiency("RNL"):
        if (row["table"], row["metric"]) == ("III K400", "FLOPs G"):
            cost = _network_cost(TABLE_3[row["row"]].likeliest, KINETICS, "modules")
            bias, norm = cost.by_kind["bias"], cost.by_kind["norm"]
            parts = {"biases": bias, "batch normalisation": norm, "F_theta": region * ("RNL" in row["row"])}
            in_g = {name: part / 1e9 for name, part in parts.items()}
            rows.append((row["printed"], (cost.macs - bias - norm) / 1e9, in_g))
    return ways_of_counting(rows)


@cache
def _network_cost(
    make_block: MakeBlock | None, classes: int, convention: Convention, one: bool = False
) -> Cost:
    return count(lambda: network(make_block, classes, ONE if one else FIVE), CLIP, convention)


@cache
def _block_cost(make_block: MakeBlock, convention: Convention) -> Cost:
    return count(lambda: make_block(RES3[1]), RES3, convention)


def _table_3(row: dict[str, str]) -> Figure:
    reading, metric = TABLE_3[row["row"]], row["metric"]
    classes = KINETICS if "K400" in row["table"] else SOMETHING

    def value(make_block: MakeBlock | None, classes: int) -> float:
        return in_unit(_network_cost(make_block, classes, "modules"), metric)

    others: list[tuple[str, float]] = []
    head = "" if classes == KINETICS else f"with {KINETICS} classes, not {classes}"
    if head:
        others.append((head, value(reading.text, KINETICS)))
    for number, (why, make_block) in enumerate(reading.others.items()):
        others.append(("; ".join(filter(None, (head, why))), value(make_block, KINETICS)))
        if head and number == 0:
            others.append((f"the same with {classes} classes", value(make_block, classes)))
    all_counted = in_unit(_network_cost(reading.text, classes, "all"), metric)
    return judge(row, value(reading.text, classes), all_counted, others)


def _table_2c(row: dict[str, str]) -> Figure:
    reading, metric = TABLE_2C[row["row"]], row["metric"]
    others = [(why, in_unit(_block_cost(block, "modules"), metric)) for why, block in reading.others.items()]
    if not metric.startswith("params"):
        with_one = _network_cost(coded_region, KINETICS, "modules", one=True).macs / 1e9
        without = _network_cost(None, KINETICS, "modules").macs / 1e9
        digits = decimals(row["printed"])
        rounded = round(with_one, digits) - round(without, digits)
        others.append(
            ("the network's rounded total with the block, less that without; F_theta not counted", rounded)
        )
    text = in_unit(_block_cost(reading.text, "modules"), metric)
    return judge(row, text, in_unit(_block_cost(reading.text, "all"), metric), others)


def _text(row: dict[str, str]) -> Figure:
    if row["row"] == "RNL vs NL":
        nl, text, coded = (
            _network_cost(make, KINETICS, "modules").macs for make in (NonLocal, RegionNonLocal, coded_region)
        )
        nl_all, text_all = (_network_cost(make, KINETICS, "all").macs for make in (NonLocal, RegionNonLocal))
        return judge(row, (nl - text) / 1e9, (nl_all - text_all) / 1e9, [(CODED, (nl - coded) / 1e9)])
    conv, coded, pool = (
        _block_cost(make, "modules").params for make in (RegionNonLocal, coded_region, max_pooled_region)
    )
    return judge(row, (conv - pool) / 1e6, (conv - pool) / 1e6, [(CODED, (coded - pool) / 1e6)])
