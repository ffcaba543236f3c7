"""What a feature of a network sees, by hand and by derivative."""

import numpy as np
import pytest
import torch
from torch import nn

from notebooks.kit import seen
from notebooks.kit.drawings.clips import Seen
from notebooks.kit.seen import Window
from vidattn.backbones import BACKBONES, insertion, place
from vidattn.video.synthetic import SyntheticSpec


def test_the_window_is_that_of_kernels_and_strides():
    layers = nn.Sequential(
        nn.Conv3d(3, 2, (3, 5, 5), stride=(1, 2, 2)),  # 3 frames, 5 pixels
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),  # 5 + 2 * 2
        nn.Conv3d(2, 2, 3),  # 9 + 2 * 4
    )
    assert seen.window(layers) == Window(frames=5, pixels=17, step=4)
    assert seen.window(layers, layers[1]) == Window(frames=3, pixels=5, step=2)


@pytest.mark.parametrize("temporal", ["none", "tsm"])
def test_the_window_is_where_the_derivative_is_not_zero(temporal):
    torch.manual_seed(0)
    network = BACKBONES["resnet_local"](temporal=temporal).double().eval()
    place(network, {"res3": (1,)}, lambda channels: nn.Identity())
    for before in (insertion(network, "res3", 1), None):
        found = seen.window(network, before)
        shape = (13, 8 * found.step, 16 * found.step)
        assert seen.window_by_derivative(network, before, shape) == found[:2]
    assert found.frames == (3 if temporal == "tsm" else 1)


def test_a_position_sees_a_mask_that_its_window_touches():
    mask = np.zeros((4, 12, 12), dtype=bool)
    mask[1, 2, 8] = True
    # Position 1 stands over pixel 4, and sees pixels 2 to 6.
    window = Window(frames=3, pixels=5, step=4)
    found = {tuple(at) for at in seen.positions_that_see(mask, window).tolist()}
    assert found == {(t, row, 2) for t in (0, 1, 2) for row in (0, 1)}


def test_ring_and_object_differ_in_three_coordinates_or_in_time_alone():
    window = Window(frames=3, pixels=7, step=4)
    for task, wanted in {"apart": 3, "aligned": 1}.items():
        spec = SyntheticSpec(task=task, clips=8, seed=43, size=40, frames=20, noise=0)
        clips = [Seen(spec, index, frames=10, crop=40) for index in range(8)]
        found = {seen.coordinates_between(clip, window) for clip in clips}
        assert found == {wanted}
        rings = (clip.cut(clip.scene.ring) for clip in clips)
        at = torch.cat([seen.positions_that_see(ring, window) for ring in rings])
        assert len(at) and (at < 10).all()  # the map of 10 x 10 x 10


def test_points_are_bright_in_the_range_of_both_features():
    x = torch.tensor([4.0, 5, 6, 7]).reshape(1, 1, 1, 2, 2)
    z = torch.tensor([10.0, 14, 8, 5]).reshape(1, 1, 1, 2, 2)  # the middle is 9
    assert seen.upper_halves(x, z) == (0.0, 0.5)


def test_a_position_counts_by_the_share_that_is_filled():
    mask = np.zeros((1, 2, 4), dtype=bool)
    mask[0, :, :3] = True  # all of the left position, half of the right one
    values = torch.tensor([[[3.0, 9.0]]])
    assert seen.mean_on(values, mask) == pytest.approx((3 + 9 / 2) / 1.5)
