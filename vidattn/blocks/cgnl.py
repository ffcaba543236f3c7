"""The compact generalised non-local block: channels are related with channels, too, in
groups.
"""

from einops import einsum, rearrange
from torch import Tensor, nn

from vidattn.blocks.options import check_groups, inner_width


class CompactGeneralizedNonLocal(nn.Module):
    """Compares all entries of a group of channels, not whole positions, by their
    product.

        y = theta (phi . g)       for each group; theta, phi, g: all C'' T H W entries of its channels
        z = GN(W_z y) + x

    The product theta_i phi_j is the dot-product kernel of the paper, and the
    first-order term of the Taylor expansion that it uses for other kernels. As phi . g
    is a single number for a group of a clip, no matrix of pairs is needed. And as W_z
    keeps the groups apart and the normalisation divides each by its standard deviation,
    of that number only the sign is left, but for the normalisation's epsilon.

    Args:
        channels: C of the input.
        inner: width of theta, phi and g; C // 2 by default.
        groups: number of groups, of the products, of W_z and of the normalisation.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        ValueError: an option is not possible, or the groups do not divide the channels
            or the inner width.

    Source:
        Yue, Sun, Yuan, Zhou, Ding, Xu: Compact Generalized Non-local Network, NeurIPS
        2018, the dot-product kernel in groups. From the authors' code
        (KaiyuYue/cgnl-network.pytorch): no division by the number of entries, no
        biases, W_z and a group normalisation in the same groups, 8 of them, width C /
        2, and the normalisation's weight and bias zero at the start, which makes the
        block the identity. One block of this form has the parameters of PNL's Table 5
        (27.2M), see the tests. Convolutions start as torch starts them.
    """

    def __init__(
        self, channels: int, *, inner: int | None = None, groups: int = 8
    ) -> None:
        super().__init__()
        width = inner_width(channels, inner)
        check_groups(groups, channels, width)
        self.theta, self.phi, self.g = (
            nn.Conv3d(channels, width, 1, bias=False) for _ in range(3)
        )
        self.w_z = nn.Conv3d(width, channels, 1, groups=groups, bias=False)
        self.norm = nn.GroupNorm(groups, channels)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g = (
            rearrange(conv(x), "b (k c) t h w -> b k c t h w", k=self.norm.num_groups)
            for conv in (self.theta, self.phi, self.g)
        )
        s = einsum(phi, g, "b k c t h w, b k c t h w -> b k")
        y = rearrange(s, "b k -> b k 1 1 1 1") * theta
        return self.norm(self.w_z(y.flatten(1, 2))) + x
