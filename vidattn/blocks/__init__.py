"""Attention mechanisms for video, each from (B, C, T, H, W) to the same shape."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from vidattn.blocks._parts import check_choice
from vidattn.blocks.cbam import CBAM
from vidattn.blocks.cgd import CompactGlobalDescriptor
from vidattn.blocks.cgnl import CompactGeneralizedNonLocal
from vidattn.blocks.chain import AttentionChain
from vidattn.blocks.context import GlobalContext
from vidattn.blocks.crisscross import CrissCross3d, RecurrentCrissCross3d
from vidattn.blocks.decoupled_rival import DecoupledRival
from vidattn.blocks.double import DoubleAttention
from vidattn.blocks.glore import GloRe
from vidattn.blocks.gta import GlobalTemporalAttention
from vidattn.blocks.nonlocal_ import NonLocal
from vidattn.blocks.pyramid import PyramidNonLocal
from vidattn.blocks.region import RegionNonLocal
from vidattn.blocks.space_time import (
    DecoupledNonLocal,
    SpatialAttention,
    TemporalAttention,
)
from vidattn.blocks.squeeze import AdditiveSqueezeExcite, SqueezeExcite

# The one list: a new block is imported above and named here.
BLOCKS: dict[str, type[nn.Module]] = {
    "nonlocal": NonLocal,
    "region": RegionNonLocal,
    "squeeze_excite": SqueezeExcite,
    "additive_squeeze_excite": AdditiveSqueezeExcite,
    "cbam": CBAM,
    "global_context": GlobalContext,
    "chain": AttentionChain,
    "pyramid": PyramidNonLocal,
    "cgnl": CompactGeneralizedNonLocal,
    "cgd": CompactGlobalDescriptor,
    "double_attention": DoubleAttention,
    "crisscross": CrissCross3d,
    "recurrent_crisscross": RecurrentCrissCross3d,
    "spatial_attention": SpatialAttention,
    "temporal_attention": TemporalAttention,
    "decoupled_nonlocal": DecoupledNonLocal,
    "global_temporal_attention": GlobalTemporalAttention,
    "glore": GloRe,
    "decoupled_rival": DecoupledRival,
}

# The two that hand further options on to a block that they contain.
CONTAINED: dict[str, type[nn.Module]] = {
    "chain": RegionNonLocal,
    "decoupled_nonlocal": TemporalAttention,
}


def block_options(kind: str) -> tuple[str, ...]:
    """Return the names of the options that a kind of block takes."""
    blocks = [BLOCKS[kind], *([CONTAINED[kind]] if kind in CONTAINED else [])]
    options = [p for b in blocks for p in inspect.signature(b).parameters.values()]
    return tuple(p.name for p in options if p.kind is inspect.Parameter.KEYWORD_ONLY)


def make_block(kind: str, **options: Any) -> Callable[[int], nn.Module]:
    """Return a function that makes one kind of block for any number of channels.

    Args:
        kind: A key of BLOCKS.
        **options: The keyword arguments of that block; lists are taken for tuples, as
            text files have no tuples.

    Returns:
        A function from the number of channels to a new block. It can be pickled.

    Raises:
        UserError: The kind, an option or its value is not one of those allowed.
    """
    check_choice("kind", kind, BLOCKS)
    for name in options:
        check_choice(f"option of {kind!r}", name, block_options(kind))
    make = partial(BLOCKS[kind], **options)
    # Values are checked by the block itself; on the meta device that costs no memory.
    # Wide, so that no reduction is refused here that fits the place where the block
    # will stand.
    with torch.device("meta"):
        make(4096)
    return make
