"""ResNet for video: frame by frame (R2D), with shift (TSM), or pooled in time (C2D).

Source:
    He, Zhang, Ren, Sun: Deep residual learning, CVPR 2016 (bottlenecks; the stride
    stands in the 3x3 convolution, as in torchvision, so that its weights fit). Huang,
    Bors: RNL, ICPR 2021, Table I. Lin, Gan, Han: TSM, ICCV 2019. Wang, Girshick, Gupta,
    He: Non-local Neural Networks, CVPR 2018, Table 1.

Inside, all is 5-D: Conv3d with 1 x k x k kernels. Measured for `resnet_mini` at (16, 3,
8, 48, 48), forward and backward, torch 2.13 on the CPU, best of 7: 0.32 s on one thread
against 0.30 s for Conv2d on frames, 0.17 s on two threads against 0.19 s. Little is to
be won by going to 4-D and back, and backbones that pool or stride in time stay simple.
(Conv2d in channels-last order alone takes 0.20 s, on one thread.)
"""

from typing import Any, Literal, get_args

from torch import Tensor, nn

from vidattn.backbones.shift import temporal_shift
from vidattn.backbones.stage import Stage, check_clip
from vidattn.errors import UserError

Temporal = Literal["none", "tsm", "pool"]


def frame_conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1
) -> nn.Conv3d:
    """Return a 1 x `kernel` x `kernel` convolution without bias.

    It divides H and W by `stride`.
    """
    pad = kernel // 2
    return nn.Conv3d(
        in_channels,
        out_channels,
        (1, kernel, kernel),
        (1, stride, stride),
        (0, pad, pad),
        bias=False,
    )


class Bottleneck(nn.Module):
    """The residual block 1x1x1, 1x3x3, 1x1x1, which may start with a temporal shift.

    Args:
        in_channels: Channels of the input.
        width: Channels of the two inner convolutions; the output has `4 * width`.
        stride: Spatial stride of the 1x3x3 convolution and of the shortcut.
        kernel: Height and width of the middle convolution's kernel, if not 3.
        temporal: `"tsm"` shifts the input of conv1, and not that of the shortcut
            ('blockres').

    Shape:
        `(B, in_channels, T, H, W)` -> `(B, 4 * width, T, H / stride, W / stride)`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        kernel: int = 3,
        temporal: Temporal = "none",
    ) -> None:
        super().__init__()
        out_channels = self.expansion * width
        self.temporal = temporal
        self.conv1 = frame_conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = frame_conv(width, width, kernel, stride)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = frame_conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                frame_conv(in_channels, out_channels, 1, stride),
                nn.BatchNorm3d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = temporal_shift(x) if self.temporal == "tsm" else x
        y = self.relu(self.bn1(self.conv1(y)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + shortcut)


class ResNet(nn.Module):
    """A bottleneck ResNet over clips.

    The score of a clip is that of its features' mean over T, H and W. Weights start as
    torchvision's do: convolutions from a normal distribution with Kaiming's fan-out
    variance for ReLU, batch normalisation at weight 1 and bias 0, the linear layer at
    PyTorch's default.

    Args:
        layers: Number of bottlenecks in res2, res3, res4, res5.
        width: Inner channels of res2; doubled at each further stage, four times as many
            at a stage's output.
        num_classes: Number of scores.
        temporal: `"none"`, each frame for itself; `"tsm"`, temporal shift in every
            bottleneck; or `"pool"`, the C2D of the non-local paper: conv1, pool1 and a
            pooling after res2 each halve T.
        small_stem: A 1x3x3 stem convolution without pool1, for clips of few pixels.
        spatial_stages: Number of stages that look around; those after them treat each
            position by itself, with 1x1x1 convolutions, no stride and no shift.
        dropout: Probability of dropping a feature before the linear layer.

    Shape:
        `(B, 3, T, H, W)` -> logits `(B, num_classes)`.

    Raises:
        UserError: `temporal` is unknown, or the input is not `(B, 3, T, H, W)`.
    """

    def __init__(
        self,
        *,
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
        num_classes: int = 400,
        temporal: Temporal = "none",
        small_stem: bool = False,
        spatial_stages: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if temporal not in get_args(Temporal):
            allowed = ", ".join(get_args(Temporal))
            raise UserError(f"temporal={temporal!r} is unknown: allowed are {allowed}")
        pooled = temporal == "pool"
        self.conv1 = frame_conv(3, width, 3 if small_stem else 7, stride=2)
        if pooled:
            self.conv1.stride = (2, 2, 2)
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        if small_stem:
            self.pool1: nn.Module = nn.Identity()
        elif pooled:
            self.pool1 = nn.MaxPool3d(3, 2, 1)
        else:
            self.pool1 = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.pool2 = (
            nn.MaxPool3d((3, 1, 1), (2, 1, 1), (1, 0, 0)) if pooled else nn.Identity()
        )
        stages, channels = [], width
        for index, count in enumerate(layers):
            inner = width * 2**index
            blocks = []
            for number in range(count):
                stride = 2 if 0 < index < spatial_stages and number == 0 else 1
                kernel, shift = (3, temporal) if index < spatial_stages else (1, "none")
                blocks.append(
                    Bottleneck(
                        channels, inner, stride=stride, kernel=kernel, temporal=shift
                    )
                )
                channels = Bottleneck.expansion * inner
            stages.append(Stage(blocks, channels))
        self.res2, self.res3, self.res4, self.res5 = stages
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(x).mean(dim=(2, 3, 4))))

    def features(self, x: Tensor) -> Tensor:
        """Return the last stage's output, `(B, 32 * width, T', H', W')`."""
        check_clip(x)
        x = self.pool1(self.relu(self.bn1(self.conv1(x))))
        return self.res5(self.res4(self.res3(self.pool2(self.res2(x)))))


def resnet50(**options: Any) -> ResNet:
    """Return the ResNet-50 of RNL's Table I; `ResNet` explains the options."""
    return ResNet(layers=(3, 4, 6, 3), **options)


def resnet101(**options: Any) -> ResNet:
    """Return the ResNet-101, with 23 bottlenecks in res4."""
    return ResNet(layers=(3, 4, 23, 3), **options)


def resnet_mini(**options: Any) -> ResNet:
    """Return the small sibling for reduced runs.

    A 48 x 48 clip is 12 x 12 with 96 channels at res3.
    """
    return ResNet(layers=(1, 2, 1, 1), width=12, small_stem=True, **options)


def resnet_local(**options: Any) -> ResNet:
    """Return a small sibling whose features see 7 x 7 pixels and one frame either way.

    One bottleneck, in `res3`, looks around; `res4` treats each position by itself;
    `res2` and `res5` are empty. What lies further apart only a block can relate. 40 x
    40 is 10 x 10 with 128 channels at res3.
    """
    return ResNet(
        layers=(0, 1, 1, 0), width=16, small_stem=True, spatial_stages=2, **options
    )
