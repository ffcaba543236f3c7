"""The global context block: one attention map for all queries; what it gathers goes to
every position.
"""

from einops import einsum, rearrange
from torch import Tensor, nn

from vidattn.blocks.options import reduced_width


class GlobalContext(nn.Module):
    """Adds to every position one vector, gathered from all positions by a single
    attention map.

        alpha = softmax over positions of W_k x
        z = x + W_v2 ReLU(LayerNorm(W_v1 sum_j alpha_j x_j))

    W_v2 starts at zero, weight and bias, as in the authors' code: the block starts as
    the identity.

    Args:
        channels: C of the input.
        reduction: W_v1 leads to C // reduction channels (the paper's ratio r = 16).

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        ValueError: the reduction is not between 1 and C.

    Source:
        Cao, Xu, Lin, Wei, Hu: GCNet: Non-local Networks Meet Squeeze-Excitation
        Networks and Beyond, ICCVW 2019, section 3.4, positions taken over T too.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        self.w_k = nn.Conv3d(channels, 1, 1)
        self.w_v1 = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.w_v2 = nn.Linear(width, channels)
        nn.init.zeros_(self.w_v2.weight)
        nn.init.zeros_(self.w_v2.bias)

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.w_k(x).flatten(2).softmax(dim=-1).squeeze(1)
        gathered = einsum(x.flatten(2), alpha, "b c n, b n -> b c")
        s = self.w_v2(self.norm(self.w_v1(gathered)).relu())
        return x + rearrange(s, "b c -> b c 1 1 1")
