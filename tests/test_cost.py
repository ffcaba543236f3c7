"""Hand counts, to the unit: what is counted, and what a pass leaves in memory."""

from collections.abc import Callable
from math import prod

import pytest
import torch
import torch.nn.functional as F
from ptflops import get_model_complexity_info
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from vidattn.__main__ import main
from vidattn.backbones import BACKBONES, place, resnet50, resnet_mini
from vidattn.blocks import NonLocal, RegionNonLocal, make_block
from vidattn.cost import OPERATIONS, activation_bytes, count
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


def test_grouped_and_depth_wise_convolutions() -> None:
    outputs = 12 * 3 * 4 * 5
    for groups in (4, 12):
        conv = nn.Conv3d(12, 12, 3, padding=1, groups=groups, bias=False)
        cost = count(conv, (1, 12, 3, 4, 5))
        assert cost.macs == outputs * 12 // groups * 27


def test_linear() -> None:
    assert count(nn.Linear(7, 5), (3, 4, 7)).macs == 3 * 4 * 7 * 5


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


def test_nothing_else_is_counted() -> None:
    module = nn.Sequential(
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.AvgPool3d((1, 3, 3), 1),
        nn.Softmax(dim=1),
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

    three = count(
        Function(lambda x: F.scaled_dot_product_attention(x, x, x)), (2, n, width)
    )
    assert (
        three.macs == three.by_kind["matmul"] == 2 * 2 * n * n * width
    )  # not what the fused kernel takes
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


def test_region_block_by_hand_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "vidattn.blocks.pairwise.MOST_WEIGHTS", 100
    )  # the cosine takes a few rows at a time
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
        assert cost.by_layer == {
            "": products,
            "v": c * d * n,
            "f_theta": 27 * d * n,
            "out": c * d * n,
        }


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
    again = count(
        Function(
            lambda x: checkpoint(lambda y: (y @ y).exp() @ y, x, use_reentrant=False)
        ),
        (6, 6),
    )
    assert again.macs == 2 * 6**3 and again.activation_bytes == 4 * 36


def test_activation_bytes_by_hand() -> None:
    # The convolution keeps its input, the in-place ReLU its output; the pooling its
    # input, which is the same, and its indices, 8 bytes each.
    module = nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU(inplace=True), nn.MaxPool3d(2))
    assert (
        activation_bytes(module, (1, 3, 2, 4, 6)) == 4 * 3 * 48 + 4 * 4 * 48 + 8 * 4 * 6
    )
    assert (
        activation_bytes(module.double(), (1, 3, 2, 4, 6))
        == 8 * 3 * 48 + 8 * 4 * 48 + 8 * 4 * 6
    )


def test_resnet_50_adds_up() -> None:
    cost = count(resnet50, (1, 3, 8, 224, 224))
    # torchvision's ResNet-50 takes 4,087,136,256 MACs an image in its convolutions.
    assert cost.by_kind == {
        "conv": 8 * 4_087_136_256,
        "matmul": 2048 * 400,
        "attention": 0,
    }
    assert sum(cost.by_layer.values()) == cost.macs and min(cost.by_layer.values()) > 0
    assert cost.by_layer["res3.blocks.1.conv2"] == 128 * 128 * 9 * 8 * 28 * 28


def test_a_model_is_left_as_it_is_and_may_hold_blocks() -> None:
    model = place(resnet_mini(num_classes=4), {"res3": (1,)}, NonLocal).train()
    plain, with_block = (
        count(resnet_mini(num_classes=4), (2, 3, 4, 32, 32)),
        count(model, (2, 3, 4, 32, 32)),
    )
    block = count(NonLocal(96), (2, 96, 4, 8, 8))
    assert (
        with_block.macs == plain.macs + block.macs
        and with_block.params == plain.params + block.params
    )
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


def network(
    backbone: str, kind: str, places: dict[str, tuple[int, ...]], **options: object
) -> nn.Module:
    return place(
        BACKBONES[backbone](num_classes=7), places, make_block(kind, **options)
    )


