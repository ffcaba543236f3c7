"""What a module costs: multiply-adds, parameters and memory, counted on the meta device in no time.

One MAC is one multiplication with its addition; 'FLOPs' in papers means sometimes this, sometimes twice this.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from vidattn.errors import UserError
from vidattn.meta import meta_copy

Convention = Literal["all", "modules"]
Model = nn.Module | Callable[[], nn.Module]

aten = torch.ops.aten


@dataclass(frozen=True)
class Cost:
    """What one forward pass of a model costs.

    Attributes:
        macs: Multiply-adds, as the convention counts them.
        params: Number of parameters, each counted once, trained or not.
        activation_bytes: Memory that a forward pass leaves behind for the backward pass, see
            `activation_bytes`.
        by_layer: MACs that each module does itself, without those of the modules in it; `""` is the model.
            They add up to `macs`.
        by_kind: MACs of each kind of operation; they add up to `macs`. Under `"all"`: `"conv"`, `"matmul"`
            and `"attention"` (fused attention, both of its products); under `"modules"`: `"conv"`, `"bias"`
            (of convolutions), `"norm"`, `"linear"`, `"pool"`.
    """

    macs: int
    params: int
    activation_bytes: int
    by_layer: dict[str, int]
    by_kind: dict[str, int]


def count(model: Model, shape: Sequence[int], convention: Convention = "all") -> Cost:
    """Count what one forward pass of a model costs, without computing it.

    Args:
        model: A module, which is left as it is, or a function that makes one.
        shape: Shape of the input, mostly `(B, C, T, H, W)`; the cost is that of the whole batch.
        convention: `"all"` counts every convolution, matrix product and attention product that is done, in a
            module or not, and nothing else: no additions of biases, no normalisation, no pooling, no softmax.
            `"modules"` counts as the tool that RNL's tables fit, and sees modules only: no product of two
            activations, no convolution called as a function. A convolution costs one for each multiplication
            and one for each bias added; batch normalisation 2 an element; a linear layer 2 a weight, less 1
            an output without bias; average pooling 1 an output; adaptive average pooling its window + 1 an
            output.

    Returns:
        The cost, in MACs; under `"modules"`, in what that tool calls operations.

    Raises:
        UserError: The convention is unknown.

    Source:
        `"modules"`: pytorch-OpCounter (thop) as of 2019, `count_hooks`; that it is the tool of RNL is a
        reading.
    """
    if convention not in get_args(Convention):
        raise UserError(
            f"convention={convention!r} is unknown: allowed are {', '.join(get_args(Convention))}"
        )
    on_meta = meta_copy(model)
    if convention == "all":
        counter = FlopCounterMode(display=False, custom_mapping=_EXTRA)
        with counter:
            saved = _run(on_meta, shape)
        by_layer, by_kind = _tally(counter, type(on_meta).__name__)
    else:
        saved, by_layer, by_kind = _count_modules(on_meta, shape)
    params = sum(p.numel() for p in on_meta.parameters())
    return Cost(sum(by_kind.values()), params, saved, by_layer, by_kind)


def activation_bytes(model: Model, shape: Sequence[int]) -> int:
    """Return the memory that a forward pass leaves behind for the backward pass, in bytes.

    It is the size of all distinct storages that autograd saves, in the model's own dtype and in evaluation
    mode, parameters and buffers excluded, the input included: not the peak, which adds what lives for a
    moment only, and not what an allocator rounds up. Attention counts as fused where the fused kernel would
    take it.

    Args:
        model: A module or a function that makes one.
        shape: Shape of the input.
    """
    return _run(meta_copy(model), shape)


def _run(on_meta: nn.Module, shape: Sequence[int]) -> int:
    dtype = next((p.dtype for p in on_meta.parameters() if p.is_floating_point()), torch.float32)
    x = torch.empty(tuple(shape), device="meta", dtype=dtype, requires_grad=True)
    own = {t.untyped_storage()._cdata for t in (*on_meta.parameters(), *on_meta.buffers())}
    saved: dict[int, Tensor] = {}  # holds the tensors, so that no storage's address is used twice

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage()._cdata
        if address not in own:
            saved[address] = tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), _FusedAttention():
        on_meta(x)
    return sum(t.untyped_storage().nbytes() for t in saved.values())


class _FusedAttention(TorchFunctionMode):
    """Keeps attention fused on the meta device, where it would be taken apart into its N x M matrix.

    Fused is what the CPU kernel takes: contiguous 4-D q, k, v of one width, without a mask.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and len(args) == 3 and set(kwargs) <= {"scale"}:
            fits = all(t.dim() == 4 and t.is_contiguous() and t.shape[-1] == args[0].shape[-1] for t in args)
            if fits:
                return aten._scaled_dot_product_flash_attention_for_cpu(*args, 0.0, False, **kwargs)[0]
        return func(*args, **kwargs)


