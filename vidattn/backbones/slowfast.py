"""SlowFast: a network on few frames, and a slim one on all, which hands features on.

Source:
    Feichtenhofer, Fan, Malik, He: SlowFast Networks for Video Recognition, ICCV 2019,
    Section 3 and Table 1. What the paper leaves open is read from PySlowFast, the
    authors' public code: models/video_model_builder.py (kernels along time, lateral
    connections), datasets/utils.py (which frames are slow), utils/weight_init_helper.py
    (start of the weights), and its configurations:

| configuration | frames, fast / slow | fusion kernel | temporal res4 blocks |
| --- | --- | --- | --- |
| Kinetics/c2/SLOWFAST_8x8_R50 | 32 / 8 | 7 | 6 of 6 |
| SSv2/SLOWFAST_16x8_R50 | 64 / 16 | 7 | 6 of 6 |
| Kinetics/c2/SLOWFAST_8x8_R101_101_101 | 32 / 8 | 5 | 23 of 23 |
| Kinetics/c2/SLOWFAST_16x8_R101_50_50 | 64 / 16 | 5 | 6 of 23 |

All have alpha = 4, beta = 1/8 and lateral connections with twice the fast pathway's
channels. The number of frames is that of the clip: it changes no weight. Its non-local
configurations have their blocks in the slow pathway only (and for R50 a fusion kernel
of 5).
"""

from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vidattn.backbones.resnet import Bottleneck
from vidattn.backbones.stage import Stage, check_clip
from vidattn.errors import UserError

SLOW_KERNELS = (1, 1, 1, 3, 3)  # extent along time in conv1, res2, res3, res4, res5
FAST_KERNELS = (5, 3, 3, 3, 3)
Sizes = tuple[int, ...]
Temporal = Literal["none"]

STAGES = ("res2", "res3", "res4", "res5")


