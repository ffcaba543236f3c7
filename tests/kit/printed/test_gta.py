from collections.abc import Callable
from math import isnan

import pytest
from torch import nn

from notebooks.kit.printed import PrintedCost, agrees, gta, printed_efficiency
from notebooks.kit.printed.networks import Bottlenecked
from notebooks.kit.printed.readings import readings
from vidattn.backbones import place, resnet50, slowfast101
from vidattn.blocks import NonLocal
from vidattn.cost import count

AFTER, BEFORE, ALL = (("narrow", keys) for keys in ("after", "before", "all_keys"))
Cost = tuple[float, float]  # MACs and parameters

# The bare networks, 10^9 multiply-adds and 10^6 parameters, and the maps of res3 and
# res4 in them: T, side.
R2D, SLOWFAST = (32.697446400, 23.864558), (131.416333824, 34.045558)
R2D_KINETICS, SLOWFAST101 = (42.707222528, 24.327632), (125.905539072, 62.826968)
MAPS = {R2D: (8, 28), SLOWFAST: (16, 32), R2D_KINETICS: (8, 32), SLOWFAST101: (8, 32)}
KEYS = {R2D: "after", SLOWFAST: "before", R2D_KINETICS: "before", SLOWFAST101: "before"}


def nl(c: int, t: int, side: int, keys: str | None, d: int | None = None) -> Cost:
    n, d = t * side**2, d or c // 2
    at, m = (n // 4 if keys == "before" else n), (n // 4 if keys else n)
    return 2 * n * c * d + 2 * at * c * d + 2 * n * m * d, 4 * c * d + 3 * d + 3 * c


def sa(c: int, t: int, side: int, keys: str | None, d: int | None = None) -> Cost:
    n, d = t * side**2, d or c // 4
    at, m = (n // 4 if keys == "before" else n), side**2 // (4 if keys else 1)
    return 2 * n * c * d + 2 * at * c * d + 2 * n * m * d, 4 * c * d + 2 * c


def ta(
    c: int, t: int, side: int, keys: str | None = None, d: int | None = None
) -> Cost:
    n, d = t * side**2, d or c // 4
    return 4 * n * c * d + 2 * n * t * d, 4 * c * d + 2 * c


def dnl(c: int, t: int, side: int, keys: str | None, d: int | None = None) -> Cost:
    (a, p), (b, q) = sa(c, t, side, keys, d), ta(c, t, side, d=d)
    return a + b, p + q


def whole_gta(
    c: int,
    t: int,
    side: int,
    keys: str | None,
    d: int | None = None,
    k: int | None = None,
    g: int = 8,
) -> Cost:
    (a, p), n, width, k = sa(c, t, side, keys, d), t * side**2, d or c // 4, k or c // 8
    macs = (
        4 * n * c * width + n * c * k + n * k * 2 * width + g * t * (n + t * k) * width
    )
    return a + macs, p + 4 * c * width + c * k + 2 * g**2 * t**2 + 4 * c


def guess(c: int, t: int, side: int, keys: str | None, g: int = 4) -> Cost:
    (a, p), n, d, k = sa(c, t, side, keys), t * side**2, c // 4, c // 8
    places = n * (
        c * d + d * d + c * k + 2 * d * c
    )  # W_Z, W_V of the pixels, W_G, both W_O
    regions = t * k * d * d + 2 * n * k * d  # W_V of the regions; to regions and back
    return a + places + regions + g * t * (
        n + t * k
    ) * d, p + c * d + 2 * d**2 + c * k + 2 * d * c + (2 * g**2 * t**2 + 2 * c)


def network(
    base: Cost,
    block,
    three: bool = False,
    wide: bool = False,
    keys="as printed",
    **options,
) -> Cost:
    """Two blocks in res3 and three in res4, or only the latter."""
    t, side = MAPS[base]
    keys = None if wide else KEYS[base] if keys == "as printed" else keys
    total = list(base)
    for c, s, number in ((512, side, 0 if three else 2), (1024, side // 2, 3)):
        own = block(c, t, s, keys, **({"d": c} if wide else {}), **options)
        total = [total[i] + number * own[i] / (1e9, 1e6)[i] for i in (0, 1)]
    return total[0], total[1]


# Every row: the bare network, its block, and under which reading it agrees.
ROWS = {
    ("Fig3", "R2D-50"): (R2D, None, ()),
    ("Fig3", "R2D+NL"): (R2D, nl, AFTER),
    ("Fig3", "R2D+DNL"): (R2D, dnl, AFTER),
    ("Fig3", "R2D+GTA"): (R2D, guess, (*AFTER, "guess")),
    ("Fig3", "SlowFast-R50"): (SLOWFAST, None, ()),
    ("Fig3", "SlowFast+NL"): (SLOWFAST, nl, BEFORE),
    ("Fig3", "SlowFast+DNL"): (SLOWFAST, dnl, BEFORE),
    ("Fig3", "SlowFast+GTA"): (SLOWFAST, guess, (*BEFORE, "guess")),
    ("Fig7", "R2D-50"): (R2D, None, ()),
    ("Fig7", "+SA"): (R2D, sa, AFTER),
    ("Fig7", "+TA"): (R2D, ta, AFTER),
    ("Fig7", "+SA+TA"): (R2D, dnl, AFTER),
    ("Fig7", "+SA+TAPE"): (R2D, dnl, AFTER),
    ("Fig7", "+SA+GTA"): (R2D, guess, (*AFTER, "guess")),
    ("Fig4", "R2D-R50+NL"): (R2D_KINETICS, nl, BEFORE),
    ("Fig4", "R2D-R50+GTA"): (R2D_KINETICS, guess, (*BEFORE, "guess")),
    ("Fig4", "SlowFast-R101+NL"): (SLOWFAST101, nl, (*BEFORE, "three")),
    ("Fig4", "SlowFast-R101+GTA"): (SLOWFAST101, guess, (*BEFORE, "guess", "three")),
}
QUOTED = ("bLVNet-TAM", "MSNet", "S3D-G", "I3D+NL", "CorrNet-R101")


@pytest.fixture(scope="module")
def costs() -> dict[tuple[str, str, str], PrintedCost]:
    return {(f.table, f.row, f.metric): f for f in gta.efficiency()}


def test_every_figure_is_there_in_the_order_of_the_printed_ones(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    assert list(costs) == [
        (r["table"], r["row"], r["metric"]) for r in printed_efficiency("GTA")
    ]
    assert len(costs) == 40
    assert {(t, r) for t, r, _ in costs if t != "text"} == set(ROWS) | {
        ("Fig4", row) for row in (*QUOTED, "TSM")
    }


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_a_row_is_its_polynomial(
    costs: dict[tuple[str, str, str], PrintedCost], table: str, row: str
) -> None:
    base, block, reading = ROWS[table, row]
    own = [f for (t, r, _), f in costs.items() if (t, r) == (table, row)]
    assert len(own) == (1 if table == "Fig4" else 2)
    for figure in own:
        i = int(figure.metric == "params M")
        three = "R101" in row
        want = network(base, block, three)[i] if block else base[i]
        described = {guess: whole_gta}.get(block, block)
        text = network(base, described, wide=True)[i] if block else base[i]
        assert figure.computed == pytest.approx(want, abs=1e-9)
        assert figure.text == figure.all_counted == pytest.approx(text, abs=1e-9)
        assert figure.verdict == ("agrees, fitted" if block else "agrees")
        assert (figure.reading, figure.convention) == (
            reading,
            ("all", "parameters")[i],
        )
        assert agrees(figure.printed, figure.computed)
        assert agrees(figure.printed, figure.text) == (block is None)


def test_quoted_rows_have_no_figure_but_tsm(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    for row in QUOTED:
        figure = costs["Fig4", row, "GFLOPs"]
        assert isnan(figure.computed) and isnan(figure.text) and not figure.others
        assert (figure.verdict, figure.reading) == ("not explained", ("not_built",))
    tsm = costs["Fig4", "TSM", "GFLOPs"]
    assert (tsm.verdict, tsm.reading) == ("agrees, fitted", ("tsm_16_256", "seen"))
    assert (tsm.computed, tsm.convention) == (
        pytest.approx(85.878964224, abs=1e-9),
        "modules",
    )
    assert tsm.all_counted == pytest.approx(85.413625856) and isnan(tsm.text)
    tried = [85.413625856, 42.707222528, 65.394999296]
    assert [*tsm.others.values()] == pytest.approx(tried, abs=1e-9)


def test_what_else_was_tried(costs: dict[tuple[str, str, str], PrintedCost]) -> None:
    def tried(table: str, row: str, metric: str) -> dict[tuple[str, ...], float]:
        return {
            reading: pytest.approx(value, abs=1e-9)
            for reading, value in costs[table, row, metric].others.items()
        }

    flops, params = (
        tried("Fig3", "R2D+NL", "FLOPs G"),
        tried("Fig3", "R2D+NL", "params M"),
    )
    assert (flops[BEFORE], flops[ALL]) == (
        network(R2D, nl, keys="before")[0],
        network(R2D, nl, keys=None)[0],
    )
    assert params[BEFORE] == network(R2D, nl)[1]
    for metric, i in (("FLOPs G", 0), ("params M", 1)):
        others = tried("Fig3", "SlowFast+GTA", metric)
        assert others[(*BEFORE, "library")] == network(SLOWFAST, whole_gta)[i]
        assert others[(*BEFORE, "regions_16")] == network(SLOWFAST, whole_gta, k=16)[i]
        assert others[(*BEFORE, "groups_4")] == network(SLOWFAST, whole_gta, g=4)[i]
        assert others[(*BEFORE, "guess_8")] == network(SLOWFAST, guess, g=8)[i]
        assert others[(*AFTER, "guess")] == network(SLOWFAST, guess, keys="after")[i]
    learned = tried("Fig7", "+SA+TAPE", "params M")[(*AFTER, "learned")]
    assert learned == network(R2D, dnl)[1] + 8 * (2 * 512 + 3 * 1024) / 1e6
    five = tried("Fig4", "SlowFast-R101+GTA", "GFLOPs")[(*BEFORE, "guess")]
    assert five == network(SLOWFAST101, guess)[0]


def test_what_dnl_saves(costs: dict[tuple[str, str, str], PrintedCost]) -> None:
    low, high = (
        costs["text", f"DNL vs NL {d}", m]
        for d, m in (("2D", "saving % (low)"), ("3D", "saving % (high)"))
    )
    saved = [
        100 * (1 - network(base, dnl)[0] / network(base, nl)[0])
        for base in (R2D, SLOWFAST)
    ]
    assert saved == pytest.approx([18.276, 29.503], abs=1e-3)
    assert (low.computed, low.reading, low.verdict) == (
        20,
        (*AFTER, "tens"),
        "agrees, fitted",
    )
    assert low.others[AFTER] == pytest.approx(saved[0])
    assert (high.computed, high.reading) == (pytest.approx(saved[1]), BEFORE)
    assert high.others[(*BEFORE, "tens")] == 30
    blocks = 1 - (network(R2D, dnl)[0] - R2D[0]) / (network(R2D, nl)[0] - R2D[0])
    assert low.others[(*AFTER, "alone")] == pytest.approx(100 * blocks)
    text = [
        100 * (1 - network(b, dnl, wide=True)[0] / network(b, nl, wide=True)[0])
        for b in (R2D, SLOWFAST)
    ]
    assert [low.text, high.text] == pytest.approx(text)
    assert (low.unit, low.convention) == ("%", "all")


def test_a_row_costs_what_the_whole_network_costs(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    def whole(
        build: Callable[[], nn.Module],
        places: dict[str, tuple[int, ...]],
        block,
        clip: tuple[int, int],
    ) -> Cost:
        frames, side = clip
        cost = count(lambda: place(build(), places, block), (1, 3, frames, side, side))
        return pytest.approx((cost.macs / 1e9, cost.params / 1e6), abs=1e-9)

    def guessed(channels: int) -> nn.Module:
        return Bottlenecked(channels, frames=8, pool_keys="after")

    five = {"res3": (1, 3), "res4": (1, 3, 5)}
    own = [
        costs["Fig3", "R2D+GTA", metric].computed for metric in ("FLOPs G", "params M")
    ]
    assert tuple(own) == whole(
        lambda: resnet50(num_classes=174), five, guessed, (8, 224)
    )
    row = readings("GTA")["Fig4", "SlowFast-R101+NL"]
    assert next(iter(row.others)) == (*BEFORE, "three")
    want = whole(
        lambda: slowfast101(num_classes=400),
        {"slow.res4": (7, 14, 21)},
        lambda channels: NonLocal(channels, pool_keys="before"),
        (32, 256),
    )
    assert row.likeliest.amount() == want
