"""Every parameter and FLOPs figure that the GTA paper prints, recomputed.

A FLOP is one multiply-add of a convolution or a product, counted by `vidattn.cost` under its convention
`"all"`: so the two bare networks come out, and with them every row with NL, SA and TA. The text's projections
are C x C; the figures ask for C / 2 in NL and C / 4 in SA and TA, and for pooled keys, which the text does
not mention. GTA's rows ask for more; `Bottlenecked` is a composition that gives them all, found by a search
(the chapter's page of costs), not in the text.

Six rows of Figure 4 quote networks of other papers. They have no figure here (NaN) and the verdict 'not
explained', but TSM, which the library has: it is recounted.

Source:
    He, Yang, Wu, Chen, Lim, Shrivastava: GTA: Global Temporal Attention for Video Action Understanding, 2021,
    Figures 3, 4 and 7, sections 4.1-4.3, appendix E. PySlowFast, which appendix E names, has keys pooled
    before their projections (models/nonlocal_helper.py), crops of 256 pixels in tests, and non-local blocks
    behind the 7th, 14th and 21st block of a SlowFast-R101's res4 (Kinetics/SLOWFAST_NLN_32x2_R101).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from math import nan
from typing import Any, NamedTuple

from einops import einsum
from torch import Tensor, nn

from vidattn import blocks
from vidattn.backbones import resnet50, slowfast50, slowfast101
from vidattn.cost import count
from vidattn.papers.explain import Figure, judge
from vidattn.papers.printed import printed_efficiency

NARROW = "NL at C/2, SA and TA at C/4"
POOLED = {
    "after": f"{NARROW}, keys pooled after their projections",
    "before": f"{NARROW}, keys pooled before their projections, as in PySlowFast",
    None: f"{NARROW}, all keys",
}
THREE = "three blocks, in slow.res4, as in PySlowFast"
GUESS = "GTA with a bottleneck and 4 groups (a guess)"
TENS, ALONE = "rounded to tens", "of the blocks alone"
QUOTED = "quoted; the network of another paper, not built here"


class Bottlenecked(blocks.GlobalTemporalAttention):
    """GTA whose two W_V share a first convolution, with one normalisation in all. For counting only.

        Z = X W_Z,   W_Z of C x C'                    C' = C / 4
        V_P = Z W_V,   V_R = (G_R Z) W_V              W_V of each path, C' x C'; G_R = W_G X^T, K = C / 8
        Y = X + BN(A_P W_O + A_R W_O)                 W_O of each path, C' x C

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)
    """

    def __init__(self, channels: int, *, groups: int = 4, **options: Any) -> None:
        super().__init__(channels, groups=groups, **options)
        width, paths = channels // 4, ("pixel", "region")
        self.w_z = nn.Conv3d(channels, width, 1, bias=False)
        self.v = nn.ModuleDict({path: nn.Conv3d(width, width, 1, bias=False) for path in paths})
        self.w_o = nn.ModuleDict({path: nn.Conv3d(width, channels, 1, bias=False) for path in paths})
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spatial(x)
        z, g_r = self.w_z(x), self.w_g(x)  # type: ignore[misc]
        a_p = self._mix("pixel", self.v["pixel"](z))
        x_g = einsum(g_r, z, "b k t h w, b c t h w -> b c t k").unsqueeze(-1)
        m_v = self._mix("region", self.v["region"](x_g))
        a_r = einsum(g_r, m_v, "b k t h w, b c t k one -> b c t h w")
        return x + self.bn(self.w_o["pixel"](a_p) + self.w_o["region"](a_r.contiguous()))


class Backbone(NamedTuple):
    """A network without blocks.

    Attributes:
        build: Makes it.
        frames: Frames of a clip.
        side: Height and width of a clip in pixels.
        inner: Frames where the blocks stand; stage n has 2^(n+6) channels there, and a side 2^n times less.
    """

    build: Callable[[], nn.Module]
    frames: int
    side: int
    inner: int


class Network(NamedTuple):
    """What a row's network is taken to be.

    Attributes:
        backbone: The network without blocks.
        block: Which block, a key of `BLOCKS`, or none.
        options: Its options, as pairs, but for T; C' = C if `wide` is among them.
        at: Pairs of a stage n and the number of blocks in it.
    """

    backbone: Backbone
    block: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    at: tuple[tuple[int, int], ...] = ((3, 2), (4, 3))


SSV1, KINETICS = 174, 400
BACKBONES = {
    ("Fig3", "R2D"): Backbone(partial(resnet50, num_classes=SSV1), 8, 224, 8),
    ("Fig3", "SlowFast"): Backbone(partial(slowfast50, num_classes=SSV1), 64, 256, 16),
    ("Fig4", "R2D"): Backbone(partial(resnet50, num_classes=KINETICS), 8, 256, 8),
    ("Fig4", "SlowFast"): Backbone(partial(slowfast101, num_classes=KINETICS), 32, 256, 8),
}
_TSM = partial(resnet50, num_classes=KINETICS, temporal="tsm")
TSM = {f"quoted; TSM, {f} x {s} x {s}": Backbone(_TSM, f, s, f) for f, s in ((16, 256), (8, 256), (16, 224))}
BLOCKS: dict[str, Callable[..., nn.Module]] = {
    **{"NL": blocks.NonLocal, "SA": blocks.SpatialAttention, "TA": blocks.TemporalAttention},
    **{"DNL": blocks.DecoupledNonLocal, "GTA": blocks.GlobalTemporalAttention, GUESS: Bottlenecked},
    "TAPE": partial(blocks.DecoupledNonLocal, positions="sinusoidal"),
}
FIGURE_7 = {"SA+TA": "DNL", "SA+TAPE": "TAPE", "SA+GTA": "GTA"}  # its names of blocks
TRIED: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "TAPE": [("learned positions", "TAPE", {"positions": "learned"})],
    "GTA": [
        ("GTA as the library has it", "GTA", {}),
        ("GTA with 16 regions", "GTA", {"regions": 16}),
        ("GTA with 4 groups", "GTA", {"groups": 4}),
        ("the guess, but 8 groups", GUESS, {"groups": 8}),
    ],
}


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of the printed ones."""
    return [_saving(row) if row["table"] == "text" else _cell(row) for row in printed_efficiency("GTA")]


