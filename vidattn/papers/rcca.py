"""Every parameter and FLOPs figure that the RCCA-3D paper prints, recomputed.

The paper calls a FLOP a multiplication with its addition. Its totals mix two units: to a backbone's
multiply-adds, taken from elsewhere (33 G; 11.1 G), it adds twice the multiply-adds of the modules, products
included, with T + H + W - 2 keys a position. Of the ways that `conventions` tries, this one alone fits.
Parameters are those of the modules, added to 24.3 M or 8.0 M from elsewhere.

Source:
    Cao, Lu, Zhang, Jiang, Zhang: Efficient Spatiotemporal Context Modeling for Action Recognition, Tables I,
    III-VI, Section IV and the abstract, in the version that claims 25% and 11%. The listing of
    arXiv 2103.11190 and the article in Neurocomputing (2023, number 126289) claim 25% and 30%.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import floor
from typing import Any

from torch import Tensor, nn

from vidattn.backbones import mfnet, resnet50
from vidattn.blocks import NonLocal, RecurrentCrissCross3d
from vidattn.cost import count
from vidattn.papers.explain import Figure, Fit, Reading, agrees, decimals, judge
from vidattn.papers.printed import printed_efficiency

MakeBlock = Callable[[int], nn.Module]

CONVENTION = "backbone from elsewhere + 2 x MACs of modules"
UCF101, KINETICS = 101, 400
QUOTED = "taken from elsewhere, not counted"
CLASSES = "with 400 classes, not 101"
HALF = "C_d = 1/2 and structure c's last convolution left out (a guess)"
ROUNDED, CUT = "of the total rounded as printed", "cut off, not rounded"
IN_MFNET = "overheads of five modules in MF-Net, NL with pooled keys"


@dataclass(frozen=True)
class Backbone:
    """A network without modules.

    Attributes:
        build: Makes it for a number of classes.
        frames: Frames of a clip of 224 x 224 pixels.
        width: C of stage n (conv2, conv3, ...) over 2^n; all stages have 8 frames of 224 / 2^n pixels.
        gmac: Its 10^9 multiply-adds, as the paper quotes them.
        params: Its 10^6 parameters, as the paper quotes them.
    """

    build: Callable[[int], nn.Module]
    frames: int
    width: int
    gmac: float
    params: float


TSM = Backbone(lambda classes: resnet50(num_classes=classes, temporal="tsm"), 8, 64, 33.0, 24.30)
MFNET = Backbone(lambda classes: mfnet(num_classes=classes), 16, 24, 11.1, 8.00)


class Unrestored(RecurrentCrissCross3d):
    """Structure c at C / 2 without the convolution that leads back to C channels. For counting only."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, structure="c", reduction=2)
        self.crisscross.restore = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return [self.crisscross(x) for _ in range(self.passes)][-1]


@dataclass(frozen=True)
class Network:
    """What a row's network is taken to be: `at` has the number of modules in each stage n."""

    backbone: Backbone
    make: MakeBlock | None = None
    at: Mapping[int, int] = field(default_factory=lambda: {3: 1})


FIVE = {3: 2, 4: 3}
pooled_nl = partial(NonLocal, pool_keys="after")


def _rcca(at: Mapping[int, int] | None = None, backbone: Backbone = TSM, **options: Any) -> Network:
    return Network(backbone, partial(RecurrentCrissCross3d, **options), at or {3: 1})


ROWS: dict[str, Reading[Network]] = {
    "TSM": Reading(Network(TSM)),
    "MF-Net": Reading(Network(MFNET)),
    **{s: Reading(_rcca(structure=s)) for s in "abd"},
    "c": Reading(_rcca(structure="c"), {HALF: Network(TSM, Unrestored)}),
    **{f"conv{n}_{i}": Reading(_rcca({n: 1})) for n, i in ((3, 3), (4, 5), (5, 2))},
    **{f"R={r}": Reading(_rcca(passes=r)) for r in (1, 2, 3, 4)},
    **{f"C_d={1 / r:g}": Reading(_rcca(reduction=r)) for r in (2, 4, 8, 16)},
    "TSM+NL*1": Reading(Network(TSM, NonLocal, {4: 1})),
    "TSM+RCCA*1": Reading(_rcca()),
    "TSM+NL*5": Reading(
        Network(TSM, pooled_nl, FIVE),
        {
            "keys pooled before the convolutions": Network(TSM, partial(NonLocal, pool_keys="before"), FIVE),
            "without batch normalisation": Network(TSM, partial(pooled_nl, norm=False), FIVE),
        },
    ),
    "TSM+RCCA*5": Reading(_rcca(FIVE), {"C_d = 1/2": _rcca(FIVE, reduction=2)}),
    "MF-Net+NL*5": Reading(Network(MFNET, pooled_nl, FIVE)),
    "MF-Net+RCCA*5": Reading(_rcca(FIVE, MFNET)),
    "RCCA extra": Reading(_rcca()),
    "per CCA": Reading(_rcca(passes=1)),
    "conv2": Reading(_rcca({2: 1})),
    "TSM+5NL no down-sampling": Reading(Network(TSM, NonLocal, FIVE)),
}


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of the printed ones."""
    return [_figure(row) for row in printed_efficiency("RCCA-3D")]


def conventions() -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of the networks with modules in Tables I to VI.

    A way takes the backbone as quoted or as recounted; counts one or two FLOPs for a multiply-add of a
    module; leaves the products out (0), or counts a position once or three times among its own keys. Left
    out are structure c and TSM with five modules, which no way gives.
    """
    printed = {row["row"]: row["printed"] for row in printed_efficiency("RCCA-3D")
               if row["metric"] == "FLOPs G" and row["table"] not in ("text", "abstract")}  # fmt: skip
    rows = [(figure, ROWS[name].text) for name, figure in printed.items()
            if ROWS[name].text.make and name not in ("c", "TSM+NL*5", "TSM+RCCA*5")]  # fmt: skip
    return [
        Fit(
            {"backbone quoted": quoted, "FLOPs a multiply-add": flops, "position among its keys": itself},
            sum(agrees(p, _base(n, 0, quoted) + flops * added(n, itself)[0]) for p, n in rows),
            len(rows),
        )
        for quoted in (True, False)
        for flops in (1, 2)
        for itself in (0, 1, 3)
    ]


