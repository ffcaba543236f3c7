"""Every parameter and FLOPs figure that the RCCA-3D paper prints, recomputed.

The paper calls a FLOP a multiplication with its addition. Its totals mix two units: to a backbone's
multiply-adds, taken from elsewhere (33 G; 11.1 G), it adds twice the multiply-adds of the modules, products
included, with T + H + W - 2 keys a position. Of twelve ways that the chapter's page of costs tries, this one
alone gives all rows, TSM with five modules and structure c left out. Parameters are those of the modules,
added to 24.3 M or 8.0 M from elsewhere.

Source:
    Cao, Lu, Zhang, Jiang, Zhang: Efficient Spatiotemporal Context Modeling for Action Recognition, Tables I,
    III-VI, Section IV and the abstract, in the version that claims 25% and 11%. The listing of
    arXiv 2103.11190 and the article in Neurocomputing (2023, number 126289) claim 25% and 30%.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from math import floor
from typing import Any, NamedTuple

from torch import Tensor, nn

from vidattn.backbones import mfnet, resnet50
from vidattn.blocks import NonLocal, RecurrentCrissCross3d
from vidattn.cost import count
from vidattn.papers.explain import Figure, agrees, decimals, judge
from vidattn.papers.printed import printed_efficiency

MakeBlock = Callable[[int], nn.Module]

CONVENTION = "backbone from elsewhere + 2 x MACs of modules"
UCF101, KINETICS = 101, 400
QUOTED = "taken from elsewhere, not counted"
CLASSES = "with 400 classes, not 101"
HALF = "C_d = 1/2 and structure c's last convolution left out (a guess)"
ROUNDED, CUT = "of the total rounded as printed", "cut off, not rounded"
IN_MFNET = "overheads of five modules in MF-Net, NL with pooled keys"


class Backbone(NamedTuple):
    """A network without modules.

    Attributes:
        build: Makes it for a number of classes.
        frames: Frames of a clip of 224 x 224 pixels.
        width: C of stage n (conv2, conv3, ...) over 2^n; all stages have 8 frames of 224 / 2^n pixels.
        quoted: Its 10^9 multiply-adds and 10^6 parameters, as the paper has them.
    """

    build: Callable[[int], nn.Module]
    frames: int
    width: int
    quoted: tuple[float, float]


class Network(NamedTuple):
    """What a row's network is taken to be: `at` has the number of modules in each stage n."""

    backbone: Backbone
    make: MakeBlock
    at: Mapping[int, int]


TSM = Backbone(lambda classes: resnet50(num_classes=classes, temporal="tsm"), 8, 64, (33.0, 24.30))
MFNET = Backbone(lambda classes: mfnet(num_classes=classes), 16, 24, (11.1, 8.00))
ONE, FIVE = {3: 1}, {3: 2, 4: 3}


class Unrestored(RecurrentCrissCross3d):
    """Structure c at C / 2 without the convolution that leads back to C channels. For counting only."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, structure="c", reduction=2)
        self.crisscross.restore = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return [self.crisscross(x) for _ in range(self.passes)][-1]


def _nl(at: Mapping[int, int], backbone: Backbone = TSM, **options: Any) -> Network:
    return Network(backbone, partial(NonLocal, **options), at)


def _rcca(at: Mapping[int, int] = ONE, backbone: Backbone = TSM, **options: Any) -> Network:
    return Network(backbone, partial(RecurrentCrissCross3d, **options), at)


ROWS = {
    "TSM": _rcca({}),
    "MF-Net": _rcca({}, MFNET),
    **dict.fromkeys(("TSM+RCCA*1", "RCCA extra"), _rcca()),
    **{s: _rcca(structure=s) for s in "abcd"},
    **{f"conv{n}_{i}": _rcca({n: 1}) for n, i in ((3, 3), (4, 5), (5, 2))},
    **{f"R={r}": _rcca(passes=r) for r in (1, 2, 3, 4)},
    **{f"C_d={1 / r:g}": _rcca(reduction=r) for r in (2, 4, 8, 16)},
    "TSM+NL*1": _nl({4: 1}),
    "TSM+NL*5": _nl(FIVE, pool_keys="after"),
    "TSM+RCCA*5": _rcca(FIVE),
    "MF-Net+NL*5": _nl(FIVE, MFNET, pool_keys="after"),
    "MF-Net+RCCA*5": _rcca(FIVE, MFNET),
    "per CCA": _rcca(passes=1),
    "conv2": _rcca({2: 1}),
    "TSM+5NL no down-sampling": _nl(FIVE),
}
OTHERS = {
    "c": (HALF, Network(TSM, Unrestored, ONE)),
    "TSM+NL*5": ("without batch normalisation", _nl(FIVE, pool_keys="after", norm=False)),
    "TSM+RCCA*5": ("C_d = 1/2", _rcca(FIVE, reduction=2)),
}


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of the printed ones."""
    return [_figure(row) for row in printed_efficiency("RCCA-3D")]


