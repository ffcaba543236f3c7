"""The blocks by name, for descriptions of runs that are written as text."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

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
from vidattn.blocks.options import check_choice
from vidattn.blocks.pyramid import PyramidNonLocal
from vidattn.blocks.region import RegionNonLocal
from vidattn.blocks.squeeze import AdditiveSqueezeExcite, SqueezeExcite
from vidattn.blocks.temporal import (
    DecoupledNonLocal,
    SpatialAttention,
    TemporalAttention,
)

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

# Kinds that take the options of a block that they contain, too.
CONTAINED: dict[str, type[nn.Module]] = {
    "chain": RegionNonLocal,
    "decoupled_nonlocal": TemporalAttention,
}


def block_options(kind: str) -> tuple[str, ...]:
    """Returns the names of the options that a kind of block takes."""
    names = _keywords(BLOCKS[kind])
    return names + _keywords(CONTAINED[kind]) if kind in CONTAINED else names


def make_block(kind: str, **options: Any) -> Callable[[int], nn.Module]:
    """Returns a function that makes one kind of block for any number of channels.

    Args:
        kind: a key of BLOCKS.
        **options: the keyword arguments of that block; lists are taken for tuples, as
            text files have no tuples.

    Returns:
        A function from the number of channels to a new block. It can be pickled.

    Raises:
        ValueError: the kind, an option or its value is not one of those allowed.
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


def _keywords(block: type[nn.Module]) -> tuple[str, ...]:
    # Those of the classes that a block is derived from, too.
    parameters = [
        p for part in block.__mro__ for p in inspect.signature(part).parameters.values()
    ]
    return tuple(
        dict.fromkeys(
            p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY
        )
    )
