from collections import Counter

import pytest

from notebooks.kit.printed import PrintedCost, agrees, printed_efficiency, rcca
from notebooks.kit.printed.networks import Unrestored
from vidattn.backbones import place, resnet50
from vidattn.blocks import RecurrentCrissCross3d
from vidattn.cost import count

# What is not as the text has it: (table, row, metric) -> what is recomputed, and how.
FITTED = {
    **{
        (t, "TSM", "FLOPs G"): (33.0, ("quoted",))
        for t in ("I", "III", "IV", "V", "VI")
    },
    **{
        (t, "TSM", "params M"): (24.3, ("quoted",))
        for t in ("I", "III", "IV", "V", "VI")
    },
    ("VI", "MF-Net", "FLOPs G"): (11.1, ("quoted_too",)),
    ("VI", "MF-Net", "params M"): (7.996368, ("classes_400_101",)),
    ("I", "c", "FLOPs G"): (48.992095, ("half_c",)),
    ("I", "c", "FLOPs %"): (148.460893, ("half_c",)),
    ("I", "c", "params M"): (24.693985, ("half_c",)),
    ("I", "c", "params %"): (101.621337, ("half_c",)),
    ("III", "conv3_3", "FLOPs %"): (149.3, ("cut",)),
    ("IV", "R=3", "FLOPs %"): (149.3, ("cut",)),
    ("IV", "R=1", "FLOPs %"): (116.363636, ("rounded",)),
    ("IV", "R=2", "FLOPs %"): (133.030303, ("rounded",)),
    ("V", "C_d=0.125", "FLOPs %"): (141.515152, ("rounded",)),
    ("V", "C_d=0.0625", "FLOPs %"): (137.575758, ("rounded",)),
    ("VI", "MF-Net+RCCA*5", "FLOPs %"): (208.108108, ("rounded",)),
    ("VI", "MF-Net+RCCA*5", "params %"): (109.75, ("rounded",)),
    ("text", "TSM+5NL no down-sampling", "FLOPs G"): (161.0, ("cut",)),
    ("abstract", "RCCA vs NL", "FLOPs saved %"): (11.0, ("in_mfnet", "cut")),
}
NOT_EXPLAINED = {
    ("VI", "TSM+NL*5", "FLOPs G"): 89.800838,
    ("VI", "TSM+NL*5", "FLOPs %"): 272.123750,
    ("VI", "TSM+NL*5", "params M"): 31.658464,
    ("VI", "TSM+NL*5", "params %"): 130.288066,
    ("VI", "TSM+RCCA*5", "FLOPs G"): 136.707771,
    ("VI", "TSM+RCCA*5", "FLOPs %"): 414.265972,
    ("VI", "TSM+RCCA*5", "params M"): 31.648229,
    ("VI", "TSM+RCCA*5", "params %"): 130.239626,
}


def by_hand(
    c: int, side: int, passes: int = 3, reduction: int = 4, itself: int = 1
) -> tuple[float, float]:
    """The polynomials of one module at 8 x side x side: 10^9 multiply-adds and 10^6
    parameters.
    """
    n, keys, d = 8 * side**2, 8 + 2 * side - 3 + itself, c // reduction
    macs = passes * n * (2 * c * d + c * c + keys * (d + c))
    return macs / 1e9, (2 * (c * d + d) + c * c + c + 1) / 1e6


