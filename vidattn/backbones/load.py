"""Published weights: checkpoints of torchvision's ResNet, TSM, MFNet and SlowFast.

Checkpoints of this project load, too. In their names and shapes,

| theirs | is ours |
| --- | --- |
| weights under `state_dict`, `model` or `model_state` | the weights |
| `module.` (DataParallel), `base_model.` (TSM), at the head of a name | nothing |
| `layer1.0.` to `layer4.2.` | `res2.blocks.0.` to `res5.blocks.2.` |
| `conv1.net.` (TSM's wrapper of the convolution that it shifts) | `conv1.` |
| `new_fc.` (TSM's classifier) | `fc.` |
| weights of 2-D convolutions (O, I, h, w) | (O, I, t, h, w), divided by t |
| `conv1.conv.`, `conv1.bn.` (MFNet) | `conv1.`, `bn1.` |
| `tail.bn.`, `classifier.` (MFNet) | `bn5.`, `fc.` |
| `conv2.B01.` to `conv5.B03.` (MFNet) | `conv2.blocks.0.` to `conv5.blocks.2.` |
| `.conv_w1.` (MFNet's shortcut) | `.downsample.` |
| `s1.pathway0_stem.conv.`, `.bn.` (PySlowFast) | `slow.conv1.`, `slow.bn1.` |
| `pathway1` (PySlowFast) | `fast` |
| `s2.pathway0_res0.` to `s5.pathway0_res2.` | `slow.res2.blocks.0.` and so on |
| `.branch1.`, `.branch1_bn.` | `.downsample.0.`, `.downsample.1.` |
| `.branch2.a.` to `.branch2.c.` | `.conv1.` to `.conv3.` |
| `.branch2.a_bn.` to `.branch2.c_bn.` | `.bn1.` to `.bn3.` |
| `s1_fuse.conv_f2s.`, `s1_fuse.bn.` | `lateral.0.conv.`, `lateral.0.bn.` |
| `head.projection.` | `fc.` |

PyTorchVideo's SlowFast is the same network under other names:
`blocks.0.multipathway_blocks.0.` for `s1.pathway0_stem.`,
`blocks.1.multipathway_blocks.0.res_blocks.0.` for `s2.pathway0_res0.`,
`blocks.0.multipathway_fusion.` for `s1_fuse.`, `norm` for `bn`, `blocks.6.proj.` for
`head.projection.`

C2D, the ResNet that pools time, starts from ImageNet weights in the papers, for which
torchvision's serve. What the non-local paper's authors published for C2D itself are
Caffe2 pickles, which cannot be read safely: they are not supported. PySlowFast's C2D
pools time otherwise, and is another network.

Source:
    Names: torchvision; the public code of TSM; cypw/PyTorch-MFNet, network/mfnet_3d.py
    and train/model.py (weights under `state_dict`, from DataParallel): read from that
    code, not from the published files. MFNet's authors normalise by (RGB - (124, 117,
    104)) * 0.0167. SlowFast: facebookresearch/SlowFast, slowfast/models and
    slowfast/utils/checkpoint.py; facebookresearch/pytorchvideo, pytorchvideo/models.
    They normalise by (RGB / 255 - 0.45) / 0.225.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from vidattn.backbones.place import placed_parameters
from vidattn.errors import UserError

Model = TypeVar("Model", bound=nn.Module)
HEAD = ("keep", "drop")

PATHWAYS = {"0": "slow", "1": "fast"}
# Names in PySlowFast, which start with s1 to s5, or in PyTorchVideo, with blocks.0 to
# blocks.4.
STEM = r"^(?:s1\.pathway|blocks\.0\.multipathway_blocks\.)([01])(?:_stem)?\."
STAGE = r"^(?:s|blocks\.)(\d)\.(?:pathway|multipathway_blocks\.)([01])"
FUSION = r"^(?:s|blocks\.)(\d)(?:_fuse|\.multipathway_fusion)\."

# What stands in a name there, and here; a later line sees what an earlier one made.
RENAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^(?:module\.)?(?:base_model\.)?", ""),
    (
        STEM + r"(?:(conv)|bn|norm)\.",
        lambda m: f"{PATHWAYS[m[1]]}.{m[2] or 'bn'}1.",
    ),
    (
        STAGE + r"(?:_res|\.res_blocks\.)(\d+)\.",
        lambda m: (
            f"{PATHWAYS[m[2]]}.res{int(m[1]) + m[0].startswith('b')}.blocks.{m[3]}."
        ),
    ),
    (
        FUSION + r"(?:(conv)_\w+|bn|norm)\.",
        lambda m: f"lateral.{int(m[1]) - m[0].startswith('s')}.{m[2] or 'bn'}.",
    ),
    (
        r"\.branch1(?:_(?:conv|(bn|norm)))?\.",
        lambda m: f".downsample.{1 if m[1] else 0}.",
    ),
    (r"\.branch2\.(?:conv_)?([abc])\.", lambda m: f".conv{'_abc'.index(m[1])}."),
    (r"\.branch2\.(?:norm_)?([abc])(?:_bn)?\.", lambda m: f".bn{'_abc'.index(m[1])}."),
    (r"^(new_fc|classifier|head\.projection|blocks\.6\.proj)\.", "fc."),
    (r"^conv1\.conv\.", "conv1."),
    (r"^conv1\.bn\.", "bn1."),
    (r"^tail\.bn\.", "bn5."),
    (r"\.conv_w1\.", ".downsample."),
    (r"^(conv\d)\.B(\d+)\.", lambda m: f"{m[1]}.blocks.{int(m[2]) - 1}."),
    (r"\.conv1\.net\.", ".conv1."),
    (r"^layer([1-4])\.(\d+)\.", lambda m: f"res{int(m[1]) + 1}.blocks.{m[2]}."),
)


def load_weights(
    model: Model, path: str | Path, *, head: Literal["keep", "drop"] = "keep"
) -> Model:
    """Load a checkpoint from a local file into a backbone, in place.

    Placed blocks that the checkpoint does not know keep their own weights, and so do
    the running counts of batch normalisation, which old checkpoints lack; everything
    else must be there, and nothing more.

    Args:
        model: A backbone, with or without placed blocks.
        path: A file that `torch.save` wrote: the weights, or a dictionary with them
            under `state_dict`, `model` or `model_state`.
        head: `"keep"` loads the classifier `fc`, too; `"drop"` leaves the model's own
            as it is, for another number of classes.

    Returns:
        The model that was handed in.

    Raises:
        UserError: There is no such file, it is not a checkpoint, or it does not fit;
            the model is then unchanged.
    """
    if head not in HEAD:
        raise UserError(f"head={head!r} is unknown: allowed are {', '.join(HEAD)}")
    given = {our_name(name): tensor for name, tensor in _read(Path(path)).items()}
    wanted = model.state_dict()
    optional = {name for name in wanted if name.endswith(".num_batches_tracked")}
    optional |= placed_parameters(model)
    if head == "drop":
        given = {name: given[name] for name in given if not name.startswith("fc.")}
        optional |= {name for name in wanted if name.startswith("fc.")}
    if unknown := [name for name in given if name not in wanted]:
        raise UserError(f"{path}: the model has no {_some(unknown)}")
    if missing := [name for name in wanted if name not in optional | given.keys()]:
        raise UserError(f"{path}: the checkpoint has no {_some(missing)}")
    fitting = {name: _fit(tensor, wanted[name]) for name, tensor in given.items()}
    for name, tensor in fitting.items():
        have, want = tuple(tensor.shape), tuple(wanted[name].shape)
        if have != want:
            classifier = name.startswith("fc.")
            hint = "; head='drop' leaves the classifier out" if classifier else ""
            raise UserError(
                f"{path}: {name} has the shape {have}, the model wants {want}{hint}"
            )
    model.load_state_dict(fitting, strict=False)
    return model


def our_name(name: str) -> str:
    """Return the name that a published weight has here; our own names stay."""
    for pattern, ours in RENAMES:
        name = re.sub(pattern, ours, name)
    return name


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes make torch.load stumble over
        raise UserError(
            f"{path}: not a checkpoint that can be read safely ({type(error).__name__})"
        ) from error
    for key in ("state_dict", "model", "model_state"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    values = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(value, Tensor) for value in values):
        raise UserError(
            f"{path}: not a checkpoint: it must hold weights by name, or those under "
            "'state_dict'"
        )
    return content


def _fit(tensor: Tensor, wanted: Tensor) -> Tensor:
    if tensor.dim() != 4 or wanted.dim() != 5:
        return tensor
    depth = wanted.shape[2]
    return tensor.unsqueeze(2).expand(-1, -1, depth, -1, -1) / depth


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