def added(network: Network, itself: int = 1) -> tuple[float, float]:
    """Return the 10^9 multiply-adds and the 10^6 parameters of a network's modules.

    Args:
        network: The network; its backbone is not counted.
        itself: How often a position counts among its own keys in criss-cross attention: once as in the paper,
            or three times as it is computed here. 0: no product of any module counts.
    """
    costs = [(k, *_module(network.make, network.backbone.width, n)) for n, k in network.at.items()]
    macs = sum(k * (conv + (both - (3 - itself) * own if itself else 0)) for k, conv, both, own, _ in costs)
    return macs / 1e9, sum(k * params for k, *_, params in costs) / 1e6


@cache
def bare(backbone: Backbone, classes: int | None = None) -> tuple[float, float]:
    """Return a backbone's 10^9 multiply-adds and 10^6 parameters, quoted or counted for so many classes."""
    if classes is None:
        return backbone.quoted
    cost = count(lambda: backbone.build(classes), (1, 3, backbone.frames, 224, 224))
    return cost.macs / 1e9, cost.params / 1e6


@cache
def _module(make: MakeBlock, width: int, stage: int) -> tuple[float, float, float, int]:
    """Return a module's MACs of convolutions and of products, those of one own key, and its parameters."""
    shape = (1, width << stage, 8, 224 >> stage, 224 >> stage)
    cost = count(lambda: make(shape[1]), shape)
    conv, own = cost.by_kind["conv"], cost.by_layer.get("crisscross", 0) / sum(shape[2:])
    return conv, cost.macs - conv, own, cost.params


def _value(network: Network, metric: str, extra: bool, classes: int | None = None) -> float:
    """Return a figure in the paper's units or, for so many classes, in multiply-adds, everything counted."""
    kind = int(metric.startswith("params"))
    base, own = bare(network.backbone, classes)[kind], added(network, 3 if classes else 1)[kind]
    total = (0 if extra else base) + own * (1 if classes or kind else 2)
    return 100 * total / base if "%" in metric else total


def _saved(nl: Network, rcca: Network, kind: int, itself: int = 1) -> float:
    return 100 * (1 - added(rcca, itself)[kind] / added(nl, itself)[kind])


def _figure(row: dict[str, str]) -> Figure:
    name, metric, kind = row["row"], row["metric"], int(row["metric"].startswith("params"))
    others: list[tuple[str, float]] = []
    if row["table"] == "abstract":
        text, counted = (_saved(_nl(ONE), _rcca(), kind, itself) for itself in (1, 3))
        in_mfnet = _saved(ROWS["MF-Net+NL*5"], ROWS["MF-Net+RCCA*5"], kind)
        others = [(IN_MFNET, in_mfnet), (f"{IN_MFNET}; {CUT}", float(floor(in_mfnet)))]
    elif metric == "ratio":
        text, counted = (153 / bare(ROWS[name.split()[-1]].backbone, c)[0] for c in (None, UCF101))
    else:
        network, extra = ROWS[name], metric.startswith("d") or name == "RCCA extra"
        text, counted = (_value(network, metric, extra, classes) for classes in (None, UCF101))
        if name in OTHERS:
            others = [(OTHERS[name][0], _value(OTHERS[name][1], metric, extra))]
        if not network.at and "%" not in metric:
            others, text = [(CLASSES, bare(network.backbone, KINETICS)[kind]), (QUOTED, text)], counted
        elif not agrees(row["printed"], text):
            base, step = bare(network.backbone)[kind], 10 ** decimals(row["printed"])
            if "%" in metric:  # rounded once more, as 8.78 / 8.00 is 109.75% in decimals only
                others += [(ROUNDED, round(100 * round(text * base / 100, 1 + kind) / base, 6))]
            others += [(CUT, floor(text * step) / step)]
    figure = judge(row, text, counted, others, CONVENTION)
    figure = replace(figure, convention="parameters" if kind else CONVENTION)
    return replace(figure, unit="ratio") if metric == "ratio" else figure
