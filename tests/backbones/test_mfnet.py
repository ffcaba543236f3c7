import pytest
import torch
from torch import nn

from notebooks.kit.drawings.architecture import describe
from notebooks.kit.printed.thop import count
from vidattn.backbones import MFNet, mfnet, mfnet_mini, place
from vidattn.errors import UserError


def clips_network() -> nn.Module:
    return mfnet(num_classes=200)


def test_costs_are_those_that_pnl_prints_for_mini_kinetics() -> None:
    cost = count(clips_network, (1, 3, 16, 224, 224), "all")
    assert (
        cost.params == 7_842_568
    )  # printed 7.843 M; 8.0 M with the 400 classes of the public code
    assert cost.params + 200 * 769 == 7_996_368
    assert cost.macs == 11_045_296_128
    # What a counter of modules adds for batch normalisation; printed 11.176 G.
    assert count(clips_network, (1, 3, 16, 224, 224), "modules").macs == 11_176_509_440


def row(down: int, up: int, out: int, groups: int, first: bool) -> str:
    last = f"1x1x1, {out}" if first else f"1x3x3, {out} in {groups} groups"
    return f"[1x1x1, {down}; 1x1x1, {up}; 3x3x3, {out} in {groups} groups; {last}]"


def test_table_of_the_network() -> None:
    rows = [
        (r.layer, r.operation, r.output_size)
        for r in describe(clips_network, (1, 3, 16, 224, 224))
    ]
    stages, up = [], 16
    for index, units in enumerate((3, 4, 6, 3)):
        out = 96 * 2**index
        first, others = (row(out // 4, i, out, 16, first=i is up) for i in (up, out))
        side = 56 // 2**index
        stages.append(
            (
                f"conv{index + 2}",
                f"{first} x 1 + {others} x {units - 1}",
                (8, side, side),
            )
        )
        up = out
    assert rows == [
        ("conv1", "3x5x5, 16, stride 1,2,2", (16, 112, 112)),
        ("pool1", "1x3x3, 16, stride 1,2,2", (16, 56, 56)),
        *stages,
    ]


def test_the_small_sibling_s_maps() -> None:
    rows = {r.layer: r for r in describe(mfnet_mini, (1, 3, 8, 40, 40))}
    sizes = {name: row.output_size for name, row in rows.items()}
    assert sizes == {
        "conv1": (8, 20, 20),
        "conv2": (4, 20, 20),
        "conv3": (4, 10, 10),
        "conv4": (4, 5, 5),
        "conv5": (4, 3, 3),
    }
    assert [
        stage.channels
        for stage in mfnet_mini().children()
        if hasattr(stage, "channels")
    ] == [
        24,
        48,
        96,
        192,
    ]
    assert "in 4 groups" in rows["conv3"].operation


def test_a_unit_is_multiplexer_fibers_and_shortcut() -> None:
    torch.manual_seed(0)
    unit = mfnet_mini().conv3.blocks[1].double().eval()
    x = torch.randn(1, 48, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        for part in (unit.conv_i1, unit.conv_i2, unit.conv_m1, unit.conv_m2):
            part.bn.running_mean.normal_()
            part.bn.weight.normal_()

        def part(name: str, y: torch.Tensor, groups: int = 1) -> torch.Tensor:
            layer = getattr(unit, name)
            n = layer.bn
            scale = (n.weight / (n.running_var + n.eps).sqrt()).view(-1, 1, 1, 1)
            y = (
                (y - n.running_mean.view(-1, 1, 1, 1)) * scale
                + n.bias.view(-1, 1, 1, 1)
            ).clamp(min=0)
            weight = layer.conv.weight
            pad = [k // 2 for k in weight.shape[2:]]
            parts = zip(y.chunk(groups, 1), weight.chunk(groups, 0), strict=True)
            return torch.cat(
                [nn.functional.conv3d(a, w, padding=pad) for a, w in parts], dim=1
            )

        y = x + part("conv_i2", part("conv_i1", x))
        expected = x + part("conv_m2", part("conv_m1", y, 4), 4)
        torch.testing.assert_close(unit(x), expected)


def test_a_stage_s_first_unit_projects_its_shortcut_and_strides() -> None:
    torch.manual_seed(0)
    unit = mfnet_mini().conv2.blocks[0].eval()
    nn.init.zeros_(unit.conv_m2.conv.weight)
    x = torch.randn(1, 8, 4, 6, 6)
    weight = unit.downsample.conv.weight[:, :, 0, 0, 0]
    normed = (x / (1 + 1e-5) ** 0.5).relu()
    torch.testing.assert_close(
        unit(x), torch.einsum("oc,bcthw->bothw", weight, normed[:, :, ::2])
    )


def test_a_block_before_the_last_unit_of_conv4() -> None:
    model = place(mfnet_mini(num_classes=5), {"conv4": (1,)}, nn.BatchNorm3d).eval()
    seen = {}
    model.conv4.placed["1"].register_forward_hook(
        lambda m, args, out: seen.update(block=out)
    )
    model.conv4.blocks[1].register_forward_pre_hook(
        lambda m, args: seen.update(unit=args[0])
    )
    assert model(torch.randn(1, 3, 8, 40, 40)).shape == (1, 5)
    assert seen["unit"] is seen["block"] and seen["block"].shape == (1, 96, 4, 5, 5)


def test_xavier_start() -> None:
    torch.manual_seed(0)
    model = mfnet_mini()
    weight = model.conv5.blocks[
        0
    ].conv_m1.conv.weight  # 96 channels in 4 groups, 192 out
    assert weight.shape == (192, 24, 3, 3, 3)
    bound = (6 / (27 * (24 + 192))) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert (
        not model.fc.bias.any()
        and model.fc.weight.abs().max() <= (6 / (192 + 400)) ** 0.5
    )


def test_dropout_is_before_the_classifier() -> None:
    model = mfnet_mini(num_classes=3, dropout=1.0).train()
    nn.init.normal_(model.fc.bias)
    assert torch.equal(model(torch.randn(2, 3, 2, 16, 16)), model.fc.bias.expand(2, 3))


def test_wrong_input_and_wrong_option() -> None:
    with pytest.raises(UserError, match=r"\(B, 3, T, H, W\), not \(2, 3, 48, 48\)"):
        mfnet_mini()(torch.zeros(2, 3, 48, 48))
    with pytest.raises(
        UserError, match="temporal='tsm' does not fit MFNet: allowed is none"
    ):
        MFNet(temporal="tsm")  # type: ignore[arg-type]
