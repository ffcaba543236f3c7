"""What blocks cost on this machine, beside NL: multiply-adds counted, time and memory
measured.

A suite names the blocks of a table and the places where they stand, by themselves or in
a network. Ratios, since seconds differ from machine to machine and from day to day.
Rounds are interleaved, a pass of each block and then again: what slows the machine for
a while slows all of them, and a ratio is taken within its round. Normalisation uses its
running statistics in training passes, too: one clip gives the additive squeeze-excite
no variance.
"""

import ctypes
import math
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from timeit import timeit
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vidattn.backbones import BACKBONES
from vidattn.backbones import place as put
from vidattn.blocks import RegionNonLocal, make_block
from vidattn.blocks.pairwise import unflatten
from vidattn.cost import count
from vidattn.yamlfile import read_yaml

Shape = tuple[int, int, int, int, int]
Wanted = tuple[str, Mapping[str, Any]]  # a block's kind and options
# A backbone, its options, places.
Network = tuple[str, Mapping[str, Any], Mapping[str, Sequence[int]]]
DATA = Path(__file__).with_name("bench.yaml")
CONTROL: Wanted = ("naive", {})
BARE: Wanted = ("bare", {})  # in a network: no block
PASSES = ("forward", "training")  # without gradients; with the backward pass
M_MMAP_THRESHOLD = -3  # of the C library's mallopt


class Suite(NamedTuple):
    """The blocks of a table and their places.

    Attributes:
        shapes: Shapes `(B, C, T, H, W)` by name.
        blocks: Kind and options of each block by its label; all are compared with the
            first.
        network: What the blocks stand in; None: a block by itself.
    """

    shapes: Mapping[str, Shape]
    blocks: Mapping[str, Wanted]
    network: Network | None = None


def _read_suites() -> dict[str, Suite]:
    def suite(of: dict[str, Any]) -> Suite:
        shapes = {name: tuple(shape) for name, shape in of["shapes"].items()}
        return Suite(
            shapes, {name: tuple(block) for name, block in of["blocks"].items()}
        )

    return {name: suite(of) for name, of in read_yaml(DATA).items()}


SUITES = _read_suites()


