"""The pyramid non-local module (Xu et al., 2020): each group at a scale of its own."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat
from torch import Tensor, nn

from vidattn.blocks._parts import check_choice, start_as_identity
from vidattn.blocks.nonlocal_ import Form, NonLocal

Combine = Literal["attention", "concat"]
Pool = Literal["avg", "max"]


class PyramidNonLocal(nn.Module):
    """Cut the channels into n groups and relate all regions of one size in each.

        X_k = pool(group k of x, 1 x 2^k x 2^k),   k = 0 .. n - 1           section 3.2
        Y_k = W_z (1 / C(X_k) sum_j f(theta_i, phi_j) g_j)            Eq. 1, at scale k
        Y'_k = mean of Y_k over its own regions
        A = softmax over l of (linear_q Y'_k) . (linear_k Y'_l) / sqrt(C')  Eq. 3
        Y = concat over k of sum_l A_kl Y_l                                 Eq. 2
        z = BN(Y) + x

    A group has C' = ceil(C / n) channels. When n does not divide C, the channels are
    filled up with zeros at the end, and the result is cut back to C. Where 2^k does not
    divide H or W the last region is smaller, and its average is over what is there.
    Before Y_k meets the other scales, every position gets the value of its region. The
    means Y'_k are taken before that, so that a smaller region counts as much as a full
    one. With n = 1 this is `NonLocal`, and nothing is left to combine. As there, no
    form holds a matrix of all pairs.

    Args:
        channels: C of the input.
        scales: n, from 1 to 4.
        inner: Width of theta, phi and g; C' // 2 by default, but at least 1.
        form: The pairwise function f, as in `NonLocal`.
        shared: One theta, phi, g and W_z for all scales, as the text has it; else one
            set a scale, as the printed numbers of parameters suggest.
        combine: "attention", Eqs. 2-3; or "concat": A is the identity.
        pool: "avg" or "max".
        scaled: Divide the pair's score by the square root of the width of the vectors
            compared, as in `NonLocal`.
        norm: Batch normalisation of Y.
        zero_init: Start as the identity: weight and bias of the normalisation, or of
            W_z without one, are zero.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed.

    Source:
        Xu, Cao, Yang, Mao, Yin, See: PNL: Efficient Long-Range Dependencies Extraction
        with Pyramid Non-Local Module for Action Recognition, 2020, sections 3.2 and
        4.1.2. Our readings of what is left open: W_z stands at each scale, since Eq. 8
        counts four convolutions there and Eq. 3 has sqrt(C'); linear_q and linear_k
        lead to C' // 2 channels, which fits the increase of Table 3; the pooling is the
        average; Y_k is repeated; the normalisation, which starts at zero, stands after
        the combination. Convolutions start as torch starts them.
    """

    operations: Sequence[NonLocal]  # one, or one a scale

    def __init__(
        self,
        channels: int,
        *,
        scales: int = 4,
        inner: int | None = None,
        form: Form = "embedded_gaussian",
        shared: bool = True,
        combine: Combine = "attention",
        pool: Pool = "avg",
        scaled: bool = False,
        norm: bool = True,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        check_choice("scales", scales, (1, 2, 3, 4))
        check_choice("combine", combine, get_args(Combine))
        check_choice("pool", pool, get_args(Pool))
        width = -(-channels // scales)
        self.scales = scales
        self.width = width
        self.combine = combine if scales > 1 else "concat"
        self.pool = F.avg_pool3d if pool == "avg" else F.max_pool3d
        operations = [
            NonLocal(
                width,
                inner=max(1, width // 2) if inner is None else inner,
                form=form,
                scaled=scaled,
                norm=False,
                zero_init=zero_init and not norm,
            )
            for _ in range(1 if shared else scales)
        ]
        self.operations = nn.ModuleList(operations)  # type: ignore[assignment]
        if self.combine == "attention":
            self.linear_q = nn.Linear(width, max(1, width // 2))
            self.linear_k = nn.Linear(width, max(1, width // 2))
        self.bn = nn.BatchNorm3d(channels) if norm else nn.Identity()
        if zero_init:
            start_as_identity(self.bn)

    def forward(self, x: Tensor) -> Tensor:
        (_, c, _, h, w), parts = x.shape, self._dependencies(x)
        wide = [
            repeat(part, "b c t h w -> b c t (h p) (w q)", p=2**k, q=2**k)
            for k, part in enumerate(parts)
        ]
        y = torch.stack([part[..., :h, :w] for part in wide], dim=1)
        if self.combine == "attention":
            y = einsum(self._weights(parts), y, "b k l, b l c t h w -> b k c t h w")
        y = rearrange(y, "b k c t h w -> b (k c) t h w")[:, :c]
        return self.bn(y) + x  # (B, C, T, H, W)

    def attention(self, x: Tensor, queries: Tensor, scale: int = 0) -> Tensor:
        """Return the weights that the regions of a few positions give at one scale.

        Args:
            x: The block's input (B, C, T, H, W).
            queries: Flat positions (Q,) of the full map, whole numbers below T H W,
                counted with W fastest; each stands for the region that it lies in.
                Memory grows with Q x N_k.
            scale: k, from 0 to n - 1.

        Returns:
            Weights (B, Q, N_k), N_k = T ceil(H / 2^k) ceil(W / 2^k), as of
            `NonLocal.attention`.

        Raises:
            UserError: There is no such scale.
        """
        check_choice("scale", scale, range(self.scales))
        at_scale = self._pyramid(x)[scale]
        (h, w), (h_k, w_k) = x.shape[-2:], at_scale.shape[-2:]
        t, row, column = queries // (h * w), queries // w % h, queries % w
        regions = (t * h_k + row // 2**scale) * w_k + column // 2**scale
        return self._operation(scale).attention(at_scale, regions)

    def scale_weights(self, x: Tensor) -> Tensor:
        """Return A of Eq. 3, (B, n, n): row k is what group k receives of each."""
        return self._weights(self._dependencies(x))

    def _weights(self, parts: list[Tensor]) -> Tensor:
        """Return A of Eq. 3, (B, n, n), from Y_k, each (B, C', T, H_k, W_k)."""
        if self.combine == "concat":
            return torch.eye(self.scales).to(parts[0]).expand(len(parts[0]), -1, -1)
        means = [part.mean(dim=(2, 3, 4)) for part in parts]
        stacked = torch.stack(means, dim=1)  # (B, n, C')
        scores = self.linear_q(stacked) @ self.linear_k(stacked).transpose(1, 2)
        return (scores * self.width**-0.5).softmax(dim=-1)

    def _dependencies(self, x: Tensor) -> list[Tensor]:
        """Return Y_k, each (B, C', T, H_k, W_k)."""
        return [
            self._operation(k).response(at_scale)
            for k, at_scale in enumerate(self._pyramid(x))
        ]

    def _operation(self, k: int) -> NonLocal:
        """Return the operation of scale k, or the one that all scales share."""
        return self.operations[k % len(self.operations)]

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        """Return X_k, each (B, C', T, H_k, W_k)."""
        h, w = x.shape[-2:]
        missing = self.scales * self.width - x.shape[1]
        if missing:
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, missing))
        groups = x.chunk(self.scales, dim=1)  # n times (B, C', T, H, W)
        # torch's pooling refuses a kernel larger than the map. In ceil mode it divides
        # the average of a last region by the positions that are there, not by the
        # kernel's size.
        kernels = [(1, min(2**k, h), min(2**k, w)) for k in range(self.scales)]
        return [
            self.pool(group, kernel, ceil_mode=True) if k else group
            for k, (group, kernel) in enumerate(zip(groups, kernels, strict=True))
        ]
