"""GloRe: positions are gathered into the nodes of a small graph and handed back. And
rivals, decoupled.
"""

from einops import einsum, rearrange
from torch import Tensor, nn

from vidattn.blocks.cgnl import CompactGeneralizedNonLocal
from vidattn.blocks.context import GlobalContext
from vidattn.blocks.temporal import check, check_whole, output


class GloRe(nn.Module):
    """Adds to every position what the nodes of a graph say that it belongs to, after
    one graph convolution.

        B = theta(x),   V = sum over positions of B phi(x)    N nodes of S states
        Z = W_g ReLU(V + A_g V)                               A_g relates the nodes, W_g the states
        z = BN(W_z B^T Z) + x                                 the same B hands the nodes back

    The normalisation starts at zero, weight and bias: the block starts as the identity.

    Args:
        channels: C of the input.
        reduction: N = C // reduction nodes, and S = 2 N states.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: the reduction is not between 1 and C.

    Source:
        Chen, Rohrbach, Yan, Yan, Feng, Kalantidis: Graph-Based Global Reasoning
        Networks, CVPR 2019, section 3, positions taken over T, too. From the authors'
        code (facebookresearch/GloRe): twice as many states as nodes, plus A_g where the
        paper has I - A_g, the ReLU between the two, biases in theta, phi and A_g alone,
        B as it is, and a batch normalisation with the comment that it should start at
        zero. Ours: the reduction of 4 and torch's epsilon in the normalisation.
        Convolutions start as torch starts them.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        check_whole("reduction", reduction, channels)
        nodes, states = channels // reduction, 2 * (channels // reduction)
        self.theta, self.phi = (
            nn.Conv3d(channels, nodes, 1),
            nn.Conv3d(channels, states, 1),
        )
        self.a_g, self.w_g = (
            nn.Conv1d(nodes, nodes, 1),
            nn.Linear(states, states, bias=False),
        )
        self.w_z = output(states, channels)

    def forward(self, x: Tensor) -> Tensor:
        b = self.theta(x)
        v = einsum(b, self.phi(x), "b n t h w, b s t h w -> b n s")
        z = self.w_g((v + self.a_g(v)).relu())
        return x + self.w_z(einsum(b, z, "b n t h w, b n s -> b s t h w").contiguous())


RIVALS = {
    "cgnl": CompactGeneralizedNonLocal,
    "global_context": GlobalContext,
    "glore": GloRe,
}


class DecoupledRival(nn.Module):
    """Runs a rival within each frame, then a second one of the same kind along time at
    each place.

    Args:
        channels: C of the input.
        rival: which: CGNL, the global context block or GloRe, with its default options.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: there is no such rival, or it does not fit the channels.

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
        check(rival in RIVALS, "rival", rival, tuple(RIVALS))
        self.spatial, self.temporal = RIVALS[rival](channels), RIVALS[rival](channels)

    def forward(self, x: Tensor) -> Tensor:
        _, _, t, h, w = x.shape
        y = self.spatial(rearrange(x, "b c t h w -> (b t) c 1 h w"))
        y = self.temporal(rearrange(y, "(b t) c 1 h w -> (b h w) c t 1 1", t=t))
        return rearrange(y, "(b h w) c t 1 1 -> b c t h w", h=h, w=w).contiguous()
