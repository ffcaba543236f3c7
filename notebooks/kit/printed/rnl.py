"""Every printed cost of the RNL paper, recomputed.

The paper does not say how it counts. One convention gives all FLOPs of Table III within
their last digit: that of `thop.count` called `"modules"`, on a network that scores
each frame and averages the scores, as TSM's public code does. It leaves out F_theta and
both products of attention, since no module does them.

Source:
    Huang, Bors: Region-based Non-local Operation for Video Classification, ICPR 2021,
    Tables II(c), III, Section IV.
"""

from collections.abc import Mapping
from dataclasses import replace

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.networks import MakeBlock, channel_wise_region, coded_region
from notebooks.kit.printed.readings import comparisons, readings
from notebooks.kit.printed.recount import RowNetwork
from notebooks.kit.printed.rows import cell, comparison, row_of
from notebooks.kit.printed.verdict import PrintedCost, Recounted, decimals
from notebooks.kit.printed.ways import Way, ways_of_counting

FIVE = readings("RNL")["III K400", "+5 RNL"].text  # RNL at each of five places


def network(make: MakeBlock | None = None) -> RowNetwork:
    """Return TSM ResNet-50 with a block at each of the paper's five places."""
    return replace(FIVE, make=make)


def efficiency() -> list[PrintedCost]:
    """Return all printed costs of the paper, recomputed, in the order of the printed
    ones.
    """
    return [_recomputed(printed) for printed in printed_efficiency("RNL")]


def conventions() -> list[Way]:
    """Return how well each way of counting fits the FLOPs of Table III, of the
    likeliest networks.

    A way counts or does not count one addition an output for a convolution with a bias,
    two operations an element for batch normalisation, F_theta as a channel-wise
    convolution, and the products of attention.
    """
    counted, rows = network(channel_wise_region).parts(), []
    region = sum(number * cost.by_layer.get("f_theta", 0) for number, cost in counted)
    for printed in printed_efficiency("RNL"):
        if (printed["table"], printed["metric"]) == ("III K400", "FLOPs G"):
            likeliest = row_of(printed).likeliest
            done = likeliest.by_kind()
            parts = {
                "biases": done.pop("bias"),
                "batch normalisation": done.pop("norm"),
                "F_theta": region * ("RNL" in printed["row"]),
                "products": likeliest.products(),
            }
            rows.append((printed["printed"], done.total(), parts))
    return ways_of_counting(rows)


def _recomputed(printed: Mapping[str, str]) -> PrintedCost:
    if (printed["table"], printed["row"]) in comparisons("RNL"):
        return comparison(printed)
    if printed["metric"] != "GFLOPs":
        return cell(printed)
    one = [replace(FIVE, make=make, at={"res3": (1,)}) for make in (coded_region, None)]
    digits = decimals(printed["printed"])
    with_it, without = (round(network.amount().macs, digits) for network in one)
    rounded = Recounted(("rounded_total",), with_it - without, FIVE.convention)
    return cell(printed, [rounded])
