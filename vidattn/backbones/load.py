"""Published weights: checkpoints of torchvision's ResNet, TSM, MFNet, SlowFast and of
this project.

| theirs | ours | | --- | --- | | a dictionary with the weights under `state_dict`,
`model` or `model_state` | the weights | | `module.` (DataParallel), `base_model.` (TSM)
at the head of a name | nothing | | `layer1.0.` to `layer4.2.` | `res2.blocks.0.` to
`res5.blocks.2.` | | `conv1.net.` (TSM's wrapper around the convolution that it shifts)
| `conv1.` | | `new_fc.` (TSM's classifier) | `fc.` | | weights of 2-D convolutions (O,
I, h, w) | (O, I, t, h, w), divided by t | | `conv1.conv.`, `conv1.bn.`, `tail.bn.`,
`classifier.` (MFNet) | `conv1.`, `bn1.`, `bn5.`, `fc.` | | `conv2.B01.` to `conv5.B03.`
(MFNet) | `conv2.blocks.0.` to `conv5.blocks.2.` | | `.conv_w1.` (MFNet's shortcut) |
`.downsample.` | | `s1.pathway0_stem.conv.`, `.bn.` (PySlowFast; `pathway1` is `fast`) |
`slow.conv1.`, `slow.bn1.` | | `s2.pathway0_res0.` to `s5.pathway0_res2.` |
`slow.res2.blocks.0.` to `slow.res5.blocks.2.` | | `.branch1.`, `.branch1_bn.` |
`.downsample.0.`, `.downsample.1.` | | `.branch2.a.`, `.branch2.a_bn.` to
`.branch2.c_bn.` | `.conv1.`, `.bn1.` to `.bn3.` | | `s1_fuse.conv_f2s.`, `s1_fuse.bn.`
to `s4_fuse.` | `lateral.0.conv.`, `lateral.0.bn.` to `lateral.3.` | |
`head.projection.` | `fc.` |

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
        and train/model.py
    (weights under `state_dict`, from DataParallel): read from that code, not from the
    published files. MFNet's authors normalise by (RGB - (124, 117, 104)) * 0.0167.
    SlowFast: facebookresearch/SlowFast, slowfast/models and
    slowfast/utils/checkpoint.py; facebookresearch/pytorchvideo, pytorchvideo/models.
    They normalise by (RGB / 255 - 0.45) / 0.225.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from vidattn.errors import UserError

Model = TypeVar("Model", bound=nn.Module)
HEAD = ("keep", "drop")

PATHWAYS = {"0": "slow", "1": "fast"}
# Names in PySlowFast, which start with s1 to s5, or in PyTorchVideo, with blocks.0 to
# blocks.4.
SLOWFAST: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        r"^(?:s1\.pathway|blocks\.0\.multipathway_blocks\.)([01])(?:_stem)?\.(?:(conv)|bn|norm)\.",
        lambda m: f"{PATHWAYS[m[1]]}.{m[2] or 'bn'}1.",
    ),
    (
        r"^(?:s|blocks\.)(\d)\.(?:pathway|multipathway_blocks\.)([01])(?:_res|\.res_blocks\.)(\d+)\.",
        lambda m: (
            f"{PATHWAYS[m[2]]}.res{int(m[1]) + m[0].startswith('b')}.blocks.{m[3]}."
        ),
    ),
    (
        r"^(?:s|blocks\.)(\d)(?:_fuse|\.multipathway_fusion)\.(?:(conv)_\w+|bn|norm)\.",
        lambda m: f"lateral.{int(m[1]) - m[0].startswith('s')}.{m[2] or 'bn'}.",
    ),
    (
        r"\.branch1(?:_(?:conv|(bn|norm)))?\.",
        lambda m: f".downsample.{1 if m[1] else 0}.",
    ),
    (r"\.branch2\.(?:conv_)?([abc])\.", lambda m: f".conv{'_abc'.index(m[1])}."),
    (r"\.branch2\.(?:norm_)?([abc])(?:_bn)?\.", lambda m: f".bn{'_abc'.index(m[1])}."),
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
    if head == "drop":
        given = {
            name: tensor for name, tensor in given.items() if not name.startswith("fc.")
        }
    wanted = model.state_dict()
    fitting = {
        name: _fit(tensor, wanted[name])
        for name, tensor in given.items()
        if name in wanted
    }

    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise UserError(f"{path}: the model has no {_some(unknown)}")
    missing = [
        name for name in wanted if name not in given and not _may_be_missing(name, head)
    ]
    if missing:
        raise UserError(f"{path}: the checkpoint has no {_some(missing)}")
    for name, tensor in fitting.items():
        if tensor.shape != wanted[name].shape:
            hint = (
                "; head='drop' leaves the classifier out"
                if name.startswith("fc.")
                else ""
            )
            have, want = tuple(tensor.shape), tuple(wanted[name].shape)
            raise UserError(
                f"{path}: {name} has the shape {have}, the model wants {want}{hint}"
            )
    model.load_state_dict(fitting, strict=False)
    return model


def our_name(name: str) -> str:
    """Return the name that a weight of torchvision, TSM, MFNet or SlowFast has here;
    our own stay.
    """
    name = name.removeprefix("module.").removeprefix("base_model.")
    for pattern, ours in SLOWFAST:
        name = re.sub(pattern, ours, name)
    name = re.sub(
        r"^(new_fc|classifier|head\.projection|blocks\.6\.proj)\.", "fc.", name
    )
    name = re.sub(
        r"^conv1\.(?:conv|bn)\.", lambda m: "bn1." if "bn" in m[0] else "conv1.", name
    )
    name = re.sub(r"^tail\.bn\.", "bn5.", name).replace(".conv_w1.", ".downsample.")
    name = re.sub(
        r"^(conv\d)\.B(\d+)\.", lambda m: f"{m[1]}.blocks.{int(m[2]) - 1}.", name
    )
    name = re.sub(r"\.conv1\.net\.", ".conv1.", name)
    return re.sub(
        r"^layer([1-4])\.(\d+)\.", lambda m: f"res{int(m[1]) + 1}.blocks.{m[2]}.", name
    )


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch.load raises whatever the bytes make it stumble over
        raise UserError(
            f"{path}: not a checkpoint that can be read safely ({type(error).__name__})"
        ) from error
    for key in ("state_dict", "model", "model_state"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise UserError(
            f"{path}: not a checkpoint: it must hold weights by name, or those under 'state_dict'"
        )
    return content


def _fit(tensor: Tensor, wanted: Tensor) -> Tensor:
    if tensor.dim() != 4 or wanted.dim() != 5:
        return tensor
    depth = wanted.shape[2]
    return tensor.unsqueeze(2).expand(-1, -1, depth, -1, -1) / depth


def _may_be_missing(name: str, head: str) -> bool:
    dropped = head == "drop" and name.startswith("fc.")
    return dropped or ".placed." in name or name.endswith(".num_batches_tracked")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
