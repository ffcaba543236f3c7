from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidattn.backbones import (
    load_weights,
    mfnet,
    place,
    resnet50,
    resnet_mini,
    slowfast50,
)
from vidattn.errors import UserError

R50 = (3, 4, 6, 3)
MINI = (1, 2, 1, 1)


def checkpoint(
    layers: tuple[int, ...], width: int, stem: int, classes: int
) -> dict[str, Tensor]:
    """Make random weights with the names and the 2-D shapes of torchvision's ResNet."""
    torch.manual_seed(3)
    weights: dict[str, Tensor] = {}

    def conv(name: str, out: int, inp: int, kernel: int) -> None:
        weights[f"{name}.weight"] = (
            torch.randn(out, inp, kernel, kernel) * (inp * kernel * kernel) ** -0.5
        )

    def norm(name: str, channels: int) -> None:
        weights[f"{name}.weight"] = torch.rand(channels) + 0.5
        weights[f"{name}.bias"] = torch.randn(channels)
        weights[f"{name}.running_mean"] = torch.randn(channels)
        weights[f"{name}.running_var"] = torch.rand(channels) + 0.5
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", width, 3, stem)
    norm("bn1", width)
    channels = width
    for stage, count in enumerate(layers, start=1):
        inner = width * 2 ** (stage - 1)
        for i in range(count):
            at = f"layer{stage}.{i}"
            for n, (out, inp, kernel) in enumerate(
                ((inner, channels, 1), (inner, inner, 3), (4 * inner, inner, 1))
            ):
                conv(f"{at}.conv{n + 1}", out, inp, kernel)
                norm(f"{at}.bn{n + 1}", out)
            if i == 0:
                conv(f"{at}.downsample.0", 4 * inner, channels, 1)
                norm(f"{at}.downsample.1", 4 * inner)
            channels = 4 * inner
    weights["fc.weight"], weights["fc.bias"] = (
        torch.randn(classes, channels) * 0.05,
        torch.randn(classes),
    )
    return weights


def mini(classes: int = 5) -> dict[str, Tensor]:
    return checkpoint(MINI, 12, 3, classes)