def nl_by_hand(c: int, side: int, pooled: bool) -> tuple[float, float]:
    n, d = 8 * side**2, c // 2
    return (n * 4 * c * d + 2 * n * (n // 4 if pooled else n) * d) / 1e9, (
        4 * c * d + 3 * d + 3 * c
    ) / 1e6


def five(conv3: tuple[float, float], conv4: tuple[float, float]) -> tuple[float, float]:
    return 2 * conv3[0] + 3 * conv4[0], 2 * conv3[1] + 3 * conv4[1]


ADDED = {
    **dict.fromkeys(
        ("a", "b", "d", "conv3_3", "R=3", "C_d=0.25", "TSM+RCCA*1"), by_hand(512, 28)
    ),
    "conv4_5": by_hand(1024, 14),
    "conv5_2": by_hand(2048, 7),
    "conv2": by_hand(256, 56),
    **{f"R={r}": by_hand(512, 28, passes=r) for r in (1, 2, 4)},
    **{f"C_d={1 / r:g}": by_hand(512, 28, reduction=r) for r in (2, 8, 16)},
    "TSM+NL*1": nl_by_hand(1024, 14, pooled=False),
    "TSM+NL*5": five(nl_by_hand(512, 28, True), nl_by_hand(1024, 14, True)),
    "TSM+5NL no down-sampling": five(
        nl_by_hand(512, 28, False), nl_by_hand(1024, 14, False)
    ),
    "TSM+RCCA*5": five(by_hand(512, 28), by_hand(1024, 14)),
    "MF-Net+NL*5": five(nl_by_hand(192, 28, True), nl_by_hand(384, 14, True)),
    "MF-Net+RCCA*5": five(by_hand(192, 28), by_hand(384, 14)),
}


@pytest.fixture(scope="module")
def costs() -> dict[tuple[str, str, str], PrintedCost]:
    return {(f.table, f.row, f.metric): f for f in rcca.efficiency()}


def test_every_cell(costs: dict[tuple[str, str, str], PrintedCost]) -> None:
    assert list(costs) == [
        (r["table"], r["row"], r["metric"]) for r in printed_efficiency("RCCA-3D")
    ]
    for key, figure in costs.items():
        verdict = (
            "agrees, fitted"
            if key in FITTED
            else "not explained"
            if key in NOT_EXPLAINED
            else "agrees"
        )
        assert figure.agreement == verdict, key
        assert agrees(figure.printed, figure.computed) == (key not in NOT_EXPLAINED), (
            key
        )
        assert agrees(figure.printed, figure.text) == (verdict == "agrees"), key
        assert figure.convention == (
            "parameters" if "params" in figure.metric else rcca.CONVENTION
        ), key
    for key, (computed, reading) in FITTED.items():
        assert (costs[key].computed, costs[key].reading) == (
            pytest.approx(computed, abs=1e-6),
            reading,
        )
    for key, computed in NOT_EXPLAINED.items():
        assert costs[key].computed == pytest.approx(computed, abs=1e-6), key


def test_the_figures_of_the_text_s_networks_are_the_polynomials(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    seen = Counter()
    for (table, row, metric), figure in costs.items():
        if row not in ADDED or "%" in metric:
            continue
        base = (11.1, 8.0) if "MF" in row else (33.0, 24.3)
        macs, params = ADDED[row]
        if metric == "params M":
            want = base[1] + params
        else:
            want = 2 * macs + (0 if metric == "dFLOPs G" else base[0])
        assert figure.text == pytest.approx(want, abs=1e-8), (table, row, metric)
        seen[row] += 1
    assert set(seen) == set(ADDED)


def test_percentages_and_the_text_s_differences(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    macs, params = by_hand(512, 28)
    assert costs["text", "RCCA extra", "FLOPs %"].text == pytest.approx(
        100 * 2 * macs / 33
    )
    assert costs["text", "RCCA extra", "params %"].text == pytest.approx(
        100 * params / 24.3
    )
    assert costs["text", "RCCA extra", "FLOPs G"].text == pytest.approx(2 * macs)
    assert costs["text", "per CCA", "dFLOPs G"].text == pytest.approx(2 * macs / 3)
    assert costs["IV", "R=4", "FLOPs %"].text == pytest.approx(
        100 * (33 + 8 * macs / 3) / 33
    )
    ratio = costs["text", "I3D 153G vs MF-Net", "ratio"]
    assert (ratio.text, ratio.unit) == (pytest.approx(153 / 11.1), "ratio")


def test_what_the_abstract_claims(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    params = costs["abstract", "RCCA vs NL", "params saved %"]
    flops = costs["abstract", "RCCA vs NL", "FLOPs saved %"]
    ours, nl = ADDED["MF-Net+RCCA*5"], ADDED["MF-Net+NL*5"]
    assert params.others["in_mfnet",] == pytest.approx(100 * (1 - ours[1] / nl[1]))
    assert flops.others["in_mfnet",] == pytest.approx(100 * (1 - ours[0] / nl[0]))
    assert flops.text == pytest.approx(
        100 * (1 - by_hand(512, 28)[0] / nl_by_hand(512, 28, False)[0])
    )
    thrice = by_hand(512, 28, itself=3)[0]
    assert flops.all_counted == pytest.approx(
        100 * (1 - thrice / nl_by_hand(512, 28, False)[0])
    )


def test_everything_counted_is_the_count_of_the_whole_network(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    def build():
        return place(
            resnet50(num_classes=101, temporal="tsm"),
            {"res4": (5,)},
            RecurrentCrissCross3d,
        )

    cost = count(build, (1, 3, 8, 224, 224))
    assert costs["III", "conv4_5", "FLOPs G"].all_counted == pytest.approx(
        cost.macs / 1e9, abs=1e-9
    )
    assert costs["III", "conv4_5", "params M"].all_counted == pytest.approx(
        cost.params / 1e6, abs=1e-9
    )
    assert rcca.added(rcca.ROWS["conv4_5"], itself=3)[0] == pytest.approx(
        by_hand(1024, 14, itself=3)[0]
    )
    conv = 3 * 8 * 14**2 * (2 * 1024 * 256 + 1024**2) / 1e9
    assert rcca.added(rcca.ROWS["conv4_5"], itself=0)[0] == pytest.approx(conv)


def test_one_way_of_counting_gives_all_rows() -> None:
    printed = {
        row["row"]: row["printed"]
        for row in printed_efficiency("RCCA-3D")
        if row["metric"] == "FLOPs G"
    }
    for name in (
        "TSM",
        "MF-Net",
        "c",
        "TSM+NL*5",
        "TSM+RCCA*5",
        "RCCA extra",
        "TSM+5NL no down-sampling",
    ):
        del printed[name]

    def fit(quoted: bool, flops: int, itself: int) -> int:
        hits = 0
        for name, figure in printed.items():
            network = rcca.ROWS[name]
            base = rcca.bare(network.backbone, None if quoted else 101)[0]
            hits += agrees(figure, base + flops * rcca.added(network, itself)[0])
        return hits

    assert len(printed) == 19  # conv2 of the text, too
    assert (fit(True, 2, 1), fit(True, 2, 3)) == (19, 16)
    assert [fit(True, 2, 0), fit(True, 1, 1), fit(False, 2, 1), fit(False, 2, 3)] == [
        0,
        0,
        0,
        1,
    ]


def test_structure_c_without_its_last_convolution() -> None:
    block = Unrestored(512)
    assert sum(p.numel() for p in block.parameters()) == 3 * (512 * 256 + 256) + 1
    n, keys = 8 * 28**2, 62
    macs = rcca.added(rcca.READINGS["c"].likeliest)[0]
    assert macs == pytest.approx(3 * n * (3 * 512 * 256 + keys * 512) / 1e9)
