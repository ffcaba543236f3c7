"""Backbones: networks that turn a clip into class scores, with named places for attention blocks."""

from vidattn.backbones.describe import Row, describe
from vidattn.backbones.load import load_weights
from vidattn.backbones.place import insertion, place, stages
from vidattn.backbones.resnet import BACKBONES, ResNet, resnet50, resnet101, resnet_mini
from vidattn.backbones.stage import Stage

__all__ = [
    "BACKBONES",
    "ResNet",
    "Row",
    "Stage",
    "describe",
    "insertion",
    "load_weights",
    "place",
    "resnet50",
    "resnet101",
    "resnet_mini",
    "stages",
]
