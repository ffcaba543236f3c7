import pytest
import torch
from torch import nn

from notebooks.kit.drawings.architecture import describe
from vidattn.backbones import (
    BACKBONES,
    ResNet,
    place,
    resnet50,
    resnet101,
    resnet_local,
    resnet_mini,
)
from vidattn.errors import UserError
from vidattn.meta import meta_copy


def c2d() -> ResNet:
    return resnet50(temporal="pool")


def params(make) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in make().parameters())


def test_parameter_counts() -> None:
    # torchvision's 25,557,032 and 44,549,160, whose classifiers have 1000 classes of
    # 2049 weights.
    assert params(resnet50) == 25_557_032 - 600 * 2049 == 24_327_632
    assert params(resnet101) == 44_549_160 - 600 * 2049
    assert params(lambda: resnet50(num_classes=174)) == 25_557_032 - 826 * 2049
    assert params(lambda: resnet50(temporal="tsm")) == params(resnet50)
    assert params(lambda: resnet50(temporal="pool")) == params(resnet50)


def test_table_1_is_what_the_model_does() -> None:
    rows = [
        (r.layer, r.operation, r.output_size)
        for r in describe(resnet50, (1, 3, 8, 224, 224))
    ]
    assert rows == [
        ("conv1", "1x7x7, 64, stride 1,2,2", (8, 112, 112)),
        ("pool1", "1x3x3, 64, stride 1,2,2", (8, 56, 56)),
        ("res2", "[1x1x1, 64; 1x3x3, 64; 1x1x1, 256] x 3", (8, 56, 56)),
        ("res3", "[1x1x1, 128; 1x3x3, 128; 1x1x1, 512] x 4", (8, 28, 28)),
        ("res4", "[1x1x1, 256; 1x3x3, 256; 1x1x1, 1024] x 6", (8, 14, 14)),
        ("res5", "[1x1x1, 512; 1x3x3, 512; 1x1x1, 2048] x 3", (8, 7, 7)),
    ]


def test_table_1_of_the_non_local_paper_is_what_c2d_does() -> None:
    rows = [
        (r.layer, r.operation, r.output_size)
        for r in describe(c2d, (1, 3, 32, 224, 224))
    ]
    assert rows == [
        ("conv1", "1x7x7, 64, stride 2,2,2", (16, 112, 112)),
        ("pool1", "3x3x3, 64, stride 2,2,2", (8, 56, 56)),
        ("res2", "[1x1x1, 64; 1x3x3, 64; 1x1x1, 256] x 3", (8, 56, 56)),
        ("pool2", "3x1x1, 256, stride 2,1,1", (4, 56, 56)),
        ("res3", "[1x1x1, 128; 1x3x3, 128; 1x1x1, 512] x 4", (4, 28, 28)),
        ("res4", "[1x1x1, 256; 1x3x3, 256; 1x1x1, 1024] x 6", (4, 14, 14)),
        ("res5", "[1x1x1, 512; 1x3x3, 512; 1x1x1, 2048] x 3", (4, 7, 7)),
    ]


def test_only_conv1_and_the_poolings_of_c2d_look_along_time() -> None:
    model = small("pool")
    with torch.no_grad():
        x = torch.randn(1, 3, 12, 16, 16, dtype=torch.float64)
        stem = model.relu(model.bn1(model.conv1(x)))  # no pool1 in the small stem
        res2 = model.res2(stem)
        later, earlier = res2.clone(), res2[:, :, ::2].clone()
        for t in range(3):  # the largest of frames 2t - 1, 2t and 2t + 1
            earlier[:, :, t] = later[:, :, max(2 * t - 1, 0) : 2 * t + 2].amax(dim=2)
        frames = [
            model.res5(model.res4(model.res3(earlier[:, :, t : t + 1])))
            for t in range(3)
        ]
        torch.testing.assert_close(model.features(x), torch.cat(frames, dim=2))
        torch.testing.assert_close(
            stem, model.relu(model.bn1(small("none").conv1(x[:, :, ::2])))
        )


