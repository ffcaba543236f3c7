"""The data set: shapes, views, and randomness that knows neither workers nor order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vidattn.errors import UserError
from vidattn.video import augment
from vidattn.video.datasets import VideoDataset
from vidattn.video.decode import VideoError, read_frames, write_video
from vidattn.video.index import read_index
from vidattn.video.sample import Sampling

CLIPS, FRAMES = 6, 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Clips of noise whose brightness rises with time, 36 x 52 pixels."""
    path = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for number in range(CLIPS):
        clip = (
            rng.integers(0, 60, (FRAMES, 36, 52, 3))
            + 7 * np.arange(FRAMES)[:, None, None, None]
        )
        write_video(path / f"{number}.mp4", clip.astype(np.uint8))
    rows = "".join(f"{number}.mp4,{number % 3}\n" for number in range(CLIPS))
    (path / "index.csv").write_text("path,label\n" + rows)
    (path / "classes.txt").write_text("a\nb\nc\n")
    return path


def dataset(videos, *, train=False, seed=0, cache=False, **sampling) -> VideoDataset:
    how = Sampling(**sampling)
    return VideoDataset(videos, how, train=train, seed=seed, cache=cache)


def training(folder: Path, **options) -> VideoDataset:
    settings = dict(frames=4, size=16, resize=24, train=True, flip=True, seed=3)
    return dataset(read_index(folder), **{**settings, **options})


def test_shapes_labels_and_classes(folder):
    data = training(folder)
    assert (
        len(data) == CLIPS
        and data.classes == ("a", "b", "c")
        and data.labels == [0, 1, 2, 0, 1, 2]
    )
    clip, label = data[4]
    assert clip.shape == (3, 4, 16, 16) and clip.dtype == torch.float32 and label == 1
    views, label = dataset(
        read_index(folder), frames=4, size=16, resize=24, test_clips=2, test_crops=3
    )[5]
    assert views.shape == (6, 3, 4, 16, 16) and label == 2
    with pytest.raises(IndexError):
        data[6]


def test_evaluation_is_the_centre_of_the_middle_frames(folder):
    views, _ = dataset(read_index(folder), frames=8, size=36, resize=None)[1]
    frames = torch.from_numpy(
        read_frames(folder / "1.mp4", [1, 4, 7, 10, 13, 16, 19, 22])
    )
    assert torch.equal(views, augment.normalise(augment.centre_crop(frames, 36))[None])


def test_views_are_clips_then_crops(folder):
    options = dict(
        mode="dense",
        frames=4,
        stride=2,
        size=36,
        resize=None,
        test_clips=3,
        test_crops=3,
    )
    views, _ = dataset(read_index(folder), **options)[2]
    for clip, start in enumerate((0, 8, 17)):
        frames = torch.from_numpy(
            read_frames(folder / "2.mp4", start + 2 * np.arange(4))
        )
        for crop, left in enumerate((0, 8, 16)):
            expected = augment.normalise(augment.crop(frames, 0, left, 36, 36))
            assert torch.equal(views[3 * clip + crop], expected)


def test_training_depends_on_seed_epoch_and_index_only(folder):
    data = training(folder)
    first = [data[index][0] for index in range(CLIPS)]
    backwards = [training(folder)[index][0] for index in reversed(range(CLIPS))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, backwards, strict=True))
    data.set_epoch(1)
    assert not any(
        torch.equal(clip, data[index][0]) for index, clip in enumerate(first)
    )
    data.set_epoch(0)
    assert torch.equal(first[2], data[2][0])
    assert not torch.equal(first[2], training(folder, seed=4)[2][0])


def test_two_places_of_the_same_clip_differ(folder):
    (folder / "twice.csv").write_text("path,label\n0.mp4,0\n0.mp4,0\n")
    data = dataset(
        read_index(folder, "twice.csv"), frames=4, size=16, resize=24, train=True
    )
    assert not torch.equal(data[0][0], data[1][0])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_give_the_same(folder, method):
    data = training(folder)
    expected = torch.stack(
        [data[index][0] for index in range(CLIPS)]
    )  # decodes in the parent before forking
    loader = DataLoader(
        data, batch_size=2, num_workers=2, multiprocessing_context=method
    )
    assert torch.equal(torch.cat([clips for clips, _ in loader]), expected)


