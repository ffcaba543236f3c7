"""A stage: a row of convolution blocks with room for attention blocks between them."""

from collections.abc import Iterable

from torch import Tensor, nn


class Stage(nn.Module):
    """A run of blocks at one resolution, after each of which one further block can be placed.

    Args:
        blocks: The stage's own blocks, in order, each with `channels` output channels.
        channels: Number of channels that each block puts out, which a placed block takes and gives back.

    Shape:
        `(B, C_in, T, H, W)` -> `(B, channels, T, H', W')`.
    """

    def __init__(self, blocks: Iterable[nn.Module], channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.placed = nn.ModuleDict()  # key "3": runs after the third block, counting from 1 as papers do
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if str(number) in self.placed:
                x = self.placed[str(number)](x)
        return x

    def operation(self) -> str:
        """Return one line that describes the stage, as a row of a paper's architecture table."""
        first = self.blocks[0]
        kernels = "; ".join(_kernel(m) for m in first.children() if isinstance(m, nn.Conv3d))
        text = f"[{kernels}] x {len(self.blocks)}"
        for number, block in self.placed.items():
            text += f", {type(block).__name__} after block {number}"
        return text


def _kernel(conv: nn.Conv3d) -> str:
    return "x".join(str(k) for k in conv.kernel_size) + f", {conv.out_channels}"
