"""The decoupled self-attention of He et al. (2021): within each frame, then along time
at each place.
"""

from math import isfinite
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import Tensor, nn

from vidattn.errors import UserError

PoolKeys = Literal["before", "after", None]
Coding = Literal["sinusoidal", "learned", None]


def check(holds: bool, name: str, value: object, allowed: object) -> None:
    """Raises UserError, one line that says what is wrong and what is allowed, unless
    the condition holds.
    """
    if not holds:
        raise UserError(f"{name}={value!r} is not possible; allowed: {allowed}")


def check_whole(name: str, value: Any, most: float = float("inf")) -> None:
    """Raises UserError unless `value` is a whole number of at least 1, and at most
    `most`.
    """
    check(
        type(value) is int and 1 <= value <= most,
        name,
        value,
        f"a whole number from 1 to {most}",
    )


def grouped_width(channels: int, inner: int | None, groups: int) -> int:
    """Returns C', the inner width: C // 4 unless given, cut down to a multiple of the
    groups.

    So every group has the floor(C' / G) channels of Eq. 7. No channel of the input is
    left out by that, since the projections lead from and to all C.

    Raises:
        UserError: a number is not whole or below 1, or there are more groups than inner
            channels.
    """
    width = max(1, channels // 4) if inner is None else inner
    check_whole("inner", width)
    check_whole("groups", groups, width)
    return width - width % groups


def heads(groups: int, cross_channel: bool) -> dict[str, int]:
    """Returns how G groups are arranged: e arrangements of k heads, each of which meets
    g groups.

    Cross-channel heads are one arrangement of G heads that meet G groups; plain heads
    are G arrangements of one head, which meets its own group.
    """
    return (
        {"e": 1, "k": groups, "g": groups}
        if cross_channel
        else {"e": groups, "k": 1, "g": 1}
    )


def output(width: int, channels: int, start: float = 0.0) -> nn.Sequential:
    """Returns W_O with a batch normalisation behind it, whose weight starts as said,
    its bias at zero.
    """
    check(
        type(start) in (int, float) and isfinite(start),
        "start",
        start,
        "a finite number",
    )
    bn = nn.BatchNorm3d(channels)
    nn.init.constant_(bn.weight, start)  # torch starts the bias at zero
    return nn.Sequential(nn.Conv3d(width, channels, 1, bias=False), bn)


class SelfAttention(nn.Module):
    """Self-attention inside sequences of positions, X + softmax(Q K^T / sqrt(d)) V W_O:
    the two kinds' base.

    With groups, Q, K and V are cut into G parts of d = C' // G channels. Plain heads
    relate each part to itself, softmax(Q_g K_g^T / sqrt(d)) V_g, and stand side by
    side. Cross-channel heads sum over the parts, as Eqs. 7-8 do: sum over g of
    softmax(Q_k K_g^T / sqrt(d)) V_g for head k.

    Behind W_O stands a batch normalisation, whose weight and bias start at zero: the
    block starts as the identity.

    Args:
        channels: C of the input.
        inner: C', the width of Q, K and V; C // 4 by default, cut down to a multiple of
            the groups.
        groups: G, at most C'.
        cross_channel: heads that mix the groups; else plain multi-head attention. With
            one group the same.
        start: what the normalisation's weight starts at. With 0 the block starts as the
            identity, and is hardly seen by the layers behind as long as the weight is
            small; with 1 it acts from the start.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: an option is not one of those allowed.
    """

    # (batch, sequences, positions of a sequence, d), with T frames, P places, and e, k,
    # g as in `heads`.
    sequences: str

    def __init__(
        self,
        channels: int,
        *,
        inner: int | None = None,
        groups: int = 1,
        cross_channel: bool = False,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        width = grouped_width(channels, inner, groups)
        self.heads = heads(groups, cross_channel)
        self.q, self.k, self.v = (
            nn.Conv3d(channels, width, 1, bias=False) for _ in range(3)
        )
        self.before, self.after = (
            nn.Identity(),
            nn.Identity(),
        )  # what is done to the maps of keys and values
        self.w_o = output(width, channels, start)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._embed(x)
        y = F.scaled_dot_product_attention(q, k, v)
        y = reduce(
            y, f"{self.sequences} -> b (e k d) t p", "sum", **self.heads, t=x.shape[2]
        )
        return x + self.w_o(y.contiguous().unflatten(3, x.shape[3:]))

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Returns the weights that a few positions give to all keys.

        Args:
            x: the block's input (B, C, T, H, W).
            queries: flat positions (Q,), whole numbers below T H W, counted with W
                fastest. Memory grows with Q x M.

        Returns:
            Weights (B, Q, M), zero outside the query's own frame or place. They sum to
            1. With groups they are the mean over heads, and over the groups that a head
            meets. M = T H W, or T (H // 2) (W // 2) with pooled keys.
        """
        pattern = f"{self.sequences} -> (e k g) b t p d"
        q, k = (
            rearrange(part, pattern, **self.heads, t=x.shape[2])
            for part in self._embed(x)[:2]
        )
        frame, place = queries // q.shape[3], queries % q.shape[3]
        scores = (
            einsum(q[:, :, frame, place], k, "n b q d, n b t p d -> n b q t p")
            * q.shape[-1] ** -0.5
        )
        in_frame, at_place = (
            F.one_hot(frame, k.shape[2])[:, :, None],
            F.one_hot(place, q.shape[3])[:, None],
        )
        own = in_frame if isinstance(self, SpatialAttention) else at_place
        return (
            scores.masked_fill(own == 0, -torch.inf)
            .flatten(3)
            .softmax(dim=-1)
            .mean(dim=0)
        )

    def _embed(self, x: Tensor) -> tuple[Tensor, ...]:
        source, pattern = self.before(x), f"b (e {{}} d) t p -> {self.sequences}"
        parts = (
            (self.q(x), "k"),
            (self.after(self.k(source)), "g"),
            (self.after(self.v(source)), "g"),
        )
        # Four axes and contiguous: else the fused kernel falls back to the matrix of
        # all pairs.
        return tuple(
            repeat(z.flatten(3), pattern.format(n), **self.heads).contiguous()
            for z, n in parts
        )


class SpatialAttention(SelfAttention):
    """Adds to every position a weighted sum over the positions of its own frame (the
    paper's SA).

        A(t) = softmax(Q(t) K(t)^T / sqrt(C')) V(t),   Y(t) = X(t) + A(t) W_O     Eq. 3, for each frame t
        Q = X W_Q,  K = X W_K,  V = X W_V

    The products take 2 T (H W)^2 C' MACs, a quarter of that with pooled keys, and no
    matrix of them is held.

    Args:
        channels: C of the input.
        pool_keys: max-pool the keys and values 1x2x2 "before" or "after" their
            projections; None: keep all. An odd last row or column is left out.
        **options: those of `SelfAttention`.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W); H and W of at least 2 where keys are pooled.

    Raises:
        UserError: an option is not one of those allowed.

    Source:
        He, Yang, Wu, Chen, Lim, Shrivastava: GTA: Global Temporal Attention for Video
        Action Understanding, 2021, section 3.2. The text's W are C x C, without biases;
        the printed numbers of parameters ask for C' = C / 4 (Figure 7: 23.9M + 3.7M),
        the FLOPs of R2D-50 for keys pooled "after". The 'optional normalization layer'
        of section 3.1 is a batch normalisation here. That it starts at zero is ours, as
        in the other blocks. Projections start as torch starts them.
    """

    sequences = "b (e k g t) p d"

    def __init__(
        self, channels: int, *, pool_keys: PoolKeys = None, **options: Any
    ) -> None:
        super().__init__(channels, **options)
        check(
            pool_keys in get_args(PoolKeys), "pool_keys", pool_keys, get_args(PoolKeys)
        )
        if pool_keys:
            setattr(self, pool_keys, nn.MaxPool3d((1, 2, 2)))


class TemporalAttention(SelfAttention):
    """Adds to every position a weighted sum over the positions of all frames at its own
    place (TA).

        A(i, j) = softmax(Q(i, j) K(i, j)^T / sqrt(C')) V(i, j),   Y = X + A W_O      Eq. 4, for each place

    With `positions` this is the paper's TAPE: Q, K and V are made of X + P, and P says
    which frame it is; the X of the residual is without P. The products take 2 H W T^2
    C' MACs, G times as many with cross-channel heads.

    Args:
        channels: C of the input.
        positions: P: "sinusoidal" or "learned"; None: no P, and the order of the frames
            does not matter.
        frames: T of the input, for learned positions; nothing else asks for it.
        **options: those of `SelfAttention`.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: an option is not one of those allowed; in use, the clip has another T
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

    sequences = "b (e k g p) t d"

    def __init__(
        self,
        channels: int,
        *,
        positions: Coding = None,
        frames: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(channels, **options)
        check(positions in get_args(Coding), "positions", positions, get_args(Coding))
        check_whole("frames", frames)
        self.positions = positions
        self.p = (
            nn.Parameter(0.02 * torch.randn(channels, frames, 1, 1))
            if positions == "learned"
            else None
        )

    def _embed(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.p is not None:
            check_frames(self.p.shape[1], x)
        p = sinusoids(x) if self.positions == "sinusoidal" else self.p
        return super()._embed(x if p is None else x + p)


def check_frames(frames: int, x: Tensor) -> None:
    """Raises UserError unless a clip (B, C, T, H, W) has the T that a block was made
    for.
    """
    check(
        x.shape[2] == frames,
        "frames",
        frames,
        f"T of the block's own input, here {x.shape[2]}",
    )


def sinusoids(x: Tensor) -> Tensor:
    """Returns the encoding of the frames of a clip (B, C, T, H, W), as (C, T, 1, 1).

    Channels 2i and 2i + 1 have the sine and cosine of t / 10000^(2i / C).
    """
    channel, t = (torch.arange(size).to(x)[:, None] for size in x.shape[1:3])
    angle = t.T * 10_000 ** (-(channel - channel % 2) / x.shape[1])
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())[..., None, None]


class DecoupledNonLocal(nn.Sequential):
    """Runs `SpatialAttention`, then `TemporalAttention` on its result: the paper's DNL.

    Args:
        channels: C of the input.
        pool_keys: of the spatial part.
        **options: those of `TemporalAttention`; `inner` is that of both parts.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: as the two parts do.

    Source:
        GTA paper, as above, section 3.2, Figure 2 (b). 'SA + TAPE' is this with
        `positions`.
    """

    def __init__(
        self, channels: int, *, pool_keys: PoolKeys = None, **options: Any
    ) -> None:
        shared = {name: options[name] for name in ("inner", "start") if name in options}
        spatial = SpatialAttention(channels, pool_keys=pool_keys, **shared)
        super().__init__(spatial, TemporalAttention(channels, **options))

    def swap(self) -> None:
        """Gives the projections W_Q, W_K and W_V of the spatial part to the temporal
        one, and the other way round; W_O and the normalisations stay. Done twice it
        undoes itself.

        Source:
            GTA paper, appendix D, 'Visualization of Swapped Attention', Figure 17.
        """
        a, b = self
        a.q, a.k, a.v, b.q, b.k, b.v = b.q, b.k, b.v, a.q, a.k, a.v
