"""What every block costs on this machine, beside NL: multiply-adds counted, time and memory measured.

Ratios, since seconds differ from machine to machine and from day to day. Rounds are interleaved, a pass of
each block and then again: what slows the machine for a while slows all of them, and a ratio is taken within
its round. Normalisation uses its running statistics in training passes, too: one clip gives the additive
squeeze-excite no variance.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vidattn.blocks import BLOCKS, RegionNonLocal, make_block
from vidattn.cost import count

Shape = tuple[int, int, int, int, int]
# Where a ResNet-50 on 8 frames of 224 x 224 pixels has its blocks.
SHAPES: dict[str, Shape] = {"res3": (1, 512, 8, 28, 28), "res4": (1, 1024, 8, 14, 14)}
QUICK: dict[str, Shape] = {"tiny": (1, 16, 2, 7, 6)}
REFERENCE = "nonlocal"  # embedded Gaussian, all keys
CONTROL = "naive"


class NaiveRegion(RegionNonLocal):
    """The control of the memory measurement: RNL with softmax(r r^T) g written out, an N x N matrix."""

    def _sum(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        return (q @ k.transpose(1, 2)).softmax(dim=-1) @ v


@dataclass(frozen=True)
class Measured:
    """What a block costs at a place, each measure with those of the same round of NL.

    Attributes:
        kind: Name of the block in `BLOCKS`.
        place: Name of the shape.
        macs: Multiply-adds of a forward pass.
        parameters: Number of parameters.
        forward: Seconds of each round's forward pass without gradients.
        training: Seconds of each round's forward and backward pass.
        forward_mib: Peak memory of a forward pass without gradients beyond weights and input, in MiB.
        training_mib: The same of a forward and backward pass, gradients included.
        forward_ratios: `forward` over NL's, round by round.
        training_ratios: `training` over NL's, round by round.
    """

    kind: str
    place: str
    macs: int
    parameters: int
    forward: tuple[float, ...]
    training: tuple[float, ...]
    forward_mib: float
    training_mib: float
    forward_ratios: tuple[float, ...]
    training_ratios: tuple[float, ...]


def build(kind: str, channels: int) -> nn.Module:
    """Return a block with its default options, or the control."""
    return NaiveRegion(channels) if kind == CONTROL else make_block(kind)(channels)


def measure(shapes: Mapping[str, Shape] = SHAPES, rounds: int = 5) -> list[Measured]:
    """Measure every block at every shape.

    Args:
        shapes: Shapes `(B, C, T, H, W)` by name.
        rounds: Measured passes of each block; one more warms up.

    Returns:
        A row for each block of `BLOCKS` and each shape, shape by shape.
    """
    rows = []
    for place, shape in shapes.items():
        blocks = {kind: build(kind, shape[1]) for kind in BLOCKS}
        forward = _interleaved({kind: _forward(block, shape) for kind, block in blocks.items()}, rounds)
        training = _interleaved({kind: _training(block, shape) for kind, block in blocks.items()}, rounds)
        for kind, block in blocks.items():
            cost = count(block, shape)
            row = Measured(
                kind, place, cost.macs, cost.params, forward[kind], training[kind],
                *peak_in_process(kind, shape),
                _ratios(forward[kind], forward[REFERENCE]), _ratios(training[kind], training[REFERENCE]),
            )  # fmt: skip
            rows.append(row)
    return rows


def table(shapes: Mapping[str, Shape] = SHAPES, rounds: int = 5) -> str:
    """Measure every block and return the machine and a Markdown table; see `measure` for the arguments.

    Times and memory are ratios to NL at the same place; times are the median over rounds, with the smallest
    and the largest in brackets. NL's own row has what they are ratios of.
    """
    rows = measure(shapes, rounds)
    head = (
        "block", "place", "parameters M", "GMAC", "forward: time", "forward: memory",
        "training: time", "training: memory",
    )  # fmt: skip
    lines = [machine(), "", _line(head), _line("---" if i < 2 else "---:" for i in range(len(head)))]
    for row in rows:
        own = next(other for other in rows if (other.kind, other.place) == (REFERENCE, row.place))
        lines.append(
            _line(
                (
                    row.kind, row.place, f"{row.parameters / 1e6:.3f}", f"{row.macs / 1e9:.3g}",
                    _time(row.forward_ratios, row.forward, row is own),
                    _memory(row.forward_mib, own.forward_mib, row is own),
                    _time(row.training_ratios, row.training, row is own),
                    _memory(row.training_mib, own.training_mib, row is own),
                )
            )
        )  # fmt: skip
    control = [
        f"Control, RNL with the N x N matrix written out, {place}: forward "
        f"{peak_in_process(CONTROL, shape)[0]:.0f} MiB, of which the matrix {_matrix_mib(shape):.0f} MiB."
        for place, shape in shapes.items()
    ]
    return "\n".join([*lines, "", *control])


def machine() -> str:
    """Return a line that says what was measured on what."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [line.partition(":")[2].strip() for line in information.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        name = names[0] if names else name
    threads = torch.get_num_threads()
    used = f"{threads} thread{'s' * (threads != 1)} of {os.cpu_count()} CPUs"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"One clip, float32; {name}, {used}; {versions}"


