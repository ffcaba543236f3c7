"""The published figures and what they count.

Feichtenhofer et al., SlowFast, ICCV 2019, Table 2 (G multiply-adds at 256 x 256): 4x16
R50 36.1; 8x8 R50 65.7; 8x8 R101 106; 16x8 R101 213. They are the convolutions and the
linear layer (106 is 106.51, cut); R101 looks along time in the first 6 blocks of res4
there. PyTorchVideo, docs/source/model_zoo.md (parameters in M, FLOPs in G): 34.57,
65.71 (8x8 R50); 34.48, 36.69 (4x16 R50); 62.83, 127.20 (8x8 R101); 53.77, 215.61 (16x8
R101). Its 8x8 R101 looks along time in all 23 blocks of res4: another network than the
paper's. Its figures are multiply-adds and 5 for each element that batch normalisation
gives, as fvcore counts a network in training mode; 8x8 R50 alone is multiply-adds only.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from notebooks.kit.drawings.architecture import describe
from notebooks.kit.printed.thop import count
from vidattn.backbones import (
    SlowFast,
    insertion,
    place,
    slowfast50,
    slowfast101,
    slowfast_mini,
)
from vidattn.backbones.slowfast import slow_frames
from vidattn.blocks import NonLocal
from vidattn.errors import UserError

ON_8x8, ON_16x8 = (1, 3, 32, 256, 256), (1, 3, 64, 256, 256)
ONE_A_STAGE = (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("make", "shape", "params", "in_paper", "in_zoo", "with_norm"),
    [
        (slowfast50, ON_8x8, "34.57", "65.7", "65.71", False),
        (slowfast101, ON_8x8, "62.83", None, "127.20", True),
        (partial(slowfast101, temporal_res4=6), ON_8x8, "53.77", "106", None, False),
        (
            partial(slowfast101, temporal_res4=6),
            ON_16x8,
            "53.77",
            "213",
            "215.61",
            True,
        ),
        (
            partial(SlowFast, alpha=8, fusion_kernel=5),
            ON_8x8,
            "34.48",
            "36.1",
            "36.69",
            True,
        ),
    ],
)
def test_costs_are_the_published_ones(
    make: Callable[[], nn.Module],
    shape: tuple[int, ...],
    params: str,
    in_paper: str | None,
    in_zoo: str | None,
    with_norm: bool,
) -> None:
    cost = count(make, shape, "all")
    assert (
        abs(cost.params / 1e6 - float(params)) < 0.006
    )  # 53.775 M is printed as 53.77
    if in_paper is not None:
        last_digit = 10.0 ** -len(in_paper.partition(".")[2])
        assert abs(cost.macs / 1e9 - float(in_paper)) < 0.52 * last_digit
    if in_zoo is not None:
        elements = count(make, shape, "modules").by_kind["norm"] // 2
        assert f"{(cost.macs + 5 * elements * with_norm) / 1e9:.2f}" == in_zoo


def test_gta_s_blocks_stand_in_the_slow_pathway() -> None:
    """GTA, Figures 3 and 4: 131.4 G / 34.0 M, with five NL blocks 239.9 G / 41.4 M;
    R101 with three 137 G.

    174 classes and clips of 64 frames (SlowFast-R50), 400 and 32 (R101), 256 x 256;
    everything counted.
    """
    r50 = partial(slowfast50, num_classes=174)
    cost = count(r50, ON_16x8)
    assert (f"{cost.macs / 1e9:.1f}", f"{cost.params / 1e6:.1f}") == ("131.4", "34.0")

    def with_blocks(
        places: dict[str, tuple[int, ...]], make: Callable[[], nn.Module]
    ) -> nn.Module:
        return place(
            make(), places, lambda channels: NonLocal(channels, pool_keys="before")
        )

    five = {"res3": (1, 3), "res4": (1, 3, 5)}
    slow, fast = (
        {f"{path}.{name}": numbers for name, numbers in five.items()}
        for path in ("slow", "fast")
    )
    cost = count(partial(with_blocks, slow, r50), ON_16x8)
    assert (f"{cost.macs / 1e9:.1f}", f"{cost.params / 1e6:.1f}") == ("239.9", "41.4")
    with torch.device("meta"):
        elsewhere = with_blocks(fast, r50)
    assert f"{sum(p.numel() for p in elsewhere.parameters()) / 1e6:.1f}" == "34.2"
    cost = count(partial(with_blocks, {"slow.res4": (7, 14, 21)}, slowfast101), ON_8x8)
    assert f"{cost.macs / 1e9:.0f}" == "137"


def test_table_of_the_network() -> None:
    rows = {
        r.layer: (r.operation, r.output_size)
        for r in describe(slowfast50, (1, 3, 32, 224, 224))
    }
    assert rows["slow.conv1"] == ("1x7x7, 64, stride 1,2,2", (8, 112, 112))
    assert rows["fast.conv1"] == ("5x7x7, 8, stride 1,2,2", (32, 112, 112))
    assert rows["fast.pool1"] == ("1x3x3, 8, stride 1,2,2", (32, 56, 56))
    assert rows["lateral.2.conv"] == ("7x1x1, 128, stride 4,1,1", (8, 28, 28))
    for index, (number, kernel) in enumerate(((3, 1), (4, 1), (6, 3), (3, 3))):
        side, wide, thin = 56 // 2**index, 64 * 2**index, 8 * 2**index
        for path, inner, extent, frames in (
            ("slow", wide, kernel, 8),
            ("fast", thin, 3, 32),
        ):
            kernels = f"{extent}x1x1, {inner}; 1x3x3, {inner}; 1x1x1, {4 * inner}"
            operation = f"[{kernels}] x {number}"
            assert rows[f"{path}.res{index + 2}"] == (operation, (frames, side, side))
    deep = {
        r.layer: r.operation
        for r in describe(partial(slowfast101, temporal_res4=6), (1, 3, 4, 32, 32))
    }
    assert deep["lateral.0.conv"] == "5x1x1, 16, stride 4,1,1"
    for path, inner in (("slow", 256), ("fast", 32)):
        rest = f"{inner}; 1x3x3, {inner}; 1x1x1, {4 * inner}]"
        assert deep[f"{path}.res4"] == f"[3x1x1, {rest} x 6 + [1x1x1, {rest} x 17"


def tiny(**options: Any) -> SlowFast:
    """A small network with random weights everywhere, normalisation included."""
    torch.manual_seed(4)
    options = {
        "layers": ONE_A_STAGE,
        "width": 8,
        "beta": 4,
        "fusion_kernel": 5,
        "num_classes": 3,
        **options,
    }
    model = SlowFast(**options).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor, low in (
                (module.weight, 0.5),
                (module.bias, 0.0),
                (module.running_mean, -0.2),
            ):
                nn.init.uniform_(tensor, low, low + 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    nn.init.normal_(model.fc.weight)
    nn.init.normal_(model.fc.bias)
    return model


def recompute(
    weights: dict[str, Tensor], x: Tensor, alpha: int, frames: list[int]
) -> Tensor:
    """SlowFast with a 7 x 7 stem, from its weights and nothing else of it."""

    def layer(
        conv: str, norm: str, y: Tensor, stride: tuple[int, int, int] = (1, 1, 1)
    ) -> Tensor:
        weight = weights[f"{conv}.weight"]
        y = F.conv3d(y, weight, None, stride, [k // 2 for k in weight.shape[2:]])
        scale = (
            weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-5).sqrt()
        )
        shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        return y * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1)

    def stage(at: str, y: Tensor) -> Tensor:
        number = 0
        while f"{at}.blocks.{number}.conv1.weight" in weights:
            block, stride = (
                f"{at}.blocks.{number}",
                (1, 2, 2) if number == 0 and at[-1] != "2" else (1, 1, 1),
            )
            z = layer(f"{block}.conv1", f"{block}.bn1", y).relu()
            z = layer(f"{block}.conv2", f"{block}.bn2", z, stride).relu()
            z = layer(f"{block}.conv3", f"{block}.bn3", z)
            first = number == 0
            y = z + (
                layer(f"{block}.downsample.0", f"{block}.downsample.1", y, stride)
                if first
                else y
            )
            y, number = y.relu(), number + 1
        return y

    slow, fast = x[:, :, frames], x
    slow, fast = (
        F.max_pool3d(
            layer(f"{p}.conv1", f"{p}.bn1", y, (1, 2, 2)).relu(),
            (1, 3, 3),
            (1, 2, 2),
            (0, 1, 1),
        )
        for p, y in (("slow", slow), ("fast", fast))
    )
    for index in range(4):
        carried = layer(
            f"lateral.{index}.conv", f"lateral.{index}.bn", fast, (alpha, 1, 1)
        ).relu()
        slow = stage(f"slow.res{index + 2}", torch.cat([slow, carried], dim=1))
        fast = stage(f"fast.res{index + 2}", fast)
    features = torch.cat([slow.mean(dim=(2, 3, 4)), fast.mean(dim=(2, 3, 4))], dim=1)
    return features @ weights["fc.weight"].T + weights["fc.bias"]


@pytest.mark.parametrize(("kernel", "temporal_res4"), [(5, 23), (7, 1)])
def test_scores_are_those_of_a_computation_from_the_weights_alone(
    kernel: int, temporal_res4: int
) -> None:
    model = tiny(layers=(1, 2, 2, 1), fusion_kernel=kernel, temporal_res4=temporal_res4)
    x = torch.randn(2, 3, 12, 38, 45, dtype=torch.float64)
    with torch.no_grad():
        expected = recompute(dict(model.state_dict()), x, 4, [0, 5, 11])
        assert expected.std() > 0.1
        assert (model(x) - expected).abs().max() < 1e-10


def test_slow_frames_are_pyslowfast_s() -> None:
    assert slow_frames(32, 4) == [0, 4, 8, 13, 17, 22, 26, 31]
    assert slow_frames(4, 4) == [0]
    for frames, alpha in ((32, 4), (64, 4), (32, 8), (16, 2), (128, 4)):
        theirs = torch.linspace(0, frames - 1, frames // alpha).long().tolist()
        assert slow_frames(frames, alpha) == theirs


def seen(of: Tensor, x: Tensor) -> set[int]:
    """The frames of x on which a tensor depends, by its derivative."""
    (slope,) = torch.autograd.grad(
        (of * torch.randn_like(of)).sum(), x, retain_graph=True
    )
    return set(slope.abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist())


def test_what_each_pathway_sees_by_derivatives() -> None:
    model, taken = tiny(), {}
    for name in ("res2", "res3", "res4", "res5"):
        stage = getattr(model.slow, name)
        stage.register_forward_pre_hook(
            lambda m, args, name=name: taken.update({name: args[0]})
        )
    x = torch.randn(1, 3, 32, 32, 32, dtype=torch.float64, requires_grad=True)
    _, fast = model.pathways(x)
    for t in range(
        32
    ):  # two frames either way in the stem, one in each of four bottlenecks
        assert seen(fast[:, :, t], x) == {f for f in range(32) if abs(f - t) <= 6}
    for index, (name, own) in enumerate(zip(taken, (8, 32, 64, 128), strict=True)):
        assert (
            taken[name].shape[1] == own + 4 * own // 8
        )  # two carried channels for four slow ones
        for i in range(
            8
        ):  # stride 4 and kernel 5 of the lateral connection, the fast layers before it
            near = {f for f in range(32) if abs(f - 4 * i) <= 2 + 2 + index}
            assert seen(taken[name][:, own:, i], x) == near
    for i, frame in enumerate((0, 4, 8, 13, 17, 22, 26, 31)):
        assert seen(taken["res2"][:, :8, i], x) == {frame}


def test_the_slow_pathway_alone_looks_along_time_in_its_last_two_stages() -> None:
    model = tiny()
    for connection in model.lateral:
        nn.init.zeros_(connection.bn.weight)
        nn.init.zeros_(connection.bn.bias)
        connection.bn.running_mean.zero_()
    x = torch.randn(1, 3, 32, 32, 32, dtype=torch.float64, requires_grad=True)
    slow, _ = model.pathways(x)
    frames = slow_frames(32, 4)
    for i in range(8):
        assert seen(slow[:, :, i], x) == {
            frames[j] for j in range(8) if abs(i - j) <= 2
        }


class Add(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.amount


def test_blocks_stand_in_either_pathway() -> None:
    model = slowfast_mini(num_classes=3).double().eval()
    places = {"slow.res3": (1, 2), "slow.res4": (1,), "fast.res3": (2,)}
    x = torch.randn(1, 3, 8, 24, 28, dtype=torch.float64)
    seen: dict[str, Tensor] = {}
    place(model, places, Add)
    insertion(model, "fast.res3", 2).register_forward_hook(
        lambda m, a, out: seen.update(block=out)
    )
    model.lateral[2].register_forward_pre_hook(
        lambda m, args: seen.update(carried=args[0])
    )
    model.fast.res4.register_forward_pre_hook(
        lambda m, args: seen.update(further=args[0])
    )
    insertion(model, "slow.res3", 1).register_forward_hook(
        lambda m, a, out: seen.update(first=out)
    )
    model.slow.res3.blocks[1].register_forward_pre_hook(
        lambda m, args: seen.update(second=args[0])
    )
    model(x)
    assert (
        seen["block"] is seen["carried"] is seen["further"]
        and seen["first"] is seen["second"]
    )
    assert seen["block"].shape == (1, 24, 8, 6, 7) and seen["first"].shape == (
        1,
        96,
        4,
        6,
        7,
    )
    assert insertion(model, "slow.res4", 1).amount.shape[0] == 192


def test_what_does_not_fit_is_one_line() -> None:
    model, known = (
        slowfast_mini(),
        ", ".join(f"{p}.res{n}" for p in ("slow", "fast") for n in (2, 3, 4, 5)),
    )
    with pytest.raises(
        UserError, match=f"there is no stage 'res3': allowed are {known}$"
    ):
        place(model, {"res3": (1,)}, Add)
    with pytest.raises(
        UserError, match=r"slow\.res3 has no block 3: allowed are 1 to 2"
    ):
        place(model, {"slow.res3": (3,)}, Add)
    with pytest.raises(
        UserError, match=r"T=7 does not fit SlowFast: allowed are multiples of 2"
    ):
        model(torch.zeros(1, 3, 7, 16, 16))
    with pytest.raises(UserError, match="T=0 does not fit"):
        model(torch.zeros(1, 3, 0, 16, 16))
    with pytest.raises(UserError, match=r"\(B, 3, T, H, W\), not \(2, 3, 48, 48\)"):
        model(torch.zeros(2, 3, 48, 48))
    with pytest.raises(
        UserError, match="temporal='tsm' does not fit SlowFast: allowed is none"
    ):
        slowfast50(temporal="tsm")  # type: ignore[arg-type]


def test_start_of_the_weights_and_dropout() -> None:
    torch.manual_seed(0)
    model = slowfast_mini(num_classes=50, dropout=1.0).train()
    weight = model.slow.res5.blocks[
        0
    ].conv1.weight  # 192 + 96 channels in, 96 out, three frames
    assert weight.shape == (96, 288, 3, 1, 1)
    assert weight.std().item() == pytest.approx((2 / (3 * 96)) ** 0.5, rel=0.02)
    for path in (model.slow, model.fast):
        assert (
            not path.res3.blocks[1].bn3.weight.any()
            and path.res3.blocks[1].bn2.weight.all()
        )
    assert (
        model.fc.weight.std().item() == pytest.approx(0.01, rel=0.02)
        and not model.fc.bias.any()
    )
    nn.init.normal_(model.fc.bias)
    assert torch.equal(model(torch.randn(2, 3, 4, 16, 16)), model.fc.bias.expand(2, 50))
