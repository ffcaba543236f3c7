"""Hand counts, to the unit: what is counted, under which convention, and what a pass leaves in memory."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidattn.backbones import place, resnet50, resnet_mini
from vidattn.blocks import NonLocal, RegionNonLocal
from vidattn.cost import activation_bytes, count
from vidattn.errors import UserError
from vidattn.meta import meta_copy


class Function(nn.Module):
    """A function of the input as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_convolutions() -> None:
    conv = nn.Conv3d(8, 12, (3, 1, 5), stride=(1, 2, 1), padding=(1, 0, 2))
    cost = count(conv, (2, 8, 4, 6, 7))
    outputs = 2 * 12 * 4 * 3 * 7
    assert cost.macs == outputs * 8 * 15
    assert cost.by_kind == {"conv": cost.macs, "matmul": 0, "attention": 0}
    assert cost.params == 12 * 8 * 15 + 12
    assert count(conv, (2, 8, 4, 6, 7), "modules").macs == outputs * (8 * 15 + 1)


def test_grouped_and_depth_wise_convolutions() -> None:
    outputs = 12 * 3 * 4 * 5
    for groups in (4, 12):
        conv = nn.Conv3d(12, 12, 3, padding=1, groups=groups, bias=False)
        for convention in ("all", "modules"):
            assert count(conv, (1, 12, 3, 4, 5), convention).macs == outputs * 12 // groups * 27


def test_linear() -> None:
    assert count(nn.Linear(7, 5), (3, 4, 7)).macs == 3 * 4 * 7 * 5
    assert count(nn.Linear(7, 5), (3, 4, 7), "modules").macs == 3 * 4 * 5 * (7 + 6 + 1)
    assert count(nn.Linear(7, 5, bias=False), (3, 7), "modules").macs == 3 * 5 * (7 + 6)


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda x: torch.bmm(x, x.transpose(1, 2)), 2 * 9 * 9 * 16),
        (lambda x: torch.einsum("bnc,bmc->bnm", x, x), 2 * 9 * 9 * 16),
        (lambda x: x @ x.new_ones(16, 3), 2 * 9 * 16 * 3),
        (lambda x: x @ x.new_ones(16), 2 * 9 * 16),
        (lambda x: x[0, 0] @ x[0, 1], 16),
    ],
)
def test_matrix_products(function: Callable[[Tensor], Tensor], macs: int) -> None:
    cost = count(Function(function), (2, 9, 16))
    assert cost.macs == cost.by_kind["matmul"] == macs
    assert count(Function(function), (2, 9, 16), "modules").macs == 0


def test_nothing_else_is_counted() -> None:
    module = nn.Sequential(
        nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2), nn.AvgPool3d((1, 3, 3), 1), nn.Softmax(dim=1)
    )
    assert count(module, (1, 4, 4, 6, 8)).macs == 0


def test_fused_attention_is_counted_and_leaves_no_matrix() -> None:
    n, width = 40, 16

    def attend(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x.contiguous() * 1, x * 2, scale=1.0)

    cost = count(Function(attend), (2, 1, n, width))
    assert cost.macs == cost.by_kind["attention"] == 2 * 2 * n * n * width
    # q, k, v, the result, and a log-sum-exp for each query.
    assert cost.activation_bytes == 2 * 4 * (4 * n * width + n)

    three = count(Function(lambda x: F.scaled_dot_product_attention(x, x, x)), (2, n, width))
    assert three.macs == three.by_kind["matmul"] == 2 * 2 * n * n * width  # not what the fused kernel takes
    assert three.activation_bytes > 2 * 4 * n * n


