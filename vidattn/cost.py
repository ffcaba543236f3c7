"""What a module costs: multiply-adds, parameters and memory of one forward pass.

It is counted on the meta device, in no time and no memory, whatever the model's size.
One MAC is one multiplication with its addition; 'FLOPs' in papers means sometimes this,
sometimes twice this. The same from a shell: `python -m vidattn cost --help`.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from vidattn.meta import meta_copy

if TYPE_CHECKING:  # a count needs torch alone; a table and a picture need the rest
    import pandas as pd
    from matplotlib.figure import Figure

Model = nn.Module | Callable[[], nn.Module]
ByLayer = Mapping[str, Counter[str]]

aten = torch.ops.aten
OPERATIONS: tuple[str, ...] = ("conv", "matmul", "attention")


@dataclass(frozen=True)
class Cost:
    """What one forward pass of a model costs.

    Attributes:
        kinds: The kinds of operations that are told apart: `"conv"`, `"matmul"` and
            `"attention"` (fused attention, both of its products).
        layers: MACs of each kind that each module does itself, without those of the
            modules in it; `""` is the model.
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
        """MACs that each module itself does, if any; they add up to `macs`."""
        return {name: own.total() for name, own in self.layers.items() if own.total()}

    @property
    def by_kind(self) -> dict[str, int]:
        """MACs of each kind of operation; they add up to `macs`."""
        return {
            kind: sum(own[kind] for own in self.layers.values()) for kind in self.kinds
        }

    def table(self, depth: int | None = None) -> "pd.DataFrame":
        """Return MACs of each kind, all MACs and parameters of each layer.

        Args:
            depth: How many parts of a layer's name tell it apart, `res4.blocks.2` being
                three; what lies deeper is added to it. None: all.

        Returns:
            A row for each layer that does or has something, by its name, in the model's
            order; `""` is the model itself.
        """
        import pandas as pd

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

    def picture(self, depth: int | None = 1) -> "Figure":
        """Return a picture of `table`: a bar for each layer, cut into kinds of work.

        Args:
            depth: As for `table`.
        """
        import pandas as pd
        from matplotlib.figure import Figure

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


def count(model: Model, shape: Sequence[int]) -> Cost:
    """Count what one forward pass of a model costs, without computing it.

    Every convolution, matrix product and attention product that is done is counted, in
    a module or not, and nothing else: no additions of biases, no normalisation, no
    pooling, no softmax.

    Args:
        model: A module, which is left as it is, or a function that makes one.
        shape: Shape of the input, mostly `(B, C, T, H, W)`; the cost is that of the
            whole batch.

    Returns:
        The cost, in MACs.
    """
    on_meta = meta_copy(model)
    with FlopCounterMode(display=False, custom_mapping=_EXTRA) as counter:
        saved = _run(on_meta, shape, "meta")
    layers = _tally(counter, type(on_meta).__name__)
    return Cost(OPERATIONS, layers, _own_params(on_meta), saved)


def activation_bytes(
    model: Model, shape: Sequence[int], *, measured: bool = False
) -> int:
    """Return the bytes that a forward pass leaves behind for the backward pass.

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
    floats = (p.dtype for p in model.parameters() if p.is_floating_point())
    dtype = next(floats, torch.float32)
    x = torch.randn(tuple(shape), device=device, dtype=dtype, requires_grad=True)
    own = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    # Holds the tensors, so that no storage's address is used twice.
    saved: dict[int, Tensor] = {}

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
    """Keep attention fused on the meta device, which would form its N x M matrix.

    Fused is what the CPU kernel takes: contiguous 4-D q, k, v of one width, without a
    mask.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        attention = func is F.scaled_dot_product_attention
        if attention and len(args) == 3 and set(kwargs) <= {"scale"}:
            width = args[0].shape[-1]
            if all(
                t.dim() == 4 and t.is_contiguous() and t.shape[-1] == width
                for t in args
            ):
                fused = aten._scaled_dot_product_flash_attention_for_cpu
                return fused(*args, 0.0, False, **kwargs)[0]
        return func(*args, **kwargs)


# What PyTorch's counter leaves out. Twice the MACs, as it counts.
_EXTRA = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: (
        2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
    ),
    aten.mv: lambda matrix, vector, *_, **__: 2 * math.prod(matrix),
    aten.dot: lambda a, b, *_, **__: 2 * math.prod(a),
}


def _kind(operation: Any) -> str:
    name = str(operation).removeprefix("aten.").lstrip("_")
    if name.startswith("convolution"):
        return "conv"
    return "attention" if name.startswith("scaled_dot_product") else "matmul"


def _tally(counter: FlopCounterMode, root: str) -> ByLayer:
    layers: dict[str, Counter[str]] = {}
    for name, operations in counter.get_flop_counts().items():
        if name == "Global":  # what the model does, too
            continue
        own = layers[name.removeprefix(root).removeprefix(".")] = Counter[str]()
        for operation, number in operations.items():
            own[_kind(operation)] += number // 2
    # The counter gives a module what the modules in it do, too: take that away from the
    # nearest one that ran. (A list of modules does not run itself.)
    totals = {name: own.copy() for name, own in layers.items() if name}
    for name, total in totals.items():
        outer = name.rpartition(".")[0]
        while outer not in layers:
            outer = outer.rpartition(".")[0]
        layers[outer].subtract(total)
    return layers


def _own_params(model: nn.Module) -> dict[str, int]:
    found: set[nn.Parameter] = set()
    sizes = {}
    for name, module in model.named_modules():
        own = set(module.parameters(recurse=False)) - found
        found |= own
        sizes[name] = sum(parameter.numel() for parameter in own)
    return sizes
