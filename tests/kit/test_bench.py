"""The table of costs: its structure, its reference and the memory's control; no
times.
"""

import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from notebooks.kit import bench
from vidattn.backbones import resnet_mini
from vidattn.blocks import make_block
from vidattn.cost import count

on_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from /proc"
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """Memory without processes: a number for each kind. The calls are noted."""
    calls: list[tuple[object, object]] = []

    def peak(
        wanted: bench.Wanted, shape: tuple[int, ...], network: object = None
    ) -> dict[str, float]:
        calls.append((wanted, shape))
        return dict(
            zip(
                bench.PASSES,
                (10.0, 40.0) if wanted == ("nonlocal", {}) else (5.0, 10.0),
                strict=True,
            )
        )

    monkeypatch.setattr(bench, "peak_in_process", peak)
    return calls


def tiny(name: str, **shapes: bench.Shape) -> bench.Suite:
    return bench.SUITES[name]._replace(shapes=shapes or {"tiny": (1, 16, 2, 7, 6)})


@pytest.mark.parametrize("name", bench.SUITES)
def test_every_block_has_a_row_at_every_place_and_the_first_is_one(quick, name) -> None:
    suite = tiny(
        name, a=(1, 32, 8, 5, 4), b=(1, 64, 8, 3, 4)
    )  # GTA has 8 groups, of 8 frames
    rows = bench.measure(suite, rounds=3)
    assert [(row.place, row.label) for row in rows] == [
        (p, label) for p in "ab" for label in suite.blocks
    ]
    assert quick == [
        (w, shape) for shape in suite.shapes.values() for w in suite.blocks.values()
    ]
    for row in rows:
        assert all(
            len(row.seconds[what]) == 3 and min(row.seconds[what]) > 0
            for what in bench.PASSES
        )
        shape = suite.shapes[row.place]
        cost = count(bench.build(suite.blocks[row.label], shape[1]), shape)
        assert (row.macs, row.parameters) == (cost.macs, cost.params)
        own = next(other for other in rows if other.place == row.place)
        if row is own:
            assert suite.blocks[row.label] == ("nonlocal", {})


def test_blocks_are_compared_inside_a_network_with_the_bare_one_first(quick) -> None:
    network: bench.Network = (
        "resnet_mini",
        {"num_classes": 5},
        {"res3": (1,), "res4": (1,)},
    )
    suite = bench.Suite(
        {"R": (1, 3, 4, 32, 32)}, {"bare": bench.BARE, "NL": ("nonlocal", {})}, network
    )
    bare, with_blocks = bench.measure(suite, rounds=1)
    own = [
        count(make_block("nonlocal")(c), (1, c, 4, n, n))
        for c, n in ((96, 8), (192, 4))
    ]
    assert bare.macs == count(resnet_mini(num_classes=5), (1, 3, 4, 32, 32)).macs
    assert with_blocks.macs - bare.macs == sum(cost.macs for cost in own)
    assert with_blocks.parameters - bare.parameters == sum(cost.params for cost in own)
    text = bench.table(suite, rounds=1)
    assert "| bare | R |" in text and "Control" not in text  # whose matrix is a block's


def test_the_suites_have_the_blocks_and_places_of_their_chapters() -> None:
    rnl, pnl, rcca = (bench.SUITES[name] for name in ("rnl", "pnl", "rcca"))
    assert rnl.shapes == {"res3": (1, 512, 8, 28, 28), "res4": (1, 1024, 8, 14, 14)}
    rnl_kinds = ["nonlocal", "region", "squeeze_excite", "additive_squeeze_excite"]
    rnl_kinds += ["cbam", "global_context", "chain"]
    assert [*rnl.blocks.values()] == [(kind, {}) for kind in rnl_kinds]
    assert [*pnl.shapes.values()] == [(1, 512, 8, 32, 32), (1, 512, 8, 28, 28)]
    built = [bench.build(wanted, 16) for wanted in pnl.blocks.values()]
    assert [getattr(block, "pool_keys", None) for block in built] == [
        None,
        "after",
        "before",
        None,
        None,
    ]
    assert [getattr(block, "scales", None) for block in built] == [
        None,
        None,
        None,
        2,
        4,
    ]
    assert rcca.shapes == rnl.shapes
    built = [bench.build(wanted, 16) for wanted in rcca.blocks.values()]
    assert [getattr(block, "pool_keys", None) for block in built] == [
        None,
        "after",
        None,
        None,
    ]
    assert [getattr(block, "passes", None) for block in built] == [None, None, 1, 3]
    gta = bench.SUITES["gta"]
    assert gta.shapes == rnl.shapes
    kinds = [
        (type(bench.build(wanted, 64)).__name__, wanted[1])
        for wanted in gta.blocks.values()
    ]
    both, pooled = (
        ("DecoupledNonLocal", "GlobalTemporalAttention"),
        {"pool_keys": "after"},
    )
    assert kinds[2:] == [(name, options) for name in both for options in ({}, pooled)]


