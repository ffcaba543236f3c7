"""The region-based non-local block (Huang, Bors, 2020): surroundings compared."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from vidattn.blocks._parts import (
    check_choice,
    check_kernel,
    inner_width,
    start_as_identity,
)
from vidattn.blocks.pairwise import Rule, aggregate, flatten, rows, unflatten

Form = Literal["gaussian", "dot_product", "cosine"]
Region = Literal["conv", "avg", "max"]

RULES: dict[str, Rule] = {
    "gaussian": "softmax",
    "dot_product": "mean",
    "cosine": "relu_mean",
}


class RegionNonLocal(nn.Module):
    """Add to every position a sum over all, weighted by how alike their regions are.

        g = W_g x                           Eq. 9: the value, and what regions are of
        r_i = sum over k in N_i of u_k * g_k      Eq. 3: F_theta, channel by channel
        y_i = 1 / C(x) sum_j f(r_i, r_j) g_j      Eq. 4
        f = exp(r_i . r_j)                        Eq. 5, Gaussian: C(x) = sum_j f
        f = r_i . r_j                             Eq. 6, dot product: C(x) = T H W
        f = ReLU(cos(r_i, r_j))                   Eq. 7, cosine: C(x) = T H W
        z = BN(W_z y) + x                         Eq. 8

    W_g and W_z, called `v` and `out` here, are 1x1x1 convolutions with biases. Query
    and key are the same r; logits are not scaled; there is no other convolution. No
    form holds an N x N matrix when it need not, N = T H W, in training neither: the
    Gaussian goes through the fused kernel of torch; the cosine, which the ReLU keeps
    from being factorised, makes a few rows at a time, and again in the backward pass.
    The dot product is summed as r (r^T g), which costs 2 N d^2 MACs and not 2 N^2 d,
    whenever that is less, d being the inner width; with fewer than d positions it makes
    the matrix.

    Args:
        channels: C of the input.
        inner: d, the width of g and r; C // 2 by default.
        form: The pairwise function f.
        region: F_theta: "conv", a channel-wise convolution without bias; "avg" or
            "max", pooling without weights.
        kernel: Size (T, H, W) of the region N_i, each odd. Stride 1, padding half the
            kernel.
        norm: Batch normalisation after W_z.
        zero_init: Start as the identity: weight and bias of the normalisation, or of
            W_z without one, are zero.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed.

    Source:
        Huang, Bors: Region-based Non-local Operation for Video Classification, ICPR
        2020, Eqs. 2-9 and section IV-A. The paper says only that the padding is half
        the kernel. Our readings of the rest: average pooling divides by the full size
        of the kernel at the border too (zeros are counted), since Eq. 3 shares u_k
        among all regions, so that average pooling is the convolution with `u_k = 1 /
        |N|` everywhere; max pooling ignores the padding (it counts as minus infinity),
        and is no case of Eq. 3. Convolutions start as torch starts them.
    """

    def __init__(
        self,
        channels: int,
        *,
        inner: int | None = None,
        form: Form = "gaussian",
        region: Region = "conv",
        kernel: tuple[int, int, int] = (3, 7, 7),
        norm: bool = True,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        check_choice("form", form, get_args(Form))
        check_choice("region", region, get_args(Region))
        kernel = check_kernel("kernel", kernel)
        width = inner_width(channels, inner)
        self.form = form
        self.v = nn.Conv3d(channels, width, 1)
        self.f_theta = _summary(region, width, kernel)
        self.out = nn.Conv3d(width, channels, 1)
        self.bn = nn.BatchNorm3d(channels) if norm else nn.Identity()
        if zero_init:
            start_as_identity(self.bn if norm else self.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.response(x)) + x

    def response(self, x: Tensor) -> Tensor:
        """Return W_z y, (B, C, T, H, W): what is added to x without a normalisation."""
        # One name for all steps, so that each step's input is freed after use.
        y = aggregate(*self._embed(x), RULES[self.form])  # (B, N, d)
        y = unflatten(y, like=x)  # (B, d, T, H, W)
        return self.out(y)  # (B, C, T, H, W)

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights that a few positions give to all positions.

        Args:
            x: The block's input (B, C, T, H, W).
            queries: Flat positions (Q,), whole numbers below T H W, counted with W
                fastest. Memory grows with Q x N.

        Returns:
            Weights (B, Q, N), f / C(x), such that y_i = sum_j weight_ij g_j. They sum
            to 1 over keys in the Gaussian form; in the dot product and the cosine they
            need not, and the former's can be negative.
        """
        q, k, _ = self._embed(x)
        return rows(q[:, queries], k, RULES[self.form])

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return r twice, as queries and keys, and g: (B, N, d) each."""
        g = self.v(x)  # (B, d, T, H, W)
        r = flatten(self.f_theta(g))  # (B, N, d)
        if self.form == "cosine":
            r = F.normalize(r, dim=-1)
        return r, r, flatten(g)


def _summary(region: Region, width: int, kernel: tuple[int, int, int]) -> nn.Module:
    """Return F_theta, from (B, d, T, H, W) to the same shape."""
    t, h, w = (size // 2 for size in kernel)
    if region == "conv":
        return nn.Conv3d(
            width, width, kernel, padding=(t, h, w), groups=width, bias=False
        )
    if region == "avg":
        # Padded by hand: torch's average pooling refuses a map that is smaller than the
        # kernel, such as two frames under a kernel of three, although with its padding
        # the map would be large enough.
        return nn.Sequential(
            nn.ZeroPad3d((w, w, h, h, t, t)), nn.AvgPool3d(kernel, stride=1)
        )
    return nn.MaxPool3d(kernel, stride=1, padding=(t, h, w))