def test_a_table_adds_up_at_every_depth_and_keeps_the_model_s_order() -> None:
    model = network("resnet_mini", "pyramid", {"res3": (1,), "res4": (1,)})
    cost = count(model, (2, 3, 4, 32, 32))
    for depth in (None, 1, 2, 9):
        table = cost.table(depth)
        assert {kind: table[kind].sum() for kind in OPERATIONS} == cost.by_kind
        assert table["MACs"].sum() == cost.macs
        assert table["parameters"].sum() == cost.params
        assert (table[[*OPERATIONS]].sum(axis=1) == table["MACs"]).all()
    assert list(cost.table(1).index) == [
        "conv1",
        "bn1",
        "res2",
        "res3",
        "res4",
        "res5",
        "fc",
    ]
    block = count(make_block("pyramid")(96), (2, 96, 4, 8, 8))
    row = count(model, (2, 3, 4, 32, 32)).table(3).loc["res3.placed.1"]
    assert (row["attention"], row["MACs"]) == (block.by_kind["attention"], block.macs)
    assert row["parameters"] == block.params


def test_what_the_model_itself_does_and_has_stands_in_the_first_row() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Parameter(torch.zeros(5, 4))
            self.first, self.second = (
                nn.Linear(4, 4, bias=False),
                nn.Linear(4, 4, bias=False),
            )
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x)) @ self.own.T

    table = count(Tied(), (3, 4)).table()
    assert list(table.index) == ["", "first", "second"]
    assert table["MACs"].tolist() == [60, 48, 48] and table["parameters"].tolist() == [
        20,
        16,
        0,
    ]


def test_the_picture_draws_the_table() -> None:
    cost = count(network("resnet_mini", "nonlocal", {"res3": (1,)}), (1, 3, 4, 32, 32))
    (axis,) = cost.picture(1).axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    table = cost.table(1)
    assert names == list(table.index)
    assert [bars.get_label() for bars in axis.containers] == [
        "conv",
        "matmul",
        "attention",
    ]
    for bars in axis.containers:
        assert [bar.get_width() for bar in bars] == pytest.approx(
            (table[bars.get_label()] / 1e9).tolist()
        )
    ends = [bar.get_x() + bar.get_width() for bar in axis.containers[-1]]
    assert ends == pytest.approx((table["MACs"] / 1e9).tolist())


def test_measured_memory_is_that_of_the_pass_itself() -> None:
    module = nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU(inplace=True), nn.MaxPool3d(2))
    bytes_by_hand = 4 * 3 * 48 + 4 * 4 * 48 + 8 * 4 * 6
    assert activation_bytes(module, (1, 3, 2, 4, 6), measured=True) == bytes_by_hand
    for kind in ("nonlocal", "recurrent_crisscross", "decoupled_nonlocal", "cgnl"):
        on_meta, measured = (
            activation_bytes(make_block(kind)(32), (1, 32, 4, 8, 8), measured=how)
            for how in (False, True)
        )
        assert measured == pytest.approx(on_meta, rel=0.01), kind
    sharing = Function(lambda x: x.exp() * x.expand(2, -1))  # one storage, saved twice
    assert activation_bytes(sharing, (1, 10), measured=True) == 4 * (10 + 10)


class ByFunction(TorchFunctionMode):
    """A second counter, which sees the calls of torch's functions and not what they are
    made of.
    """

    macs = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out, name = func(*args, **(kwargs or {})), getattr(func, "__name__", "")
        if name.startswith("conv"):
            self.macs += out.numel() * args[1][0].numel()
        elif name in ("linear", "matmul", "__matmul__", "bmm"):
            self.macs += out.numel() * args[0].shape[-1]
        elif name == "einsum":
            letters = args[0].replace(" ", "").partition("->")[0].split(",")
            self.macs += prod(
                {
                    a: n
                    for axes, x in zip(letters, args[1:], strict=True)
                    for a, n in zip(axes, x.shape, strict=True)
                }.values()
            )
        elif name == "scaled_dot_product_attention":
            q, k, v = args[:3]
            self.macs += q[..., 0].numel() * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        return out


NETWORKS = [
    (
        "resnet50",
        "nonlocal",
        {"res3": (1, 3), "res4": (1, 3, 5)},
        {},
        (1, 3, 8, 224, 224),
    ),
    ("resnet50", "recurrent_crisscross", {"res3": (3,)}, {}, (1, 3, 8, 224, 224)),
    ("resnet50", "chain", {"res4": (5,)}, {}, (1, 3, 8, 224, 224)),
    (
        "mfnet",
        "pyramid",
        {"conv3": (1, 3), "conv4": (1, 3, 5)},
        {},
        (1, 3, 16, 224, 224),
    ),
    (
        "slowfast50",
        "global_temporal_attention",
        {"slow.res4": (1, 3)},
        {},
        (1, 3, 32, 256, 256),
    ),
    ("resnet_mini", "cgd", {"res3": (1,)}, {}, (2, 3, 4, 32, 32)),
    ("resnet_mini", "double_attention", {"res3": (1,)}, {}, (2, 3, 4, 32, 32)),
    (
        "resnet_mini",
        "decoupled_rival",
        {"res4": (1,)},
        {"rival": "cgnl"},
        (2, 3, 4, 32, 32),
    ),
]


