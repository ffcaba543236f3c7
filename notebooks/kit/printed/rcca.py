"""Every printed cost of the RCCA-3D paper, recomputed.

The paper calls a FLOP a multiplication with its addition. Its totals mix two units: to
a backbone's multiply-adds, taken from elsewhere (33 G; 11.1 G), it adds twice the
multiply-adds of the modules, products included, with T + H + W - 2 keys a position. Of
twelve ways that the chapter's page of costs tries, this one alone gives all rows, TSM
with five modules and structure c left out. Parameters are those of the modules, added
to 24.3 M or 8.0 M from elsewhere.

Source:
    Cao, Lu, Zhang, Jiang, Zhang: Efficient Spatiotemporal Context Modeling for Action
    Recognition, Tables I, III-VI, Section IV and the abstract, in the version that
    claims 25% and 11%. The listing of arXiv 2103.11190 and the article in
    Neurocomputing (2023, number 126289) claim 25% and 30%.
"""

from collections.abc import Mapping
from itertools import product
from math import floor

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.choices import TEXT, Reading, checked
from notebooks.kit.printed.metrics import METRICS, Amount, Metric
from notebooks.kit.printed.readings import Row, comparisons, readings
from notebooks.kit.printed.recount import Backbone, RowNetwork
from notebooks.kit.printed.verdict import (
    PrintedCost,
    Recounted,
    agrees,
    decimals,
    judge,
)
from notebooks.kit.printed.ways import Way, way

CONVENTION = "backbone from elsewhere + 2 x MACs of modules"
UCF101, KINETICS = 101, 400
PRODUCTS = {"not counted": 0, "itself once": 1, "itself three times": 3}
# A row is the same network in every table.
READINGS: dict[str, Row] = {row: of for (_, row), of in readings("RCCA-3D").items()}
ROWS = {row: of.text for row, of in READINGS.items()}
TSM, MFNET = ROWS["TSM"].backbone, ROWS["MF-Net"].backbone


def efficiency() -> list[PrintedCost]:
    """Return all printed costs of the paper, recomputed, in the order of the printed
    ones.
    """
    return [_recomputed(printed) for printed in printed_efficiency("RCCA-3D")]


def added(network: RowNetwork, itself: int = 1) -> Amount:
    """Return what a network's modules cost.

    Args:
        network: The network; its backbone is not counted.
        itself: How often a position counts among its own keys in criss-cross attention:
            once as in the paper, or three times as it is computed here. 0: no product
            of any module counts.
    """
    macs, params = 0.0, 0
    for stage, (number, cost) in zip(network.at, network.parts()[1:], strict=True):
        lines = network.backbone.inner + 2 * (network.backbone.side >> stage)
        of_itself = cost.by_layer.get("crisscross", 0) / lines
        products = cost.macs - (3 - itself) * of_itself
        macs += number * (products if itself else cost.by_kind["conv"])
        params += number * cost.params
    return Amount(macs / 1e9, params / 1e6)


def bare(backbone: Backbone, classes: int | None = None) -> Amount:
    """Return what a backbone costs: quoted, or counted for so many classes."""
    if classes is not None:
        return RowNetwork(backbone, classes=classes).amount()
    name = "TSM" if backbone == TSM else "MF-Net"
    quoted = {
        METRICS[row["metric"]].of: float(row["printed"])
        for row in printed_efficiency("RCCA-3D")
        if (row["table"], row["row"]) == ("VI", name) and "%" not in row["metric"]
    }
    return Amount(**quoted)


def conventions() -> list[Way]:
    """Return how well each of twelve ways of counting fits the FLOPs of Tables I and
    III to VI.

    The backbone is quoted or counted, a multiply-add of a module counts once or twice,
    and a position counts among its own keys once or three times, or no product counts.
    """
    rows, ways = [], []
    for row in printed_efficiency("RCCA-3D"):
        flops = row["metric"] == "FLOPs G" and row["table"] != "text"
        if flops and ROWS[row["row"]].at:
            rows.append((row["printed"], ROWS[row["row"]]))
    for classes, unit, products in product((None, UCF101), (1, 2), PRODUCTS):
        choices = {
            "backbone": "counted" if classes else "quoted",
            "a module's multiply-add": unit,
            "products": products,
        }
        costs = []
        for printed, network in rows:
            own = unit * added(network, PRODUCTS[products]).macs
            costs.append((printed, bare(network.backbone, classes).macs + own))
        ways.append(way(choices, costs))
    return ways


