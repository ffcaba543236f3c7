"""3D criss-cross attention (Cao et al., 2021): sums along three lines, repeated."""

from typing import Literal, get_args

import torch
from einops import einsum
from torch import Tensor, nn

from vidattn.blocks._parts import check_choice, check_whole, reduced_width

Structure = Literal["a", "b", "c", "d"]

# The keys of position (t, h, w) on each of its lines, numbered by s.
LINES = ("s h w", "t s w", "t h s")


class CrissCross3d(nn.Module):
    """Replace every position by a weighted sum over its lines along T, H and W.

        d_iu = q_u . k_i                      i on the T + H + W - 2 of its lines  Eq. 1
        A_iu = exp(d_iu) / sum_j exp(d_ju)    one softmax over all three lines     Eq. 2
        H_u = sum_i A_iu v_i                                                       Eq. 3

    q, k and v are 1x1x1 convolutions with biases. A position lies on all three of its
    lines and counts once. Nothing is scaled or normalised, and x is not added: that is
    left to `RecurrentCrissCross3d`. Each line is a product of its own under the joint
    softmax, so that memory grows with N (T + H + W). The products take N (T + H + W)
    (C' + C) MACs (2 C' with `reduce_values`): the position itself is multiplied three
    times and masked out twice.

    Args:
        channels: C of the input.
        reduction: Q and k lead to C' = C // reduction channels.
        reduce_values: V leads to C' channels, too, and a further convolution from C'
            back to C.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C.

    Source:
        Cao, Lu, Zhang, Jiang, Zhang: Efficient Spatiotemporal Context Modeling for
        Action Recognition, 2021, section III-A, Eqs. 1-3; `reduce_values`: section
        III-C, structure c. The biases are ours. Convolutions start as torch starts
        them.
    """

    def __init__(
        self, channels: int, *, reduction: int = 4, reduce_values: bool = False
    ) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        self.q = nn.Conv3d(channels, width, 1)
        self.k = nn.Conv3d(channels, width, 1)
        self.v = nn.Conv3d(channels, width if reduce_values else channels, 1)
        self.out = nn.Conv3d(width, channels, 1) if reduce_values else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        v = self.v(x)  # (B, C, T, H, W)
        h = torch.zeros_like(v)
        parts = self._weights(x).split(x.shape[2:], dim=-1)  # (B, T, H, W, side)
        for part, line in zip(parts, LINES, strict=True):
            h += einsum(part, v, f"b t h w s, b c {line} -> b c t h w")
        return self.out(h)

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights that a few positions give to all positions.

        Args:
            x: The block's input (B, C, T, H, W).
            queries: Flat positions (Q,), whole numbers below N = T H W, counted with W
                fastest. Memory grows with Q x N.

        Returns:
            Weights (B, Q, N), A_iu, such that H_u = sum_i A_iu v_i: zero off the lines
            of a query; they sum to 1.
        """
        sides = x.shape[2:]
        at = torch.unravel_index(queries, sides)
        flat = torch.arange(sides.numel(), device=x.device).reshape(sides)
        lines = torch.cat(
            [flat[:, at[1], at[2]].T, flat[at[0], :, at[2]], flat[at[0], at[1]]], dim=1
        )
        weights = self._weights(x).flatten(1, 3)[:, queries]
        # Added, since the query itself stands on each line, with a weight of zero on
        # two of them.
        return weights.new_zeros(*weights.shape[:2], flat.numel()).scatter_add(
            2, lines.expand_as(weights), weights
        )

    def _weights(self, x: Tensor) -> Tensor:
        """Return A, (B, T, H, W, T + H + W): a position's lines along T, H, W."""
        q, k = self.q(x), self.k(x)
        scores = [einsum(q, k, f"b c t h w, b c {line} -> b t h w s") for line in LINES]
        for axis in (1, 2):  # the position itself counts on the line along T only
            itself = torch.eye(x.shape[2 + axis], dtype=torch.bool, device=x.device)
            scores[axis] = scores[axis].masked_fill(
                itself[:, None] if axis == 1 else itself, -torch.inf
            )
        return torch.cat(scores, dim=-1).softmax(dim=-1)


class RecurrentCrissCross3d(nn.Module):
    """Run one `CrissCross3d`, F, several times: positions meet that share no line.

        a: Y_r = gamma F(Y_r-1) + X                    Eq. 5
        b: Y_r = gamma F(Y_r-1) + Y_r-1                Eq. 6
        c: as a, with `reduce_values` in F
        d: Y_r = gamma F(Y_r-1), and + X at the end    Eq. 7

    Y_0 = X, r = 1 .. R, the output is Y_R; gamma is one learnable scalar for all
    passes. After one pass an output depends on its three lines, after two on the three
    planes through it, after three on all positions. With one pass a, b and d are the
    same. In the text at hand Eq. 5 has two F where its description has
    three: a misprint.

    Args:
        channels: C of the input.
        passes: R, at least 1.
        structure: What each pass is added to.
        gamma: What gamma starts at. With 0 the block starts as the identity; with 1,
            the paper's choice, it does not.
        reduction: That of `CrissCross3d`.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed.

    Source:
        Cao et al., as above, sections III-B, III-C and IV-C, Eqs. 4-7, Tables I, II and
        IV.
    """

    def __init__(
        self,
        channels: int,
        *,
        passes: int = 3,
        structure: Structure = "a",
        gamma: float = 1.0,
        reduction: int = 4,
    ) -> None:
        super().__init__()
        check_choice("structure", structure, get_args(Structure))
        check_whole("passes", passes)
        self.passes = passes
        self.structure = structure
        self.crisscross = CrissCross3d(
            channels, reduction=reduction, reduce_values=structure == "c"
        )
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for number in range(1, self.passes + 1):
            h = self.gamma * self.crisscross(y)  # (B, C, T, H, W)
            if self.structure == "d" and number < self.passes:
                y = h
            else:
                y = (y if self.structure == "b" else x) + h
        return y

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights (B, Q, N) of the first pass: `CrissCross3d.attention`."""
        return self.crisscross.attention(x, queries)
