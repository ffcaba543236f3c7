"""The non-local block of Wang et al. (2018): every position is a weighted sum over all
positions.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidattn.blocks.options import check_choice, inner_width
from vidattn.blocks.pairwise import Rule, aggregate, flatten, rows, unflatten

Form = Literal["embedded_gaussian", "gaussian", "dot_product", "concatenation"]
PoolKeys = Literal["before", "after"]

RULES: dict[str, Rule] = {
    "embedded_gaussian": "softmax",
    "gaussian": "softmax",
    "dot_product": "mean",
    "concatenation": "relu_mean",
}


class NonLocal(nn.Module):
    """Adds to every position the non-local sum y_i = 1 / C(x) sum_j f(x_i, x_j) g(x_j),
    projected by W_z.

        f = exp(theta_i . phi_j)               C(x) = sum_j f    embedded Gaussian
        f = exp(x_i . x_j)                     C(x) = sum_j f    Gaussian: theta and phi are the identity
        f = theta_i . phi_j                    C(x) = M          dot product
        f = ReLU(w . [theta_i, phi_j])         C(x) = M          concatenation
        z = BN(W_z y) + x

    theta, phi, g and W_z are 1x1x1 convolutions with biases, M is the number of keys (N
    = T H W, or about a quarter when the keys are pooled). No form holds an N x M matrix
    when it need not, in training neither: the Gaussians go through the fused kernel of
    torch; the concatenation makes a few rows at a time, and again in the backward pass.
    The dot product is summed as theta (phi^T g), which costs (N + M) d^2 MACs and not 2
    N M d, whenever that is less, d being the inner width; only where positions are so
    few that N M is less does it make the matrix.

    Args:
        channels: C of the input.
        inner: d, the width of theta, phi and g; C // 2 by default.
        form: the pairwise function f.
        pool_keys: max-pool the keys and values 1x2x2 "before" or "after" the
            convolutions phi and g; None: keep all. An odd last row or column is left
            out, as pooling without padding does.
        scaled: divide the pair's score by the square root of the width of the vectors
            compared: d, or C for the Gaussian. For the concatenation the score is w .
            [theta_i, phi_j].
        norm: batch normalisation after W_z.
        zero_init: start as the identity: weight and bias of the normalisation, or of
            W_z without one, are zero.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        ValueError: an option is not one of those allowed.

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
        check_choice("pool_keys", pool_keys, (None, *get_args(PoolKeys)))
        width = inner_width(channels, inner)
        self.form = form
        self.pool_keys = pool_keys
        self.theta = (
            nn.Identity() if form == "gaussian" else nn.Conv3d(channels, width, 1)
        )
        self.phi = (
            nn.Identity() if form == "gaussian" else nn.Conv3d(channels, width, 1)
        )
        self.g = nn.Conv3d(channels, width, 1)
        if form == "concatenation":
            # The two halves of w: one meets theta_i, the other phi_j. Started as a
            # linear layer of width 2 d would be.
            bound = (2 * width) ** -0.5
            self.w_theta = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
            self.w_phi = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.pool = nn.MaxPool3d((1, 2, 2)) if pool_keys else nn.Identity()
        self.w_z = nn.Conv3d(width, channels, 1)
        self.bn = nn.BatchNorm3d(channels) if norm else nn.Identity()
        self.scale = (
            (channels if form == "gaussian" else width) ** -0.5 if scaled else 1.0
        )
        if zero_init:
            last = self.bn if norm else self.w_z
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.response(x)) + x

    def response(self, x: Tensor) -> Tensor:
        """Returns W_z y, (B, C, T, H, W): what the block would add to x without a
        normalisation.
        """
        # Nested, not named, so that each step's input is freed as soon as it is used.
        return self.w_z(unflatten(self._sum(x), like=x))

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Returns the weights that a few positions give to all keys.

        Args:
            x: the block's input (B, C, T, H, W).
            queries: flat positions (Q,), whole numbers below T H W, counted with W
                fastest. Memory grows with Q x M.

        Returns:
            Weights (B, Q, M), f / C(x), such that y_i = sum_j weight_ij g_j. They sum
            to 1 over keys in the Gaussian forms; in the dot product and the
            concatenation they need not, and the former's can be negative. With pooled
            keys M = T (H // 2) (W // 2).
        """
        q, k, _ = self._embed(x)
        return rows(q[:, queries], k, RULES[self.form], self.scale)

    def _sum(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        return aggregate(q, k, v, RULES[self.form], self.scale)

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.pool_keys and min(x.shape[-2:]) < 2:
            raise ValueError(
                f"pool_keys={self.pool_keys!r} needs H and W of at least 2, not {tuple(x.shape[-2:])}"
            )
        if self.pool_keys == "before":
            source = self.pool(x)
            k, v = self.phi(source), self.g(source)
        else:
            k, v = self.pool(self.phi(x)), self.pool(self.g(x))
        if self.form == "gaussian":
            q = flatten(x)
            return q, q if k is x else flatten(k), flatten(v)
        q, k, v = flatten(self.theta(x)), flatten(k), flatten(v)
        if self.form == "concatenation":
            # w . [theta_i, phi_j] = a_i + b_j = [a_i, 1] . [1, b_j]: an inner product
            # of width 2.
            a, b = q @ self.w_theta, k @ self.w_phi
            q, k = (
                torch.stack([a, torch.ones_like(a)], dim=-1),
                torch.stack([torch.ones_like(b), b], dim=-1),
            )
        return q, k, v
