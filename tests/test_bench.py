"""The table of costs: its structure, its reference and the memory's control; no times."""

import mmap
from pathlib import Path

import pytest
import torch
from torch import nn

from vidattn import bench
from vidattn.blocks import BLOCKS
from vidattn.cost import count

on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Memory without processes: a number for each kind. The calls are noted."""
    calls: list[tuple[str, object]] = []

    def peak(kind: str, shape: tuple[int, ...]) -> tuple[float, float]:
        calls.append((kind, shape))
        return (10.0, 40.0) if kind == "nonlocal" else (5.0, 10.0)

    monkeypatch.setattr(bench, "peak_in_process", peak)
    return calls


def test_every_block_has_a_row_at_every_place_and_nl_is_one(quick) -> None:
    shapes = {"a": (1, 16, 2, 5, 4), "b": (1, 32, 2, 3, 4)}
    rows = bench.measure(shapes, rounds=3)
    assert [(row.place, row.kind) for row in rows] == [(p, kind) for p in shapes for kind in BLOCKS]
    assert quick == [(kind, shape) for shape in shapes.values() for kind in BLOCKS]
    for row in rows:
        assert len(row.forward) == len(row.training) == len(row.forward_ratios) == 3
        assert min(row.forward) > 0 and min(row.training) > 0
        cost = count(bench.build(row.kind, shapes[row.place][1]), shapes[row.place])
        assert (row.macs, row.parameters) == (cost.macs, cost.params)
        own = next(other for other in rows if (other.kind, other.place) == ("nonlocal", row.place))
        assert row.training_ratios == tuple(a / b for a, b in zip(row.training, own.training, strict=True))
        if row is own:
            assert row.forward_ratios == row.training_ratios == (1.0, 1.0, 1.0)


def test_the_table_is_markdown_with_machine_threads_and_control(quick) -> None:
    text = bench.table(bench.QUICK, rounds=1)
    first, _, head, rule, *lines = text.splitlines()
    threads = torch.get_num_threads()
    assert f"torch {torch.__version__}" in first and f"{threads} thread" in first
    assert head.count("|") == rule.count("|") == 9
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: len(BLOCKS)]]
    assert [row[0] for row in cells] == list(BLOCKS)
    assert {len(row) for row in cells} == {8}
    nonlocal_, region = cells[0], cells[1]
    assert nonlocal_[5] == "1 = 10 MiB" and nonlocal_[7] == "1 = 40 MiB"
    assert nonlocal_[4].startswith("1 = ") and nonlocal_[4].endswith(" ms")
    assert region[5] == "0.50" and region[7] == "0.25"
    assert text.endswith("Control, RNL with the N x N matrix written out, tiny: forward 5 MiB, "
                         "of which the matrix 0 MiB.")  # fmt: skip


def test_a_round_passes_every_block_before_the_next_one_begins() -> None:
    order: list[str] = []

    def noted(name: str):
        return lambda: order.append(name)

    times = bench._interleaved({"a": noted("a"), "b": noted("b")}, rounds=2)
    assert order == ["a", "b"] * 3  # the first round warms up
    assert {kind: len(seconds) for kind, seconds in times.items()} == {"a": 2, "b": 2}


def test_a_training_pass_gives_gradients_and_a_forward_pass_none() -> None:
    block = nn.Conv3d(4, 4, 1)
    assert not bench._forward(block, (1, 4, 2, 3, 3))().requires_grad
    run = bench._training(block, (1, 4, 2, 3, 3))
    run()
    once = block.weight.grad.clone()
    run()
    assert torch.equal(block.weight.grad, once)  # they are not added up


@on_linux
def test_memory_of_the_control_shows_the_matrix_and_that_of_the_block_does_not() -> None:
    shape = (1, 32, 8, 16, 16)  # N = 2048: N x N is 16 MiB, the input 0.25 MiB
    matrix = 2048**2 * 4 / 2**20
    naive, naive_training = bench.peak_in_process("naive", shape)
    forward, training = bench.peak_in_process("region", shape)
    assert naive > matrix and naive_training > matrix
    assert 0 < forward < matrix / 2 and 0 < training < matrix / 2


@on_linux
def test_the_peak_sees_what_lives_for_a_moment() -> None:
    def run() -> None:
        with mmap.mmap(-1, 2**25) as memory:  # 32 MiB straight from the system, given back at once
            for page in range(0, 2**25, 4096):
                memory[page] = 1

    assert 31 < bench.peak(run) < 40
    assert bench.peak(lambda: None) < 8
