"""NL, RNL and PNL, index by index from the equations: the judge of the blocks. Slow,
and meant to be read.

Only the weights and the named options of a block are used, none of its code. A position
is a tuple (t, h, w).
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vidattn.blocks import block_options

Map = dict[tuple[int, int, int], Tensor]  # position -> vector


def nonlocal_oracle(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Wang et al. Eqs. 1-6, RNL Eq. 1. Returns the output (B, C, T, H, W) and the
    weights (B, N, M).
    """
    pooled, d = block.pool_keys, block.v.out_channels

    def embed(clip: Map) -> tuple[Map, Map, Map]:
        source = max_pool_2x2(clip) if pooled == "before" else clip
        g = {j: pointwise(block.v, source[j]) for j in source}
        if block.form == "gaussian":
            theta, phi = clip, source
        else:
            theta = {i: pointwise(block.q, clip[i]) for i in clip}
            phi = {j: pointwise(block.k, source[j]) for j in source}
        return (
            (theta, max_pool_2x2(phi), max_pool_2x2(g))
            if pooled == "after"
            else (theta, phi, g)
        )

    def score(theta_i: Tensor, phi_j: Tensor) -> Tensor:
        if block.form == "concatenation":
            w = torch.cat([block.w_q, block.w_k])
            s = (w * torch.cat([theta_i, phi_j])).sum()
        else:
            s = (theta_i * phi_j).sum()
        return (
            s / math.sqrt(x.shape[1] if block.form == "gaussian" else d)
            if block.scale != 1
            else s
        )

    def f(theta_i: Tensor, phi_j: Tensor) -> Tensor:
        s = score(theta_i, phi_j)
        if block.form in ("gaussian", "embedded_gaussian"):
            return s.exp()
        return s.clamp(min=0) if block.form == "concatenation" else s

    return whole_block(block, x, embed, f, sums_to_one="gaussian" in block.form)