# What PyTorch's counter leaves out. Twice the MACs, as it counts.
_EXTRA = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: (
        2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
    ),
    aten.mv: lambda matrix, vector, *_, **__: 2 * math.prod(matrix),
    aten.dot: lambda a, b, *_, **__: 2 * math.prod(a),
}

_KINDS = {"convolution": "conv", "_convolution": "conv", "_scaled_dot_product": "attention"}


def _kind(operation: Any) -> str:
    name = str(operation).removeprefix("aten.")
    return next((kind for prefix, kind in _KINDS.items() if name.startswith(prefix)), "matmul")


def _tally(counter: FlopCounterMode, root: str) -> tuple[dict[str, int], dict[str, int]]:
    counts = counter.get_flop_counts()
    by_kind = dict.fromkeys(("conv", "matmul", "attention"), 0)
    for operation, flops in counts.pop("Global", {}).items():
        by_kind[_kind(operation)] += flops // 2
    totals = {
        name.removeprefix(root).removeprefix("."): sum(ops.values()) // 2 for name, ops in counts.items()
    }
    # The counter gives a module what the modules in it do, too: take that away from the nearest one that ran.
    by_layer = dict(totals)
    for name, total in totals.items():
        if name:
            outer = _parent(name)
            while outer not in totals:  # lists of modules do not run themselves
                outer = _parent(outer)
            by_layer[outer] -= total
    return {name: own for name, own in by_layer.items() if own}, by_kind


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _count_modules(model: nn.Module, shape: Sequence[int]) -> tuple[int, dict[str, int], dict[str, int]]:
    names = {module: name for name, module in model.named_modules()}
    by_layer: Counter[str] = Counter()
    by_kind = dict.fromkeys(("conv", "bias", "norm", "linear", "pool"), 0)

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for kind, operations in _module_operations(module, inputs, output).items():
            by_layer[names[module]] += operations
            by_kind[kind] += operations

    with register_module_forward_hook(add):  # for all modules
        return _run(model, shape), dict(by_layer), by_kind


_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)


def _module_operations(module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> dict[str, int]:
    if isinstance(module, _ConvTransposeNd):
        raise UserError("convention='modules' knows no transposed convolution: use convention='all'")
    if not isinstance(module, (_ConvNd, _BatchNorm, nn.Linear, *_ADAPTIVE, *_POOLS)):
        return {}
    outputs = y.numel()
    if isinstance(module, _ConvNd):
        products = module.in_channels // module.groups * math.prod(module.kernel_size)
        return {"conv": outputs * products, "bias": 0 if module.bias is None else outputs}
    if isinstance(module, _BatchNorm):
        return {"norm": 2 * outputs}
    if isinstance(module, nn.Linear):
        return {"linear": outputs * (2 * module.in_features - (1 if module.bias is None else 0))}
    if isinstance(module, _ADAPTIVE):
        window = math.prod(a // b for a, b in zip(inputs[0].shape[2:], y.shape[2:], strict=True))
        return {"pool": outputs * (window + 1)}
    return {"pool": outputs}
