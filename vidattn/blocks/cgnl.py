"""The compact generalised non-local block: channels are related, too, in groups."""

from einops import einsum, rearrange
from torch import Tensor, nn

from vidattn.blocks._parts import check_groups, inner_width, start_as_identity


class CompactGeneralizedNonLocal(nn.Module):
    """Compare all entries of a group of channels, not positions, by their product.

        y = theta (phi . g)       for each group: all C'' T H W entries of its channels
        z = GN(W_z y) + x

    theta, phi, g and W_z are called `q`, `k`, `v` and `out` here. The product theta_i
    phi_j is the dot-product kernel of the paper, and the first-order term of the Taylor
    expansion that it uses for other kernels. As phi . g is a single number for a group
    of a clip, no matrix of pairs is needed. And as W_z keeps the groups apart and the
    normalisation divides each by its standard deviation, of that number only the sign
    is left, but for the normalisation's epsilon.

    Args:
        channels: C of the input.
        inner: Width of theta, phi and g; C // 2 by default.
        groups: Number of groups, of the products, of W_z and of the normalisation.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not possible, or the groups do not divide the channels
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
        self.q = nn.Conv3d(channels, width, 1, bias=False)
        self.k = nn.Conv3d(channels, width, 1, bias=False)
        self.v = nn.Conv3d(channels, width, 1, bias=False)
        self.out = nn.Conv3d(width, channels, 1, groups=groups, bias=False)
        self.norm = nn.GroupNorm(groups, channels)
        start_as_identity(self.norm)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            rearrange(z, "b (g c) t h w -> b g c t h w", g=self.norm.num_groups)
            for z in (self.q(x), self.k(x), self.v(x))
        )
        s = einsum(k, v, "b g c t h w, b g c t h w -> b g")
        y = rearrange(s, "b g -> b g 1 1 1 1") * q  # (B, G, C'', T, H, W)
        return self.norm(self.out(y.flatten(1, 2))) + x