@pytest.mark.parametrize(("backbone", "kind", "places", "options", "shape"), NETWORKS)
def test_a_second_counter_agrees_on_whole_networks(
    backbone, kind, places, options, shape
) -> None:
    cost = count(lambda: network(backbone, kind, places, **options), shape)
    on_meta = meta_copy(lambda: network(backbone, kind, places, **options))
    with ByFunction() as second:
        on_meta(torch.empty(shape, device="meta"))
    assert second.macs == pytest.approx(cost.macs, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("nonlocal", {"res3": (1,)}),
        ("recurrent_crisscross", {"res3": (1,)}),
        ("cgd", {"res3": (1,)}),
        ("double_attention", {"res3": (1,)}),
        ("glore", {"res4": (1,)}),
    ],
)
def test_ptflops_agrees_within_one_percent(
    kind: str, places: dict[str, tuple[int, ...]]
) -> None:
    """It does not know fused attention, and counts softmax and pooling, too."""
    model = network("resnet_mini", kind, places)
    quiet = {"as_strings": False, "print_per_layer_stat": False, "verbose": False}
    macs, params = get_model_complexity_info(
        model, (3, 4, 32, 32), backend="aten", **quiet
    )
    cost = count(model, (1, 3, 4, 32, 32))
    assert params == cost.params
    assert macs == pytest.approx(cost.macs - cost.by_kind["attention"], rel=0.01)
    assert (macs == pytest.approx(cost.macs, rel=0.01)) == (kind != "nonlocal")


def test_the_command_counts_blocks_networks_and_what_a_function_makes(
    capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    shape = ["--shape", "1", "64", "4", "8", "8"]
    assert main(["cost", "region", *shape, "-p", "kernel", "[3, 3, 3]"]) == 0
    text = capsys.readouterr().out
    cost = count(RegionNonLocal(64, kernel=(3, 3, 3)), (1, 64, 4, 8, 8))
    assert f"{cost.macs / 1e9:.4f} GMAC, {cost.params / 1e6:.4f} M parameters, " in text
    assert f"{cost.activation_bytes / 2**20:.1f} MiB" in text
    assert [line.split()[0] for line in text.splitlines()[3:6]] == [
        "v",
        "f_theta",
        "out",
    ]

    picture = tmp_path / "cost.png"
    words = [
        "cost",
        "resnet_mini",
        "--shape",
        "1",
        "3",
        "4",
        "32",
        "32",
        "--depth",
        "3",
    ]
    assert (
        main([*words, "--place", "nonlocal", "{res3: [1]}", "--png", str(picture)]) == 0
    )
    assert "res3.placed.1" in capsys.readouterr().out and picture.stat().st_size > 1000

    made = ["vidattn.backbones:resnet_mini", *words[2:], "-p", "num_classes", "5"]
    assert main(["cost", *made]) == 0
    with_five = count(lambda: resnet_mini(num_classes=5), (1, 3, 4, 32, 32))
    assert f"{with_five.macs / 1e9:.4f} GMAC" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["regoin"], "'regoin' is unknown: allowed are nonlocal, region, "),
        (["region", "-p", "kernal", "3"], "option of 'region'='kernal' is unknown"),
        (
            ["resnet_mini", "--place", "region", "{res9: [1]}"],
            "there is no stage 'res9'",
        ),
        (
            ["resnet_mini", "-p", "colour", "red"],
            "got an unexpected keyword argument 'colour'",
        ),
        (
            ["vidattn.backbones:nothing"],
            "module 'vidattn.backbones' has no attribute 'nothing'",
        ),
        (["no.such.file:make"], "No module named 'no'"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", *words, "--shape", "1", "64", "4", "8", "8"]) == 2
    text = capsys.readouterr()
    assert not text.out and text.err.count("\n") == 1 and said in text.err
