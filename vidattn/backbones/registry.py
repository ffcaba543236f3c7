"""The backbones by the names that descriptions of runs give them."""

from collections.abc import Callable

from torch import nn

from vidattn.backbones.mfnet import mfnet, mfnet_mini
from vidattn.backbones.resnet import resnet50, resnet101, resnet_local, resnet_mini
from vidattn.backbones.slowfast import slowfast50, slowfast101, slowfast_mini

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet_mini": resnet_mini,
    "resnet_local": resnet_local,
    "mfnet": mfnet,
    "mfnet_mini": mfnet_mini,
    "slowfast50": slowfast50,
    "slowfast101": slowfast101,
    "slowfast_mini": slowfast_mini,
}
