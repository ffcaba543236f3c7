"""Blocks and backbones that exist to be counted only: what public code has instead of
the text's, and what was found to fit.

Source:
    RNL's public code: guoxih/region-based-non-local-network, files ops/rnl.py and
    ops/depthwise_conv.py. CGD's has the descriptor behind the first convolution of
    every bottleneck. Both read for their facts.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import einsum
from torch import Tensor, nn

from vidattn.backbones import BACKBONES, ResNet
from vidattn.backbones.resnet import Bottleneck
from vidattn.blocks import (
    AdditiveSqueezeExcite,
    CompactGlobalDescriptor,
    GlobalContext,
    GlobalTemporalAttention,
    PyramidNonLocal,
    RecurrentCrissCross3d,
    RegionNonLocal,
)

MakeBlock = Callable[[int], nn.Module]


class FrameScores(ResNet):
    """The backbone with TSM's head: every frame is scored, and the scores are averaged.

    Dropout aside it is the same function as scoring the mean frame, at T times the cost
    of the linear layer.

    Shape:
        `(B, 3, T, H, W)` -> logits `(B, num_classes)`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, temporal="tsm")
        self.pool = nn.AdaptiveAvgPool3d((None, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        frames = self.pool(self.features(x)).flatten(2).transpose(1, 2)
        return self.fc(self.dropout(frames)).mean(dim=1)


class MaskedGroupedConv3d(nn.Module):
    """F_theta as the public code holds it: channel-wise, hidden in a grouped
    convolution. For counting only.

    A grouped convolution with 32 channels a group is multiplied by a mask that leaves
    one of the 32 inputs of each channel. Weight and mask are both parameters: 64 times
    as many as the function has. It is called as a function, which a counter of modules
    does not see.

    Args:
        channels: Number of channels, a multiple of 32.
        kernel: Size of the region (T, H, W), each odd.

    Shape:
        `(B, channels, T, H, W)` -> the same.
    """

    group = 32

    def __init__(self, channels: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.padding = tuple(size // 2 for size in kernel)
        self.weight = nn.Parameter(torch.randn(channels, self.group, *kernel))
        mask = torch.zeros_like(self.weight)
        mask[torch.arange(channels), torch.arange(channels) % self.group] = 1
        self.mask = nn.Parameter(mask, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[1] // self.group
        return F.conv3d(x, self.weight * self.mask, padding=self.padding, groups=groups)


class PositionGate(nn.Module):
    """The second half of CBAM as its authors' code has it, with normalisation.

    Shape:
        `(B, C, T, H, W)` -> the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 1, (1, 7, 7), padding=(0, 3, 3), bias=False)
        self.bn = nn.BatchNorm3d(1)

    def forward(self, x: Tensor) -> Tensor:
        mean, most = x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
        summary = torch.cat([mean, most], dim=1)
        return self.bn(self.conv(summary)).sigmoid() * x


def channel_wise_region(channels: int) -> RegionNonLocal:
    """Return the RNL block of the text, with the public code's kernels: 3x7x7 in res3
    and 3x3x3 in res4.
    """
    return RegionNonLocal(channels, kernel=(3, 7, 7) if channels == 512 else (3, 3, 3))


def coded_region(channels: int) -> nn.Module:
    """Return the RNL block as the public code has it: a masked F_theta, 3x7x7 in res3
    and 3x3x3 in res4.
    """
    block = channel_wise_region(channels)
    block.f_theta = MaskedGroupedConv3d(
        channels // 2, (3, 7, 7) if channels == 512 else (3, 3, 3)
    )
    return block


def coded_gate(channels: int, reduction: int = 16) -> nn.Module:
    """Return the public code's channel gate: global context with batch
    normalisation.
    """
    block = GlobalContext(channels, reduction=reduction)
    block.norm = nn.BatchNorm1d(channels // reduction)  # type: ignore[assignment]
    return block


def bare_context(channels: int) -> nn.Module:
    """Return the global context block without its layer normalisation."""
    block = GlobalContext(channels)
    block.norm = nn.Identity()  # type: ignore[assignment]
    return block


def narrow_pyramid(
    channels: int, divisor: int = 8, *, shared: bool = False
) -> PyramidNonLocal:
    """Return a PNL block whose linear layers lead from C' to C' / `divisor`, not to C'
    / 2 as ours do.
    """
    block = PyramidNonLocal(channels, shared=shared)
    width = block.width // divisor
    block.linear_q = nn.Linear(block.width, width)
    block.linear_k = nn.Linear(block.width, width)
    return block


class Averages(nn.AdaptiveAvgPool3d):
    """Average pooling of regions that is counted as adaptive pooling is. For counting
    only.
    """

    def forward(  # type: ignore[override]
        self, x: Tensor, kernel: tuple[int, int, int], ceil_mode: bool
    ) -> Tensor:
        return F.avg_pool3d(x, kernel, ceil_mode=ceil_mode)


def averaged_pyramid(channels: int) -> PyramidNonLocal:
    """Return a narrow PNL block whose regions are averaged by a module."""
    block = narrow_pyramid(channels)
    block.pool = Averages(1)
    return block


class Unrestored(RecurrentCrissCross3d):
    """Structure c at C / 2 without the convolution that leads back to C channels. For
    counting only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, structure="c", reduction=2)
        self.crisscross.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return [self.crisscross(x) for _ in range(self.passes)][-1]


class Bottlenecked(GlobalTemporalAttention):
    """GTA whose two W_V share a first convolution, with one normalisation in all. For
    counting only.

        Z = X W_Z,   W_Z of C x C'                    C' = C / 4
        G_R = W_G X^T                                 K = C / 8
        V_P = Z W_V,   V_R = (G_R Z) W_V              W_V of each path, C' x C'
        Y = X + BN(A_P W_O + A_R W_O)                 W_O of each path, C' x C

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)
    """

    def __init__(self, channels: int, *, groups: int = 4, **options: Any) -> None:
        super().__init__(channels, groups=groups, **options)
        width, paths = channels // 4, ("pixel", "region")
        self.w_z = nn.Conv3d(channels, width, 1, bias=False)
        self.v = nn.ModuleDict(
            {path: nn.Conv3d(width, width, 1, bias=False) for path in paths}
        )
        self.out = nn.ModuleDict(
            {path: nn.Conv3d(width, channels, 1, bias=False) for path in paths}
        )
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spatial(x)
        z, g_r = self.w_z(x), self.w_g(x)  # type: ignore[misc]
        a_p = self._mix("pixel", self.v["pixel"](z))
        x_g = einsum(g_r, z, "b k t h w, b c t h w -> b c t k").unsqueeze(-1)
        m_v = self._mix("region", self.v["region"](x_g))
        a_r = einsum(g_r, m_v, "b k t h w, b c t k one -> b c t h w")
        y = self.out["pixel"](a_p) + self.out["region"](a_r.contiguous())
        return x + self.bn(y)


def c2d(classes: int) -> nn.Module:
    """Return the C2D ResNet-50."""
    return BACKBONES["resnet50"](num_classes=classes, temporal="pool")


def with_descriptors(classes: int) -> nn.Module:
    """Return the C2D ResNet-50 with CGD behind the first convolution of every
    bottleneck, as in its code.
    """
    model = c2d(classes)
    for block in list(model.modules()):
        if isinstance(block, Bottleneck):
            descriptor = CompactGlobalDescriptor(block.conv1.out_channels)
            block.conv1 = nn.Sequential(block.conv1, descriptor)  # type: ignore[assignment]
    return model


def quartered(model: nn.Module) -> nn.Module:
    """Move all shortening of time in a C2D network into its first pooling; return
    it.
    """
    model.pool1, model.pool2 = nn.MaxPool3d(3, (4, 2, 2), 1), nn.Identity()
    return model


def _chain(first: MakeBlock, second: MakeBlock) -> MakeBlock:
    return lambda channels: nn.Sequential(first(channels), second(channels))


# Counted here only; kinds of blocks and of backbones beside those of the registries.
BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "channel_wise_region": channel_wise_region,
    "coded_region": coded_region,
    "coded_cbam": _chain(coded_gate, lambda channels: PositionGate()),
    "bare_context": bare_context,
    "coded_chain": _chain(coded_gate, coded_region),
    "reduced_chain": _chain(partial(AdditiveSqueezeExcite, reduction=16), coded_region),
    "narrow_pyramid": narrow_pyramid,
    "averaged_pyramid": averaged_pyramid,
    "unrestored": Unrestored,
    "bottlenecked": Bottlenecked,
}
BARE: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda classes: nn.Identity(),
    "frame_scores": FrameScores,
    "described": with_descriptors,
    "quartered": lambda classes: quartered(c2d(classes)),
    "quartered_described": lambda classes: quartered(with_descriptors(classes)),
}