def region_oracle(
    block: nn.Module, x: Tensor, region: str, kernel: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """RNL Eqs. 2-9. Returns the output (B, C, T, H, W) and the weights (B, N, N)."""
    offsets = list(
        itertools.product(*(range(-(size // 2), size // 2 + 1) for size in kernel))
    )

    def theta(g: Map, i: tuple[int, int, int]) -> Tensor:
        inside = [
            (k, g[n])
            for k in offsets
            if (n := (i[0] + k[0], i[1] + k[1], i[2] + k[2])) in g
        ]
        if region == "max":
            return torch.stack([value for _, value in inside]).amax(dim=0)
        total = torch.zeros_like(g[i])
        for k, value in inside:
            if region == "avg":
                u_k = 1 / (kernel[0] * kernel[1] * kernel[2])
            else:
                u_k = block.f_theta.weight[
                    :,
                    0,
                    k[0] + kernel[0] // 2,
                    k[1] + kernel[1] // 2,
                    k[2] + kernel[2] // 2,
                ]
            total = total + u_k * value
        return total

    def embed(clip: Map) -> tuple[Map, Map, Map]:
        g = {i: pointwise(block.v, clip[i]) for i in clip}
        r = {i: theta(g, i) for i in g}
        return r, r, g

    def f(r_i: Tensor, r_j: Tensor) -> Tensor:
        s = (r_i * r_j).sum()
        if block.form == "gaussian":
            return s.exp()
        return (
            (s / (r_i.norm() * r_j.norm())).clamp(min=0)
            if block.form == "cosine"
            else s
        )

    return whole_block(block, x, embed, f, sums_to_one=block.form == "gaussian")


def pyramid_oracle(
    block: nn.Module,
    x: Tensor,
    *,
    n: int,
    combine: str = "attention",
    pool: str = "avg",
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """PNL section 3.2, Eqs. 1-3.

    Returns the output (B, C, T, H, W), A (B, n, n), and of each scale the weights (B,
    N_k, N_k) and Y_k.
    """
    batch, c, frames, height, width = x.shape
    group = math.ceil(c / n)

    def pooled(k: int) -> Tensor:
        side = 2**k
        rows_of_regions, columns = math.ceil(height / side), math.ceil(width / side)
        x_k = x.new_zeros(batch, group, frames, rows_of_regions, columns)
        places = itertools.product(
            range(batch), range(group), range(frames), range(rows_of_regions)
        )
        for (b, channel, t, row), column in itertools.product(places, range(columns)):
            if k * group + channel >= c:
                continue  # a channel that fills the last group up
            members = [
                x[b, k * group + channel, t, h, w]
                for h, w in itertools.product(range(height), range(width))
                if h // side == row and w // side == column
            ]
            value = max(members) if pool == "max" else sum(members) / len(members)
            x_k[b, channel, t, row, column] = value
        return x_k

    parts, weights = [], []
    for k in range(n):
        operation = block.operations[k if len(block.operations) > 1 else 0]
        x_k = pooled(k)
        with_residual, rows = nonlocal_oracle(
            operation, x_k
        )  # an operation has no normalisation
        parts.append(with_residual - x_k)
        weights.append(rows)

    a = torch.eye(n, dtype=x.dtype).repeat(batch, 1, 1)
    if combine == "attention" and n > 1:
        a = torch.stack(
            [
                torch.stack([scale_row(block, parts, b, k) for k in range(n)])
                for b in range(batch)
            ]
        )

    y = x.new_zeros(x.shape)
    for b, channel, t, h, w in itertools.product(*(range(size) for size in x.shape)):
        k, within = divmod(channel, group)
        y[b, channel, t, h, w] = sum(
            a[b, k, m] * parts[m][b, within, t, h // 2**m, w // 2**m] for m in range(n)
        )
    return normalise(block.bn, y.flatten(2)).reshape(x.shape) + x, a, weights, parts


def scale_row(block: nn.Module, parts: list[Tensor], b: int, k: int) -> Tensor:
    """Row k of A in Eq. 3, for clip b."""

    def descriptor(linear: nn.Linear, m: int) -> Tensor:
        places = itertools.product(*(range(size) for size in parts[m].shape[2:]))
        vectors = [parts[m][b, :, t, h, w] for t, h, w in places]
        return linear.weight @ (sum(vectors) / len(vectors)) + linear.bias

    q, c_prime = descriptor(block.linear_q, k), parts[0].shape[1]
    f = [
        ((q * descriptor(block.linear_k, m)).sum() / math.sqrt(c_prime)).exp()
        for m in range(len(parts))
    ]
    return torch.stack([f_m / sum(f) for f_m in f])


def whole_block(
    block: nn.Module,
    x: Tensor,
    embed: Callable[[Map], tuple[Map, Map, Map]],
    f: Callable[[Tensor, Tensor], Tensor],
    sums_to_one: bool,
) -> tuple[Tensor, Tensor]:
    """y_i = 1 / C(x) sum_j f(q_i, k_j) v_j, then z = BN(W_z y) + x."""
    places = list(itertools.product(*(range(size) for size in x.shape[2:])))
    outputs, weights = [], []
    for clip in x:
        q, k, v = embed({i: clip[:, i[0], i[1], i[2]] for i in places})
        y = {}
        for i in places:
            row = torch.stack([f(q[i], k[j]) for j in k])
            row = row / (row.sum() if sums_to_one else len(k))
            y[i] = sum(row[n] * v[j] for n, j in enumerate(k))
            weights.append(row)
        outputs.append(torch.stack([pointwise(block.out, y[i]) for i in places], dim=1))
    z = normalise(block.bn, torch.stack(outputs))
    return z.reshape(x.shape) + x, torch.stack(weights).reshape(len(x), len(places), -1)


def pointwise(conv: nn.Conv3d, vector: Tensor) -> Tensor:
    """A 1x1x1 convolution at one position."""
    projected = conv.weight[:, :, 0, 0, 0] @ vector
    return projected if conv.bias is None else projected + conv.bias


def pointwise_rows(conv: nn.Conv3d, rows: Tensor) -> Tensor:
    """A 1x1x1 convolution of the rows (B, N, C)."""
    return rows @ conv.weight[:, :, 0, 0, 0].T + conv.bias


def max_pool_2x2(clip: Map) -> Map:
    """Max-pooling 1x2x2; a last odd row or column is left out."""
    height, width = max(h for _, h, _ in clip) + 1, max(w for _, _, w in clip) + 1
    return {
        (t, h // 2, w // 2): torch.stack(
            [clip[t, h + a, w + b] for a in (0, 1) for b in (0, 1)]
        ).amax(dim=0)
        for t, h, w in clip
        if h % 2 == 0 and w % 2 == 0 and h + 1 < height and w + 1 < width
    }


def normalise(bn: nn.Module, z: Tensor) -> Tensor:
    """Batch normalisation of (B, C, N): statistics of the batch in training, the
    running ones otherwise.
    """
    if isinstance(bn, nn.Identity):
        return z
    if bn.training:
        mean, variance = z.mean(dim=(0, 2)), z.var(dim=(0, 2), unbiased=False)
    else:
        mean, variance = bn.running_mean, bn.running_var
    z = (z - mean[:, None]) / torch.sqrt(variance[:, None] + bn.eps)
    return z * bn.weight[:, None] + bn.bias[:, None]


def randomise(block: nn.Module, seed: int) -> nn.Module:
    """Draws every weight and running statistic anew, in float64: at the zero start all
    blocks would agree.
    """
    generator = torch.Generator().manual_seed(seed)
    block.double()
    with torch.no_grad():
        for name, value in (*block.named_parameters(), *block.named_buffers()):
            if value.is_floating_point():
                drawn = torch.randn(
                    value.shape, generator=generator, dtype=torch.float64
                )
                value.copy_(
                    drawn.abs() + 0.5 if name.endswith("running_var") else 0.5 * drawn
                )
    return block


def clip_like(*shape: int, seed: int) -> Tensor:
    """A random input in float64."""
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def needed(kind: str, frames: int) -> dict[str, Any]:
    """The options that a kind of block needs for clips of so many frames."""
    return {"frames": frames} if "frames" in block_options(kind) else {}


class Largest(TorchDispatchMode):
    """Notes the largest number of elements of any tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max([self.elements, *(leaf.numel() for leaf in leaves)])
        return result


def worst_errors(
    block: nn.Module,
    x: Tensor,
    oracle: Callable[[nn.Module, Tensor], tuple[Tensor, ...]],
) -> dict:
    """Relative errors of the block against its oracle.

    Returns:
        "values": of the output; "gradients": the worst of those by x and by all
        weights, for a random direction of the output. A gradient that is zero by
        algebra (phi's bias under a softmax) is measured against a thousandth of the
        largest one.
    """
    cotangent = clip_like(*x.shape, seed=99)
    leaves = [x.clone().requires_grad_(), *block.parameters()]
    got, want = block(leaves[0]), oracle(block, leaves[0])[0]
    got_gradients, want_gradients = (
        torch.autograd.grad(z, leaves, cotangent, allow_unused=True)
        for z in (got, want)
    )
    largest = max(float(b.norm()) for b in want_gradients if b is not None)
    errors = [
        float((a - b).norm()) / max(float(b.norm()), 1e-3 * largest)
        for a, b in zip(got_gradients, want_gradients, strict=True)
        if a is not None and b is not None
    ]
    unused = [
        (a is None) != (b is None)
        for a, b in zip(got_gradients, want_gradients, strict=True)
    ]
    return {
        "values": float((got - want).detach().norm() / want.detach().norm()),
        "gradients": math.inf if any(unused) else max(errors),
    }


def crisscross_oracle(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """RCCA-3D Eqs. 1-3. Returns H (B, C, T, H, W) and the weights (B, N, N), zero off
    the lines.
    """
    places = list(itertools.product(*(range(size) for size in x.shape[2:])))
    outputs, weights = [], []
    for clip in x:
        q, k, v = (
            {i: pointwise(conv, clip[:, i[0], i[1], i[2]]) for i in places}
            for conv in (block.q, block.k, block.v)
        )
        h = {}
        for u in places:
            on_lines = [
                i for i in places if sum(a != b for a, b in zip(i, u, strict=True)) <= 1
            ]
            e = {i: (q[u] * k[i]).sum().exp() for i in on_lines}
            a = {i: e[i] / sum(e.values()) for i in on_lines}
            h[u] = sum(a[i] * v[i] for i in on_lines)
            if not isinstance(block.out, nn.Identity):
                h[u] = pointwise(block.out, h[u])
            weights.append(torch.stack([a.get(i, x.new_zeros(())) for i in places]))
        outputs.append(torch.stack([h[u] for u in places], dim=1))
    return torch.stack(outputs).reshape(x.shape), torch.stack(weights).reshape(
        len(x), len(places), -1
    )


def recurrent_oracle(
    block: nn.Module, x: Tensor, *, passes: int, structure: str
) -> tuple[Tensor]:
    """RCCA-3D Eqs. 4-7 for any R, Eq. 5 with as many F as there are passes. Returns the
    output.
    """

    def f(y: Tensor) -> Tensor:
        return block.gamma * crisscross_oracle(block.crisscross, y)[0]

    if structure in ("a", "c"):
        nested = {1: lambda: f(x) + x}
        nested[2] = lambda: f(nested[1]()) + x
        nested[3] = lambda: f(nested[2]()) + x
        nested[4] = lambda: f(nested[3]()) + x
        return (nested[passes](),)
    y = x
    for _ in range(passes):
        y = f(y) + y if structure == "b" else f(y)
    return (y if structure == "b" else y + x,)
