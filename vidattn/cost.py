"""What a module costs: multiply-adds, parameters and memory, counted on the meta device
in no time.

One MAC is one multiplication with its addition; 'FLOPs' in papers means sometimes this,
sometimes twice this. As a command it counts a block, a backbone or whatever a function
of your own makes:

    python -m vidattn.cost region --shape 1 512 8 28 28 -p kernel "[3, 3, 3]" python -m
    vidattn.cost resnet50 --shape 1 3 8 224 224 --place pyramid "{res4: [5]}" --png
    cost.png python -m vidattn.cost my_package.my_file:my_function --shape 1 3 224 224
    --depth 2
"""

import argparse
import math
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from vidattn.errors import UserError
from vidattn.meta import meta_copy

Convention = Literal["all", "modules", "modules, linear layers once"]
Model = nn.Module | Callable[[], nn.Module]
ByLayer = Mapping[str, Counter[str]]

aten = torch.ops.aten
DONE: tuple[str, ...] = ("conv", "matmul", "attention")
SEEN: tuple[str, ...] = ("conv", "bias", "norm", "linear", "pool")


@dataclass(frozen=True)
class Cost:
    """What one forward pass of a model costs.

    Attributes:
        kinds: The kinds of operations that the convention tells apart. Under `"all"`:
            `"conv"`, `"matmul"` and `"attention"` (fused attention, both of its
            products); else `"conv"`, `"bias"` (of convolutions), `"norm"`, `"linear"`,
            `"pool"`.
        layers: MACs of each kind that each module does itself, without those of the
            modules in it, as the convention counts them; `""` is the model.
        own_params: Number of parameters that each module has itself, each counted once,
            trained or not.
        activation_bytes: Memory that a forward pass leaves behind for the backward
            pass, see `activation_bytes`.
    """

    kinds: tuple[str, ...]
    layers: ByLayer
    own_params: Mapping[str, int]
    activation_bytes: int

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return sum(self.by_kind.values())

    @property
    def params(self) -> int:
        """Number of parameters."""
        return sum(self.own_params.values())

    @property
    def by_layer(self) -> dict[str, int]:
        """MACs that each module does itself, where it does any; they add up to
        `macs`.
        """
        return {name: own.total() for name, own in self.layers.items() if own.total()}

    @property
    def by_kind(self) -> dict[str, int]:
        """MACs of each kind of operation; they add up to `macs`."""
        return {
            kind: sum(own[kind] for own in self.layers.values()) for kind in self.kinds
        }

    def table(self, depth: int | None = None) -> pd.DataFrame:
        """Return MACs of each kind, all MACs and parameters of each layer.

        Args:
            depth: How many parts of a layer's name tell it apart, `res4.blocks.2` being
                three; what lies deeper is added to it. None: all.

        Returns:
            A row for each layer that does or has something, by its name, in the model's
            order; `""` is the model itself.
        """
        rows = [
            {
                "layer": ".".join(name.split(".")[:depth]),
                **own,
                "parameters": self.own_params.get(name, 0),
            }
            for name in dict.fromkeys([*self.own_params, *self.layers])
            for own in [self.layers.get(name, Counter[str]())]
        ]
        table = pd.DataFrame(rows, columns=["layer", *self.kinds, "parameters"]).fillna(
            0
        )
        table = table.groupby("layer", sort=False).sum().astype("int64")
        table.insert(len(self.kinds), "MACs", table[[*self.kinds]].sum(axis=1))
        return table[table.any(axis=1)]

    def picture(self, depth: int | None = 1) -> Figure:
        """Return a picture of `table`: a bar for each layer, cut into kinds of
        operations.

        Args:
            depth: As for `table`.
        """
        table = self.table(depth).rename(index={"": "(itself)"})
        figure = Figure(figsize=(7.4, 0.8 + 0.24 * len(table)), layout="constrained")
        axis = figure.add_subplot(xlabel="multiply-adds, GMAC")
        left = pd.Series(0.0, index=table.index)
        for kind in self.kinds:
            axis.barh(table.index, table[kind] / 1e9, left=left, label=kind)
            left += table[kind] / 1e9
        axis.invert_yaxis()
        axis.legend(ncols=len(self.kinds), loc="lower left", bbox_to_anchor=(0, 1))
        return figure