def peak_in_process(kind: str, shape: Sequence[int]) -> tuple[float, float]:
    """Return the extra peak memory of a block's forward pass and of its forward and backward pass, in MiB.

    Measured in a process of its own, so that no other block's memory lies about. Not a number where there is
    no /proc.
    """
    if not Path("/proc/self/status").exists():
        return float("nan"), float("nan")
    # The allocator then returns each large tensor when it is freed: the peak is what is alive, without holes
    # in the heap.
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": root}
    wanted = json.dumps([kind, list(shape), torch.get_num_threads()])
    command = [sys.executable, "-m", "vidattn.bench", wanted]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    forward, training = json.loads(done.stdout)
    return forward, training


def peak(run: Callable[[], object]) -> float:
    """Return by how many MiB this process's resident memory peaks while a function runs, as Linux sees it.

    What was resident before does not count; what the function returns does. Buffers inside fused operators
    count, too.
    """
    with suppress(OSError):  # else the highest is at least the true peak: the figure errs on the high side
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


def _forward(block: nn.Module, shape: Sequence[int]) -> Callable[[], Tensor]:
    x = torch.randn(*shape)

    def run() -> Tensor:
        with torch.no_grad():
            return block.eval()(x)

    return run


def _training(block: nn.Module, shape: Sequence[int]) -> Callable[[], Tensor]:
    x = torch.randn(*shape, requires_grad=True)
    slope = torch.randn(*shape)

    def run() -> Tensor:
        block.zero_grad()
        x.grad = None
        z = block.eval()(x)
        z.backward(slope)
        return z

    return run


def _interleaved(passes: Mapping[str, Callable[[], Tensor]], rounds: int) -> dict[str, tuple[float, ...]]:
    seconds: dict[str, list[float]] = {kind: [] for kind in passes}
    for _ in range(rounds + 1):
        for kind, run in passes.items():
            start = time.perf_counter()
            run()
            seconds[kind].append(time.perf_counter() - start)
    return {kind: tuple(times[1:]) for kind, times in seconds.items()}


def _ratios(times: Sequence[float], reference: Sequence[float]) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(times, reference, strict=True))


def _time(ratios: Sequence[float], seconds: Sequence[float], reference: bool) -> str:
    if reference:
        return f"1 = {1000 * statistics.median(seconds):.1f} ms"
    return f"{statistics.median(ratios):.2g} ({min(ratios):.2g} to {max(ratios):.2g})"


def _memory(mib: float, reference_mib: float, reference: bool) -> str:
    return f"1 = {mib:.0f} MiB" if reference else f"{mib / reference_mib:.2f}"


def _matrix_mib(shape: Sequence[int]) -> float:
    batch, _, t, h, w = shape
    return batch * (t * h * w) ** 2 * 4 / 2**20


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _measure_here(kind: str, shape: Sequence[int], threads: int) -> tuple[float, float]:
    """The other end of `peak_in_process`."""
    torch.set_num_threads(threads)
    block = build(kind, shape[1])
    small = [*shape[:2], *(min(size, most) for size, most in zip(shape[2:], (3, 9, 9), strict=True))]
    _forward(block, small)()
    _training(block, small)()  # loads the libraries
    block.zero_grad()
    forward = peak(_forward(block, shape))
    return forward, peak(_training(block, shape))


if __name__ == "__main__":
    print(json.dumps(_measure_here(*json.loads(sys.argv[1]))))
