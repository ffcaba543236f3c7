from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from vidattn.video import synthetic
from vidattn.video.decode import probe, read_frames
from vidattn.video.sample import sample
from vidattn.video.synthetic import (
    COLOURS,
    DIRECTIONS,
    REVERSED,
    SyntheticSpec,
    render,
    write_clips,
)

QUIET = SyntheticSpec(clips=60, seed=5, noise=0.0)
SIZES = SyntheticSpec(task="sizes", clips=60, seed=5, noise=0.0)
APART = SyntheticSpec(task="apart", clips=60, seed=5, noise=0.0, size=40, frames=20)
ALIGNED = SyntheticSpec(task="aligned", clips=60, seed=5, noise=0.0, size=40, frames=20)
PALETTE = np.array(list(COLOURS.values())) * 255


def centre(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(0)


def travelled(masks: np.ndarray) -> str:
    """The direction of a mask's centre, from its first to its last frame."""
    seen = np.flatnonzero(masks.any((1, 2)))
    row, column = centre(masks[seen[-1]]) - centre(masks[seen[0]])
    if abs(row) > abs(column):
        return "down" if row > 0 else "up"
    return "right" if column > 0 else "left"


def nearest_colour(pixels: np.ndarray) -> int:
    return int(np.linalg.norm(PALETTE - pixels.mean(0), axis=1).argmin())


def own_colour(scene: synthetic.Scene) -> int:
    """The colour of the target where nothing is in front of it: the ring's, unless it
    is hidden whole.
    """
    close = np.linalg.norm(scene.frames[scene.target][:, None] - PALETTE, axis=-1)
    return int(np.bincount(close.argmin(1), minlength=6).argmax())


@pytest.mark.parametrize(
    "spec", [QUIET, SIZES, APART, ALIGNED], ids=lambda spec: spec.task
)
def test_the_label_is_the_direction_of_the_object_that_has_the_rings_colour(
    spec: SyntheticSpec,
) -> None:
    for index in range(40):
        scene = render(spec, index)
        assert DIRECTIONS[scene.label] == travelled(scene.target)
        assert nearest_colour(scene.frames[scene.ring]) == own_colour(scene)


def test_apart_shares_no_line_and_no_plane_and_aligned_lines_along_time() -> None:
    found = {"apart": [], "aligned": []}  # type: ignore[var-annotated]
    for task in found:
        spec = SyntheticSpec(task=task, clips=60, seed=5, noise=0.0, size=40, frames=20)  # type: ignore[arg-type]
        for index in range(60):
            scene = render(spec, index)
            ring, target = np.argwhere(scene.ring), np.argwhere(scene.target)
            found[task].append(
                [
                    max(a.min() - b.max(), b.min() - a.max())
                    for a, b in zip(ring.T[1:], target.T[1:], strict=True)
                ]
            )
            # Four empty frames on either side, and the object is never cut off nor
            # hidden.
            assert set(ring[:, 0]) == {0, 1, 18, 19} and set(target[:, 0]) == set(
                range(6, 14)
            )
            size = scene.target.sum((1, 2))[6:14]
            assert size.min() > 0.7 * size.max()
            own = np.linalg.norm(
                scene.frames[scene.target][:, None] - PALETTE, axis=-1
            ).argmin(1)
            assert (own == nearest_colour(scene.frames[scene.ring])).mean() > 0.98
    # Pixels between ring and object, by rows and by columns; below 0 they overlap or,
    # at 6 or less, one window of 7 pixels sees both.
    assert np.min(found["apart"]) >= 5 and np.max(found["aligned"]) <= 6


def test_the_axis_is_the_class_and_either_way_along_it_occurs() -> None:
    spec = SyntheticSpec(task="axes", clips=40, seed=5, noise=0.0, distractors=2)
    ways = [
        (spec.classes[scene.label], travelled(scene.target))
        for scene in (render(spec, i) for i in range(40))
    ]
    horizontal, vertical = (
        {way for axis, way in ways if axis == name} for name in spec.classes
    )
    assert horizontal == {"left", "right"} and vertical == {"up", "down"}


def test_sizes_differ_and_tell_nothing() -> None:
    found = []
    for index in range(60):
        scene = render(SIZES, index)
        ring, target = (
            np.sqrt(mask.sum((1, 2)).max()) for mask in (scene.ring, scene.target)
        )
        found.append((ring, target))
        # The smaller object is in front: a small target is seen whole.
        if target < 8:
            close = np.linalg.norm(
                scene.frames[scene.target][:, None] - PALETTE, axis=-1
            ).argmin(1)
            assert (
                close == nearest_colour(scene.frames[scene.ring])
            ).mean() > 0.85  # its rim is mixed
    ring, target = np.array(found).T
    small, large = target < 8, target > 15
    assert 10 <= small.sum() <= 30 and 10 <= large.sum() <= 30  # a third each
    assert (
        ring[small].min() > ring[~small].min()
    )  # the ring has never the target's size
    assert {render(SIZES, i).label for i in np.flatnonzero(large)} == {0, 1, 2, 3}


def test_a_distractor_has_another_colour_and_another_direction() -> None:
    for index in range(40):
        scene = render(QUIET, index)
        ring = nearest_colour(scene.frames[scene.ring])
        close = np.linalg.norm(
            scene.frames[..., None, :] - PALETTE, axis=-1
        )  # (T, H, W, colours)
        objects = (close.min(-1) < 30) & ~scene.target
        objects[scene.ring.any((1, 2))] = False  # frames of the ring
        colours = close.argmin(-1)[objects]
        other = np.bincount(colours, minlength=6).argmax()
        assert other != ring
        moving = objects & (close.argmin(-1) == other)
        # The target may cover a part of the distractor: only whole views give its
        # direction.
        full = moving.sum((1, 2)) > 0.9 * moving.sum((1, 2)).max()
        if full.sum() >= 2:
            assert travelled(moving * full[:, None, None]) != DIRECTIONS[scene.label]


def test_ring_and_object_are_apart_in_time_and_place() -> None:
    gaps = []
    for index in range(60):
        scene = render(QUIET, index)
        assert not (scene.ring.any((1, 2)) & scene.target.any((1, 2))).any()
        ring = centre(scene.ring.any(0))
        gaps.append(
            min(
                np.linalg.norm(centre(mask) - ring)
                for mask in scene.target
                if mask.any()
            )
        )
    assert (
        np.mean(np.array(gaps) > QUIET.gap - 2) >= 0.95
    )  # where no place is far enough, the farthest is taken
    assert min(gaps) > 8


def test_a_reversed_clip_is_a_clip_of_the_opposite_class() -> None:
    for index in range(8):
        scene = render(QUIET, index)
        assert travelled(scene.target[::-1]) == REVERSED[DIRECTIONS[scene.label]]
        np.testing.assert_array_equal(scene.ring, scene.ring[::-1])
        assert np.array_equal(scene.target.any((1, 2)), scene.target[::-1].any((1, 2)))


def test_eight_sampled_frames_show_ring_and_motion_and_are_symmetric() -> None:
    chosen = sample("uniform", QUIET.frames, 8)[0]
    np.testing.assert_array_equal(chosen, QUIET.frames - 1 - chosen[::-1])
    scene = render(QUIET, 3)
    assert scene.ring[chosen].any((1, 2)).tolist() == [
        True,
        True,
        False,
        False,
        False,
        False,
        True,
        True,
    ]
    assert scene.target[chosen].any((1, 2)).tolist() == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "task, distractors",
    [
        ("cue", 1),
        ("cue", 3),
        ("sizes", 2),
        ("axes", 1),
        ("apart", 1),
        ("aligned", 3),
        ("lone", 0),
        ("colours", 0),
        ("ways", 0),
    ],
)
def test_classes_are_balanced_and_clips_are_decided_by_the_description(
    task: str, distractors: int
) -> None:
    spec = SyntheticSpec(task=task, clips=48, seed=1, distractors=distractors)  # type: ignore[arg-type]
    labels = [render(spec, index).label for index in range(48)]
    each = len(spec.classes)
    least, more = divmod(48, each)
    assert (
        sorted(np.bincount(labels, minlength=each))
        == [least] * (each - more) + [least + 1] * more
    )
    np.testing.assert_array_equal(render(spec, 7).frames, render(spec, 7).frames)
    other = spec.model_copy(update={"seed": 2})
    assert not np.array_equal(render(spec, 7).frames, render(other, 7).frames)


