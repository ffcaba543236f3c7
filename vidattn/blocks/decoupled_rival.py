"""Rivals of decoupled attention: a block within each frame, then along time."""

from einops import rearrange
from torch import Tensor, nn

from vidattn.blocks._parts import check_choice
from vidattn.blocks.cgnl import CompactGeneralizedNonLocal
from vidattn.blocks.context import GlobalContext
from vidattn.blocks.glore import GloRe

RIVALS = {
    "cgnl": CompactGeneralizedNonLocal,
    "global_context": GlobalContext,
    "glore": GloRe,
}


class DecoupledRival(nn.Module):
    """Run a rival within each frame, then another of its kind along time at each place.

    Args:
        channels: C of the input.
        rival: Which: CGNL, the global context block or GloRe, with its default options.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: There is no such rival, or it does not fit the channels.

    Source:
        He, Yang, Wu, Chen, Lim, Shrivastava: GTA: Global Temporal Attention for Video
        Action Understanding, 2021, section 4.3, 'Temporal modeling in NL variants', and
        Figure 6. The text says that 'decoupling the spatial and temporal operations' of
        the three makes their 'decoupled version', and no more; read here as DNL is made
        of NL (section 3.2): the same operation on the positions of a frame, then, with
        weights of its own, on the frames of a place. Each part normalises and starts as
        the rival does. Of CGNL's sum over pairs only the sign is left, see there, which
        at a place may hang on rounding.
    """

    def __init__(self, channels: int, *, rival: str = "glore") -> None:
        super().__init__()
        check_choice("rival", rival, RIVALS)
        self.spatial = RIVALS[rival](channels)
        self.temporal = RIVALS[rival](channels)

    def forward(self, x: Tensor) -> Tensor:
        _, _, t, h, w = x.shape
        y = self.spatial(rearrange(x, "b c t h w -> (b t) c 1 h w"))
        y = self.temporal(rearrange(y, "(b t) c 1 h w -> (b h w) c t 1 1", t=t))
        return rearrange(y, "(b h w) c t 1 1 -> b c t h w", h=h, w=w).contiguous()
