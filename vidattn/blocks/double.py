"""The double attention block: features are gathered, then handed out."""

from einops import einsum
from torch import Tensor, nn

from vidattn.blocks._parts import reduced_width, start_as_identity


class DoubleAttention(nn.Module):
    """Add to every position its own mixture of n descriptors of the whole clip.

        g_k = sum_j a_kj phi_j,   a_k = softmax over positions of theta, map k
        y_i = sum_k v_ik g_k,     v_i = softmax over k of rho_i
        z = W_z y + x

    The first step gathers, k = 1 .. n, the second distributes. phi, theta, rho and W_z
    are called `v`, `k`, `q` and `out` here.

    Args:
        channels: C of the input.
        reduction: phi, theta and rho lead to C // reduction channels each; for theta
            and rho that is n.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C.

    Source:
        Chen, Kalantidis, Li, Yan, Feng: A^2-Nets: Double Attention Networks, NeurIPS
        2018: both steps, the order of the products, C / 4 channels in its ablations and
        the convolution that widens again. The weights of a position sum to 1 over the
        descriptors, as there; several public versions normalise rho over positions
        instead. Ours: the convolutions have biases, nothing is normalised, and W_z
        starts at zero, weight and bias, so that the block starts as the identity.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        self.v = nn.Conv3d(channels, width, 1)
        self.k = nn.Conv3d(channels, width, 1)
        self.q = nn.Conv3d(channels, width, 1)
        self.out = nn.Conv3d(width, channels, 1)
        start_as_identity(self.out)

    def forward(self, x: Tensor) -> Tensor:
        gather = self.k(x).flatten(2).softmax(dim=2)  # (B, n, N)
        g = einsum(self.v(x).flatten(2), gather, "b c j, b k j -> b c k")
        distribute = self.q(x).softmax(dim=1)  # (B, n, T, H, W)
        y = einsum(g, distribute, "b c k, b k t h w -> b c t h w")
        return self.out(y) + x
