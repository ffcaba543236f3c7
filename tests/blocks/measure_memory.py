"""Prints, as JSON, by how many MiB the memory of this process peaks during one forward pass of some blocks.

Run as a script in a process of its own: `python measure_memory.py '[["region", {}], ...]'`. The peak is the
resident set as the kernel of the operating system sees it (VmHWM), so that buffers inside fused operators
count; what was resident before (input, weights, libraries) does not; the output does. A first pass on a small
clip loads the libraries. The kind "naive" is the control: RNL with softmax(r r^T) g written out.

The caller sets MALLOC_MMAP_THRESHOLD_, so that the allocator returns each large tensor when it is freed: the
peak is then what is alive, not what is alive plus holes in the heap, which vary from run to run.
"""

import json
import sys

import torch
from torch import Tensor

from vidattn.blocks import RegionNonLocal, make_block

SHAPE = (1, 512, 8, 28, 28)


class Naive(RegionNonLocal):
    def _sum(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        return (q @ k.transpose(1, 2)).softmax(dim=-1) @ v


def resident(name: str) -> int:
    """VmRSS (now) or VmHWM (highest so far), in KiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))


def peak(block: torch.nn.Module) -> float:
    x = torch.randn(SHAPE)
    block.eval()(x[:, :, :3, :9, :9].contiguous())
    try:
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")  # resets VmHWM
    except OSError:
        pass  # Then VmHWM is at least the true peak: the figure errs on the high side.
    before = resident("VmRSS")
    z = block(x)
    extra = resident("VmHWM") - before
    assert z.shape == SHAPE
    return extra / 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        wanted = json.loads(sys.argv[1])
        blocks = [
            Naive(512) if kind == "naive" else make_block(kind, **options)(512) for kind, options in wanted
        ]
        print(json.dumps([peak(block) for block in blocks]))
