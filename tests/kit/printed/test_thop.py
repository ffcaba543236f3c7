"""Hand counts, to the unit, under the conventions that RNL's and PNL's tables fit."""

import pytest
import torch
from torch import Tensor, nn

from notebooks.kit.printed.thop import MODULES, count
from vidattn import cost
from vidattn.backbones import place, resnet_mini
from vidattn.blocks import NonLocal, make_block
from vidattn.errors import UserError


def test_convolutions_with_their_biases() -> None:
    conv = nn.Conv3d(8, 12, (3, 1, 5), stride=(1, 2, 1), padding=(1, 0, 2))
    outputs = 2 * 12 * 4 * 3 * 7
    counted = count(conv, (2, 8, 4, 6, 7), "modules")
    assert counted.by_kind["bias"] == outputs
    assert counted.macs == outputs * (8 * 15 + 1)
    for groups in (4, 12):
        conv = nn.Conv3d(12, 12, 3, padding=1, groups=groups, bias=False)
        macs = count(conv, (1, 12, 3, 4, 5), "modules").macs
        assert macs == 12 * 60 * 12 // groups * 27
    with pytest.raises(UserError, match="no transposed convolution"):
        count(nn.ConvTranspose3d(2, 2, 1), (1, 2, 3, 4, 5), "modules")


def test_linear() -> None:
    assert count(nn.Linear(7, 5), (3, 4, 7), "modules").macs == 3 * 4 * 5 * (7 + 6 + 1)
    assert count(nn.Linear(7, 5, bias=False), (3, 7), "modules").macs == 3 * 5 * (7 + 6)
    for bias in (True, False):
        assert (
            count(nn.Linear(7, 5, bias), (3, 7), "modules, linear layers once").macs
            == 3 * 5 * 7
        )
    norm = nn.Sequential(nn.Conv3d(2, 2, 1), nn.BatchNorm3d(2))
    once, twice = (
        count(norm, (1, 2, 3, 4, 5), f"modules{w}")
        for w in (", linear layers once", "")
    )
    assert (
        once.by_kind
        == twice.by_kind
        == {"conv": 240, "bias": 120, "norm": 240, "linear": 0, "pool": 0}
    )


def test_products_of_activations_are_not_seen() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.bmm(x, x.transpose(1, 2))

    assert count(Square(), (2, 9, 16), "modules").macs == 0
    assert count(Square(), (2, 9, 16)).macs == 2 * 9 * 9 * 16


def test_non_local_block_by_hand() -> None:
    c, t, h, w = 32, 2, 6, 4
    n, d = t * h * w, 16
    shape = (1, c, t, h, w)
    convs = 4 * c * d * n
    modules = count(NonLocal(c), shape, "modules")
    assert modules.by_kind == {
        "conv": convs,
        "bias": (3 * d + c) * n,
        "norm": 2 * c * n,
        "linear": 0,
        "pool": 0,
    }
    assert modules.macs == sum(modules.by_layer.values())


def test_adaptive_pooling_and_batch_normalisation_under_modules() -> None:
    shape = (2, 4, 3, 6, 8)
    assert count(nn.BatchNorm3d(4), shape, "modules").by_kind["norm"] == 2 * 2 * 4 * 144
    assert count(nn.AdaptiveAvgPool3d((None, 1, 1)), shape, "modules").by_kind[
        "pool"
    ] == 2 * 4 * 3 * (48 + 1)
    assert count(nn.AvgPool3d(3, 1, 1), shape, "modules").by_kind["pool"] == 2 * 4 * 144


def test_all_is_the_librarys_count_and_memory_and_parameters_are_always_its_own() -> (
    None
):
    model = place(resnet_mini(num_classes=7), {"res3": (1,)}, make_block("pyramid"))
    shape = (2, 3, 4, 32, 32)
    ours, modules = cost.count(model, shape), count(model, shape, "modules")
    assert count(model, shape) == ours
    assert modules.own_params == ours.own_params
    assert modules.activation_bytes == ours.activation_bytes
    for depth in (None, 1, 2, 9):
        table = modules.table(depth)
        assert {kind: table[kind].sum() for kind in MODULES} == modules.by_kind
        assert table["MACs"].sum() == modules.macs
        assert table["parameters"].sum() == modules.params
        assert (table[[*MODULES]].sum(axis=1) == table["MACs"]).all()


def test_unknown_convention() -> None:
    with pytest.raises(
        UserError, match="convention='flops' is unknown: allowed are all, modules"
    ):
        count(nn.Linear(2, 2), (1, 2), "flops")  # type: ignore[arg-type]