def test_description_of_a_network_with_placed_blocks_leaves_it_as_it_is() -> None:
    model = place(
        resnet_mini(num_classes=5), {"res3": (1, 2)}, lambda channels: nn.Tanh()
    )
    rows = {r.layer: r for r in describe(model, (1, 3, 8, 48, 48))}
    assert rows["res3"].output_size == (8, 12, 12)
    assert rows["res3"].operation.endswith(
        "x 2, Tanh after block 1, Tanh after block 2"
    )
    assert "pool1" not in rows
    assert all(p.device.type == "cpu" for p in model.parameters()) and model.training
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("name", BACKBONES)
def test_logits_of_a_clip(name: str) -> None:
    for temporal in (
        ("none",) if name.startswith(("mfnet", "slowfast")) else ("none", "tsm", "pool")
    ):
        model = meta_copy(
            lambda temporal=temporal: BACKBONES[name](num_classes=7, temporal=temporal)
        )
        assert model(torch.empty(2, 3, 8, 48, 48, device="meta")).shape == (2, 7)


def small(temporal: str) -> ResNet:
    torch.manual_seed(1)
    model = ResNet(
        layers=(1, 1, 1, 1), width=8, num_classes=4, temporal=temporal, small_stem=True
    )  # type: ignore
    return model.double().eval()


def test_frames_are_independent_without_shift_and_neighbours_with_it() -> None:
    x = torch.randn(1, 3, 6, 16, 16, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 5] += 1
    for temporal, reach in (
        ("none", 0),
        ("tsm", 4),
    ):  # one frame further in each of the four bottlenecks
        with torch.no_grad():
            differs = (
                small(temporal).features(x) != small(temporal).features(changed)
            ).any(dim=(0, 1, 3, 4))
        assert [5 - t for t in range(6)[::-1] if differs[t]] == list(range(reach + 1))


def test_shift_stands_at_the_head_of_the_residual_branch_only() -> None:
    block = small("tsm").res2.blocks[0]
    assert block.downsample is not None
    seen = {}
    block.conv1.register_forward_pre_hook(lambda m, args: seen.update(branch=args[0]))
    block.downsample.register_forward_pre_hook(
        lambda m, args: seen.update(shortcut=args[0])
    )
    x = torch.randn(1, 8, 3, 4, 4, dtype=torch.float64)
    block(x)
    assert torch.equal(seen["shortcut"], x)
    assert (
        torch.equal(seen["branch"][:, 0, :2], x[:, 0, 1:])
        and not seen["branch"][:, 0, 2].any()
    )


def test_kaiming_start() -> None:
    torch.manual_seed(0)
    weight = resnet_mini().res5.blocks[0].conv3.weight  # 96 channels in, 384 out
    fan_out = weight.shape[0]
    assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)


def test_dropout_is_before_the_classifier() -> None:
    model = resnet_mini(num_classes=3, dropout=1.0).train()
    assert torch.equal(model(torch.randn(2, 3, 2, 16, 16)), model.fc.bias.expand(2, 3))


def test_wrong_input_and_wrong_option() -> None:
    with pytest.raises(UserError, match=r"\(B, 3, T, H, W\), not \(2, 3, 48, 48\)"):
        resnet_mini()(torch.zeros(2, 3, 48, 48))
    with pytest.raises(UserError, match="allowed are none, tsm, pool"):
        resnet_mini(temporal="shift")  # type: ignore[arg-type]


def test_the_local_network_sees_7_pixels_and_one_frame_either_way() -> None:
    torch.manual_seed(0)
    model = resnet_local(num_classes=4, temporal="tsm").double().eval()
    x = torch.randn(1, 3, 9, 48, 48, dtype=torch.float64, requires_grad=True)
    features = model.features(x)
    assert features.shape == (1, 256, 9, 12, 12)
    # From all channels of one position: what it depends on.
    features[0, :, 4, 5, 6].square().sum().backward()
    assert x.grad is not None
    t, rows, columns = (x.grad.abs().sum(1)[0] > 0).nonzero(as_tuple=True)
    assert sorted(set(t.tolist())) == [3, 4, 5]
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (17, 23, 21, 27)
