"""The double attention block: features are gathered into a few descriptors, then handed
out.
"""

from einops import einsum
from torch import Tensor, nn

from vidattn.blocks.options import reduced_width


class DoubleAttention(nn.Module):
    """Adds to every position its own mixture of n descriptors, which are gathered from
    all positions.

        g_k = sum_j a_kj phi_j,   a_k = softmax over positions of theta, map k     the gathering, k = 1 .. n
        y_i = sum_k v_ik g_k,     v_i = softmax over k of rho_i                    the distribution
        z = W_z y + x

    Args:
        channels: C of the input.
        reduction: phi, theta and rho lead to C // reduction channels each; for theta
            and rho that is n.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        ValueError: the reduction is not between 1 and C.

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
        self.phi, self.theta, self.rho = (
            nn.Conv3d(channels, width, 1) for _ in range(3)
        )
        self.w_z = nn.Conv3d(width, channels, 1)
        for parameter in self.w_z.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        gather = self.theta(x).flatten(2).softmax(dim=2)
        descriptors = einsum(self.phi(x).flatten(2), gather, "b c j, b k j -> b c k")
        distribute = self.rho(x).softmax(dim=1)
        return (
            self.w_z(einsum(descriptors, distribute, "b c k, b k t h w -> b c t h w"))
            + x
        )
