"""The global context block: one attention map for all queries."""

from einops import einsum, rearrange
from torch import Tensor, nn

from vidattn.blocks._parts import reduced_width, start_as_identity


class GlobalContext(nn.Module):
    """Add to every position one vector, gathered by a single attention map.

        alpha = softmax over positions of W_k x
        z = x + W_v2 ReLU(LayerNorm(W_v1 sum_j alpha_j x_j))

    W_k is called `k` here. W_v2 starts at zero, weight and bias, as in the authors'
    code: the block starts as the identity.

    Args:
        channels: C of the input.
        reduction: W_v1 leads to C // reduction channels (the paper's ratio r = 16).

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C.

    Source:
        Cao, Xu, Lin, Wei, Hu: GCNet: Non-local Networks Meet Squeeze-Excitation
        Networks and Beyond, ICCVW 2019, section 3.4, positions taken over T too.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        self.k = nn.Conv3d(channels, 1, 1)
        self.w_v1 = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.w_v2 = nn.Linear(width, channels)
        start_as_identity(self.w_v2)

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.k(x).flatten(2).softmax(dim=-1).squeeze(1)  # (B, N)
        gathered = einsum(x.flatten(2), alpha, "b c n, b n -> b c")
        s = self.w_v2(self.norm(self.w_v1(gathered)).relu())  # (B, C)
        return x + rearrange(s, "b c -> b c 1 1 1")