def cost(network: Network) -> tuple[float, float]:
    """Return the 10^9 multiply-adds and the 10^6 parameters of a network."""
    backbone, block, options, at = network
    parts = [(k, *_block(block, options, n, backbone.inner, backbone.side >> n)) for n, k in at if block]
    parts.append((1, *_bare(backbone)))
    return sum(k * macs for k, macs, _ in parts) / 1e9, sum(k * params for k, _, params in parts) / 1e6


@cache
def _bare(backbone: Backbone) -> tuple[int, int]:
    counted = count(backbone.build, (1, 3, backbone.frames, backbone.side, backbone.side))
    return counted.macs, counted.params


@cache
def _block(block: str, options: tuple[tuple[str, Any], ...], n: int, t: int, side: int) -> tuple[int, int]:
    channels, given = 64 << n, dict(options) | ({"frames": t} if "GTA" in block else {})
    if given.pop("wide", False):
        given["inner"] = channels
    counted = count(lambda: BLOCKS[block](channels, **given), (1, channels, t, side, side))
    return counted.macs, counted.params


def readings(table: str, row: str) -> list[tuple[str, Network]]:
    """Return what a row's network may be: as the text has it (`""`), then the likeliest, then others.

    A quoted row has none, but TSM: the library's, on three sizes of clip, since the row does not say its own.
    """
    name, _, block = row.partition("+")
    key = "Fig4" if table == "Fig4" else "Fig3", name.partition("-")[0] or "R2D"
    if key not in BACKBONES:
        return [(why, Network(tsm)) for why, tsm in TSM.items() if name == "TSM"]
    backbone, block = BACKBONES[key], FIGURE_7.get(block, block)
    if not block:
        return [("", Network(backbone))]
    pool = "after" if backbone is BACKBONES["Fig3", "R2D"] else "before"
    pools = [pool] if block == "TA" else sorted(POOLED, key=lambda key: key != pool)
    end, likely = (f"; {GUESS}", GUESS) if block == "GTA" else ("", block)
    wanted = [(POOLED[key] + end, likely, {} if block == "TA" else {"pool_keys": key}) for key in pools]
    wanted += [(f"{POOLED[pool]}; {w}", b, {"pool_keys": pool, **o}) for w, b, o in TRIED.get(block, [])]
    others = [(why, Network(backbone, kind, (*options.items(),))) for why, kind, options in wanted]
    if backbone is BACKBONES["Fig4", "SlowFast"]:
        others = [(f"{why}; {THREE}", net._replace(at=((4, 3),))) for why, net in others] + others[:1]
    return [("", Network(backbone, block, (("wide", True),))), *others]


def _cell(row: dict[str, str]) -> Figure:
    networks, kind = readings(row["table"], row["row"]), int(row["metric"].startswith("params"))
    values = [(why, cost(network)[kind]) for why, network in networks] or [(QUOTED, nan)]
    figure = judge(row, values[0][1], values[0][1], values[1:], "all")
    return replace(figure, reading=values[0][0] or figure.reading)


def _saving(row: dict[str, str]) -> Figure:
    name = "R2D" if "2D" in row["row"] else "SlowFast"
    nl, dnl = ([cost(network)[0] for _, network in readings("Fig3", f"{name}+{b}")] for b in ("NL", "DNL"))
    base, why = cost(Network(BACKBONES["Fig3", name]))[0], readings("Fig3", f"{name}+NL")[1][0]
    text, whole = (100 * (1 - d / n) for d, n in zip(dnl[:2], nl[:2], strict=True))
    alone = f"{why}; {ALONE}", 100 * (1 - (dnl[1] - base) / (nl[1] - base))
    figure = judge(row, text, text, [(why, whole), (f"{why}; {TENS}", float(round(whole, -1))), alone])
    return replace(figure, convention="all")
