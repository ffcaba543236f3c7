"""Prints, as JSON, by how many MiB the memory of this process peaks during one forward
pass of some blocks.

Run as a script in a process of its own: `python measure_memory.py '[["region", {}],
...]'`. The peak is the resident set as the kernel of the operating system sees it
(VmHWM), so that buffers inside fused operators count; what was resident before (input,
weights, libraries) does not; the output does. A first pass on a small clip loads the
libraries. The kind "naive" is the control: RNL with softmax(r r^T) g written out.

The caller sets MALLOC_MMAP_THRESHOLD_, so that the allocator returns each large tensor
when it is freed: the peak is then what is alive, not what is alive plus holes in the
heap, which vary from run to run.
"""

import json
import sys

import torch

from notebooks.kit.bench import NaiveRegion, peak
from vidattn.blocks import make_block

SHAPE = (1, 512, 8, 28, 28)


def extra(block: torch.nn.Module) -> float:
    x = torch.randn(SHAPE)
    block.eval()(x[:, :, :3, :9, :9].contiguous())
    return peak(lambda: block(x))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        wanted = json.loads(sys.argv[1])
        blocks = [
            NaiveRegion(512) if kind == "naive" else make_block(kind, **options)(512)
            for kind, options in wanted
        ]
        print(json.dumps([extra(block) for block in blocks]))
