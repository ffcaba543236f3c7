"""Several processes that train one network, a GPU each.

They are started from here, or by torchrun. The clips of a step are the same whatever
the number of processes, and so are its micro-batches, which the processes share. What
is normalised together is one micro-batch. The running statistics of batch normalisation
are those of process 0, which has seen its own micro-batches only; parameters do not
depend on them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial, update_wrapper
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def position() -> tuple[int, int]:
    """Return this process's number, from 0, and how many processes there are.

    Outside a group that is 0 and 1.
    """
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Join this process's group, if it was started in one, and leave it at the end.

    `launch` or torchrun starts processes in a group.

    Args:
        device: `"cpu"`, or `"cuda"`, where each process takes the GPU of its number on
            its machine.
    """
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # One process may wait long for another that decodes the last videos of a test.
    dist.init_process_group(
        "nccl" if device == "cuda" else "gloo", timeout=timedelta(hours=3)
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def from_first(value: Any) -> Any:
    """Return what process 0 holds, so that all go the same way.

    Outside a group it is the value itself.
    """
    held = [value]
    if dist.is_initialized():
        dist.broadcast_object_list(held)
    return held[0]


def launch(
    processes: int, function: Callable[..., Any], *arguments: Any, **options: Any
) -> Any:
    """Call a function in new processes of one group; return what process 0 returned.

    When a process dies, all are ended and started again, three times at most: a run
    goes on from its checkpoint.

    Args:
        processes: How many.
        function: Of a module, since the processes import it; it calls `joined`.
        *arguments: Its arguments.
        **options: Its keyword arguments.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # With a shared store, a group that starts again meets what is left of the last one.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=str(os.getpid()),
        start_method="spawn",
        max_restarts=3,
    )
    return elastic_launch(
        config, update_wrapper(partial(function, **options), function)
    )(*arguments)[0]


def shared(model: nn.Module) -> nn.Module:
    """Return the model whose gradients are the mean over the group.

    Outside a group it is the model itself.
    """
    return DistributedDataParallel(model) if dist.is_initialized() else model