def slow_frames(frames: int, alpha: int) -> list[int]:
    """Return the frames that the slow pathway sees, first and last among them.

    They are floor(i (T - 1) / (n - 1)) for i = 0 .. n - 1 with n = T / alpha: 0, 4, 8,
    13, 17, 22, 26, 31 of 32 frames. The paper has 'a temporal stride': 0, 4, 8, 12, and
    so on, at which the lateral convolutions still stand. PySlowFast takes these, and
    its weights were trained with them.
    """
    count = frames // alpha
    return [i * (frames - 1) // max(count - 1, 1) for i in range(count)]


class TimeBottleneck(Bottleneck):
    """The residual block kx1x1, 1x3x3, 1x1x1.

    Args:
        in_channels: Channels of the input.
        width: Channels of the two inner convolutions; the output has `4 * width`.
        stride: Spatial stride of the 1x3x3 convolution and of the shortcut.
        extent: The first convolution's kernel along time, k.

    Shape:
        `(B, in_channels, T, H, W)` -> `(B, 4 * width, T, H / stride, W / stride)`.
    """

    def __init__(
        self, in_channels: int, width: int, *, stride: int, extent: int
    ) -> None:
        super().__init__(in_channels, width, stride=stride)
        self.conv1 = nn.Conv3d(
            in_channels, width, (extent, 1, 1), padding=(extent // 2, 0, 0), bias=False
        )


class Pathway(nn.Module):
    """Stem and stages of one of the two networks, which `SlowFast` runs.

    Args:
        width: Channels of the stem, inner channels of res2.
        kernels: Extents along time: `SLOW_KERNELS` or `FAST_KERNELS`.
        layers: See `SlowFast`.
        temporal_res4: See `SlowFast`.
        beta: For `beta` channels that a stage gets from the one before it, it gets two
            from the other pathway; 0: it gets none.
        side: Height and width of the stem's kernel: 7, or 3 without pool1.
    """

    def __init__(
        self,
        width: int,
        kernels: Sizes,
        layers: Sizes,
        temporal_res4: int,
        beta: int,
        side: int,
    ) -> None:
        super().__init__()
        padding = (kernels[0] // 2, side // 2, side // 2)
        self.conv1 = nn.Conv3d(
            3, width, (kernels[0], side, side), (1, 2, 2), padding, bias=False
        )
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.pool1 = (
            nn.Identity()
            if side == 3
            else nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        )
        channels = width
        for index, name in enumerate(STAGES):
            inner, blocks = width * 2**index, []
            channels += 2 * (channels // beta) if beta else 0
            for number in range(layers[index]):
                extent = (
                    1
                    if name == "res4" and number >= temporal_res4
                    else kernels[index + 1]
                )
                stride = 2 if index and number == 0 else 1
                blocks.append(
                    TimeBottleneck(channels, inner, stride=stride, extent=extent)
                )
                channels = Bottleneck.expansion * inner
            self.add_module(name, Stage(blocks, channels))

    def stem(self, x: Tensor) -> Tensor:
        return self.pool1(self.relu(self.bn1(self.conv1(x))))


def lateral(channels: int, alpha: int, kernel: int) -> nn.Sequential:
    """Return a lateral connection from the fast to the slow pathway.

    Its shape: `(B, channels, T, H, W)` -> `(B, 2 * channels, T / alpha, H, W)`.
    """
    out, padding = 2 * channels, (kernel // 2, 0, 0)
    conv = nn.Conv3d(channels, out, (kernel, 1, 1), (alpha, 1, 1), padding, bias=False)
    return nn.Sequential(
        OrderedDict(conv=conv, bn=nn.BatchNorm3d(out), relu=nn.ReLU(inplace=True))
    )


class SlowFast(nn.Module):
    """Two networks over one clip, whose features are averaged and joined.

    The score is that of both their features' means over T, H and W. The slow pathway
    sees every `alpha`-th frame (`slow_frames`), the fast one all, with `beta` times
    fewer channels. After pool1, res2, res3 and res4 a convolution along time with
    stride `alpha` carries the fast features over, which are stacked behind the slow
    ones. The places of blocks are called `slow.res2` to `slow.res5` and `fast.res2` to
    `fast.res5`; what a block in `fast` gives is what is carried over.

    Weights start as PySlowFast's do: convolutions from a normal distribution with
    Kaiming's fan-out variance for ReLU, the last normalisation of each bottleneck at
    weight 0, the linear layer from a normal distribution of standard deviation 0.01
    with bias 0. Where PySlowFast tests crops larger than those it trains on, it
    averages class probabilities over positions; here features are, and logits are
    returned.

    Args:
        layers: Number of bottlenecks in res2, res3, res4, res5 of both pathways.
        width: Inner channels of the slow res2; doubled at each further stage, four
            times as many at a stage's output.
        alpha: Frames of the fast pathway for each of the slow one.
        beta: Channels of the slow pathway for each of the fast one, the paper's 1 /
            beta.
        fusion_kernel: Extent along time of the lateral convolutions.
        temporal_res4: Number of res4's bottlenecks, from the first, that look along
            time in both pathways; the others see a frame at a time. No network here has
            more than 23.
        num_classes: Number of scores.
        temporal: `"none"` only: the network looks along time by its own convolutions.
        small_stem: Stem convolutions of 3x3 pixels without pool1, for clips of few
            pixels.
        dropout: Probability of dropping a feature before the linear layer.

    Shape:
        `(B, 3, T, H, W)`, T a multiple of `alpha` -> logits `(B, num_classes)`.

    Raises:
        UserError: `temporal` is not `"none"`, or the input is not `(B, 3, T, H, W)`
            with such a T.
    """

    def __init__(
        self,
        *,
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
        alpha: int = 4,
        beta: int = 8,
        fusion_kernel: int = 7,
        temporal_res4: int = 23,
        num_classes: int = 400,
        temporal: Temporal = "none",
        small_stem: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if temporal != "none":
            raise UserError(
                f"temporal={temporal!r} does not fit SlowFast: allowed is none"
            )
        self.alpha, thin, side = alpha, width // beta, 3 if small_stem else 7
        self.slow = Pathway(width, SLOW_KERNELS, layers, temporal_res4, beta, side)
        self.fast = Pathway(thin, FAST_KERNELS, layers, temporal_res4, 0, side)
        carried = (thin, 4 * thin, 8 * thin, 16 * thin)
        self.lateral = nn.ModuleList(
            lateral(channels, alpha, fusion_kernel) for channels in carried
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(32 * (width + thin), num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        means = [y.mean(dim=(2, 3, 4)) for y in self.pathways(x)]
        return self.fc(self.dropout(torch.cat(means, dim=1)))

    def pathways(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last stages' outputs of the slow and of the fast pathway.

        They are `(B, 32 * width, T / alpha, H', W')` and `(B, 32 * width / beta, T, H',
        W')`.
        """
        check_clip(x)
        if x.shape[2] % self.alpha or not x.shape[2]:
            raise UserError(
                f"T={x.shape[2]} does not fit SlowFast: allowed are multiples of "
                f"{self.alpha}"
            )
        slow = self.slow.stem(x[:, :, slow_frames(x.shape[2], self.alpha)])
        fast = self.fast.stem(x)
        for name, carry in zip(STAGES, self.lateral, strict=True):
            slow = getattr(self.slow, name)(torch.cat((slow, carry(fast)), dim=1))
            fast = getattr(self.fast, name)(fast)
        return slow, fast


def slowfast50(**options: Any) -> SlowFast:
    """Return SlowFast-R50: '8x8' on clips of 32 frames, '16x8' on 64.

    `SlowFast` explains the options.
    """
    return SlowFast(**options)


def slowfast101(**options: Any) -> SlowFast:
    """Return SlowFast-R101: '8x8' on clips of 32 frames.

    '16x8' is on clips of 64 frames with `temporal_res4=6`.
    """
    return SlowFast(layers=(3, 4, 23, 3), fusion_kernel=5, **options)


def slowfast_mini(**options: Any) -> SlowFast:
    """Return the small sibling for reduced runs.

    8 frames of 40 x 40 are 4 of 10 x 10 with 96 channels at `slow.res3`, and 8 with 24
    channels at `fast.res3`.
    """
    return SlowFast(
        layers=(1, 2, 1, 1),
        width=12,
        alpha=2,
        beta=4,
        fusion_kernel=5,
        small_stem=True,
        **options,
    )
