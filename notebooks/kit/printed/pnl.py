"""Every printed cost of the PNL paper, recomputed.

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

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import floor

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.metrics import METRICS
from notebooks.kit.printed.networks import MakeBlock
from notebooks.kit.printed.readings import comparisons, readings
from notebooks.kit.printed.rows import cell, comparison, row_of
from notebooks.kit.printed.thop import Convention
from notebooks.kit.printed.verdict import PrintedCost, Recounted
from notebooks.kit.printed.ways import Way, ways_of_counting
from vidattn.blocks import NonLocal

CONVENTION: Convention = "modules, linear layers once"
IMAGENET = 1000
ROWS = readings("PNL")
OTHER_NL: dict[str, MakeBlock] = {
    "no_norm": partial(NonLocal, norm=False),
    "nl_before": partial(NonLocal, pool_keys="before"),
    "nl_wide": lambda channels: NonLocal(channels, inner=channels),
}


def efficiency() -> list[PrintedCost]:
    """Return all printed costs of the paper, recomputed, in the order of the printed
    ones.
    """
    return [_recomputed(printed) for printed in printed_efficiency("PNL")]


def conventions() -> list[Way]:
    """Return how well each way of counting fits the FLOPs of MFNet's rows, of the
    text's networks.

    A way counts or does not count one addition an output for a convolution with a bias,
    two operations an element for batch normalisation, a second operation a weight for a
    linear layer, and the products of attention.
    """
    rows = []
    for printed in printed_efficiency("PNL"):
        metric, row = printed["metric"], ROWS.get((printed["table"], printed["row"]))
        if metric != "FLOPs G" or not row or row.text.backbone.kind != "mfnet":
            continue
        done = row.text.by_kind()
        parts = {
            "biases": done["bias"],
            "batch normalisation": done["norm"],
            "linear layers twice": done["linear"],
            "products": row.text.products(),
        }
        rows.append((printed["printed"], done["conv"] + done["linear"], parts))
    return ways_of_counting(rows)


def _recomputed(printed: Mapping[str, str]) -> PrintedCost:
    more, name = [], printed["row"]
    if (printed["table"], name) in comparisons("PNL"):
        if (name, printed["metric"]) == ("self-attn vs concat", "params M"):
            tenfold = 10 * comparison(printed).text
            more = [Recounted(("decimal_point",), tenfold, CONVENTION)]
        return comparison(printed, more)
    text, metric = row_of(printed).text, METRICS[printed["metric"]]
    if (name, printed["metric"]) == ("MFNet", "FLOPs G"):
        cut = floor(text.amount().macs * 100) / 100
        more = [Recounted(("cut_two",), cut, CONVENTION)]
    elif name == "MFNet-NL":
        more = [
            Recounted((choice,), metric(replace(text, make=make).amount()), CONVENTION)
            for choice, make in OTHER_NL.items()
        ]
    return cell(printed, more)
