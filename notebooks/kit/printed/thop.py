"""The ways of counting that two papers' tables fit: those of pytorch-OpCounter (thop).

That it is the tool of RNL and of PNL is a reading; the papers do not say how they
counted.

Source:
    pytorch-OpCounter as of 2019, `count_hooks`; linear layers once: `count_linear` in
    its later `basic_hooks`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.module import register_module_forward_hook

from vidattn import cost
from vidattn.cost import Cost, Model
from vidattn.errors import UserError
from vidattn.meta import meta_copy

Convention = Literal["all", "modules", "modules, linear layers once"]

MODULES: tuple[str, ...] = ("conv", "bias", "norm", "linear", "pool")
ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)


def count(model: Model, shape: Sequence[int], convention: Convention = "all") -> Cost:
    """Count what one forward pass of a model costs under one of three conventions.

    Args:
        model: A module, which is left as it is, or a function that makes one.
        shape: Shape of the input, mostly `(B, C, T, H, W)`.
        convention: `"all"` is `vidattn.cost.count`. `"modules"` counts as the tool that
            RNL's tables fit, and sees modules only: no product of two activations, no
            convolution called as a function. A convolution costs one for each
            multiplication and one for each bias added; batch normalisation 2 an
            element; a linear layer 2 a weight, less 1 an output without bias; average
            pooling 1 an output; adaptive average pooling its window + 1 an output.
            `"modules, linear layers once"`, which PNL's tables fit, counts 1 a weight of
            those.

    Returns:
        The cost; under `"modules"`, in what that tool calls operations, of the kinds
        `"conv"`, `"bias"` (of convolutions), `"norm"`, `"linear"` and `"pool"`.

    Raises:
        UserError: The convention is unknown, or the model has a module that it does not
            know.
    """
    if convention not in get_args(Convention):
        allowed = ", ".join(get_args(Convention))
        raise UserError(f"convention={convention!r} is unknown: allowed are {allowed}")
    if convention == "all":
        return cost.count(model, shape)
    on_meta = meta_copy(model)
    names = {module: name for name, module in on_meta.named_modules()}
    layers: dict[str, Counter[str]] = {}

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = layers.setdefault(names[module], Counter())
        own.update(_operations(module, inputs, output, once="once" in convention))

    with register_module_forward_hook(add):  # for all modules
        counted = cost.count(lambda: on_meta, shape)  # runs this very copy
    return replace(counted, kinds=MODULES, layers=layers)


def _operations(
    module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor, *, once: bool
) -> dict[str, int]:
    if isinstance(module, _ConvTransposeNd):
        raise UserError(
            "convention='modules' knows no transposed convolution: use convention='all'"
        )
    if isinstance(module, _ConvNd):
        products = module.in_channels // module.groups * math.prod(module.kernel_size)
        biases = 0 if module.bias is None else y.numel()
        return {"conv": y.numel() * products, "bias": biases}
    if isinstance(module, _BatchNorm):
        return {"norm": 2 * y.numel()}
    if isinstance(module, nn.Linear):
        additions = 0 if once else module.in_features - (module.bias is None)
        return {"linear": y.numel() * (module.in_features + additions)}
    if isinstance(module, ADAPTIVE):
        sides = zip(inputs[0].shape[2:], y.shape[2:], strict=True)
        return {"pool": y.numel() * (math.prod(a // b for a, b in sides) + 1)}
    return {"pool": y.numel()} if isinstance(module, POOLS) else {}
