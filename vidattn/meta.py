"""Models without numbers, to ask for shapes and costs.

The largest network takes no time and no memory.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn


def meta_copy(model: nn.Module | Callable[[], nn.Module]) -> nn.Module:
    """Return a copy of a model on the meta device, in evaluation mode.

    Args:
        model: A model, which is left as it is, or a function that makes one, which then
            never takes up memory.

    Returns:
        A model whose tensors have shapes but no values.
    """
    if not isinstance(model, nn.Module):
        with torch.device("meta"):
            return model().to("meta").eval()
    # Handing deepcopy the copies of all tensors keeps it from copying their values.
    memo: dict[int, Tensor] = {
        id(buffer): buffer.to("meta") for buffer in model.buffers()
    }
    for weight in model.parameters():
        memo[id(weight)] = nn.Parameter(
            weight.detach().to("meta"), requires_grad=weight.requires_grad
        )
    return copy.deepcopy(model, memo).eval()