def tsm_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename as TSM's published checkpoints do: prefixes, the wrapper around conv1,
    new_fc.
    """
    renamed = {}
    for name, tensor in weights.items():
        if name.startswith("fc."):
            renamed[f"module.new_{name}"] = tensor
        else:
            inside = (
                name.replace("conv1", "conv1.net") if name.startswith("layer") else name
            )
            renamed[f"module.base_model.{inside}"] = tensor
    return renamed


def forward_2d(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """ResNet-50 on frames (B, 3, H, W), written from the checkpoint's names alone."""

    def norm(name: str, y: Tensor) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return F.batch_norm(
            y, mean, var, weights[f"{name}.weight"], weights[f"{name}.bias"]
        )

    def conv(name: str, y: Tensor, stride: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(y, weight, stride=stride, padding=weight.shape[-1] // 2)

    x = F.max_pool2d(norm("bn1", conv("conv1", x, 2)).relu(), 3, 2, 1)
    for stage, count in enumerate(R50, start=1):
        for i in range(count):
            at, stride = f"layer{stage}.{i}", 2 if i == 0 and stage > 1 else 1
            y = norm(f"{at}.bn1", conv(f"{at}.conv1", x)).relu()
            y = norm(f"{at}.bn2", conv(f"{at}.conv2", y, stride)).relu()
            y = norm(f"{at}.bn3", conv(f"{at}.conv3", y))
            shortcut = (
                x
                if i
                else norm(f"{at}.downsample.1", conv(f"{at}.downsample.0", x, stride))
            )
            x = (y + shortcut).relu()
    return F.linear(x.mean(dim=(2, 3)), weights["fc.weight"], weights["fc.bias"])


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_torchvision_s_resnet_50_gives_torchvision_s_scores(tmp_path: Path) -> None:
    weights = checkpoint(R50, 64, 7, 11)
    path = save(tmp_path / "resnet50.pth", weights)
    model = load_weights(resnet50(num_classes=11), path).eval()
    path.unlink()
    x = torch.randn(2, 3, 1, 48, 48)
    with torch.no_grad():
        expected = forward_2d(weights, x[:, :, 0])
        torch.testing.assert_close(
            model(x), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
        )


def test_tsm_s_resnet_50_arrives_tensor_by_tensor(tmp_path: Path) -> None:
    weights = checkpoint(R50, 64, 7, 11)
    renamed = tsm_names(weights)
    assert (
        "module.base_model.layer1.0.conv1.net.weight" in renamed
        and "module.new_fc.weight" in renamed
    )
    path = save(
        tmp_path / "tsm.pth", {"epoch": 49, "state_dict": renamed, "best_prec1": 71.2}
    )
    model = place(
        resnet50(num_classes=11, temporal="tsm"), {"res3": (1, 3)}, nn.BatchNorm3d
    )
    own = model.res3.placed["1"].weight.clone()
    state = load_weights(model, path).state_dict()
    path.unlink()
    for name, tensor in weights.items():
        layer, _, rest = name.partition(".")
        number, _, tail = rest.partition(".")
        ours = (
            f"res{int(layer[5]) + 1}.blocks.{number}.{tail}"
            if layer.startswith("layer")
            else name
        )
        assert torch.equal(
            state.pop(ours), tensor.unsqueeze(2) if tensor.dim() == 4 else tensor
        ), ours
    assert all(".placed." in name for name in state)
    assert torch.equal(model.res3.placed["1"].weight, own)


def test_our_own_weights_come_back_with_placed_blocks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = place(resnet_mini(num_classes=5), {"res3": (2,)}, nn.BatchNorm3d)
    nn.init.normal_(source.res3.placed["2"].weight)
    target = place(resnet_mini(num_classes=5), {"res3": (2,)}, nn.BatchNorm3d)
    load_weights(
        target, save(tmp_path / "own.pt", {"model": source.state_dict(), "step": 3})
    )
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


def test_the_classifier_can_be_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "mini.pth", mini(classes=9))
    model = resnet_mini(num_classes=5)
    own = model.fc.weight.clone()
    load_weights(model, path, head="drop")
    assert torch.equal(model.fc.weight, own)
    assert torch.equal(model.conv1.weight[:, :, 0], mini(classes=9)["conv1.weight"])
    with pytest.raises(
        UserError,
        match=r"fc.weight has the shape \(9, 384\), .* \(5, 384\); head='drop'",
    ):
        load_weights(model, path)


def test_old_checkpoints_without_batch_counts_load(tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in mini().items() if "num_batches" not in name}
    model = load_weights(resnet_mini(num_classes=5), save(tmp_path / "old.pth", old))
    assert torch.equal(model.bn1.running_mean, old["bn1.running_mean"])


def broken(change: str) -> object:
    weights = mini()
    if change == "missing":
        del weights["layer2.1.bn2.weight"]
    elif change == "shape":
        weights["layer3.0.conv2.weight"] = torch.zeros(48, 48, 5, 5)
    elif change == "unknown":
        weights["layer2.2.conv1.weight"] = torch.zeros(1)
    elif change == "list":
        return [1, 2]
    elif change == "numbers":
        return {"epoch": 3}
    return weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "the checkpoint has no res3.blocks.1.bn2.weight"),
        (
            "shape",
            r"res4.blocks.0.conv2.weight has the shape \(48, 48, 1, 5, 5\), .* "
            r"wants \(48, 48, 1, 3, 3\)",
        ),
        ("unknown", "the model has no res3.blocks.2.conv1.weight"),
        ("list", "not a checkpoint: it must hold weights by name"),
        ("numbers", "not a checkpoint: it must hold weights by name"),
    ],
)
def test_what_does_not_fit_is_one_line_and_changes_nothing(
    tmp_path: Path, change: str, message: str
) -> None:
    model = resnet_mini(num_classes=5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=message) as error:
        load_weights(model, save(tmp_path / "broken.pth", broken(change)))
    assert "\n" not in str(error.value) and "broken.pth" in str(error.value)
    assert all(
        torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items()
    )


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must not run",))


def test_a_file_that_is_no_safe_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = resnet_mini()
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    save(tmp_path / "harmful.pth", {"conv1.weight": Harmful()})
    for name in ("text.pth", "empty.pth", "harmful.pth"):
        with pytest.raises(
            UserError, match=f"{name}: not a checkpoint that can be read safely"
        ):
            load_weights(model, tmp_path / name)
    assert "must not run" not in capsys.readouterr().out
    for name in ("nowhere.pth", "."):
        with pytest.raises(UserError, match="there is no such file"):
            load_weights(model, tmp_path / name)
    with pytest.raises(UserError, match="allowed are keep, drop"):
        load_weights(model, tmp_path / "text.pth", head="new")  # type: ignore[arg-type]


