"""Backbones: networks that turn a clip into class scores, with named places for attention blocks."""

from vidattn.backbones.place import insertion, place, stages
from vidattn.backbones.resnet import BACKBONES, ResNet, resnet50, resnet101, resnet_mini
from vidattn.backbones.stage import Stage

__all__ = [
    "BACKBONES",
    "ResNet",
    "Stage",
    "insertion",
    "place",
    "resnet50",
    "resnet101",
    "resnet_mini",
    "stages",
]
