"""What backbones share: stages with room for attention blocks, and the clip's shape."""

from collections.abc import Iterable
from itertools import groupby

from torch import Tensor, nn

from vidattn.errors import UserError


def check_clip(x: Tensor) -> None:
    """Refuse what is no batch of clips `(B, 3, T, H, W)`."""
    if x.dim() != 5 or x.shape[1] != 3:
        raise UserError(f"a clip has the shape (B, 3, T, H, W), not {tuple(x.shape)}")


class Stage(nn.Module):
    """Blocks at one resolution, after each of which a further block can be placed.

    Args:
        blocks: The stage's own blocks, in order, each with `channels` output channels.
        channels: Number of channels that each block puts out, which a placed block
            takes and gives back.

    Shape:
        `(B, C_in, T, H, W)` -> `(B, channels, T, H', W')`.
    """

    def __init__(self, blocks: Iterable[nn.Module], channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        # The key "3": runs after the third block, counting from 1 as papers do.
        self.placed = nn.ModuleDict()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if str(number) in self.placed:
                x = self.placed[str(number)](x)
        return x

    def operation(self) -> str:
        """Return a line on the stage, as in a paper's architecture table."""
        runs = groupby(_kernels(block) for block in self.blocks)
        text = " + ".join(f"[{kernels}] x {len(list(run))}" for kernels, run in runs)
        for number, block in self.placed.items():
            text += f", {type(block).__name__} after block {number}"
        return text


def _kernels(block: nn.Module) -> str:
    """Return the block's convolutions, without those of its shortcut."""
    named = block.named_modules()
    convs = [
        m
        for name, m in named
        if isinstance(m, nn.Conv3d) and not name.startswith("downsample")
    ]
    return "; ".join(_kernel(conv) for conv in convs)


def _kernel(conv: nn.Conv3d) -> str:
    groups = f" in {conv.groups} groups" if conv.groups > 1 else ""
    return "x".join(str(k) for k in conv.kernel_size) + f", {conv.out_channels}{groups}"