def test_a_lone_object_has_the_colour_and_direction_of_its_class() -> None:
    spec = SyntheticSpec(task="lone", clips=24, seed=4, noise=0.0, distractors=0)
    for index in range(24):
        scene = render(spec, index)
        colour = list(COLOURS)[nearest_colour(scene.frames[scene.target])]
        assert spec.classes[scene.label] == f"{colour} {travelled(scene.target)}"


def test_where_the_class_is_a_direction_each_has_several_colours() -> None:
    spec = SyntheticSpec(task="ways", clips=24, seed=4, noise=0.0, distractors=0)
    colours: dict[str, set[int]] = {name: set() for name in spec.classes}
    for index in range(24):
        scene = render(spec, index)
        assert not scene.ring.any() and spec.classes[scene.label] == travelled(
            scene.target
        )
        colours[spec.classes[scene.label]].add(
            nearest_colour(scene.frames[scene.target])
        )
    assert spec.classes == ("left", "right") and min(map(len, colours.values())) > 2


def test_where_the_class_is_a_colour_each_colour_goes_every_way() -> None:
    spec = SyntheticSpec(task="colours", clips=28, seed=4, noise=0.0, distractors=0)
    seen = set()
    for index in range(28):
        scene = render(spec, index)
        assert not scene.ring.any()
        if spec.classes[scene.label] == "nothing":
            assert (
                not scene.target.any()
                and np.ptp(scene.frames.astype(int), axis=0).max() == 0
            )
        else:
            colour = list(COLOURS)[nearest_colour(scene.frames[scene.target])]
            assert spec.classes[scene.label] == colour
            seen.add((colour, travelled(scene.target)))
    assert len(seen) == 24


