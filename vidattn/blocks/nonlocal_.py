"""The non-local block (Wang et al., 2018): a weighted sum over all positions."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidattn.blocks._parts import (
    POOL_KEYS,
    PoolKeys,
    check_choice,
    inner_width,
    start_as_identity,
)
from vidattn.blocks.pairwise import Rule, aggregate, flatten, rows, unflatten
from vidattn.errors import UserError

Form = Literal["embedded_gaussian", "gaussian", "dot_product", "concatenation"]

RULES: dict[str, Rule] = {
    "embedded_gaussian": "softmax",
    "gaussian": "softmax",
    "dot_product": "mean",
    "concatenation": "relu_mean",
}


class NonLocal(nn.Module):
    """Add to every position a sum over all positions, weighted by how alike they are.

        y_i = 1 / C(x) sum_j f(x_i, x_j) g(x_j)
        f = exp(theta_i . phi_j)           C(x) = sum_j f    embedded Gaussian
        f = exp(x_i . x_j)                 C(x) = sum_j f    Gaussian: no theta, no phi
        f = theta_i . phi_j                C(x) = M          dot product
        f = ReLU(w . [theta_i, phi_j])     C(x) = M          concatenation
        z = BN(W_z y) + x

    theta, phi, g and W_z, called `q`, `k`, `v` and `out` here, are 1x1x1 convolutions
    with biases, M is the number of keys (N = T H W, or about a quarter when the keys
    are pooled). No form holds an N x M matrix when it need not, in training neither:
    the Gaussians go through the fused kernel of torch; the concatenation makes a few
    rows at a time, and again in the backward pass. The dot product is summed as theta
    (phi^T g), which costs (N + M) d^2 MACs and not 2 N M d, whenever that is less, d
    being the inner width; only where positions are so few that N M is less does it make
    the matrix.

    Args:
        channels: C of the input.
        inner: d, the width of theta, phi and g; C // 2 by default.
        form: The pairwise function f.
        pool_keys: Max-pool the keys and values 1x2x2 "before" or "after" the
            convolutions phi and g; None: keep all. An odd last row or column is left
            out, as pooling without padding does.
        scaled: Divide the pair's score by the square root of the width of the vectors
            compared: d, or C for the Gaussian. For the concatenation the score is w .
            [theta_i, phi_j].
        norm: Batch normalisation after W_z.
        zero_init: Start as the identity: weight and bias of the normalisation, or of
            W_z without one, are zero.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed.

    Source:
        Wang, Girshick, Gupta, He: Non-local Neural Networks, CVPR 2018, Eqs. 1-6 and
        section 3.3; RNL paper, Eq. 1. Convolutions start as torch starts them, not with
        the standard deviation 0.01 of the authors' code.
    """

    def __init__(
        self,
        channels: int,
        *,
        inner: int | None = None,
        form: Form = "embedded_gaussian",
        pool_keys: PoolKeys | None = None,
        scaled: bool = False,
        norm: bool = True,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        check_choice("form", form, get_args(Form))
        check_choice("pool_keys", pool_keys, POOL_KEYS)
        width = inner_width(channels, inner)
        self.form = form
        self.pool_keys = pool_keys
        embedded = form != "gaussian"
        self.q = nn.Conv3d(channels, width, 1) if embedded else nn.Identity()
        self.k = nn.Conv3d(channels, width, 1) if embedded else nn.Identity()
        self.v = nn.Conv3d(channels, width, 1)
        if form == "concatenation":
            # The two halves of w: one meets theta_i, the other phi_j. Started as a
            # linear layer of width 2 d would be.
            bound = (2 * width) ** -0.5
            self.w_q = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
            self.w_k = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.pool = nn.MaxPool3d((1, 2, 2)) if pool_keys else nn.Identity()
        self.out = nn.Conv3d(width, channels, 1)
        self.bn = nn.BatchNorm3d(channels) if norm else nn.Identity()
        compared = width if embedded else channels
        self.scale = compared**-0.5 if scaled else 1.0
        if zero_init:
            start_as_identity(self.bn if norm else self.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.response(x)) + x

    def response(self, x: Tensor) -> Tensor:
        """Return W_z y, (B, C, T, H, W): what is added to x without a normalisation."""
        # One name for all steps, so that each step's input is freed after use.
        y = aggregate(*self._embed(x), RULES[self.form], self.scale)  # (B, N, d)
        y = unflatten(y, like=x)  # (B, d, T, H, W)
        return self.out(y)  # (B, C, T, H, W)

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights that a few positions give to all keys.

        Args:
            x: The block's input (B, C, T, H, W).
            queries: Flat positions (Q,), whole numbers below T H W, counted with W
                fastest. Memory grows with Q x M.

        Returns:
            Weights (B, Q, M), f / C(x), such that y_i = sum_j weight_ij g_j. They sum
            to 1 over keys in the Gaussian forms; in the dot product and the
            concatenation they need not, and the former's can be negative. With pooled
            keys M = T (H // 2) (W // 2).
        """
        q, k, _ = self._embed(x)
        return rows(q[:, queries], k, RULES[self.form], self.scale)

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return theta (B, N, d), phi (B, M, d) and g (B, M, d)."""
        if self.pool_keys and min(x.shape[-2:]) < 2:
            raise UserError(
                f"pool_keys={self.pool_keys!r} needs H and W of at least 2, "
                f"not {tuple(x.shape[-2:])}"
            )
        if self.pool_keys == "before":
            source = self.pool(x)  # (B, C, T, H // 2, W // 2)
            k, v = self.k(source), self.v(source)
        else:
            k, v = self.pool(self.k(x)), self.pool(self.v(x))
        if self.form == "gaussian":
            q = flatten(x)
            return q, q if k is x else flatten(k), flatten(v)
        q, k, v = flatten(self.q(x)), flatten(k), flatten(v)
        if self.form == "concatenation":
            # w . [theta_i, phi_j] = a_i + b_j = [a_i, 1] . [1, b_j]: an inner product
            # of width 2.
            a, b = q @ self.w_q, k @ self.w_k  # (B, N), (B, M)
            q = torch.stack([a, torch.ones_like(a)], dim=-1)  # (B, N, 2)
            k = torch.stack([torch.ones_like(b), b], dim=-1)  # (B, M, 2)
        return q, k, v