class NaiveRegion(RegionNonLocal):
    """The control of the memory measurement: RNL with softmax(r r^T) g written out, an
    N x N matrix.
    """

    def response(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        y = (q @ k.transpose(1, 2)).softmax(dim=-1) @ v
        return self.out(unflatten(y, like=x))


class Measured(NamedTuple):
    """What a block costs at a place.

    Attributes:
        label: Name of the block in the suite.
        place: Name of the shape.
        macs: Multiply-adds of a forward pass.
        parameters: Number of parameters.
        seconds: Those of each round, for each of `PASSES`.
        mib: Peak memory of each of `PASSES` beyond weights and input, in MiB; gradients
            count.
    """

    label: str
    place: str
    macs: int
    parameters: int
    seconds: Mapping[str, np.ndarray]
    mib: Mapping[str, float]


def build(wanted: Wanted, channels: int, network: Network | None = None) -> nn.Module:
    """Return a new block, or the control, or a new network with that block at its
    places.
    """
    kind, options = wanted
    if network is not None:
        backbone, given, places = network
        model = BACKBONES[backbone](**given)
        bare = wanted == BARE
        return model if bare else put(model, places, make_block(kind, **options))
    naive = kind == CONTROL[0]
    return NaiveRegion(channels) if naive else make_block(kind, **options)(channels)


def measure(suite: Suite, rounds: int = 5) -> list[Measured]:
    """Measure every block of a suite at every place.

    Args:
        suite: The blocks and their places.
        rounds: Measured passes of each block; one more warms up.

    Returns:
        A row for each place and block, place by place.
    """
    rows, network = [], suite.network
    for place, shape in suite.shapes.items():
        wanted = suite.blocks.items()
        blocks = {label: build(of, shape[1], network) for label, of in wanted}
        seconds = {what: _interleaved(blocks, shape, what, rounds) for what in PASSES}
        for label, block in blocks.items():
            cost = count(block, shape)
            mib = peak_in_process(suite.blocks[label], shape, network)
            own = {what: seconds[what][label] for what in PASSES}
            rows.append(Measured(label, place, cost.macs, cost.params, own, mib))
    return rows


def table(suite: Suite, rounds: int = 5) -> str:
    """Measure a suite and return the machine and a Markdown table; see `measure` for
    the arguments.

    Times and memory are ratios to the suite's first block at the same place; times are
    the median over rounds, with the smallest and the largest in brackets. The first
    block's own row has what they are ratios of.
    """
    lines = []
    for row in (rows := measure(suite, rounds)):
        own = next(other for other in rows if other.place == row.place)
        line = {
            "block": row.label,
            "place": row.place,
            "parameters M": f"{row.parameters / 1e6:.3f}",
            "GMAC": f"{row.macs / 1e9:.3g}",
        }
        for what in PASSES:
            seconds, mib = row.seconds[what], row.mib[what]
            of = seconds / own.seconds[what]
            time = f"{np.median(of):.2g} ({of.min():.2g} to {of.max():.2g})"
            memory = f"{mib / own.mib[what]:.2f}"
            if row is own:
                time = f"1 = {1000 * np.median(seconds):.1f} ms"
                memory = f"1 = {mib:.0f} MiB"
            line |= {f"{what}: time": time, f"{what}: memory": memory}
        lines.append(line)
    sides = ["---", "---", *["---:"] * (len(lines[0]) - 2)]
    cells = [lines[0], sides, *(line.values() for line in lines)]
    shown = [f"| {' | '.join(row)} |" for row in cells]
    control = [
        f"Control, RNL with the N x N matrix written out, {place}: forward "
        f"{peak_in_process(CONTROL, shape)['forward']:.0f} MiB, "
        f"of which the matrix {math.prod(shape[2:]) ** 2 / 2**18:.0f} MiB."
        for place, shape in suite.shapes.items()
        if suite.network is None
    ]
    return "\n".join([machine(), "", *shown, "", *control])


def ratios(text: str) -> dict[tuple[str, str], list[float]]:
    """Read a table's ratios: by block and place those of `PASSES`, time and memory of
    each.
    """
    lines = [line.split("|")[1:-1] for line in text.splitlines() if "|" in line]
    return {
        (label.strip(), place.strip()): [float(cell.split()[0]) for cell in cells]
        for label, place, _, _, *cells in lines[2:]  # of the first, '1 = 2 ms'
    }


def machine() -> str:
    """Return a line that says what was measured on what."""
    information = Path("/proc/cpuinfo")
    said = information.read_text() if information.is_file() else ""
    found = re.search(r"model name\s*: (.+)", said)
    name = found[1] if found else platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    used = f"{threads} thread{'s' * (threads != 1)} of {os.cpu_count()} CPUs"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"One clip, float32; {name}, {used}; {versions}"


def peak_in_process(
    wanted: Wanted, shape: Sequence[int], network: Network | None = None
) -> dict[str, float]:
    """Return the extra peak memory of a block, or of a network with it, in each of
    `PASSES`, in MiB.

    Measured in a process of its own, so that no other block's memory lies about. Not a
    number where there is no /proc.
    """
    if not Path("/proc/self/status").exists():
        return dict.fromkeys(PASSES, math.nan)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        threads = torch.get_num_threads()
        return pool.submit(_peaks, wanted, shape, network, threads).result()


def peak(run: Callable[[], object]) -> float:
    """Return by how many MiB this process's resident memory peaks while a function
    runs, as Linux sees it.

    What was resident before does not count; what the function returns does. Buffers
    inside fused operators count, too.
    """
    # Else the highest is at least the true peak: the figure errs on the high side.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the highest value so far
    before = _resident("VmRSS")
    kept = run()
    extra = _resident("VmHWM") - before
    del kept
    return extra / 1024


def _resident(name: str) -> int:
    """Return VmRSS (now) or VmHWM (highest so far), in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _pass(block: nn.Module, shape: Sequence[int], what: str) -> Callable[[], Tensor]:
    training = what == "training"
    x = torch.randn(*shape, requires_grad=training)

    def run() -> Tensor:
        with torch.set_grad_enabled(training):
            z = block.eval()(x)
        if training:
            block.zero_grad()
            x.grad = None
            z.backward(torch.ones_like(z))
        return z

    return run


def _interleaved(
    blocks: Mapping[str, nn.Module], shape: Sequence[int], what: str, rounds: int
) -> dict[str, np.ndarray]:
    passes = [_pass(block, shape, what) for block in blocks.values()]
    seconds = [[timeit(run, number=1) for run in passes] for _ in range(rounds + 1)]
    return dict(zip(blocks, np.transpose(seconds[1:]), strict=True))


def _peaks(
    wanted: Wanted, shape: Sequence[int], network: Network | None, threads: int
) -> dict[str, float]:
    """The other end of `peak_in_process`."""
    torch.set_num_threads(threads)
    # The allocator then returns each large tensor when it is freed: the peak is what is
    # alive, without holes in the heap.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**16)
    block, side = build(wanted, shape[1], network), 9 if network is None else 64
    small = [*shape[:3], *(min(size, side) for size in shape[3:])]
    for what in PASSES:  # loads the libraries
        _pass(block, small, what)()
    block.zero_grad()
    return {what: peak(_pass(block, shape, what)) for what in PASSES}