def _recomputed(printed: Mapping[str, str]) -> PrintedCost:
    metric = METRICS[printed["metric"]]
    compared = comparisons("RCCA-3D").get((printed["table"], printed["row"]), {})
    if "saving" in compared:
        text, counted = (_saving(compared["saving"], metric, n) for n in (1, 3))
        (other,) = compared["others"]
        value, reading = _saving(other["saving"], metric), checked(other["choices"])
        others = [(reading, value), ((*reading, "cut"), float(floor(value)))]
    elif "ratio" in compared:
        quoted, row = compared["ratio"]
        backbone, others = ROWS[row].backbone, []
        text, counted = (quoted / bare(backbone, n).macs for n in (None, UCF101))
    elif READINGS[printed["row"]].quoted:
        return _of_bare_network(printed, READINGS[printed["row"]])
    else:
        row = READINGS[printed["row"]]
        text, counted = (
            _value(row.text, metric, row.added, classes) for classes in (None, UCF101)
        )
        others = [
            (reading, _value(network, metric, row.added))
            for reading, network in row.others.items()
        ]
        if not agrees(printed["printed"], text):
            others += _rounded(printed["printed"], text, metric, row.text.backbone)
    return judge(
        printed,
        Recounted(TEXT, text, CONVENTION),
        counted,
        [Recounted(*other, CONVENTION) for other in others],
    )


def _of_bare_network(printed: Mapping[str, str], row: Row) -> PrintedCost:
    """Judge what a network without modules costs: 100% of itself, or quoted."""
    metric, backbone = METRICS[printed["metric"]], row.text.backbone
    if metric.unit == "%":
        hundred = Recounted(("definition",), 100.0, CONVENTION)
        return judge(printed, hundred, hundred.value, [])
    ucf101, kinetics, quoted = (
        metric(bare(backbone, classes)) for classes in (UCF101, KINETICS, None)
    )
    others = [
        Recounted(("classes_400_101",), kinetics, CONVENTION),
        Recounted((str(row.quoted),), quoted, CONVENTION),
    ]
    return judge(printed, Recounted(TEXT, ucf101, CONVENTION), ucf101, others)


def _value(
    network: RowNetwork, metric: Metric, alone: bool, classes: int | None = None
) -> float:
    """Return a cost in the paper's units or, for so many classes, in multiply-adds,
    everything counted.

    Args:
        network: The network.
        metric: What is printed of it.
        alone: Its modules alone.
        classes: See above.
    """
    base = metric(bare(network.backbone, classes))
    own = metric(added(network, 3 if classes else 1))
    twice = metric.of == "macs" and not classes
    total = (0 if alone or metric.added else base) + own * (2 if twice else 1)
    return 100 * total / base if metric.unit == "%" else total


def _saving(rows: list[str], metric: Metric, itself: int = 1) -> float:
    """Return how many % the modules of the first row do less than those of the
    second.
    """
    less, more = (metric(added(ROWS[row], itself)) for row in rows)
    return 100 * (1 - less / more)


def _rounded(
    printed: str, text: float, metric: Metric, backbone: Backbone
) -> list[tuple[Reading, float]]:
    """Return what a cost is if its total was rounded first, or its last digit cut
    off.
    """
    base, step = metric(bare(backbone)), 10 ** decimals(printed)
    cut = floor(text * step) / step
    if metric.unit != "%":
        return [(("cut",), cut)]
    total = round(text * base / 100, 1 if metric.of == "macs" else 2)
    # rounded once more, as 8.78 / 8.00 is 109.75% in decimals only
    return [(("rounded",), round(100 * total / base, 6)), (("cut",), cut)]
