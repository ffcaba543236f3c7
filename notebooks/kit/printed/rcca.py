"""Every parameter and FLOPs figure that the RCCA-3D paper prints, recomputed.

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
from dataclasses import replace
from itertools import product
from math import floor

from notebooks.kit.printed.cells import printed_efficiency
from notebooks.kit.printed.explain import Figure, Fit, agrees, decimals, fit, judge
from notebooks.kit.printed.models import Backbone, Network, readings, says

CONVENTION = "backbone from elsewhere + 2 x MACs of modules"
UCF101, KINETICS = 101, 400
ONE, FIVE = {3: 1}, {3: 2, 4: 3}
PRODUCTS = {"not counted": 0, "itself once": 1, "itself three times": 3}
QUOTED, QUOTED_TOO, DEFINITION = says("quoted"), says("quoted_too"), says("definition")
CLASSES, HALF = says("classes_400_101"), says("half_c")
ROUNDED, CUT, IN_MFNET = says("rounded"), says("cut"), says("in_mfnet")
READINGS = {row: reading for (_, row), reading in readings("RCCA-3D").items()}
ROWS = {row: reading.text for row, reading in READINGS.items()}
TSM, MFNET = ROWS["TSM"].backbone, ROWS["MF-Net"].backbone


def efficiency() -> list[Figure]:
    """Return all parameter and FLOPs figures of the paper, recomputed, in the order of
    the printed ones.
    """
    return [_figure(row) for row in printed_efficiency("RCCA-3D")]


def added(network: Network, itself: int = 1) -> tuple[float, float]:
    """Return the 10^9 multiply-adds and the 10^6 parameters of a network's modules.

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
        macs += number * (
            cost.macs - (3 - itself) * of_itself if itself else cost.by_kind["conv"]
        )
        params += number * cost.params
    return macs / 1e9, params / 1e6


def bare(backbone: Backbone, classes: int | None = None) -> tuple[float, float]:
    """Return a backbone's 10^9 multiply-adds and 10^6 parameters, quoted or counted for
    so many classes.
    """
    if classes is not None:
        network = Network(backbone, classes=classes)
        return network.value("FLOPs G"), network.value("params M")
    name, printed = (
        "TSM" if backbone == TSM else "MF-Net",
        printed_efficiency("RCCA-3D"),
    )
    own = {
        row["metric"]: float(row["printed"])
        for row in printed
        if (row["table"], row["row"]) == ("VI", name)
    }
    return own["FLOPs G"], own["params M"]


def conventions() -> list[Fit]:
    """Return how well each of twelve ways of counting fits the FLOPs of Tables I and
    III to VI.

    The backbone is quoted or counted, a multiply-add of a module counts once or twice,
    and a position counts among its own keys once or three times, or no product counts.
    """
    printed = [
        row
        for row in printed_efficiency("RCCA-3D")
        if row["metric"] == "FLOPs G" and row["table"] != "text"
    ]
    rows = [
        (row["printed"], ROWS[row["row"]]) for row in printed if ROWS[row["row"]].at
    ]
    fits = []
    for quoted, unit, (said, itself) in product(
        (True, False), (1, 2), PRODUCTS.items()
    ):
        choices = {
            "backbone": "quoted" if quoted else "counted",
            "a module's multiply-add": unit,
            "products": said,
        }
        values = [
            bare(n.backbone, None if quoted else UCF101)[0] + unit * added(n, itself)[0]
            for _, n in rows
        ]
        fits.append(
            fit(
                choices,
                [(text, value) for (text, _), value in zip(rows, values, strict=True)],
            )
        )
    return fits


def _value(
    network: Network, metric: str, extra: bool, classes: int | None = None
) -> float:
    """Return a figure in the paper's units or, for so many classes, in multiply-adds,
    everything counted.
    """
    kind = int(metric.startswith("params"))
    base, own = (
        bare(network.backbone, classes)[kind],
        added(network, 3 if classes else 1)[kind],
    )
    total = (0 if extra else base) + own * (1 if classes or kind else 2)
    return 100 * total / base if "%" in metric else total


def _saved(nl: Network, rcca: Network, kind: int, itself: int = 1) -> float:
    return 100 * (1 - added(rcca, itself)[kind] / added(nl, itself)[kind])


def _figure(row: Mapping[str, str]) -> Figure:
    name, metric, kind = (
        row["row"],
        row["metric"],
        int(row["metric"].startswith("params")),
    )
    others: list[tuple[str, float]] = []
    if row["table"] == "abstract":
        nl = replace(ROWS["TSM+NL*1"], at=ONE)
        text, counted = (
            _saved(nl, ROWS["RCCA extra"], kind, itself) for itself in (1, 3)
        )
        in_mfnet = _saved(ROWS["MF-Net+NL*5"], ROWS["MF-Net+RCCA*5"], kind)
        others = [(IN_MFNET, in_mfnet), (f"{IN_MFNET}; {CUT}", float(floor(in_mfnet)))]
    elif metric == "ratio":  # "I3D 153G vs TSM"
        _, i3d, _, other = name.split()
        text, counted = (
            float(i3d[:-1]) / bare(ROWS[other].backbone, c)[0] for c in (None, UCF101)
        )
    else:
        network, extra = ROWS[name], metric.startswith("d") or name == "RCCA extra"
        text, counted = (
            _value(network, metric, extra, classes) for classes in (None, UCF101)
        )
        others = [
            (why, _value(other, metric, extra))
            for why, other in READINGS[name].others.items()
        ]
        if not network.at and "%" not in metric:
            quoted = QUOTED if network.backbone == TSM else QUOTED_TOO
            others, text = (
                [(CLASSES, bare(network.backbone, KINETICS)[kind]), (quoted, text)],
                counted,
            )
        elif not agrees(row["printed"], text):
            base, step = bare(network.backbone)[kind], 10 ** decimals(row["printed"])
            if (
                "%" in metric
            ):  # rounded once more, as 8.78 / 8.00 is 109.75% in decimals only
                others += [
                    (ROUNDED, round(100 * round(text * base / 100, 1 + kind) / base, 6))
                ]
            others += [(CUT, floor(text * step) / step)]
    figure = judge(row, text, counted, others, CONVENTION)
    figure = replace(figure, convention="parameters" if kind else CONVENTION)
    if "%" in metric and name in ROWS and not ROWS[name].at:
        figure = replace(figure, reading=DEFINITION)
    figure = replace(figure, given=figure.reading in (QUOTED, QUOTED_TOO, DEFINITION))
    return replace(figure, unit="ratio") if metric == "ratio" else figure
