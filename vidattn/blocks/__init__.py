"""Attention mechanisms for video, each from (B, C, T, H, W) to the same shape."""

from vidattn.blocks.cbam import CBAM
from vidattn.blocks.cgd import CompactGlobalDescriptor
from vidattn.blocks.cgnl import CompactGeneralizedNonLocal
from vidattn.blocks.chain import AttentionChain
from vidattn.blocks.context import GlobalContext
from vidattn.blocks.crisscross import CrissCross3d, RecurrentCrissCross3d
from vidattn.blocks.double import DoubleAttention
from vidattn.blocks.glore import DecoupledRival, GloRe
from vidattn.blocks.gta import GlobalTemporalAttention
from vidattn.blocks.nonlocal_ import NonLocal
from vidattn.blocks.pyramid import PyramidNonLocal
from vidattn.blocks.region import RegionNonLocal
from vidattn.blocks.registry import BLOCKS, block_options, make_block
from vidattn.blocks.squeeze import AdditiveSqueezeExcite, SqueezeExcite
from vidattn.blocks.temporal import (
    DecoupledNonLocal,
    SpatialAttention,
    TemporalAttention,
)

__all__ = [
    "BLOCKS",
    "CBAM",
    "AdditiveSqueezeExcite",
    "AttentionChain",
    "CompactGeneralizedNonLocal",
    "CompactGlobalDescriptor",
    "CrissCross3d",
    "DecoupledNonLocal",
    "DecoupledRival",
    "DoubleAttention",
    "GloRe",
    "GlobalContext",
    "GlobalTemporalAttention",
    "NonLocal",
    "PyramidNonLocal",
    "RecurrentCrissCross3d",
    "RegionNonLocal",
    "SpatialAttention",
    "SqueezeExcite",
    "TemporalAttention",
    "block_options",
    "make_block",
]