def test_lasting_workers_see_the_epoch(folder):
    data = training(folder)
    loader = DataLoader(data, batch_size=3, num_workers=2, persistent_workers=True)
    for epoch in range(3):
        data.set_epoch(epoch)
        seen = torch.cat([clips for clips, _ in loader])
        assert torch.equal(
            seen, torch.stack([data[index][0] for index in range(CLIPS)])
        ), epoch


def test_flip_and_jitter(folder):
    flipped = [
        training(folder, size=24, resize=24, flip=True, frames=24, seed=s)[0][0]
        for s in range(8)
    ]
    never = [
        training(folder, size=24, resize=24, flip=False, frames=24, seed=s)[0][0]
        for s in range(8)
    ]
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(flipped, never, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(flipped, never, strict=True)]
    assert (
        all(m != s for m, s in zip(mirrored, same, strict=True))
        and any(mirrored)
        and any(same)
    )
    assert not torch.equal(
        training(folder, jitter=True)[0][0], training(folder, jitter=False)[0][0]
    )


def test_a_class_that_tells_left_from_right_is_never_mirrored(folder):
    videos = read_index(folder)

    def mirrored(*classes: str) -> list[bool]:
        """Say of clips of these classes whether any of 8 seeds mirrors them."""
        options = dict(frames=1, size=36, resize=None, train=True)
        named = videos._replace(classes=classes)
        on, off = (
            [dataset(named, flip=flip, seed=seed, **options) for seed in range(8)]
            for flip in (True, False)
        )
        pairs = list(zip(on, off, strict=True))
        return [
            any(not torch.equal(a[index][0], b[index][0]) for a, b in pairs)
            for index in range(3)
        ]

    names = (
        "Pushing something from left to right",
        "Putting something upright",
        "Turning it RIGHT",
    )
    assert mirrored(*names) == [False, True, False]
    assert mirrored("leftovers", "bright", "a") == [True, True, True]
    with pytest.raises(
        UserError,
        match="10 crops mirror the views, but a class has the word left or right",
    ):
        dataset(videos._replace(classes=names), test_crops=10)


def test_a_height_and_a_width_change_the_proportions(folder):
    """GTA on Something-Something: 240 x 320 whatever the video's shape, then a crop."""
    views, _ = dataset(read_index(folder), frames=2, size=24, resize=(24, 32))[0]
    frames = torch.from_numpy(read_frames(folder / "0.mp4", [6, 17]))
    expected = augment.centre_crop(augment.resize(frames, 24, 32), 24)
    assert torch.equal(views, augment.normalise(expected)[None])


def test_training_draws_the_scale_and_a_test_does_not(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        augment,
        "random_scale",
        lambda clip, sides, rng, **options: (
            asked.append((sides, options)),
            augment.scale(clip, 30),
        )[1],
    )
    options = dict(frames=2, size=24, scales=(28, 34), stretch=1.25)
    for resize in ((32, 32), 32):
        clip, _ = dataset(read_index(folder), resize=resize, train=True, **options)[0]
        views, _ = dataset(read_index(folder), resize=resize, **options)[0]
        assert clip.shape == (3, 2, 24, 24) and views.shape == (1, 3, 2, 24, 24)
    assert asked == [
        ((28, 34), dict(stretch=1.25, shape=shape)) for shape in ((32, 32), None)
    ]


def test_ten_views_of_each_clip(folder):
    views, _ = dataset(
        read_index(folder), frames=4, size=24, resize=None, test_clips=2, test_crops=10
    )[0]
    assert views.shape == (20, 3, 4, 24, 24)
    assert torch.equal(views[5], views[0].flip(-1)) and torch.equal(
        views[19], views[14].flip(-1)
    )


def test_cache_decodes_once_and_changes_nothing(folder, monkeypatch):
    calls = []

    def counted(path, indices):
        calls.append(path)
        return read_frames(path, indices)

    plain = [training(folder)[index][0] for index in range(CLIPS)]
    monkeypatch.setattr("vidattn.video.datasets.read_frames", counted)
    data = training(folder, cache=True)
    for _ in range(2):
        assert all(torch.equal(data[index][0], plain[index]) for index in range(CLIPS))
    assert len(calls) == CLIPS


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_clip_is_named(folder, tmp_path, workers):
    (tmp_path / "bad.mp4").write_bytes((folder / "0.mp4").read_bytes()[:900])
    (tmp_path / "index.csv").write_text("path,label\nbad.mp4,0\n")
    loader = DataLoader(
        dataset(read_index(tmp_path), size=16, resize=16), num_workers=workers
    )
    with pytest.raises(VideoError, match=r"bad\.mp4: cut off"):
        next(iter(loader))
