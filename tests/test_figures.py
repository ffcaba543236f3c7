"""Numbers of attention maps against hand values; figures by the data of their artists."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import nn

from vidattn import figures
from vidattn.backbones.place import insertion, place
from vidattn.backbones.resnet import resnet_mini
from vidattn.blocks import make_block
from vidattn.errors import UserError

QUERIES = [(0, 1, 2), (1, 4, 0), (1, 5, 6)]


def network(kind: str, **options) -> nn.Module:
    torch.manual_seed(0)
    model = place(resnet_mini(num_classes=3, temporal="tsm"), {"res3": (2,)}, make_block(kind, **options))
    for parameter in insertion(model, "res3", 2).parameters():
        nn.init.normal_(parameter, std=0.2)  # never the identity
    return model.train()


def clip() -> torch.Tensor:
    return torch.randn(1, 3, 2, 24, 28, generator=torch.Generator().manual_seed(1))  # res3: 2 x 6 x 7


def test_capture_gives_the_very_input_in_evaluation_mode_and_leaves_the_modes():
    model = network("region", kernel=(1, 3, 3))
    model.res2.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = figures.capture(model, insertion(model, "res3", 2), clip())
    assert model.training and model.res3.training and not model.res2.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    copied = copy.deepcopy(model).eval()
    with torch.no_grad():
        stem = copied.pool1(copied.relu(copied.bn1(copied.conv1(clip()))))
        stage = copied.res3
        expected = stage.blocks[1](stage.blocks[0](copied.res2(stem)))
    assert torch.equal(x, expected)
    assert not x.requires_grad
    assert not insertion(model, "res3", 2)._forward_pre_hooks


def test_capture_refuses_a_module_that_is_not_reached():
    with pytest.raises(UserError, match="does not reach this Linear"):
        figures.capture(network("region"), nn.Linear(1, 1), clip())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("region", {"kernel": (1, 3, 3)}),
        ("region", {"form": "dot_product"}),
        ("region", {"form": "cosine"}),
        ("nonlocal", {}),
        ("nonlocal", {"form": "concatenation"}),
        ("nonlocal", {"pool_keys": "after"}),
        ("nonlocal", {"pool_keys": "before"}),
        ("chain", {"kernel": (1, 3, 3)}),
    ],
)
def test_maps_are_what_the_block_does(kind, options):
    """All rows of weights, times the values, through the last projection: the block's output."""
    model = network(kind, **options)
    every = [(t, i, j) for t in range(2) for i in range(6) for j in range(7)]
    maps = figures.attention_maps(model, "res3", 2, clip(), every)
    pooled = options.get("pool_keys")
    assert maps.shape == ((84, 2, 3, 3) if pooled else (84, 2, 6, 7))
    if options.get("form", "gaussian") == "gaussian":
        assert torch.allclose(maps.sum((1, 2, 3)), torch.ones(84, dtype=torch.float64), atol=1e-12)

    outer = copy.deepcopy(insertion(model, "res3", 2)).double().eval()
    x = figures.capture(model, insertion(model, "res3", 2), clip()).double()
    expected = outer(x)
    block = outer
    if kind == "chain":
        x, block = outer.squeeze_excite(x), outer.region
    if pooled:
        g = block.g(block.pool(x)) if pooled == "before" else block.pool(block.g(x))
    else:
        g = block.g(x) if kind == "nonlocal" else block.w_g(x)
    y = maps.flatten(1) @ rearrange(g, "1 c t h w -> (t h w) c")
    y = rearrange(y, "(t h w) c -> 1 c t h w", t=2, h=6, w=7)
    tolerance = 1e-4 if kind == "chain" else 1e-9  # the chain's first part ran in float32, within the network
    assert torch.allclose(block.bn(block.w_z(y)) + x, expected, rtol=tolerance, atol=tolerance)

    few = figures.attention_maps(model, "res3", 2, clip(), QUERIES)
    assert torch.allclose(few, maps[[every.index(query) for query in QUERIES]], atol=1e-12)


