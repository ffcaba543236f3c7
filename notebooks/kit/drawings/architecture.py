"""A backbone's architecture table, printed by the model itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import pandas as pd
import torch
from IPython.display import display
from torch import Tensor, nn

from vidattn.backbones.stage import Stage
from vidattn.meta import meta_copy


@dataclass(frozen=True)
class Row:
    """One row of an architecture table.

    Attributes:
        layer: Name of the layer.
        operation: Its kernels as T x H x W, output channels, and stride where it is not
            1.
        output_size: Size of its output, (T, H, W).
    """

    layer: str
    operation: str
    output_size: tuple[int, int, int]

    def __str__(self) -> str:
        size = "x".join(map(str, self.output_size))
        return f"{self.layer:6} {self.operation:60} {size}"


def describe(
    model: nn.Module | Callable[[], nn.Module], shape: Sequence[int]
) -> list[Row]:
    """Return the architecture table of a backbone: convolutions, poolings and stages,
    in the order they run.

    The model runs once on the meta device, so that the table is what the model does,
    and costs nothing.

    Args:
        model: A backbone, or a function that makes one.
        shape: Shape of the input, `(B, 3, T, H, W)`.

    Returns:
        One row for each convolution, pooling and stage that stands directly in the
        model or in one of its parts.

    Source:
        The layout is that of RNL's Table I, which is `describe(resnet50, (1, 3, 8, 224,
        224))`.
    """
    model = meta_copy(model)
    rows: list[Row] = []

    def record(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        channels, t, h, w = output.shape[1:]
        rows.append(Row(name, _operation(module, channels), (t, h, w)))

    for name, module in _parts(model, ""):
        module.register_forward_hook(partial(record, name))
    with torch.no_grad():
        model(torch.empty(tuple(shape), device="meta"))
    return rows


def show_architecture(
    network: nn.Module, side: int, caption: str, names: Mapping[str, str] | None = None
) -> None:
    """Show the architecture table of a network on 8 frames of `side` x `side` pixels.

    Args:
        network: The network.
        side: Height and width of a frame, in pixels.
        caption: The table's caption.
        names: What a kind of block is called instead of by its class.
    """
    rows = []
    for row in describe(network, (1, 3, 8, side, side)):
        operation = row.operation
        for kind, name in (names or {}).items():
            operation = operation.replace(f"{kind} after block", f"{name} after")
        rows.append((row.layer, operation, "×".join(map(str, row.output_size))))
    table = pd.DataFrame(rows, columns=["layer", "operation", "output size"])
    display(table.style.hide(axis="index").set_caption(caption))


def _parts(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    """Return the convolutions, poolings and stages below a module, not looking into a
    stage.
    """
    found: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if isinstance(child, Stage | nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d):
            found.append((prefix + name, child))
        else:
            found += _parts(child, f"{prefix}{name}.")
    return found


def _operation(module: nn.Module, channels: int) -> str:
    if isinstance(module, Stage):
        return _stage(module)
    kernel, stride = _triple(module.kernel_size), _triple(module.stride)
    text = "x".join(map(str, kernel)) + f", {channels}"
    if stride == (1, 1, 1):
        return text
    return f"{text}, stride {','.join(map(str, stride))}"


def _stage(stage: Stage) -> str:
    """Return one line: the kernels of equal blocks in turn, then the placed blocks."""
    runs = groupby(_kernels(block) for block in stage.blocks)
    text = " + ".join(f"[{kernels}] x {len(list(run))}" for kernels, run in runs)
    for number, block in stage.placed.items():
        text += f", {type(block).__name__} after block {number}"
    return text


def _kernels(block: nn.Module) -> str:
    """Return the block's convolutions, without those of its shortcut."""
    return "; ".join(
        _kernel(layer)
        for name, layer in block.named_modules()
        if isinstance(layer, nn.Conv3d) and not name.startswith("downsample")
    )


def _kernel(conv: nn.Conv3d) -> str:
    groups = f" in {conv.groups} groups" if conv.groups > 1 else ""
    return "x".join(map(str, conv.kernel_size)) + f", {conv.out_channels}{groups}"


def _triple(size: object) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, tuple) else (size,) * 3  # type: ignore[return-value]