def test_non_local_block_by_hand() -> None:
    c, t, h, w = 32, 2, 6, 4
    n, d = t * h * w, 16
    shape = (1, c, t, h, w)
    convs = 4 * c * d * n
    assert count(NonLocal(c), shape).macs == convs + 2 * n * n * d
    after = count(NonLocal(c, pool_keys="after"), shape)
    assert after.macs == convs + 2 * n * (n // 4) * d
    before = count(NonLocal(c, pool_keys="before"), shape)
    assert before.macs == 2 * c * d * n + 2 * c * d * (n // 4) + 2 * n * (n // 4) * d
    assert before.by_kind["attention"] == 2 * n * (n // 4) * d
    modules = count(NonLocal(c), shape, "modules")
    assert modules.by_kind == {
        "conv": convs,
        "bias": (3 * d + c) * n,
        "norm": 2 * c * n,
        "linear": 0,
        "pool": 0,
    }
    assert modules.macs == sum(modules.by_layer.values())


def test_region_block_by_hand_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidattn.blocks.pairwise.MOST_WEIGHTS", 100)  # the cosine takes a few rows at a time
    c, t, h, w = 32, 3, 6, 5
    n, d = t * h * w, 16
    base = 2 * c * d * n + d * n * 27
    for form, products in (
        ("gaussian", 2 * n * n * d),
        ("cosine", 2 * n * n * d),
        ("dot_product", 2 * n * d * d),
    ):
        cost = count(RegionNonLocal(c, form=form, kernel=(3, 3, 3)), (1, c, t, h, w))
        assert cost.macs == base + products, form
        assert cost.by_layer == {"": products, "w_g": c * d * n, "f_theta": 27 * d * n, "w_z": c * d * n}


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x @ x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient @ x.T + x.T @ gradient


def test_custom_functions_and_checkpoints() -> None:
    cost = count(Function(Square.apply), (6, 6))
    assert cost.macs == 6**3 and cost.activation_bytes == 4 * 36
    again = count(Function(lambda x: checkpoint(lambda y: (y @ y).exp() @ y, x, use_reentrant=False)), (6, 6))
    assert again.macs == 2 * 6**3 and again.activation_bytes == 4 * 36


def test_activation_bytes_by_hand() -> None:
    # The convolution keeps its input, the in-place ReLU its output; the pooling its input, which is the same,
    # and its indices, 8 bytes each.
    module = nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU(inplace=True), nn.MaxPool3d(2))
    assert activation_bytes(module, (1, 3, 2, 4, 6)) == 4 * 3 * 48 + 4 * 4 * 48 + 8 * 4 * 6
    assert activation_bytes(module.double(), (1, 3, 2, 4, 6)) == 8 * 3 * 48 + 8 * 4 * 48 + 8 * 4 * 6


def test_adaptive_pooling_and_batch_normalisation_under_modules() -> None:
    shape = (2, 4, 3, 6, 8)
    assert count(nn.BatchNorm3d(4), shape, "modules").by_kind["norm"] == 2 * 2 * 4 * 144
    assert count(nn.AdaptiveAvgPool3d((None, 1, 1)), shape, "modules").by_kind["pool"] == 2 * 4 * 3 * (48 + 1)
    assert count(nn.AvgPool3d(3, 1, 1), shape, "modules").by_kind["pool"] == 2 * 4 * 144


def test_resnet_50_adds_up() -> None:
    cost = count(resnet50, (1, 3, 8, 224, 224))
    # torchvision's ResNet-50 takes 4,087,136,256 MACs an image in its convolutions.
    assert cost.by_kind == {"conv": 8 * 4_087_136_256, "matmul": 2048 * 400, "attention": 0}
    assert sum(cost.by_layer.values()) == cost.macs and min(cost.by_layer.values()) > 0
    assert cost.by_layer["res3.blocks.1.conv2"] == 128 * 128 * 9 * 8 * 28 * 28


def test_a_model_is_left_as_it_is_and_may_hold_blocks() -> None:
    model = place(resnet_mini(num_classes=4), {"res3": (1,)}, NonLocal).train()
    plain, with_block = count(resnet_mini(num_classes=4), (2, 3, 4, 32, 32)), count(model, (2, 3, 4, 32, 32))
    block = count(NonLocal(96), (2, 96, 4, 8, 8))
    assert with_block.macs == plain.macs + block.macs and with_block.params == plain.params + block.params
    assert with_block.by_layer["res3.placed.1"] == block.by_kind["attention"]
    assert model.training and model.fc.weight.device.type == "cpu"


def test_meta_copy_shares_tied_weights_and_copies_no_values() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    copied = meta_copy(model)
    assert copied[0].weight is copied[1].weight and copied[0].weight.is_meta
    assert count(model, (1, 3)).params == 9 + 3 + 3
    assert not first.weight.is_meta


def test_unknown_convention() -> None:
    with pytest.raises(UserError, match="convention='flops' is unknown: allowed are all, modules"):
        count(nn.Linear(2, 2), (1, 2), "flops")  # type: ignore[arg-type]
