"""Every parameter and FLOPs figure that the GTA paper prints, recomputed.

A FLOP is one multiply-add of a convolution or a product, counted by `vidattn.cost`
under the convention `"all"`: so the two bare networks come out, and with them every row
with NL, SA and TA. The text's projections are C x C; the figures ask for C / 2 in NL
and C / 4 in SA and TA, and for pooled keys, which the text does not mention. GTA's rows
ask for more; `notebooks.kit.printed.models.Bottlenecked` is a composition that gives them all,
found by a search (the chapter's page of costs), not in the text.

Six rows of Figure 4 quote networks of other papers. They have no figure here (NaN) and
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

from dataclasses import replace
from math import nan

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.explain import TEXT, Figure, Fit, judge, ways_of_counting
from notebooks.kit.printed.models import readings, says
from notebooks.kit.printed.rows import cell

QUOTED = "quoted: the network of another paper, not built here"


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of
    the printed ones.
    """
    return [
        _saving(row) if row["table"] == "text" else _figure(row)
        for row in printed_efficiency("GTA")
    ]


def conventions(likeliest: bool = False) -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of Figures 3 and 7.

    A way counts or does not count one addition an output for a convolution with a bias,
    two operations an element for batch normalisation, and the products of activations.

    Args:
        likeliest: Of the networks that were chosen because they fit, counted with their
            products: a search among ways, the networks being fixed, and no independent
            one. Else of the text's.
    """
    rows = []
    for row in printed_efficiency("GTA"):
        if row["metric"] == "FLOPs G" and row["table"] in ("Fig3", "Fig7"):
            reading = readings("GTA")[row["table"], row["row"]]
            network = reading.likeliest if likeliest else reading.text
            done = network.by_kind("modules, linear layers once")
            parts = {
                "biases": done["bias"],
                "batch normalisation": done["norm"],
                "products": network.products(),
            }
            always = (done["conv"] + done["linear"]) / 1e9
            rows.append(
                (
                    row["printed"],
                    always,
                    {what: part / 1e9 for what, part in parts.items()},
                )
            )
    return ways_of_counting(rows)


def _figure(row: dict[str, str]) -> Figure:
    if (row["table"], row["row"]) not in readings("GTA"):
        return replace(judge(row, nan, nan, [], "all"), reading=QUOTED)
    figure = cell(row)
    if row["row"] == "TSM":  # quoted, too: no text says what it is
        others = tuple(other for other in figure.others if other[0] != TEXT)
        return replace(figure, text=nan, others=others)
    return figure


def _saving(row: dict[str, str]) -> Figure:
    name, metric = "R2D" if "2D" in row["row"] else "SlowFast", "FLOPs G"
    base = readings("GTA")[
        "Fig3", f"{name}-50" if name == "R2D" else f"{name}-R50"
    ].text.value(metric)
    nl, dnl = (readings("GTA")["Fig3", f"{name}+{block}"] for block in ("NL", "DNL"))
    text = 100 * (1 - dnl.text.value(metric) / nl.text.value(metric))
    less, more = dnl.likeliest.value(metric), nl.likeliest.value(metric)
    why, whole = next(iter(nl.others)), 100 * (1 - less / more)
    others = [(why, whole), (f"{why}; {says('tens')}", float(round(whole, -1)))]
    others.append(
        (f"{why}; {says('alone')}", 100 * (1 - (less - base) / (more - base)))
    )
    return replace(judge(row, text, text, others), convention="all")
