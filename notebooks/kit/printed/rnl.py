"""Every parameter and FLOPs figure that the RNL paper prints, recomputed.

The paper does not say how it counts. One convention gives all FLOPs of Table III within
their last digit: that of `thop.count` called `"modules"`, on a network that scores
each frame and averages the scores, as TSM's public code does. It leaves out F_theta and
both products of attention, since no module does them.

Source:
    Huang, Bors: Region-based Non-local Operation for Video Classification, ICPR 2021,
    Tables II(c), III, Section IV.
"""

from dataclasses import replace

from torch import nn

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.explain import Figure, Fit, decimals, ways_of_counting
from notebooks.kit.printed.models import (
    MakeBlock,
    channel_wise_region,
    coded_region,
    differences,
    readings,
    says,
)
from notebooks.kit.printed.rows import cell, difference

CLIP = (1, 3, 8, 224, 224)


def network(make_block: MakeBlock | None = None) -> nn.Module:
    """Return TSM ResNet-50 with a block at each of the paper's five places."""
    text = readings("RNL")["III K400", "baseline"].text
    return replace(text, make=make_block).build(text.classes)


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of
    the printed ones.
    """
    return [_figure(row) for row in printed_efficiency("RNL")]


def conventions() -> list[Fit]:
    """Return how well each way of counting fits the FLOPs of Table III, of the
    likeliest networks.

    A way counts or does not count one addition an output for a convolution with a bias,
    two operations an element for batch normalisation, F_theta as a channel-wise
    convolution, and the products of attention.
    """
    text, rows = readings("RNL")["III K400", "+5 RNL"].text, []
    counted = replace(text, make=channel_wise_region).parts()
    region = sum(number * cost.by_layer.get("f_theta", 0) for number, cost in counted)
    for row in printed_efficiency("RNL"):
        if (row["table"], row["metric"]) == ("III K400", "FLOPs G"):
            network = readings("RNL")[row["table"], row["row"]].likeliest
            done = network.by_kind()
            parts = {
                "biases": done.pop("bias"),
                "batch normalisation": done.pop("norm"),
            }
            parts |= {
                "F_theta": region * ("RNL" in row["row"]),
                "products": network.products(),
            }
            rows.append(
                (
                    row["printed"],
                    done.total() / 1e9,
                    {what: part / 1e9 for what, part in parts.items()},
                )
            )
    return ways_of_counting(rows)


def _figure(row: dict[str, str]) -> Figure:
    if (row["table"], row["row"]) in differences("RNL"):
        return difference(row)
    if row["metric"] != "GFLOPs":
        return cell(row)
    text = readings("RNL")["III K400", "+5 RNL"].text
    totals = [
        replace(text, make=make, at={"res3": (1,)}).value(row["metric"])
        for make in (coded_region, None)
    ]
    with_one, without = (round(total, decimals(row["printed"])) for total in totals)
    return cell(row, [(says("rounded_total"), with_one - without)])
