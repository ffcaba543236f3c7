"""Every printed cost of the GTA paper, recomputed.

A FLOP is one multiply-add of a convolution or a product, counted by `vidattn.cost`
under the convention `"all"`: so the two bare networks come out, and with them every row
with NL, SA and TA. The text's projections are C x C; the figures ask for C / 2 in NL
and C / 4 in SA and TA, and for pooled keys, which the text does not mention. GTA's rows
ask for more; `networks.Bottlenecked` is a composition that gives them all, found by a
search (the chapter's page of costs), not in the text.

Six rows of Figure 4 quote networks of other papers. They have no cost here (NaN) and
the verdict 'not explained', but TSM, which the library has: it comes out on 16 frames
of 256 x 256 pixels, counted as RNL's tables are.

Source:
    He, Yang, Wu, Chen, Lim, Shrivastava: GTA: Global Temporal Attention for Video
    Action Understanding, 2021, Figures 3, 4 and 7, sections 4.1-4.3, appendix E.
    PySlowFast, which appendix E names, has keys pooled before their projections
    (models/nonlocal_helper.py), crops of 256 pixels in tests, and non-local blocks
    behind the 7th, 14th and 21st block of a SlowFast-R101's res4
    (Kinetics/SLOWFAST_NLN_32x2_R101).
"""

from collections.abc import Mapping
from math import nan

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.readings import comparisons, readings
from notebooks.kit.printed.rows import assumed, cell, compared, comparison, row_of
from notebooks.kit.printed.verdict import PrintedCost, Recounted, judge
from notebooks.kit.printed.ways import Way, ways_of_counting


def efficiency() -> list[PrintedCost]:
    """Return all printed costs of the paper, recomputed, in the order of the printed
    ones.
    """
    return [_recomputed(printed) for printed in printed_efficiency("GTA")]


def conventions(likeliest: bool = False) -> list[Way]:
    """Return how well each way of counting fits the FLOPs of Figures 3 and 7.

    A way counts or does not count one addition an output for a convolution with a bias,
    two operations an element for batch normalisation, and the products of activations.

    Args:
        likeliest: Of the networks that were chosen because they fit, counted with their
            products: a search among ways, the networks being fixed, and no independent
            one. Else of the text's.
    """
    rows = []
    for printed in printed_efficiency("GTA"):
        if printed["metric"] == "FLOPs G" and printed["table"] in ("Fig3", "Fig7"):
            row = row_of(printed)
            network = row.likeliest if likeliest else row.text
            done = network.by_kind("modules, linear layers once")
            parts = {
                "biases": done["bias"],
                "batch normalisation": done["norm"],
                "products": network.products(),
            }
            rows.append((printed["printed"], done["conv"] + done["linear"], parts))
    return ways_of_counting(rows)


def _recomputed(printed: Mapping[str, str]) -> PrintedCost:
    key = printed["table"], printed["row"]
    if key in comparisons("GTA"):
        return comparison(printed, _savings(printed))
    if key not in readings("GTA"):
        return judge(printed, None, nan, [Recounted(("not_built",), nan, "all")])
    if printed["row"] != "TSM":
        return cell(printed)
    row = row_of(printed)  # quoted, too, but built: no text says what it is
    others = [
        Recounted(reading, network.amount().macs, network.convention)
        for reading, network in row.others.items()
    ]
    return judge(printed, None, row.text.amount("all").macs, others)


def _savings(printed: Mapping[str, str]) -> list[Recounted]:
    """Return what DNL saves beside NL, rounded to tens, and of the blocks alone."""
    _, rows = compared(printed)
    reading = assumed(rows)
    less, more = (row.likeliest.amount().macs for row in rows)
    bare = readings("GTA")[tuple(comparisons("GTA")["text", printed["row"]]["bare"])]
    base = bare.text.amount().macs
    whole, alone = 1 - less / more, 1 - (less - base) / (more - base)
    return [
        Recounted((*reading, "tens"), float(round(100 * whole, -1)), "all"),
        Recounted((*reading, "alone"), 100 * alone, "all"),
    ]
