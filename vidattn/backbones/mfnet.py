"""MFNet: a 3-D network whose wide convolutions are cut into groups, the 'fibers'.

Source:
    Chen, Kalantidis, Li, Yan, Feng: Multi-Fiber Networks for Video Recognition, ECCV
    2018, Section 3 and Table 1. What the paper leaves open (order of normalisation,
    kernels of a stage's first unit, start of the weights) is read from the authors'
    public code, network/mfnet_3d.py and network/initializer.py.
"""

from collections import OrderedDict
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from vidattn.backbones.stage import Stage, check_clip
from vidattn.errors import UserError

Size = tuple[int, int, int]


def conv_after_norm(
    in_channels: int,
    out_channels: int,
    kernel: Size,
    stride: Size = (1, 1, 1),
    groups: int = 1,
) -> nn.Sequential:
    """Return batch normalisation, ReLU and a convolution; stride 1 keeps sizes.

    The convolution has no bias.
    """
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    conv = nn.Conv3d(
        in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False
    )
    return nn.Sequential(
        OrderedDict(
            bn=nn.BatchNorm3d(in_channels), relu=nn.ReLU(inplace=True), conv=conv
        )
    )


class MultiFiberUnit(nn.Module):
    """The multi-fiber unit: channels are mixed by a multiplexer, then within groups.

    The multiplexer is 1x1x1 down to a quarter of `channels` and 1x1x1 up again, added
    to its input. The 3x3x3 convolution is grouped. The last is 1x3x3 and grouped, or
    1x1x1 and whole in a stage's first unit, which alone has a projected shortcut.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        groups: Number of fibers.
        stride: Stride of the 3x3x3 convolution and of the shortcut, in T, H and W.
        first: The unit is the first of its stage.

    Shape:
        `(B, in_channels, T, H, W)` -> `(B, channels, T', H', W')`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        groups: int,
        stride: Size = (1, 1, 1),
        first: bool = False,
    ) -> None:
        super().__init__()
        self.conv_i1 = conv_after_norm(in_channels, channels // 4, (1, 1, 1))
        self.conv_i2 = conv_after_norm(channels // 4, in_channels, (1, 1, 1))
        self.conv_m1 = conv_after_norm(in_channels, channels, (3, 3, 3), stride, groups)
        if first:
            self.conv_m2 = conv_after_norm(channels, channels, (1, 1, 1))
        else:
            self.conv_m2 = conv_after_norm(channels, channels, (1, 3, 3), groups=groups)
        self.downsample = (
            conv_after_norm(in_channels, channels, (1, 1, 1), stride) if first else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = x + self.conv_i2(self.conv_i1(x))
        return self.conv_m2(self.conv_m1(y)) + shortcut


class MFNet(nn.Module):
    """A multi-fiber network over clips.

    The score of a clip is that of its features' mean over T, H and W. conv2 halves T,
    each later stage halves H and W. Convolutions and the linear layer start as Glorot
    and Bengio's uniform distribution, the linear layer's bias at zero.

    Args:
        units: Number of units in conv2, conv3, conv4, conv5.
        width: Channels of conv2; doubled at each further stage.
        groups: Fibers of each unit; it divides `stem` and `width`.
        stem: Channels of the first convolution.
        num_classes: Number of scores.
        temporal: `"none"` only: the network looks along time by its own convolutions.
        small_stem: A 3x3x3 stem convolution without max-pooling, for clips of few
            pixels.
        dropout: Probability of dropping a feature before the linear layer.

    Shape:
        `(B, 3, T, H, W)` -> logits `(B, num_classes)`.

    Raises:
        UserError: `temporal` is not `"none"`, or the input is not `(B, 3, T, H, W)`.
    """

    def __init__(
        self,
        *,
        units: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 96,
        groups: int = 16,
        stem: int = 16,
        num_classes: int = 400,
        temporal: Literal["none"] = "none",
        small_stem: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if temporal != "none":
            raise UserError(
                f"temporal={temporal!r} does not fit MFNet: allowed is none"
            )
        kernel = 3 if small_stem else 5
        self.conv1 = nn.Conv3d(
            3,
            stem,
            (3, kernel, kernel),
            (1, 2, 2),
            (1, kernel // 2, kernel // 2),
            bias=False,
        )
        self.bn1 = nn.BatchNorm3d(stem)
        self.pool1 = (
            nn.Identity()
            if small_stem
            else nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        )
        stages, channels = [], stem
        for index, count in enumerate(units):
            out_channels, stride = width * 2**index, (1, 2, 2) if index else (2, 1, 1)
            blocks = [
                MultiFiberUnit(
                    channels, out_channels, groups=groups, stride=stride, first=True
                )
            ]
            blocks += [
                MultiFiberUnit(out_channels, out_channels, groups=groups)
                for _ in range(count - 1)
            ]
            stages.append(Stage(blocks, out_channels))
            channels = out_channels
        self.conv2, self.conv3, self.conv4, self.conv5 = stages
        self.bn5 = nn.BatchNorm3d(channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        nn.init.zeros_(self.fc.bias)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(x).mean(dim=(2, 3, 4))))

    def features(self, x: Tensor) -> Tensor:
        """Return the last features, `(B, 8 * width, T', H', W')`.

        They are the last stage's output after batch normalisation and ReLU.
        """
        check_clip(x)
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        return F.relu(self.bn5(self.conv5(self.conv4(self.conv3(self.conv2(x))))))


def mfnet(**options: Any) -> MFNet:
    """Return the 3-D MFNet of the paper's Table 1, for clips of 16 frames.

    `MFNet` explains the options.
    """
    return MFNet(**options)


def mfnet_mini(**options: Any) -> MFNet:
    """Return the small sibling for reduced runs.

    A clip of 8 x 40 x 40 is 4 x 10 x 10 with 48 channels at conv3.
    """
    return MFNet(
        units=(1, 2, 2, 1), width=24, groups=4, stem=8, small_stem=True, **options
    )
