"""Every parameter and FLOPs figure that the PNL paper prints, recomputed.

The paper does not say how it counts. Its MFNet costs 11.176 G under the convention of
`thop.count` called `"modules, linear layers once"`: the tool of RNL's tables, a
little later. All FLOPs are counted so.

Three rows of Table 5 (Res50-NL, -CGD, -CGNL) are quoted: that paper's own networks are
not known here, and are taken to be PNL's ResNet-50 first. Two of them come out if its
first pooling quarters the frames, which nothing else speaks for, counted as RNL's
tables are.

Source:
    Xu, Cao, Yang, Mao, Yin, See: PNL: Efficient Long-Range Dependencies Extraction with
    Pyramid Non-Local Module for Action Recognition, 2020, Tables 3, 5, 6, Section 4.
"""

from dataclasses import replace
from functools import partial
from math import floor

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.explain import Figure, Fit, ways_of_counting
from notebooks.kit.printed.models import (
    MakeBlock,
    differences,
    narrow_pyramid,
    readings,
    says,
)
from notebooks.kit.printed.rows import cell, difference
from notebooks.kit.printed.thop import Convention
from vidattn.blocks import NonLocal

CONVENTION: Convention = "modules, linear layers once"
IMAGENET = 1000
UNSHARED, NARROW = says("unshared"), says("unshared", "narrow_linear")
ROWS = readings("PNL")
OTHER_NL: dict[str, MakeBlock] = {
    "without batch normalisation": partial(NonLocal, norm=False),
    "keys pooled before their projections": partial(NonLocal, pool_keys="before"),
    "an inner width of C, not C / 2": lambda channels: NonLocal(
        channels, inner=channels
    ),
}

__all__ = [
    "CONVENTION",
    "IMAGENET",
    "NARROW",
    "ROWS",
    "UNSHARED",
    "conventions",
    "efficiency",
    "narrow_pyramid",
]


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of
    the printed ones.
    """
    return [_figure(row) for row in printed_efficiency("PNL")]


def conventions() -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of MFNet's rows, of the
    text's networks.

    A way counts or does not count one addition an output for a convolution with a bias,
    two operations an element for batch normalisation, a second operation a weight for a
    linear layer, and the products of attention.
    """
    rows = []
    for row in printed_efficiency("PNL"):
        reading = ROWS.get((row["table"], row["row"]))
        if (
            row["metric"] == "FLOPs G"
            and reading is not None
            and reading.text.backbone.kind == "mfnet"
        ):
            done = {kind: macs / 1e9 for kind, macs in reading.text.by_kind().items()}
            choices = {"biases": done["bias"], "batch normalisation": done["norm"]}
            choices |= {
                "linear layers twice": done["linear"],
                "products": reading.text.products() / 1e9,
            }
            rows.append((row["printed"], done["conv"] + done["linear"], choices))
    return ways_of_counting(rows)


def _figure(row: dict[str, str]) -> Figure:
    name, metric = row["row"], row["metric"]
    if (row["table"], name) in differences("PNL"):
        figure = difference(row)
        ten = (name, metric) == ("self-attn vs concat", "params M")
        return (
            difference(row, [(says("decimal_point"), 10 * figure.text)])
            if ten
            else figure
        )
    more: list[tuple[str, float]] = []
    if (name, metric) == ("MFNet", "FLOPs G"):
        more = [(says("cut_two"), floor(cell(row).text * 100) / 100)]
    elif name == "MFNet-NL":
        text = ROWS[row["table"], name].text
        more = [
            (why, replace(text, make=make).value(metric))
            for why, make in OTHER_NL.items()
        ]
    return cell(row, more)
