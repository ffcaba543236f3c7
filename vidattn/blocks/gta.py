"""Global temporal attention (He et al., 2021): learned matrices over time."""

from collections.abc import Collection

import torch
from einops import einsum
from torch import Tensor, nn

from vidattn.blocks._parts import (
    PoolKeys,
    batch_norm,
    check,
    check_frames,
    check_whole,
    grouped_width,
)
from vidattn.blocks.space_time import SpatialAttention


class GlobalTemporalAttention(nn.Module):
    """Attend within each frame, then mix the frames of places and of regions.

        X = Y_s of Eq. 3                                     `SpatialAttention`
        A_P = M_P V_P,   V_P = X W_V                         Eq. 6, the pixel path
        G_R(t) = W_G X(t)^T,   X_G(t) = G_R(t) X(t)          section 3.3: K regions
        A_R = G_R^T (M_R V_R),   V_R = X_G W_V               Eq. 6, the region path
        Y = X + A_P W_O + A_R W_O                            Eq. 5

    M is learned, not made from a clip; M_P mixes the frames at each place, M_R those of
    each region. W_V and W_O of each path are its own. M V is in heads, V cut into G
    groups of C' // G channels each:

        cross-channel heads    (M V)_k = sum over g of M_gk V_g,   k = 1 .. G  Eqs. 7-8
        plain heads            (M V)_g = M_g V_g                              Figure 14

    Each M_gk is T x T; the heads stand side by side. With one group the two are the
    same, and there is one M: the paper's rows without CCMH. Cross-channel heads are one
    (G T) x (G T) matrix for all C' // G channels and all places, and are multiplied as
    such: T G N C' MACs, N = T H W. Gathering and handing back the regions takes N K (C
    + 2 C').

    Behind each W_O stands a batch normalisation, whose weight and bias start at zero:
    the block starts as the identity, unless `start` says otherwise.

    Args:
        channels: C of the input.
        frames: T of the input at the block's place in the network, which the matrices
            fix.
        spatial: Begin with spatial attention; else X is the input.
        groups: G, at most C'.
        paths: "pixel", "region" or both.
        cross_channel: Heads that mix the groups; else plain multi-head.
        regions: K; C // 8 by default.
        inner: C', the width of V, and of the spatial attention; C // 4 by default. V is
            cut down to a multiple of the groups.
        pool_keys: Of the spatial attention.
        start: What the normalisations' weights start at, as in `SpatialAttention`.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed; in use, the clip has another T
            than `frames`.

    Source:
        He, Yang, Wu, Chen, Lim, Shrivastava: GTA: Global Temporal Attention for Video
        Action Understanding, 2021, section 3.3, Eqs. 5-8; K of Figure 13, G of Figure
        9. As the text has it, M is 'randomly initialized' and nothing normalises it
        (Figure 15 shows absolute values), and neither is G_R. Left open, and ours: M
        starts normal, with a variance of one over the number of terms that it sums; the
        two paths, of which the region path is of third order in X, are normalised each
        by itself.
    """

    def __init__(
        self,
        channels: int,
        *,
        frames: int = 8,
        spatial: bool = True,
        groups: int = 8,
        paths: Collection[str] = ("pixel", "region"),
        cross_channel: bool = True,
        regions: int | None = None,
        inner: int | None = None,
        pool_keys: PoolKeys | None = None,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        regions = max(1, channels // 8) if regions is None else regions
        check_whole("frames", frames)
        check_whole("regions", regions)
        known = len(paths) > 0 and set(paths) <= {"pixel", "region"}
        check(known, "paths", paths, "'pixel', 'region', or both, as a list")
        width = grouped_width(channels, inner, groups)
        self.frames = frames
        self.groups = groups
        self.cross_channel = cross_channel
        # Made even where it is not used: it draws random numbers, and a block without
        # it shall start with the matrices of the block with it.
        attention = SpatialAttention(
            channels, inner=inner, pool_keys=pool_keys, start=start
        )
        self.spatial = attention if spatial else nn.Identity()
        self.v = nn.ModuleDict(
            {path: nn.Conv3d(channels, width, 1, bias=False) for path in paths}
        )
        heads = (groups, groups) if cross_channel else (groups,)
        terms = (groups if cross_channel else 1) * frames
        m = torch.randn(len(paths), *heads, frames, frames) * terms**-0.5
        self.m = nn.ParameterDict(
            zip(paths, m, strict=True)
        )  # (k, g, T, T) or (g, T, T)
        self.out = nn.ModuleDict(
            {
                path: nn.Sequential(
                    nn.Conv3d(width, channels, 1, bias=False),
                    batch_norm(channels, start),
                )
                for path in paths
            }
        )
        self.w_g = (
            nn.Conv3d(channels, regions, 1, bias=False) if "region" in paths else None
        )

    def forward(self, x: Tensor) -> Tensor:
        check_frames(self.frames, x)
        x = y = self.spatial(x)
        if "pixel" in self.v:
            a_p = self._mix("pixel", self.v["pixel"](x))  # (B, C', T, H, W)
            y = y + self.out["pixel"](a_p)
        if self.w_g is not None:
            g_r = self.w_g(x)  # (B, K, T, H, W)
            # (G_R X) W_V = G_R (X W_V). Only convolutions take X itself, whose gradient
            # they keep contiguous: where a side is 1, torch 2.13 gives wrong gradients
            # to a normalisation before this on the CPU.
            v_r = self.v["region"](x)  # (B, C', T, H, W)
            v_r = einsum(g_r, v_r, "b k t h w, b c t h w -> b c t k").unsqueeze(-1)
            mixed = self._mix("region", v_r)  # (B, C', T, K, 1)
            a_r = einsum(g_r, mixed, "b k t h w, b c t k one -> b c t h w")
            y = y + self.out["region"](a_r.contiguous())
        return y  # (B, C, T, H, W)

    def regions(self, x: Tensor) -> Tensor | None:
        """Return G_R (B, K, T, H, W): how much each position belongs to each region.

        Args:
            x: The block's input (B, C, T, H, W).

        Returns:
            The weights, of either sign; None without a region path.
        """
        return None if self.w_g is None else self.w_g(self.spatial(x))

    def _mix(self, path: str, v: Tensor) -> Tensor:
        """Return M V, (B, C', T, H, W), of values of the same shape."""
        v = v.unflatten(1, (self.groups, -1))  # (B, G, C' / G, T, H, W)
        if self.cross_channel:
            mixed = einsum(self.m[path], v, "k g t s, b g c s h w -> b k c t h w")
        else:
            mixed = einsum(self.m[path], v, "g t s, b g c s h w -> b g c t h w")
        return mixed.flatten(1, 2).contiguous()
