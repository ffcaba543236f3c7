"""Augmentation: pixels followed by hand."""

import numpy as np
import pytest
import torch

from vidattn.video import augment

JITTER_SIDES = (256, 224, 192, 168)


def ramp(frames: int, height: int, width: int) -> torch.Tensor:
    """A clip whose channels are row, column and frame number."""
    axes = (torch.arange(frames), torch.arange(height), torch.arange(width))
    t, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([y, x, t], dim=-1).to(torch.uint8)


def corner(clip: torch.Tensor) -> tuple[int, int]:
    return int(clip[0, 0, 0, 0]), int(clip[0, 0, 0, 1])


def test_resize_keeps_the_proportion_and_the_mean():
    rng = np.random.default_rng(0)
    clip = torch.from_numpy(rng.integers(0, 256, (2, 60, 81, 3), dtype=np.uint8))
    assert augment.scale(clip, 30).shape == (2, 30, 40, 3)  # 40.5 rounds to even
    assert augment.scale(clip.transpose(1, 2), 30).shape == (2, 40, 30, 3)
    assert augment.scale(clip, 60) is clip
    assert augment.scale(clip, 120).shape == (2, 120, 162, 3)
    small = augment.resize(clip, 20, 27)
    assert (
        small.dtype == torch.uint8
        and abs(small.float().mean() - clip.float().mean()) < 1.5
    )


def test_resize_anti_aliases():
    stripes = torch.zeros(1, 8, 64, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    inner = augment.resize(stripes, 8, 16)[:, :, 2:-2].float()
    assert (
        inner - 127.5
    ).abs().max() < 20  # without anti-aliasing they would be 0 or 255 somewhere


def test_random_scale_draws_the_shorter_side_and_keeps_the_proportion():
    rng = np.random.default_rng(0)
    clip = torch.zeros(1, 60, 90, 3, dtype=torch.uint8)
    shapes = [augment.random_scale(clip, (28, 31), rng).shape[1:3] for _ in range(200)]
    assert set(shapes) == {(28, 42), (29, 44), (30, 45), (31, 47)}  # both ends
    tall = [
        augment.random_scale(clip.transpose(1, 2), (31, 28), rng).shape[1:3]
        for _ in range(100)
    ]
    assert set(tall) == {(b, a) for a, b in set(shapes)}
    square = augment.random_scale(clip, (30, 30), rng, shape=(256, 256))
    assert square.shape == (1, 30, 30, 3)


def test_random_scale_stretches_either_way():
    """MFNet: made square, broader or narrower by a factor whose square is the
    proportion.
    """
    rng = np.random.default_rng(0)
    clip = torch.zeros(1, 60, 90, 3, dtype=torch.uint8)
    shapes = [
        augment.random_scale(clip, (200, 200), rng, stretch=1.25, shape=(1, 1)).shape[
            1:3
        ]
        for _ in range(400)
    ]
    ratios = np.array([width / height for height, width in shapes])
    assert all(min(shape) == 200 for shape in shapes)
    assert 0.64 <= ratios.min() < 0.66 and 1.53 < ratios.max() <= 1.5626
    assert (
        abs((ratios > 1).mean() - 0.5) < 0.08
    )  # drawn evenly from 0.8 to 1.25 alone it would be 0.56


def test_crops_by_hand():
    clip = ramp(3, 10, 14)
    assert corner(augment.crop(clip, 2, 5, 4, 6)) == (2, 5)
    assert augment.crop(clip, 2, 5, 4, 6).shape == (3, 4, 6, 3)
    assert corner(augment.centre_crop(clip, 6)) == (2, 4)
    wide = augment.test_views(clip, 10, 3)
    assert wide.shape == (3, 3, 10, 10, 3) and [corner(view) for view in wide] == [
        (0, 0),
        (0, 2),
        (0, 4),
    ]
    tall = augment.test_views(ramp(3, 14, 10), 8, 3)
    assert [corner(view) for view in tall] == [(0, 1), (3, 1), (6, 1)]
    assert wide[1, :, 0, 0, 2].tolist() == [
        0,
        1,
        2,
    ]  # every frame at the same place, in order
    assert torch.equal(
        augment.test_views(clip, 6, 1), augment.centre_crop(clip, 6)[None]
    )
    ten = augment.test_views(clip, 6, 10)
    assert [corner(view) for view in ten[:5]] == [
        (0, 0),
        (0, 8),
        (4, 0),
        (4, 8),
        (2, 4),
    ]
    assert torch.equal(ten[5:], ten[:5].flip(-2))


@pytest.mark.parametrize(
    "cut",
    [
        lambda clip: augment.crop(clip, 0, 0, 11, 4),
        lambda clip: augment.crop(clip, -1, 0, 4, 4),
        lambda clip: augment.centre_crop(clip, 11),
        lambda clip: augment.test_views(clip, 11, 3),
        lambda clip: augment.random_crop(clip, 11, np.random.default_rng(0)),
    ],
)
def test_a_crop_outside_the_frame_is_refused(cut):
    with pytest.raises(ValueError, match=r"leaves a 10 x 14 frame"):
        cut(ramp(1, 10, 14))


def test_random_crop_reaches_every_place():
    rng = np.random.default_rng(0)
    clip = ramp(1, 6, 7)
    places = {corner(augment.random_crop(clip, 4, rng)) for _ in range(400)}
    assert places == {(y, x) for y in range(3) for x in range(4)}


def test_jittered_crop_takes_tsn_s_sizes_and_places(monkeypatch):
    taken = []
    whole = augment.crop

    def record(clip, top, left, height, width):
        taken.append((top, left, height, width))
        return whole(clip, top, left, height, width)

    monkeypatch.setattr(augment, "crop", record)
    rng = np.random.default_rng(0)
    clip = torch.zeros(1, 256, 340, 3, dtype=torch.uint8)
    for _ in range(1500):
        assert augment.jittered_crop(clip, 24, rng).shape == (1, 24, 24, 3)
    pairs = {(height, width) for _, _, height, width in taken}
    steps = {(i, j) for i in range(4) for j in range(4) if abs(i - j) <= 1}
    assert pairs == {(JITTER_SIDES[i], JITTER_SIDES[j]) for i, j in steps}
    places = {
        (top, left)
        for top, left, height, width in taken
        if (height, width) == (192, 192)
    }
    grid = {(y, x) for y in (0, 32, 64) for x in (0, 74, 148)}
    assert places == grid | {(y, x) for y in (16, 48) for x in (37, 111)}


def test_flip_mirrors_columns_only():
    clip = ramp(2, 3, 5)
    mirrored = augment.flip(clip)
    assert mirrored[0, 0, :, 1].tolist() == [4, 3, 2, 1, 0]
    assert torch.equal(mirrored[..., 0], clip[..., 0]) and torch.equal(
        mirrored[..., 2], clip[..., 2]
    )


def test_normalise_by_hand():
    clip = torch.zeros(4, 2, 3, 5, 3, dtype=torch.uint8)
    clip[1, 1, 2, 4] = torch.tensor([255, 51, 102])
    out = augment.normalise(clip)
    assert (
        out.shape == (4, 3, 2, 3, 5)
        and out.dtype == torch.float32
        and out.is_contiguous()
    )
    assert torch.allclose(
        out[0, :, 0, 0, 0],
        torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]),
    )
    expected = torch.tensor(
        [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0.4 - 0.406) / 0.225]
    )
    assert torch.allclose(out[1, :, 1, 2, 4], expected, atol=1e-6)
