"""What every block costs on this machine: counted, and measured."""

import time
from collections.abc import Sequence

import torch

from vidattn.blocks import BLOCKS, make_block
from vidattn.cost import count

PLACES = {"res3": (1, 512, 8, 28, 28), "res4": (1, 1024, 8, 14, 14)}  # of a ResNet-50, 8 frames of 224 x 224
REPEATS = 5


def seconds(block: torch.nn.Module, shape: Sequence[int]) -> float:
    """Return the fastest of some forward passes without gradient, in seconds; the first does not count."""
    x = torch.randn(*shape)
    block = block.eval()
    times = []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            block(x)
            times.append(time.perf_counter() - start)
    return min(times[1:])


def table() -> str:
    """Return a table of parameters, MACs, activation memory and time for each block at each place."""
    threads = torch.get_num_threads()
    lines = [
        f"One clip, float32, forward, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}",
        "",
        f"{'block':<24}{'place':<7}{'params M':>10}{'GMAC':>9}{'saved MiB':>11}{'ms':>9}",
    ]
    for kind in BLOCKS:
        for place, shape in PLACES.items():
            block = make_block(kind)(shape[1])
            cost = count(block, shape)
            time_ms = 1000 * seconds(block, shape)
            lines.append(
                f"{kind:<24}{place:<7}{cost.params / 1e6:>10.3f}{cost.macs / 1e9:>9.3f}"
                f"{cost.activation_bytes / 2**20:>11.1f}{time_ms:>9.1f}"
            )
    return "\n".join(lines)