def count(model: Model, shape: Sequence[int], convention: Convention = "all") -> Cost:
    """Count what one forward pass of a model costs, without computing it.

    Args:
        model: A module, which is left as it is, or a function that makes one.
        shape: Shape of the input, mostly `(B, C, T, H, W)`; the cost is that of the
            whole batch.
        convention: `"all"` counts every convolution, matrix product and attention
            product that is done, in a module or not, and nothing else: no additions of
            biases, no normalisation, no pooling, no softmax. `"modules"` counts as the
            tool that RNL's tables fit, and sees modules only: no product of two
            activations, no convolution called as a function. A convolution costs one
            for each multiplication and one for each bias added; batch normalisation 2
            an element; a linear layer 2 a weight, less 1 an output without bias;
            average pooling 1 an output; adaptive average pooling its window + 1 an
            output. `"modules, linear layers once"`, which PNL's tables fit, counts 1 a
            weight of those.

    Returns:
        The cost, in MACs; under `"modules"`, in what that tool calls operations.

    Raises:
        UserError: The convention is unknown.

    Source:
        `"modules"`: pytorch-OpCounter (thop) as of 2019, `count_hooks`; linear layers
        once: `count_linear` in its later `basic_hooks`. That it is the tool of RNL and
        PNL is a reading.
    """
    if convention not in get_args(Convention):
        raise UserError(
            f"convention={convention!r} is unknown: allowed are {', '.join(get_args(Convention))}"
        )
    on_meta = meta_copy(model)
    if convention == "all":
        counter = FlopCounterMode(display=False, custom_mapping=_EXTRA)
        with counter:
            saved = _run(on_meta, shape, "meta")
        kinds, layers = DONE, _tally(counter, type(on_meta).__name__)
    else:
        kinds, (saved, layers) = (
            SEEN,
            _count_modules(on_meta, shape, once="once" in convention),
        )
    return Cost(kinds, layers, _own_params(on_meta), saved)


def activation_bytes(
    model: Model, shape: Sequence[int], *, measured: bool = False
) -> int:
    """Return the memory that a forward pass leaves behind for the backward pass, in
    bytes.

    It is the size of all distinct storages that autograd saves, in the model's own
    dtype and in evaluation mode, parameters and buffers excluded, the input included:
    not the peak, which adds what lives for a moment only, and not what an allocator
    rounds up.

    Args:
        model: A module or a function that makes one.
        shape: Shape of the input.
        measured: Compute a forward pass of the model itself, on the CPU and on random
            numbers, and measure what that saves; else on the meta device, where
            attention counts as fused if the fused kernel would take it.
    """
    if not measured:
        return _run(meta_copy(model), shape, "meta")
    return _run(
        (model if isinstance(model, nn.Module) else model()).eval(), shape, "cpu"
    )


def _run(model: nn.Module, shape: Sequence[int], device: str) -> int:
    dtype = next(
        (p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32
    )
    x = torch.randn(tuple(shape), device=device, dtype=dtype, requires_grad=True)
    own = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    saved: dict[
        int, Tensor
    ] = {}  # holds the tensors, so that no storage's address is used twice

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage()._cdata
        if address not in own:
            saved[address] = tensor
        return tensor

    fused = _FusedAttention() if device == "meta" else nullcontext()
    with (
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t),
        fused,
    ):
        model(x)
    return sum(t.untyped_storage().nbytes() for t in saved.values())


