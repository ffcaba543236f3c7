"""Backbones: networks that turn a clip into class scores, with named places for
attention blocks.
"""

from vidattn.backbones.load import load_weights
from vidattn.backbones.mfnet import MFNet, mfnet, mfnet_mini
from vidattn.backbones.place import insertion, place, stages
from vidattn.backbones.registry import BACKBONES
from vidattn.backbones.resnet import (
    ResNet,
    resnet50,
    resnet101,
    resnet_local,
    resnet_mini,
)
from vidattn.backbones.slowfast import SlowFast, slowfast50, slowfast101, slowfast_mini
from vidattn.backbones.stage import Stage

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