def test_maps_say_what_is_wrong():
    with pytest.raises(UserError, match="SqueezeExcite has no map of weights"):
        figures.attention_maps(network("squeeze_excite"), "res3", 2, clip(), QUERIES)
    with pytest.raises(UserError, match=r"query \(0, 6, 0\) lies outside the feature map of size \(2, 6, 7\)"):
        figures.attention_maps(network("nonlocal"), "res3", 2, clip(), [(0, 6, 0)])
    with pytest.raises(UserError, match="one clip"):
        figures.attention_maps(network("nonlocal"), "res3", 2, clip().repeat(2, 1, 1, 1, 1), QUERIES)


def test_similarity_by_hand():
    maps = torch.zeros(3, 1, 2, 2)
    maps[0].flatten()[:] = torch.tensor([1.0, 0, 0, 0])
    maps[1].flatten()[:] = torch.tensor([0.5, 0.5, 0, 0])
    maps[2].flatten()[:] = torch.tensor([0.0, 0, 0, 1])
    assert figures.map_similarity(maps[[0, 0]] * torch.tensor([1.0, 7]).view(2, 1, 1, 1)) == pytest.approx(1)
    assert figures.map_similarity(maps[[0, 2]]) == 0
    assert figures.map_similarity(maps[[0, 1]]) == pytest.approx(0.5**0.5)
    assert figures.map_similarity(maps) == pytest.approx(0.5**0.5 / 3)  # three pairs, two of them 0
    assert figures.map_similarity(torch.zeros(2, 1, 2, 2)) == 0
    assert figures.map_similarity(maps[[0, 0]].double() * 1e-300) == pytest.approx(1)
    with pytest.raises(UserError, match="two or more"):
        figures.map_similarity(maps[:1])


def test_similarity_without_the_queries_own_positions_by_hand():
    queries = [(0, 0, 0), (0, 1, 1)]
    # Each looks at itself most; at the others (positions 1 and 2) as 3 : 4 and 4 : 3.
    maps = torch.tensor([[[[0.9, 0.03], [0.04, 0.03]]], [[[0.02, 0.04], [0.03, 0.91]]]])
    assert figures.map_similarity(maps, queries, without_self=True) == pytest.approx(24 / 25)
    assert figures.map_similarity(maps, queries) == figures.map_similarity(maps) < 0.1
    # What is left may be tiny, and is compared all the same.
    sharp = torch.tensor([[1.0, 3e-200, 4e-200, 0], [0, 4e-200, 3e-200, 1.0]], dtype=torch.float64)
    assert figures.map_similarity(sharp.view(2, 1, 2, 2), queries, without_self=True) == pytest.approx(24 / 25)
    only_self = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]).view(2, 1, 2, 2)
    assert figures.map_similarity(only_self, queries, without_self=True) == 0
    kept = maps.clone()
    figures.map_similarity(maps, queries, without_self=True)
    assert torch.equal(maps, kept)
    with pytest.raises(UserError, match="2 maps need 2 queries, not 0"):
        figures.map_similarity(maps, without_self=True)


def test_own_weight_by_hand():
    maps = torch.tensor([[[[0.9, 0.1], [0, 0]]], [[[-1, 0.5], [0.5, 2]]]])
    assert figures.own_weight(maps, [(0, 0, 0), (0, 1, 1)]) == pytest.approx((0.9 + 2 / 4) / 2)
    assert figures.own_weight(maps, [(0, 0, 1), (0, 1, 0)]) == pytest.approx((0.1 + 0.5 / 4) / 2)
    assert figures.own_weight(torch.zeros(1, 1, 2, 2), [(0, 0, 0)]) == 0
    with pytest.raises(UserError, match=r"\(0, 2, 0\) lies outside the maps of size \(1, 2, 2\)"):
        figures.own_weight(maps, [(0, 0, 0), (0, 2, 0)])


def test_small_weights_are_not_rounded_to_zero():
    """Unscaled inner products are large: float32 would leave the query's own position alone."""
    model = network("region", kernel=(1, 1, 1))
    with torch.no_grad():
        insertion(model, "res3", 2).f_theta.weight.fill_(3.0)
    maps = figures.attention_maps(model, "res3", 2, clip(), QUERIES)
    assert (maps > 0).all() and maps.min() < 1e-50