def added(network: Network, itself: int = 1) -> tuple[float, float]:
    """Return the 10^9 multiply-adds and the 10^6 parameters of a network's modules.

    Args:
        network: The network; its backbone is not counted.
        itself: How often a position counts among its own keys in criss-cross attention: once as in the paper,
            or three times as it is computed here. 0: no product of any module counts.
    """
    macs, params = 0.0, 0
    for stage, number in network.at.items() if network.make else ():
        conv, products, own, each = _module(network.make, network.backbone.width, stage)
        macs += number * (conv + (products - (3 - itself) * own if itself else 0))
        params += number * each
    return macs / 1e9, params / 1e6


@cache
def _module(make: MakeBlock, width: int, stage: int) -> tuple[float, float, float, int]:
    """Return a module's MACs of convolutions and of products, those of one own key, and its parameters."""
    shape = (1, width << stage, 8, 224 >> stage, 224 >> stage)
    cost = count(lambda: make(shape[1]), shape)
    conv, own = cost.by_kind["conv"], cost.by_layer.get("crisscross", 0) / sum(shape[2:])
    return conv, cost.macs - conv, own, cost.params


@cache
def _bare(backbone: Backbone, classes: int) -> tuple[float, float]:
    cost = count(lambda: backbone.build(classes), (1, 3, backbone.frames, 224, 224))
    return cost.macs / 1e9, cost.params / 1e6


def _base(network: Network, kind: int, quoted: bool) -> float:
    backbone = network.backbone
    return (backbone.gmac, backbone.params)[kind] if quoted else _bare(backbone, UCF101)[kind]


def _value(network: Network, metric: str, extra: bool, quoted: bool = True) -> float:
    kind = int(metric.startswith("params"))
    base, own = _base(network, kind, quoted), added(network, 1 if quoted else 3)[kind]
    total = (0 if extra else base) + own * (2 if quoted and not kind else 1)
    return 100 * total / base if "%" in metric else total


def _figure(row: dict[str, str]) -> Figure:
    name, metric, printed = row["row"], row["metric"], row["printed"]
    others: list[tuple[str, float]] = []
    kind, extra = int(metric.startswith("params")), metric.startswith("d") or name == "RCCA extra"
    if row["table"] == "abstract":
        text, counted = (_saved(Network(TSM, NonLocal), _rcca(), kind, itself) for itself in (1, 3))
        in_mfnet = _saved(ROWS["MF-Net+NL*5"].text, ROWS["MF-Net+RCCA*5"].text, kind, 1)
        others = [(IN_MFNET, in_mfnet), (f"{IN_MFNET}; {CUT}", float(floor(in_mfnet)))]
    elif metric == "ratio":
        text, counted = (153 / _base(ROWS[name.split()[-1]].text, 0, quoted) for quoted in (True, False))
    else:
        reading = ROWS[name]
        text, counted = (_value(reading.text, metric, extra, quoted) for quoted in (True, False))
        others = [(why, _value(network, metric, extra)) for why, network in reading.others.items()]
        if reading.text.make is None and "%" not in metric:
            others = [(CLASSES, _bare(reading.text.backbone, KINETICS)[kind]), (QUOTED, text)]
            text = counted
        elif not agrees(printed, text):
            if "%" in metric:
                total = round(_value(reading.text, metric[:-1], extra), 2 if kind else 1)
                percent = 100 * total / _base(reading.text, kind, True)
                others.append((ROUNDED, round(percent, 6)))  # 8.78 / 8.00 is 109.75%, if not in binary
            step = 10 ** decimals(printed)
            others.append((CUT, floor(text * step) / step))
    figure = judge(row, text, counted, others, CONVENTION)
    unit = "ratio" if metric == "ratio" else figure.unit
    return replace(figure, unit=unit, convention="parameters" if kind else CONVENTION)


def _saved(nl: Network, rcca: Network, kind: int, itself: int) -> float:
    return 100 * (1 - added(rcca, itself)[kind] / added(nl, itself)[kind])
