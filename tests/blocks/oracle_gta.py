"""The attentions of the GTA paper, index by index from its equations: the judge of the
blocks. Slow.

Only the weights of a block are used, none of its code; its options are told by the
caller. A position is a tuple (t, h, w).
"""

import itertools
import math

import torch
from oracle import Map, max_pool_2x2, normalise
from torch import Tensor, nn

Position = tuple[int, int, int]


def positions_of(x: Tensor) -> list[Position]:
    """All (t, h, w), W fastest."""
    return list(itertools.product(*(range(size) for size in x.shape[2:])))


def clip_map(clip: Tensor) -> Map:
    """A clip (C, T, H, W) as vectors by position."""
    return {
        i: clip[:, i[0], i[1], i[2]]
        for i in itertools.product(*(range(size) for size in clip.shape[1:]))
    }


def linear(conv: nn.Conv3d, vector: Tensor) -> Tensor:
    """X W of one position: no bias."""
    return conv.weight[:, :, 0, 0, 0] @ vector


def part(vector: Tensor, group: int, groups: int) -> Tensor:
    """The channels of one group, floor(C' / G) of them."""
    size = len(vector) // groups
    return vector[group * size : (group + 1) * size]


def output_with_residual(
    out: nn.Conv3d, bn: nn.Module, x: Tensor, clips: list[Map]
) -> Tensor:
    """Y = X + BN(A W_O) for the batch."""
    z = torch.stack(
        [
            torch.stack([linear(out, a[i]) for i in positions_of(x)], dim=1)
            for a in clips
        ]
    )
    return x + normalise(bn, z).reshape(x.shape)


def sinusoid(t: int, channels: int) -> Tensor:
    """Vaswani et al. section 3.5: PE(t, 2i) = sin(t / 10000^(2i/C)), PE(t, 2i + 1) =
    its cosine.
    """
    values = []
    for channel in range(channels):
        angle = t / 10000 ** ((channel // 2) * 2 / channels)
        values.append(math.sin(angle) if channel % 2 == 0 else math.cos(angle))
    return torch.tensor(values, dtype=torch.float64)


def attention_oracle(
    block: nn.Module,
    x: Tensor,
    axis: str,
    *,
    groups: int = 1,
    cross: bool = False,
    pooled: str | None = None,
    positions: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Eq. 3 (axis "space") or Eq. 4 (axis "time"), in heads. Returns Y and the weights
    (B, N, M).
    """
    every, weights = [], []
    for clip in x:
        at = clip_map(clip)
        if positions == "sinusoidal":
            at = {i: at[i] + sinusoid(i[0], len(clip)) for i in at}
        elif positions == "learned":
            at = {i: at[i] + block.p[:, i[0], 0, 0] for i in at}
        source = max_pool_2x2(at) if pooled == "before" else at
        q = {i: linear(block.q, at[i]) for i in at}
        k = {j: linear(block.k, source[j]) for j in source}
        v = {j: linear(block.v, source[j]) for j in source}
        if pooled == "after":
            k, v = max_pool_2x2(k), max_pool_2x2(v)
        d = len(q[0, 0, 0]) // groups
        a = {}
        for i in at:
            own = [
                j for j in k if (j[0] == i[0] if axis == "space" else j[1:] == i[1:])
            ]
            heads, rows = [], []
            for head in range(groups):
                total = torch.zeros(d, dtype=x.dtype)
                for group in range(groups) if cross else (head,):
                    e = [
                        (
                            (part(q[i], head, groups) * part(k[j], group, groups)).sum()
                            / math.sqrt(d)
                        ).exp()
                        for j in own
                    ]
                    row = {j: e_j / sum(e) for j, e_j in zip(own, e, strict=True)}
                    for j in own:
                        total = total + row[j] * part(v[j], group, groups)
                    rows.append(torch.stack([row.get(j, x.new_zeros(())) for j in k]))
                heads.append(total)
            a[i] = torch.cat(heads)
            weights.append(sum(rows) / len(rows))
        every.append(a)
    n = x.shape[2:].numel()
    return output_with_residual(block.out, block.bn, x, every), torch.stack(
        weights
    ).reshape(len(x), n, -1)


def decoupled_oracle(block: nn.Module, x: Tensor, **options) -> tuple[Tensor]:
    """Eq. 3, then Eq. 4 on its result; `pooled` is the spatial part's, all else the
    temporal one's.
    """
    spatial, temporal = block
    y_s, _ = attention_oracle(spatial, x, "space", pooled=options.pop("pooled", None))
    return (attention_oracle(temporal, y_s, "time", **options)[0],)


def mixed(m: Tensor, v: list[Tensor], t: int, *, groups: int, cross: bool) -> Tensor:
    """Frame t of Eqs. 7-8, or of plain heads: v holds the C' values of one place or
    region in each frame.

    Args:
        m: The learned matrices as the block has them, (k, g, T, T) for cross-channel
            heads, else (g, T, T).
    """
    heads = []
    for head in range(groups):
        total = torch.zeros(len(v[0]) // groups, dtype=v[0].dtype)
        for group in range(groups) if cross else (head,):
            for s in range(len(v)):
                weight = m[head, group, t, s] if cross else m[head, t, s]
                total = total + weight * part(v[s], group, groups)
        heads.append(total)
    return torch.cat(heads)


def gta_oracle(
    block: nn.Module,
    x: Tensor,
    *,
    groups: int,
    cross: bool = True,
    paths: tuple[str, ...] = ("pixel", "region"),
    spatial: bool = True,
    pooled: str | None = None,
) -> tuple[Tensor]:
    """Eqs. 5-8 and section 3.3. Returns Y."""
    if spatial:
        x, _ = attention_oracle(block.spatial, x, "space", pooled=pooled)
    frames = range(x.shape[2])
    places = list(itertools.product(range(x.shape[3]), range(x.shape[4])))
    y, heads = x, {"groups": groups, "cross": cross}
    if "pixel" in paths:
        every = []
        for clip in x:
            v = {i: linear(block.v["pixel"], x_i) for i, x_i in clip_map(clip).items()}
            every.append(
                {
                    (t, h, w): mixed(
                        block.m["pixel"], [v[s, h, w] for s in frames], t, **heads
                    )
                    for t, h, w in v
                }
            )
        y = y + output_with_residual(*block.out["pixel"], x, every) - x
    if "region" in paths:
        every = []
        for clip in x:
            at = clip_map(clip)
            g_r = {
                i: linear(block.w_g, at[i]) for i in at
            }  # the K weights of a position
            a = {i: 0 for i in at}
            for region in range(block.w_g.out_channels):
                x_g = [
                    sum(g_r[t, h, w][region] * at[t, h, w] for h, w in places)
                    for t in frames
                ]
                v = [linear(block.v["region"], x_g[t]) for t in frames]
                for t in frames:
                    shared = mixed(block.m["region"], v, t, **heads)
                    for h, w in places:
                        a[t, h, w] = a[t, h, w] + g_r[t, h, w][region] * shared
            every.append(a)
        y = y + output_with_residual(*block.out["region"], x, every) - x
    return (y,)
