"""What backbones share: stages with room for attention blocks, and the clip's shape."""

from collections.abc import Iterable

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