def test_noise_has_the_stated_deviation() -> None:
    spec = SyntheticSpec(clips=1, seed=0, noise=0.05)
    clean, noisy = (
        render(spec.model_copy(update={"noise": n}), 0).frames.astype(float)
        for n in (0.0, 0.05)
    )
    assert (noisy - clean).std() / 255 == pytest.approx(0.05, rel=0.02)


def test_every_field_counts_in_the_key() -> None:
    base = {
        "task": "cue",
        "clips": 9,
        "seed": 1,
        "size": 48,
        "frames": 24,
        "noise": 0.1,
        "distractors": 1,
        "gap": 16.0,
    }
    changes = {
        "clips": 8,
        "seed": 2,
        "size": 50,
        "frames": 16,
        "noise": 0.2,
        "distractors": 2,
        "gap": 12.0,
        "alone": 0.5,
    }
    keys = {
        SyntheticSpec(**{**base, name: value}).key() for name, value in changes.items()
    }  # type: ignore[arg-type]
    keys.add(SyntheticSpec(**base).key())  # type: ignore[arg-type]
    assert len(keys) == len(changes) + 1


def test_clips_on_disk_keep_the_names_that_they_had() -> None:
    # As rendered before the field `alone` came, and after it.
    assert SyntheticSpec(clips=4, seed=2).key() == "5805bc5f33d04edd"
    assert SyntheticSpec(clips=4, seed=2, alone=0.5).key() == "3671239d65549335"


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 47},
        {"noise": -0.1},
        {"clips": 0},
        {"task": "colours"},
        {"task": "x"},
        {"n": 1},
    ],
)
def test_refusals(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SyntheticSpec(**{"clips": 4, "seed": 0, **wrong})  # type: ignore[arg-type]


def test_written_clips_decode_to_what_was_drawn_and_are_found_again(
    tmp_path: Path,
) -> None:
    spec = SyntheticSpec(clips=6, seed=8)
    folder = write_clips(spec, tmp_path)
    assert (folder / "index.csv").read_text().splitlines()[:3] == [
        "path,label",
        "00000.mp4,0",
        "00001.mp4,1",
    ]
    assert (folder / "classes.txt").read_text().split() == list(DIRECTIONS)
    for index in range(6):
        scene, path = render(spec, index), folder / f"{index:05d}.mp4"
        assert probe(path).frames == spec.frames
        decoded = read_frames(path, range)
        # The colours that decide the class survive H.264 and noise.
        assert nearest_colour(decoded[scene.ring]) == nearest_colour(
            scene.frames[scene.ring]
        )
        assert nearest_colour(decoded[scene.target]) == nearest_colour(
            scene.frames[scene.ring]
        )
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert write_clips(spec, tmp_path) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_set_that_was_not_finished_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, written = SyntheticSpec(clips=3, seed=8), synthetic.write_video
    calls = []

    def dies(path: Path, frames: np.ndarray) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        written(path, frames)

    monkeypatch.setattr(synthetic, "write_video", dies)
    with pytest.raises(KeyboardInterrupt):
        write_clips(spec, tmp_path)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len(list(write_clips(spec, tmp_path).glob("*.mp4"))) == 3
