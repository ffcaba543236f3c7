"""Backbones: from a clip to class scores, with named places for attention blocks."""

from collections.abc import Callable

from torch import nn

from vidattn.backbones.load import load_weights
from vidattn.backbones.mfnet import MFNet, mfnet, mfnet_mini
from vidattn.backbones.place import insertion, place, stages
from vidattn.backbones.resnet import (
    ResNet,
    resnet50,
    resnet101,
    resnet_local,
    resnet_mini,
)
from vidattn.backbones.slowfast import SlowFast, slowfast50, slowfast101, slowfast_mini
from vidattn.backbones.stage import Stage

# The backbones by the names that descriptions of runs give them.
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

__all__ = [
    "BACKBONES",
    "MFNet",
    "ResNet",
    "SlowFast",
    "Stage",
    "insertion",
    "load_weights",
    "mfnet",
    "mfnet_mini",
    "place",
    "resnet50",
    "resnet101",
    "resnet_local",
    "resnet_mini",
    "slowfast50",
    "slowfast101",
    "slowfast_mini",
    "stages",
]
