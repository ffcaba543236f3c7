"""Sums over all pairs of positions, without the matrix of all pairs.

A block that relates every position to every other ends in `aggregate`. Three rules turn
the inner product s_ij = scale * q_i . k_j into the weight w_ij of value v_j, M being
the number of keys:

    softmax     exp(s_ij) / sum_j exp(s_ij)    the fused kernel of torch, tile by tile
    mean        s_ij / M                       reordered: q (k^T v) when cheaper
    relu_mean   max(s_ij, 0) / M               a few queries at a time, and again in the
                                               backward pass
"""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Rule = Literal["softmax", "mean", "relu_mean"]

# The most weights that `relu_mean` holds at once: 4 MiB in float32, large enough to
# keep matrix products efficient.
MOST_WEIGHTS = 2**20


def flatten(x: Tensor) -> Tensor:
    """List the positions of a feature map as rows: (B, C, T, H, W) -> (B, N, C).

    N = T H W. Contiguous because the fused attention kernel falls back to the N x N
    matrix for strided input.
    """
    return rearrange(x, "b c t h w -> b (t h w) c").contiguous()


def unflatten(y: Tensor, like: Tensor) -> Tensor:
    """Put rows back in their places: (B, N, C) -> (B, C, T, H, W) of `like`."""
    t, h, w = like.shape[-3:]
    return rearrange(y, "b (t h w) c -> b c t h w", t=t, h=h, w=w).contiguous()


def rows(q: Tensor, k: Tensor, rule: Rule, scale: float = 1.0) -> Tensor:
    """Write out the weights of a few queries.

    Args:
        q: Queries (B, Q, d). Memory grows with Q x M: pass few.
        k: Keys (B, M, d).
        rule: How scores become weights, see the module's first lines.
        scale: Factor of the inner product.

    Returns:
        Weights (B, Q, M), such that y = weights @ values. Rows sum to 1 under "softmax"
        only.
    """
    scores = q @ k.transpose(1, 2) * scale
    if rule == "softmax":
        return scores.softmax(dim=-1)
    if rule == "relu_mean":
        scores = scores.relu()
    return scores / k.shape[1]


def aggregate(
    q: Tensor, k: Tensor, v: Tensor, rule: Rule, scale: float = 1.0
) -> Tensor:
    """Sum the values of all keys for every query, y_i = sum_j w_ij v_j.

    Args:
        q: Queries (B, N, d).
        k: Keys (B, M, d).
        v: Values (B, M, e).
        rule: How scores become weights, see the module's first lines.
        scale: Factor of the inner product.

    Returns:
        Sums (B, N, e). No N x M matrix is held, except under "mean" where that matrix
        is the cheaper way.
    """
    if rule == "mean":
        return _mean(q, k, v, scale)
    if rule == "relu_mean":
        return _relu_mean(q, k, v, scale)
    # The fused kernels want one width for q, k and v (CPU) and a multiple of 8 (CUDA).
    # Zeros change no inner product, and the columns that they add to the result are cut
    # off again.
    width = -(-max(q.shape[-1], v.shape[-1]) // 8) * 8
    y = F.scaled_dot_product_attention(
        _head(q, width), _head(k, width), _head(v, width), scale=scale
    )  # (B, 1, N, width)
    return y.squeeze(1)[..., : v.shape[-1]]


def _head(part: Tensor, width: int) -> Tensor:
    """Return one head, (B, 1, N, width): the CPU's kernel takes four axes only."""
    missing = width - part.shape[-1]
    return (F.pad(part, (0, missing)) if missing else part).unsqueeze(1)


def _mean(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    n, m, d, e = q.shape[1], k.shape[1], k.shape[2], v.shape[2]
    if (n + m) * d * e > n * m * (d + e):
        return rows(q, k, "mean", scale) @ v
    # Half of the division by M on either side keeps the sum over M keys within the
    # range of float16.
    summary = (k * m**-0.5).transpose(1, 2) @ (v * m**-0.5)
    return q @ (summary * scale)


def _relu_mean(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    size = max(1, MOST_WEIGHTS // (k.shape[0] * k.shape[1]))
    if not torch.is_grad_enabled():
        # Written in place: small results kept between large temporaries would leave the
        # heap full of holes.
        y = v.new_empty(*q.shape[:2], v.shape[2])
        for start in range(0, q.shape[1], size):
            y[:, start : start + size] = _relu_rows(
                q[:, start : start + size], k, v, scale
            )
        return y
    parts = q.split(size, dim=1)
    if len(parts) == 1:
        return _relu_rows(q, k, v, scale)
    # Kept for the backward pass, the weights of the parts would add up to the whole
    # matrix: make them again there.
    again = partial(
        checkpoint, _relu_rows, use_reentrant=False, preserve_rng_state=False
    )
    return torch.cat([again(part, k, v, scale) for part in parts], dim=1)


def _relu_rows(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    # Scaled before and divided after, so that the large matrix is made only twice: as
    # scores and as their ReLU.
    return ((q * scale) @ k.transpose(1, 2)).relu() @ v / k.shape[1]
