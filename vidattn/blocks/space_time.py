"""The decoupled self-attention of He et al. (2021): in space, and along time."""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vidattn.blocks._parts import (
    POOL_KEYS,
    PoolKeys,
    batch_norm,
    check_choice,
    check_frames,
    check_whole,
    grouped_width,
)

Coding = Literal["sinusoidal", "learned"]

# The channels of S sequences as heads k, each for every group g that it meets.
HEADS = "b s l (k d) -> b (k g s) l d"


class SpatialAttention(nn.Module):
    """Add to every position a weighted sum over its own frame (the paper's SA).

        A(t) = softmax(Q(t) K(t)^T / sqrt(C')) V(t)      Eq. 3, for each frame t
        Y(t) = X(t) + BN(A(t) W_O)
        Q = X W_Q,  K = X W_K,  V = X W_V

    The products take 2 T (H W)^2 C' MACs, a quarter of that with pooled keys, and no
    matrix of them is held.

    Args:
        channels: C of the input.
        pool_keys: Max-pool the keys and values 1x2x2 "before" or "after" their
            projections; None: keep all. An odd last row or column is left out.
        inner: C', the width of Q, K and V; C // 4 by default, cut down to a multiple
            of the groups.
        groups: G, at most C'; what heads are is said at `attend`.
        cross_channel: Heads that mix the groups; else plain multi-head attention. With
            one group the same.
        start: What the normalisation's weight starts at. With 0 the block starts as
            the identity, and is hardly seen by the layers behind as long as the weight
            is small; with 1 it acts from the start.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W); H and W of at least 2 where keys are pooled.

    Raises:
        UserError: An option is not one of those allowed.

    Source:
        He, Yang, Wu, Chen, Lim, Shrivastava: GTA: Global Temporal Attention for Video
        Action Understanding, 2021, section 3.2. The text's W are C x C, without biases;
        the printed numbers of parameters ask for C' = C / 4 (Figure 7: 23.9M + 3.7M),
        the FLOPs of R2D-50 for keys pooled "after". The 'optional normalization layer'
        of section 3.1 is a batch normalisation here. That it starts at zero is ours, as
        in the other blocks. Projections start as torch starts them.
    """

    def __init__(
        self,
        channels: int,
        *,
        pool_keys: PoolKeys | None = None,
        inner: int | None = None,
        groups: int = 1,
        cross_channel: bool = False,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("pool_keys", pool_keys, POOL_KEYS)
        width = grouped_width(channels, inner, groups)
        self.pool_keys = pool_keys
        self.groups = groups
        self.cross_channel = cross_channel
        self.q = nn.Conv3d(channels, width, 1, bias=False)
        self.k = nn.Conv3d(channels, width, 1, bias=False)
        self.v = nn.Conv3d(channels, width, 1, bias=False)
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.out = nn.Conv3d(width, channels, 1, bias=False)
        self.bn = batch_norm(channels, start)

    def forward(self, x: Tensor) -> Tensor:
        sizes = {"k": self.groups, "t": x.shape[2], "h": x.shape[3]}
        q, k, v = self._embed(x)  # (B, T, H W, C')
        y = attend(q, k, v, self.groups, self.cross_channel)  # (B, G g T, H W, d)
        y = reduce(y, "b (k g t) (h w) d -> b (k d) t h w", "sum", **sizes)
        return x + self.bn(self.out(y.contiguous()))  # (B, C, T, H, W)

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights that a few positions give to all keys.

        Args:
            x: The block's input (B, C, T, H, W).
            queries: Flat positions (Q,), whole numbers below T H W, counted with W
                fastest. Memory grows with Q x M.

        Returns:
            Weights (B, Q, M), zero outside the query's own frame. They sum to 1. With
            groups they are the mean over heads, and over the groups that a head meets.
            M = T H W, or T (H // 2) (W // 2) with pooled keys.
        """
        q, k, _ = self._embed(x)  # (B, T, H W, C'), (B, T, M / T, C')
        frame, place = queries // q.shape[2], queries % q.shape[2]
        own = weights(
            q[:, frame, place], k[:, frame], self.groups, self.cross_channel
        )  # (B, Q, M / T)
        at = F.one_hot(frame, k.shape[1]).to(own)  # (Q, T)
        return einsum(own, at, "b q p, q t -> b q t p").flatten(2)

    def _embed(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return Q, K and V, frame by frame: (B, T, H W, C')."""
        source = self.pool(x) if self.pool_keys == "before" else x
        q, k, v = self.q(x), self.k(source), self.v(source)  # (B, C', T, H, W)
        if self.pool_keys == "after":
            k, v = self.pool(k), self.pool(v)  # (B, C', T, H // 2, W // 2)
        return tuple(rearrange(z, "b c t h w -> b t (h w) c") for z in (q, k, v))


class TemporalAttention(nn.Module):
    """Add to every position a weighted sum over all frames at its own place (TA).

        A(i, j) = softmax(Q(i, j) K(i, j)^T / sqrt(C')) V(i, j)   Eq. 4, for each place
        Y(i, j) = X(i, j) + BN(A(i, j) W_O)

    With `positions` this is the paper's TAPE: Q, K and V are made of X + P, and P says
    which frame it is; the X of the residual is without P. The products take 2 H W T^2
    C' MACs, G times as many with cross-channel heads.

    Args:
        channels: C of the input.
        positions: P: "sinusoidal" or "learned"; None: no P, and the order of the frames
            does not matter.
        frames: T of the input, for learned positions; nothing else asks for it.
        inner: C', as in `SpatialAttention`.
        groups: G, as there.
        cross_channel: As there.
        start: As there.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed; in use, the clip has another T
            than learned positions were made for.

    Source:
        GTA paper, as above, section 3.2, section 4.3 ('Miscellaneous') and Figure 12.
        It says neither which positional encoding TAPE has nor where it enters. Its
        31.2M parameters (Figure 7) fit an encoding without parameters; learned for all
        C channels it would make them 31.25M. Ours: that of Vaswani et al. (Attention is
        all you need, section 3.5), added to the input of all three projections; learned
        ones start with standard deviation 0.02. How TAPE has cross-channel heads is not
        said either: of Eq. 7's G x G matrices, ours relate the queries of group k with
        the keys of group g, which asks for no further parameters.
    """

    def __init__(
        self,
        channels: int,
        *,
        positions: Coding | None = None,
        frames: int = 8,
        inner: int | None = None,
        groups: int = 1,
        cross_channel: bool = False,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("positions", positions, (None, *get_args(Coding)))
        check_whole("frames", frames)
        width = grouped_width(channels, inner, groups)
        self.positions = positions
        self.groups = groups
        self.cross_channel = cross_channel
        self.q = nn.Conv3d(channels, width, 1, bias=False)
        self.k = nn.Conv3d(channels, width, 1, bias=False)
        self.v = nn.Conv3d(channels, width, 1, bias=False)
        self.out = nn.Conv3d(width, channels, 1, bias=False)
        self.bn = batch_norm(channels, start)
        if positions == "learned":
            self.p = nn.Parameter(0.02 * torch.randn(channels, frames, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        sizes = {"k": self.groups, "h": x.shape[3], "w": x.shape[4]}
        q, k, v = self._embed(x)  # (B, H W, T, C')
        y = attend(q, k, v, self.groups, self.cross_channel)  # (B, G g H W, T, d)
        y = reduce(y, "b (k g h w) t d -> b (k d) t h w", "sum", **sizes)
        return x + self.bn(self.out(y.contiguous()))  # (B, C, T, H, W)

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights (B, Q, T H W) that a few positions give to all positions.

        As `SpatialAttention.attention`, but zero outside the query's own place.
        """
        q, k, _ = self._embed(x)  # (B, H W, T, C')
        frame, place = queries // q.shape[1], queries % q.shape[1]
        own = weights(
            q[:, place, frame], k[:, place], self.groups, self.cross_channel
        )  # (B, Q, T)
        at = F.one_hot(place, q.shape[1]).to(own)  # (Q, H W)
        return einsum(own, at, "b q t, q p -> b q t p").flatten(2)

    def _embed(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return Q, K and V, place by place: (B, H W, T, C')."""
        if self.positions == "sinusoidal":
            x = x + sinusoids(x)
        elif self.positions == "learned":
            check_frames(self.p.shape[1], x)
            x = x + self.p
        q, k, v = self.q(x), self.k(x), self.v(x)  # (B, C', T, H, W)
        return tuple(rearrange(z, "b c t h w -> b (h w) t c") for z in (q, k, v))


class DecoupledNonLocal(nn.Sequential):
    """Run `SpatialAttention`, then `TemporalAttention` on its result: the paper's DNL.

    Args:
        channels: C of the input.
        pool_keys: Of the spatial part.
        **options: Those of `TemporalAttention`; `inner` and `start` are those of both
            parts.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: As the two parts do.

    Source:
        GTA paper, as above, section 3.2, Figure 2 (b). 'SA + TAPE' is this with
        `positions`.
    """

    def __init__(
        self, channels: int, *, pool_keys: PoolKeys | None = None, **options: Any
    ) -> None:
        shared = {name: options[name] for name in ("inner", "start") if name in options}
        spatial = SpatialAttention(channels, pool_keys=pool_keys, **shared)
        super().__init__(spatial, TemporalAttention(channels, **options))

    def swap(self) -> None:
        """Exchange the projections W_Q, W_K and W_V of the two parts.

        W_O and the normalisations stay. Done twice it undoes itself.

        Source:
            GTA paper, appendix D, 'Visualization of Swapped Attention', Figure 17.
        """
        a, b = self
        a.q, a.k, a.v, b.q, b.k, b.v = b.q, b.k, b.v, a.q, a.k, a.v


def attend(q: Tensor, k: Tensor, v: Tensor, groups: int, cross_channel: bool) -> Tensor:
    """Return softmax(Q K^T / sqrt(d)) V of every head, inside S sequences.

    The channels are cut into G groups of d = C' // G. Plain heads relate each group to
    itself; cross-channel heads meet all groups, and their results are to be summed, as
    Eqs. 7-8 of the GTA paper do:

        head k = softmax(Q_k K_k^T / sqrt(d)) V_k                     plain
        head k = sum over g of softmax(Q_k K_g^T / sqrt(d)) V_g       cross-channel

    Args:
        q: Queries (B, S, L, C').
        k: Keys (B, S, M, C').
        v: Values (B, S, M, C').
        groups: G.
        cross_channel: Whether heads mix the groups.

    Returns:
        (B, G g S, L, d) for g groups that a head meets, 1 or G; no L x M matrix is
        held. A head is the sum over g.
    """
    meets = "b s l (g d) -> b (k g s) l d" if cross_channel else HEADS
    sizes = {"k": groups, "g": groups if cross_channel else 1}
    # Four axes and contiguous: else the fused kernel falls back to the matrix of all
    # pairs.
    return F.scaled_dot_product_attention(
        repeat(q, HEADS, **sizes).contiguous(),
        repeat(k, meets, **sizes).contiguous(),
        repeat(v, meets, **sizes).contiguous(),
    )


def weights(q: Tensor, k: Tensor, groups: int, cross_channel: bool) -> Tensor:
    """Return the weights of a few queries, written out: the mean over all heads.

    Args:
        q: Queries (B, Q, C').
        k: The keys that each of them meets, (B, Q, L, C').
        groups: G, as in `attend`.
        cross_channel: As in `attend`.

    Returns:
        Weights (B, Q, L), which sum to 1.
    """
    q = rearrange(q, "b q (g d) -> b q g d", g=groups)
    k = rearrange(k, "b q l (g d) -> b q g l d", g=groups)
    if cross_channel:
        scores = einsum(q, k, "b q k d, b q g l d -> b q k g l").flatten(2, 3)
    else:
        scores = einsum(q, k, "b q g d, b q g l d -> b q g l")
    return (scores * q.shape[-1] ** -0.5).softmax(dim=-1).mean(dim=2)


def sinusoids(x: Tensor) -> Tensor:
    """Return the encoding of the frames of a clip (B, C, T, H, W), as (C, T, 1, 1).

    Channels 2i and 2i + 1 have the sine and cosine of t / 10000^(2i / C).
    """
    channel, t = (torch.arange(size).to(x)[:, None] for size in x.shape[1:3])
    angle = t.T * 10_000 ** (-(channel - channel % 2) / x.shape[1])  # (C, T)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())[..., None, None]
