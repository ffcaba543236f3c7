"""Global temporal attention (He et al., 2021): matrices over time that are learned, not
made from a clip.
"""

from collections.abc import Collection

import torch
from einops import einsum
from torch import Tensor, nn

from vidattn.blocks import temporal


class GlobalTemporalAttention(nn.Module):
    """Attends within each frame, then mixes the frames by learned matrices: of each
    place, and of regions.

        X = Y_s of Eq. 3                                     `SpatialAttention`
        A_P = M_P V_P,   V_P = X W_V                         Eq. 6, the pixel path, at each place
        G_R(t) = W_G X(t)^T,   X_G(t) = G_R(t) X(t)          section 3.3: frame t as K regions
        A_R = G_R^T (M_R V_R),   V_R = X_G W_V               Eq. 6, the region path, for each region
        Y = X + A_P W_O + A_R W_O                            Eq. 5; W_V and W_O of each path are its own

    M V in heads, V cut into G groups of C' // G channels each:

        cross-channel heads    (M V)_k = sum over g of M_gk V_g,   k = 1 .. G      Eqs. 7-8
        plain heads            (M V)_g = M_g V_g                                   Figure 14

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
        spatial: begin with spatial attention; else X is the input.
        paths: "pixel", "region" or both.
        groups: G, at most C'.
        cross_channel: heads that mix the groups; else plain multi-head.
        regions: K; C // 8 by default.
        inner: C', the width of V, and of the spatial attention; C // 4 by default. V is
            cut down to a multiple of the groups.
        pool_keys: of the spatial attention.
        start: what the normalisations' weights start at, as in
            `temporal.SelfAttention`.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: an option is not one of those allowed; in use, the clip has another T
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
        pool_keys: temporal.PoolKeys = None,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        regions = max(1, channels // 8) if regions is None else regions
        temporal.check_whole("frames", frames)
        temporal.check_whole("regions", regions)
        known = len(paths) > 0 and set(paths) <= {"pixel", "region"}
        temporal.check(known, "paths", paths, "'pixel', 'region', or both, as a list")
        first = temporal.SpatialAttention(
            channels, inner=inner, pool_keys=pool_keys, start=start
        )
        self.spatial = first if spatial else nn.Identity()
        width = temporal.grouped_width(channels, inner, groups)
        self.frames, self.heads = frames, temporal.heads(groups, cross_channel)
        self.v = nn.ModuleDict(
            {path: nn.Conv3d(channels, width, 1, bias=False) for path in paths}
        )
        drawn = torch.randn(
            len(paths), *self.heads.values(), frames, frames
        )  # e, k, g, T, T of each path
        self.m = nn.ParameterDict(
            zip(paths, drawn * (self.heads["g"] * frames) ** -0.5, strict=True)
        )
        self.w_o = nn.ModuleDict(
            {path: temporal.output(width, channels, start) for path in paths}
        )
        self.w_g = (
            nn.Conv3d(channels, regions, 1, bias=False) if "region" in paths else None
        )

    def forward(self, x: Tensor) -> Tensor:
        temporal.check_frames(self.frames, x)
        x = y = self.spatial(x)
        if "pixel" in self.v:
            y = y + self.w_o["pixel"](self._mix("pixel", self.v["pixel"](x)))
        if self.w_g is not None:
            g_r = self.w_g(x)
            # (G_R X) W_V = G_R (X W_V). Only convolutions take X itself, whose gradient
            # they keep contiguous: where a side is 1, torch 2.13 gives wrong gradients
            # to a normalisation before this on the CPU.
            v_r = einsum(
                g_r, self.v["region"](x), "b k t h w, b c t h w -> b c t k"
            ).unsqueeze(-1)
            a = einsum(
                g_r, self._mix("region", v_r), "b k t h w, b c t k one -> b c t h w"
            )
            y = y + self.w_o["region"](a.contiguous())
        return y

    def _mix(self, path: str, v: Tensor) -> Tensor:
        """Returns M V, (B, C', T, H, W)."""
        v = v.unflatten(1, (self.heads["e"], self.heads["g"], -1))
        return (
            einsum(self.m[path], v, "e k g t s, b e g c s h w -> b e k c t h w")
            .flatten(1, 3)
            .contiguous()
        )