def test_the_table_is_markdown_with_machine_threads_and_control(quick) -> None:
    text = bench.table(tiny("rnl"), rounds=1)
    first, _, head, rule, *lines = text.splitlines()
    threads = torch.get_num_threads()
    assert f"torch {torch.__version__}" in first and f"{threads} thread" in first
    assert head.count("|") == rule.count("|") == 9
    blocks = list(bench.SUITES["rnl"].blocks)
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines[: len(blocks)]
    ]
    assert [row[0] for row in cells] == blocks
    assert {len(row) for row in cells} == {8}
    nonlocal_, region = cells[0], cells[1]
    assert nonlocal_[5] == "1 = 10 MiB" and nonlocal_[7] == "1 = 40 MiB"
    assert nonlocal_[4].startswith("1 = ") and nonlocal_[4].endswith(" ms")
    assert region[5] == "0.50" and region[7] == "0.25"
    read = bench.ratios(text)
    assert read["nonlocal", "tiny"] == [1, 1, 1, 1] and len(read) == len(blocks)
    assert read["region", "tiny"] == [
        float(region[4].split()[0]),
        0.5,
        float(region[6].split()[0]),
        0.25,
    ]
    assert text.endswith(
        "Control, RNL with the N x N matrix written out, tiny: forward 5 MiB, "
        "of which the matrix 0 MiB."
    )


def test_every_row_is_compared_with_the_first_at_its_own_place(quick) -> None:
    shape = (1, 64, 1, 16, 16)
    lines = bench.table(
        tiny("pnl", even=shape, small=(1, 32, 1, 8, 8)), rounds=1
    ).splitlines()[2:]
    _, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[:12]
    ]
    assert [(row[0], row[1], row[5]) for row in rows[::5]] == [
        ("NL", "even", "1 = 10 MiB"),
        ("NL", "small", "1 = 10 MiB"),
    ]
    assert {row[5] for row in rows if row[0] != "NL"} == {"0.50"}
    macs = [
        count(bench.build(wanted, 64), shape).macs
        for wanted in bench.SUITES["pnl"].blocks.values()
    ]
    assert [row[3] for row in rows[:5]] == [f"{one / 1e9:.3g}" for one in macs]


def test_a_round_passes_every_block_before_the_next_one_begins(monkeypatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(
        bench,
        "_pass",
        lambda block, shape, what: lambda: order.append((block, shape, what)),
    )
    times = bench._interleaved({"a": "A", "b": "B"}, (1, 2), "forward", rounds=2)
    assert (
        order == [("A", (1, 2), "forward"), ("B", (1, 2), "forward")] * 3
    )  # the first round warms up
    assert {kind: len(seconds) for kind, seconds in times.items()} == {"a": 2, "b": 2}


def test_times_are_ratios_round_by_round(quick, monkeypatch) -> None:
    seconds = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array([3.0, 1.0, 4.0])}
    memory = dict.fromkeys(bench.PASSES, 1.0)
    rows = [
        bench.Measured(label, "p", 1, 1, dict.fromkeys(bench.PASSES, times), memory)
        for label, times in seconds.items()
    ]
    monkeypatch.setattr(bench, "measure", lambda suite, rounds: rows)
    cells = [
        cell.strip()
        for cell in bench.table(tiny("rnl")).splitlines()[5].strip("|").split("|")
    ]
    assert cells[4] == cells[6] == "1 (0.5 to 3)"


def test_a_training_pass_gives_gradients_and_a_forward_pass_none() -> None:
    block = nn.Conv3d(4, 4, 1)
    assert not bench._pass(block, (1, 4, 2, 3, 3), "forward")().requires_grad
    run = bench._pass(block, (1, 4, 2, 3, 3), "training")
    run()
    once = block.weight.grad.clone()
    run()
    assert torch.equal(block.weight.grad, once)  # they are not added up


@on_linux
def test_memory_of_the_control_shows_the_matrix_and_that_of_the_block_does_not() -> (
    None
):
    shape = (1, 32, 8, 16, 16)  # N = 2048: N x N is 16 MiB, the input 0.25 MiB
    matrix = 2048**2 * 4 / 2**20
    naive = bench.peak_in_process(bench.CONTROL, shape)
    pyramid = bench.peak_in_process(("pyramid", {"scales": 2}), shape)
    for what in bench.PASSES:
        assert naive[what] > matrix and 0 < pyramid[what] < matrix / 2


@on_linux
def test_the_peak_sees_what_lives_for_a_moment() -> None:
    def run() -> None:
        with mmap.mmap(
            -1, 2**25
        ) as memory:  # 32 MiB straight from the system, given back at once
            for page in range(0, 2**25, 4096):
                memory[page] = 1

    assert 31 < bench.peak(run) < 40
    assert bench.peak(lambda: None) < 8