def mfnet_checkpoint(classes: int) -> dict[str, Tensor]:
    """Make random weights with the names and shapes of MFNet's published
    checkpoints.
    """
    torch.manual_seed(5)
    weights: dict[str, Tensor] = {}

    def norm(name: str, channels: int) -> None:
        for part, tensor in (
            ("weight", torch.rand(channels) + 0.5),
            ("bias", torch.randn(channels) * 0.1),
        ):
            weights[f"module.{name}.{part}"] = tensor
        weights[f"module.{name}.running_mean"] = torch.randn(channels) * 0.1
        weights[f"module.{name}.running_var"] = torch.rand(channels) + 0.5

    def conv(name: str, out: int, inp: int, kernel: tuple[int, int, int]) -> None:
        weights[f"module.{name}.weight"] = (
            torch.randn(out, inp, *kernel) * (inp * kernel[1] ** 2) ** -0.5
        )

    conv("conv1.conv", 16, 3, (3, 5, 5))
    norm("conv1.bn", 16)
    channels = 16
    for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)):
        out = 96 * 2 ** (stage - 2)
        for unit in range(1, count + 1):
            at, first = f"conv{stage}.B{unit:02}", unit == 1
            layers = [
                ("conv_i1", out // 4, channels, (1, 1, 1)),
                ("conv_i2", channels, out // 4, (1, 1, 1)),
            ]
            layers += [("conv_m1", out, channels // 16, (3, 3, 3))]
            layers += [
                ("conv_m2", out, out, (1, 1, 1))
                if first
                else ("conv_m2", out, out // 16, (1, 3, 3))
            ]
            layers += [("conv_w1", out, channels, (1, 1, 1))] if first else []
            before = {"conv_i2": out // 4, "conv_m2": out}
            for name, *shape in layers:
                norm(f"{at}.{name}.bn", before.get(name, channels))
                conv(f"{at}.{name}.conv", *shape)  # type: ignore[arg-type]
            channels = out
    norm("tail.bn", 768)
    weights["module.classifier.weight"] = torch.randn(classes, 768) * 0.05
    weights["module.classifier.bias"] = torch.randn(classes)
    return weights


def mfnet_forward(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """MFNet on clips, written from the checkpoint's names alone."""

    def norm(name: str, y: Tensor) -> Tensor:
        parts = (
            weights[f"module.{name}.{p}"]
            for p in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(y, *parts).relu()

    def conv(name: str, y: Tensor, stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
        weight = weights[f"module.{name}.weight"]
        padding, groups = (
            [k // 2 for k in weight.shape[2:]],
            y.shape[1] // weight.shape[1],
        )
        return F.conv3d(y, weight, None, stride, padding, groups=groups)

    x = norm("conv1.bn", conv("conv1.conv", x, (1, 2, 2)))
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)):
        for unit in range(1, count + 1):
            at = f"conv{stage}.B{unit:02}"
            stride = (1, 1, 1) if unit > 1 else (2, 1, 1) if stage == 2 else (1, 2, 2)

            def layer(
                name: str,
                y: Tensor,
                stride: tuple[int, int, int] = (1, 1, 1),
                at: str = at,
            ) -> Tensor:
                return conv(f"{at}.{name}.conv", norm(f"{at}.{name}.bn", y), stride)

            y = x + layer("conv_i2", layer("conv_i1", x))
            y = layer("conv_m2", layer("conv_m1", y, stride))
            x = y + (layer("conv_w1", x, stride) if unit == 1 else x)
    x = norm("tail.bn", x).mean(dim=(2, 3, 4))
    return F.linear(
        x, weights["module.classifier.weight"], weights["module.classifier.bias"]
    )


def test_mfnet_s_checkpoint_gives_mfnet_s_scores(tmp_path: Path) -> None:
    weights = mfnet_checkpoint(classes=11)
    path = save(
        tmp_path / "mfnet.pth",
        {"epoch": 1, "state_dict": weights, "optimizer": {"state": {}}},
    )
    model = load_weights(mfnet(num_classes=11), path).eval()
    untouched = [n for n in model.state_dict() if not n.endswith("num_batches_tracked")]
    assert len(untouched) == len(weights)
    x = torch.randn(1, 3, 4, 64, 64)
    with torch.no_grad():
        expected = mfnet_forward(weights, x)
        torch.testing.assert_close(
            model(x), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
        )
    target = place(mfnet(num_classes=5), {"conv4": (5,)}, nn.BatchNorm3d)
    own = target.fc.weight.clone()
    load_weights(target, path, head="drop")
    assert torch.equal(target.fc.weight, own)
    assert torch.equal(target.bn5.bias, weights["module.tail.bn.bias"])


def test_imagenet_s_weights_give_c2d_the_scores_of_pooled_frames(
    tmp_path: Path,
) -> None:
    weights = checkpoint(R50, 64, 7, 11)
    c2d = load_weights(
        resnet50(num_classes=11, temporal="pool"), save(tmp_path / "r50.pth", weights)
    ).eval()
    still = torch.randn(1, 3, 1, 48, 48).expand(
        -1, -1, 8, -1, -1
    )  # equal frames: pooling time is no change
    with torch.no_grad():
        expected = forward_2d(weights, still[:, :, 0])
        torch.testing.assert_close(
            c2d(still), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
        )


def slowfast_checkpoint(classes: int) -> list[tuple[str, str, str, Tensor]]:
    """Make SlowFast-R50's weights, each with its name in PySlowFast, in PyTorchVideo,
    and here.
    """
    torch.manual_seed(6)
    entries: list[tuple[str, str, str, Tensor]] = []

    def conv(names: tuple[str, str, str], *shape: int) -> None:
        theirs, other, ours = (f"{name}.weight" for name in names)
        entries.append((theirs, other, ours, torch.randn(shape)))

    def norm(names: tuple[str, str, str], channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            theirs, other, ours = (f"{name}.{part}" for name in names)
            entries.append((theirs, other, ours, torch.rand(channels)))

    for p, path, width, extent, length in (
        (0, "slow", 64, 1, (1, 1, 3, 3)),
        (1, "fast", 8, 5, (3, 3, 3, 3)),
    ):
        stem, video = f"s1.pathway{p}_stem", f"blocks.0.multipathway_blocks.{p}"
        conv((f"{stem}.conv", f"{video}.conv", f"{path}.conv1"), width, 3, extent, 7, 7)
        norm((f"{stem}.bn", f"{video}.norm", f"{path}.bn1"), width)
        channels = width
        for n, count in enumerate((3, 4, 6, 3)):
            inner, inp = width * 2**n, channels + (channels // 4 if p == 0 else 0)
            for i in range(count):
                s = f"s{n + 2}.pathway{p}_res{i}"
                v = f"blocks.{n + 1}.multipathway_blocks.{p}.res_blocks.{i}"
                o = f"{path}.res{n + 2}.blocks.{i}"
                if i == 0:
                    names = (f"{s}.branch1", f"{v}.branch1_conv", f"{o}.downsample.0")
                    conv(names, 4 * inner, inp, 1, 1, 1)
                    norm(
                        (f"{s}.branch1_bn", f"{v}.branch1_norm", f"{o}.downsample.1"),
                        4 * inner,
                    )
                shapes = (
                    (inner, inp, length[n], 1, 1),
                    (inner, inner, 1, 3, 3),
                    (4 * inner, inner, 1, 1, 1),
                )
                for number, (letter, shape) in enumerate(
                    zip("abc", shapes, strict=True), start=1
                ):
                    b, w = f"{s}.branch2.{letter}", f"{v}.branch2"
                    conv((b, f"{w}.conv_{letter}", f"{o}.conv{number}"), *shape)
                    norm((f"{b}_bn", f"{w}.norm_{letter}", f"{o}.bn{number}"), shape[0])
                inp = 4 * inner
            channels = 4 * inner
    for n, channels in enumerate((8, 32, 64, 128)):
        s, v, o = f"s{n + 1}_fuse", f"blocks.{n}.multipathway_fusion", f"lateral.{n}"
        conv(
            (f"{s}.conv_f2s", f"{v}.conv_fast_to_slow", f"{o}.conv"),
            2 * channels,
            channels,
            7,
            1,
            1,
        )
        norm((f"{s}.bn", f"{v}.norm", f"{o}.bn"), 2 * channels)
    for part, tensor in (
        ("weight", torch.randn(classes, 2304)),
        ("bias", torch.randn(classes)),
    ):
        entries.append(
            (f"head.projection.{part}", f"blocks.6.proj.{part}", f"fc.{part}", tensor)
        )
    return entries


def test_slowfast_s_checkpoints_arrive_tensor_by_tensor(tmp_path: Path) -> None:
    entries = slowfast_checkpoint(classes=7)
    assert entries[0][0] == "s1.pathway0_stem.conv.weight"
    for which, prefix in ((0, ""), (1, ""), (0, "module.")):
        weights = {prefix + names[which]: names[3] for names in entries}
        assert len(weights) == len(entries)
        file = {
            "epoch": 196,
            "model_state": weights,
            "optimizer_state": {"state": {}},
            "cfg": "TRAIN:",
        }
        path = save(tmp_path / "slowfast.pyth", file)
        model = place(
            slowfast50(num_classes=7),
            {"slow.res3": (1,), "fast.res4": (2,)},
            nn.BatchNorm3d,
        )
        for placed in (model.slow.res3.placed["1"], model.fast.res4.placed["2"]):
            nn.init.normal_(placed.weight)
        own = [
            model.slow.res3.placed["1"].weight.clone(),
            model.fast.res4.placed["2"].weight.clone(),
        ]
        state = load_weights(model, path).state_dict()
        assert torch.equal(state["slow.res3.placed.1.weight"], own[0])
        assert torch.equal(state["fast.res4.placed.2.weight"], own[1])
        for *_, ours, tensor in entries:
            assert torch.equal(state.pop(ours), tensor), ours
        assert all(
            ".placed." in name or name.endswith("num_batches_tracked") for name in state
        )
        path.unlink()
