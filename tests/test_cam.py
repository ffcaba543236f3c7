"""Class activation maps add up to the score; the figures by the data of their
artists.
"""

import numpy as np
import pytest
import torch
from torch import nn

from vidattn import figures
from vidattn.backbones import mfnet_mini, resnet_mini
from vidattn.backbones.place import insertion, place
from vidattn.blocks import make_block
from vidattn.errors import UserError

MAKERS = {"resnet": (resnet_mini, "res3"), "mfnet": (mfnet_mini, "conv3")}


def network(
    backbone: str = "resnet", kind: str = "recurrent_crisscross", **options
) -> tuple[nn.Module, nn.Module]:
    make, stage = MAKERS[backbone]
    torch.manual_seed(0)
    model = place(
        make(num_classes=3, dropout=0.5), {stage: (1,)}, make_block(kind, **options)
    )
    block = insertion(model, stage, 1)
    for parameter in (*block.parameters(), model.fc.bias):
        nn.init.normal_(
            parameter, std=0.2
        )  # never the identity, and a bias that would be missed
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.running_mean.normal_(std=0.1)
    return model.train(), block


def clip() -> torch.Tensor:
    return torch.randn(1, 3, 3, 24, 20, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backbone", MAKERS)
@pytest.mark.parametrize("kind", ["recurrent_crisscross", "nonlocal"])
@pytest.mark.parametrize("label", [0, 2])
def test_the_mean_of_the_map_and_the_bias_are_the_score(backbone, kind, label):
    model, _ = network(backbone, kind)
    model, x = model.double(), clip().double()
    maps = figures.activation_maps(model, x, label)
    assert model.training  # as it was found
    with torch.no_grad():
        features, scores = model.eval().features(x), model(x)
    assert maps.shape == features.shape[2:] and not maps.requires_grad
    assert maps.std() > 1e-3  # a map of one value would pass the next line, too
    assert abs(maps.mean() + model.fc.bias[label] - scores[0, label]).item() < 1e-12


def test_a_map_is_local():
    """Where the last features are changed there the map changes, by the weights of the
    class.
    """
    model, _ = network()
    before, step = figures.activation_maps(model, clip(), 1), torch.zeros(1)

    class Shifted(type(model)):
        def features(self, x):
            y = super().features(x)
            y[0, 5, 2, 1, 0] += step[0]
            return y

    model.__class__, step[0] = Shifted, 3.0
    change = figures.activation_maps(model, clip(), 1) - before
    assert abs(change[2, 1, 0] - 3.0 * model.fc.weight[1, 5]) < 1e-5
    change[2, 1, 0] = 0
    assert not change.any()


def test_what_has_no_such_end_is_refused():
    model, _ = network()
    with pytest.raises(
        UserError,
        match="Linear does not end in `features`, their mean and a linear `fc`",
    ):
        figures.activation_maps(nn.Linear(3, 3), clip(), 0)
    with pytest.raises(UserError, match="there is no class 3: allowed are 0 to 2"):
        figures.activation_maps(model, clip(), 3)
    with pytest.raises(UserError, match="there is no class -1"):
        figures.activation_maps(model, clip(), -1)
    with pytest.raises(
        UserError, match=r"one clip \(1, 3, T, H, W\), not of \(2, 3, 3, 24, 20\)"
    ):
        figures.activation_maps(model, clip().repeat(2, 1, 1, 1, 1), 0)
    model.fc = nn.Sequential(model.fc)
    with pytest.raises(UserError, match="does not end in"):
        figures.activation_maps(model, clip(), 0)


@pytest.mark.parametrize("kind", ["recurrent_crisscross", "cbam", "nonlocal"])
def test_in_and_out_are_those_of_the_block_in_evaluation_mode(kind):
    model, block = network(kind=kind)
    seen = []
    handle = block.register_forward_hook(
        lambda _, given, out: seen.extend((given[0], out))
    )
    with torch.no_grad():
        model.eval()(clip())
    handle.remove()
    x, z = figures.in_and_out(model.train(), block, clip())
    assert model.training and block.training
    assert torch.equal(x, seen[0]) and torch.allclose(z, seen[1], atol=1e-6)
    assert not torch.allclose(x, z, atol=1e-3)


def test_in_and_out_of_a_stranger():
    with pytest.raises(UserError, match="does not reach this Linear"):
        figures.in_and_out(network()[0], nn.Linear(1, 1), clip())


def test_channels_before_and_after_share_a_scale():
    x, z = torch.rand(6, 3, 4, 5), 10 + torch.rand(6, 3, 4, 5)
    axes = np.array(figures.show_channels(x, z, [4, 1]).axes).reshape(4, 3)
    for row, (channel, part) in enumerate([(4, x), (4, z), (1, x), (1, z)]):
        for t, axis in enumerate(axes[row]):
            image = axis.images[0]
            assert np.array_equal(image.get_array(), part[channel, t].double())
            assert image.get_clim() == (
                float(x[channel].min()),
                float(z[channel].max()),
            )
    assert [axis.get_ylabel() for axis in axes[:, 0]] == [
        "4 in",
        "4 out",
        "1 in",
        "1 out",
    ]


def test_activation_is_drawn_with_its_sign():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    maps = torch.tensor([[[4.0, -2.0]], [[0.0, 1.0]]])
    figure = figures.show_activation(
        frames, [maps, -8 * maps, 0 * maps], ["a", "b", "c"]
    )
    axes = np.array(figure.axes).reshape(3, 2)
    for row, sign in zip(axes, (1, -1, 0), strict=True):
        for t, axis in enumerate(row):
            heat = axis.images[1]
            assert np.allclose(heat.get_array(), sign * maps[t] / 4)
            assert np.allclose(heat.get_alpha(), 0.9 * abs(sign * maps[t]) / 4)
            assert heat.get_clim() == (-1, 1)
    assert [row[0].get_ylabel() for row in axes] == ["a", "b", "c"]
    with pytest.raises(UserError, match="a map over 2 frames does not fit a clip of 3"):
        figures.show_activation(np.zeros((3, 8, 8, 3), np.uint8), [maps])
    with pytest.raises(UserError, match="1 rows need 1 titles, not 2"):
        figures.show_activation(frames, [maps], ["a", "b"])