class _FusedAttention(TorchFunctionMode):
    """Keeps attention fused on the meta device, where it would be taken apart into its
    N x M matrix.

    Fused is what the CPU kernel takes: contiguous 4-D q, k, v of one width, without a
    mask.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if (
            func is F.scaled_dot_product_attention
            and len(args) == 3
            and set(kwargs) <= {"scale"}
        ):
            fits = all(
                t.dim() == 4 and t.is_contiguous() and t.shape[-1] == args[0].shape[-1]
                for t in args
            )
            if fits:
                return aten._scaled_dot_product_flash_attention_for_cpu(
                    *args, 0.0, False, **kwargs
                )[0]
        return func(*args, **kwargs)


# What PyTorch's counter leaves out. Twice the MACs, as it counts.
_EXTRA = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: (
        2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
    ),
    aten.mv: lambda matrix, vector, *_, **__: 2 * math.prod(matrix),
    aten.dot: lambda a, b, *_, **__: 2 * math.prod(a),
}

_KINDS = {
    "convolution": "conv",
    "_convolution": "conv",
    "_scaled_dot_product": "attention",
}


def _kind(operation: Any) -> str:
    name = str(operation).removeprefix("aten.")
    return next(
        (kind for prefix, kind in _KINDS.items() if name.startswith(prefix)), "matmul"
    )


def _tally(counter: FlopCounterMode, root: str) -> ByLayer:
    layers: dict[str, Counter[str]] = {}
    for name, operations in counter.get_flop_counts().items():
        if name == "Global":  # what the model does, too
            continue
        own = layers[name.removeprefix(root).removeprefix(".")] = Counter[str]()
        for operation, number in operations.items():
            own[_kind(operation)] += number // 2
    # The counter gives a module what the modules in it do, too: take that away from the
    # nearest one that ran.
    for name, total in {
        name: own.copy() for name, own in layers.items() if name
    }.items():
        outer = _parent(name)
        while outer not in layers:  # lists of modules do not run themselves
            outer = _parent(outer)
        layers[outer].subtract(total)
    return layers


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _own_params(model: nn.Module) -> dict[str, int]:
    found: set[nn.Parameter] = set()
    sizes = {}
    for name, module in model.named_modules():
        own = {
            parameter
            for parameter in module.parameters(recurse=False)
            if parameter not in found
        }
        found |= own
        sizes[name] = sum(parameter.numel() for parameter in own)
    return sizes


def _count_modules(
    model: nn.Module, shape: Sequence[int], once: bool
) -> tuple[int, ByLayer]:
    names = {module: name for name, module in model.named_modules()}
    layers: dict[str, Counter[str]] = {}

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = layers.setdefault(names[module], Counter())
        own.update(_module_operations(module, inputs, output, once))

    with register_module_forward_hook(add):  # for all modules
        return _run(model, shape, "meta"), layers


_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)


def _module_operations(
    module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor, once: bool
) -> dict[str, int]:
    if isinstance(module, _ConvTransposeNd):
        raise UserError(
            "convention='modules' knows no transposed convolution: use convention='all'"
        )
    if not isinstance(module, (_ConvNd, _BatchNorm, nn.Linear, *_ADAPTIVE, *_POOLS)):
        return {}
    outputs = y.numel()
    if isinstance(module, _ConvNd):
        products = module.in_channels // module.groups * math.prod(module.kernel_size)
        return {
            "conv": outputs * products,
            "bias": 0 if module.bias is None else outputs,
        }
    if isinstance(module, _BatchNorm):
        return {"norm": 2 * outputs}
    if isinstance(module, nn.Linear):
        additions = 0 if once else module.in_features - (module.bias is None)
        return {"linear": outputs * (module.in_features + additions)}
    if isinstance(module, _ADAPTIVE):
        window = math.prod(
            a // b for a, b in zip(inputs[0].shape[2:], y.shape[2:], strict=True)
        )
        return {"pool": outputs * (window + 1)}
    return {"pool": outputs}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 for bad input, said in one line on
    stderr.
    """
    parser = argparse.ArgumentParser(
        prog="python -m vidattn.cost", description="Count what a model costs."
    )
    parser.add_argument(
        "model",
        help="a block, a backbone, or package.file:function, which makes a module",
    )
    parser.add_argument(
        "--shape", type=int, nargs="+", required=True, help="of the input: B C T H W"
    )
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("OPTION", "VALUE")
    )
    parser.add_argument(
        "--place",
        nargs=2,
        metavar=("BLOCK", "PLACES"),
        help='such as region "{res3: [1, 3]}"',
    )
    parser.add_argument(
        "--convention", default="all", help=f"one of: {'; '.join(get_args(Convention))}"
    )
    parser.add_argument(
        "--depth",
        type=int,
        default=1,
        help="parts of a layer's name that tell it apart",
    )
    parser.add_argument("--png", help="draw the table, too")
    options = parser.parse_args(words)
    try:
        cost = count(lambda: _described(options), options.shape, options.convention)
    except (ValueError, TypeError, RuntimeError, ImportError, AttributeError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    print(cost.table(options.depth).to_string(float_format="%d"))
    print(
        f"{cost.macs / 1e9:.4f} GMAC, {cost.params / 1e6:.4f} M parameters, "
        f"{cost.activation_bytes / 2**20:.1f} MiB kept for the backward pass"
    )
    if options.png:
        cost.picture(options.depth).savefig(options.png)
    return 0


def _described(options: argparse.Namespace) -> nn.Module:
    from vidattn.backbones import BACKBONES, place
    from vidattn.blocks import BLOCKS, make_block
    from vidattn.yamlfile import parse_yaml

    name, given = (
        options.model,
        {name: parse_yaml(text, f"-p {name}") for name, text in options.p},
    )
    if name in BLOCKS:
        return make_block(name, **given)(options.shape[1])
    if name not in BACKBONES and ":" not in name:
        raise UserError(
            f"{name!r} is unknown: allowed are {', '.join([*BLOCKS, *BACKBONES])} and package.file:function"
        )
    model: nn.Module = (BACKBONES.get(name) or pkgutil.resolve_name(name))(**given)
    if options.place:
        block, places = options.place
        place(model, parse_yaml(places, "--place"), make_block(block))
    return model


if __name__ == "__main__":
    sys.exit(main())
