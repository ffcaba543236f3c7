"""Broken videos through the loader with two workers: one report each, no crash, no
hang.
"""

import os
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Subset

from notebooks.full.datasets.check import Complaints, survive
from tests.video.layouts import FRAMES, encode, pixels, put
from vidattn.training.evaluate import loader
from vidattn.video.datasets import VideoDataset
from vidattn.video.decode import VideoError, read_frames, write_video
from vidattn.video.index import Clip, Clips
from vidattn.video.sample import Sampling


def muxed(
    path: Path, codec: str = "libx264", first: int = 0, **container: object
) -> bytes:
    """Writes a clip whose first timestamp is at frame `first`, and returns its
    bytes.
    """
    with av.open(str(path), "w", **container) as output:
        stream = output.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.time_base = Fraction(1, 12)
        for t, image in enumerate(pixels()):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = t + first, Fraction(1, 12)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path.read_bytes()


def shortened(path: Path, data: bytes, share: float) -> None:
    path.write_bytes(data[: int(len(data) * share)])


def promised(data: bytes, number: int) -> bytes:
    """Raises the number of frames in an mp4's table of times."""
    place = data.index(b"stts") + 12
    return data[:place] + number.to_bytes(4, "big") + data[place + 4 :]


def sound(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())


def frames_but(path: Path, spoil: Callable[[Path], object]) -> None:
    put(path)
    spoil(path)


def bad_videos(folder: Path) -> list[str]:
    """Makes twenty kinds of broken video that can be detected, five of each."""
    whole = {
        "plain.mp4": muxed(folder / "plain.mp4"),
        "start.mp4": muxed(
            folder / "start.mp4", container_options={"movflags": "faststart"}
        ),
        "a.mkv": muxed(folder / "a.mkv"),
        "a.flv": muxed(folder / "a.flv"),
        "a.ts": muxed(folder / "a.ts", format="mpegts"),
        "live.mkv": muxed(folder / "live.mkv", container_options={"live": "1"}),
    }
    for name, codec in (("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")):
        encode(folder / name, codec)
        whole[name] = (folder / name).read_bytes()
    plain = whole["plain.mp4"]
    holes = {share: bytearray(plain) for share in (0.2, 0.3, 0.4, 0.5, 0.6)}
    for share, data in holes.items():
        start = int(share * len(data))
        data[start : start + len(data) // 10] = bytes(len(data) // 10)
    makers: dict[str, Callable[[Path, float], object]] = {
        "empty.mp4": lambda path, share: path.touch(),
        "empty.webm": lambda path, share: path.touch(),
        "text.avi": lambda path, share: path.write_text(
            "words, not pictures\n" * int(100 * share)
        ),
        "sound.mp4": lambda path, share: sound(path),
        "header.mp4": lambda path, share: path.write_bytes(
            plain[: plain.index(b"moov") - 4]
        ),
        "hole.mp4": lambda path, share: path.write_bytes(holes[share]),
        "more.mp4": lambda path, share: path.write_bytes(
            promised(plain, int(2e9 * (1 + share)))
        ),
        "blank": lambda path, share: frames_but(
            path, lambda p: (p / "00002.jpg").write_bytes(b"")
        ),
        "edit.mp4": lambda path, share: muxed(path, first=-int(10 * share)),
        "stream.ts": lambda path, share: path.write_bytes(whole["a.ts"]),
        "live.mkv": lambda path, share: path.write_bytes(whole["live.mkv"]),
        "gap": lambda path, share: frames_but(
            path, lambda p: (p / f"{int(share * 10):05d}.jpg").unlink()
        ),
        "none": lambda path, share: path.mkdir(),
        "other": lambda path, share: frames_but(
            path, lambda p: Image.new("RGB", (30, 30)).save(p / "00005.jpg")
        ),
        "jpeg": lambda path, share: frames_but(
            path,
            lambda p: shortened(p / "00012.jpg", (p / "00012.jpg").read_bytes(), share),
        ),
    }
    for name in ("start.mp4", "a.mkv", "a.webm", "a.avi", "a.flv"):
        makers[f"cut_{name}"] = lambda path, share, data=whole[name]: shortened(
            path, data, share
        )
    paths = []
    for name, make in makers.items():
        for number, share in enumerate(holes):
            path = folder / f"{number}_{name}"
            make(path, share)
            paths.append(str(path))
    return paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    made = bad_videos(tmp_path_factory.mktemp("bad"))
    assert len(made) == 100
    return made


def test_a_hundred_bad_videos_are_a_hundred_complaints(
    paths: list[str], tmp_path: Path
) -> None:
    write_video(tmp_path / "good.mp4", pixels())
    put(tmp_path / "good")
    some = [str(tmp_path / "good.mp4"), *paths, str(tmp_path / "good")]
    first, *complaints, last = survive(Complaints(some), workers=2)
    assert first == last == ""
    silent = [
        path for path, complaint in zip(paths, complaints, strict=True) if not complaint
    ]
    assert not silent and not any(
        "ends or hangs" in complaint for complaint in complaints
    )
    assert not any(
        "\n" in complaint or path in complaint.split(": ")[0]
        for path, complaint in zip(paths, complaints, strict=True)
    )


class Deadly(Complaints):
    """Texts; some end their process, and one takes long."""

    def __getitem__(self, index: int) -> str:
        path = self.paths[index]
        if path == "ends":
            os.abort()
        time.sleep(3600 if path == "hangs" else 0)
        return path


@pytest.mark.parametrize(("words", "timeout"), [(["a", "ends"], 600), (["hangs"], 5)])
def test_a_process_that_ends_or_hangs_is_reported(
    words: list[str], timeout: float
) -> None:
    *said, last = survive(Deadly(words), workers=1, timeout=timeout)
    assert (
        said == words[:-1]
        and last.startswith("ends or hangs the decoder (")
        and "\n" not in last
    )


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_the_rest_goes_on_behind_it(
    monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """A loader that works ahead dies of an item before it has delivered the ones in
    front of it.
    """

    widths = []

    def fake(part: Subset, **_: object) -> Iterator[str]:
        widths.append(len(part))
        items = [part[number] for number in range(len(part))]
        for number, item in enumerate(items):
            if "ends" in items[number : number + 1 + ahead]:
                raise RuntimeError("worker exited\nunexpectedly")
            yield item

    monkeypatch.setattr("notebooks.full.datasets.check.DataLoader", fake)
    monkeypatch.setattr(Deadly, "__getitem__", lambda self, index: self.paths[index])
    words = ["ends", "a", "b", "c", "ends", "ends", "d", "e", "ends"]
    gone = "ends or hangs the decoder (worker exited)"
    assert list(survive(Deadly(words))) == [
        gone if word == "ends" else word for word in words
    ]
    # All that is left, and one alone only where a process was lost.
    if ahead < 2:
        assert (
            widths
            == [[9, 1, 8, 1, 4, 1, 3, 1], [9, 1, 8, 1, 5, 1, 4, 1, 3, 1, 1, 1]][ahead]
        )


def test_what_a_check_cannot_see(tmp_path: Path) -> None:
    """The documented limits: should one of these fail one day, strike it from the
    lists.
    """
    whole = muxed(tmp_path / "a.mp4")
    video = read_frames(tmp_path / "a.mp4", range)
    flipped = bytearray(whole)
    for place in np.random.default_rng(1).integers(len(whole) // 4, len(whole) // 2, 8):
        flipped[place] ^= 0xFF
    (tmp_path / "a.mp4").write_bytes(flipped)
    put(tmp_path / "frames")
    images = read_frames(tmp_path / "frames", range)
    frame = tmp_path / "frames" / "00003.jpg"
    data = bytearray(frame.read_bytes())
    data[len(data) // 2] ^= 0x55
    frame.write_bytes(data)
    paths = [str(tmp_path / name) for name in ("a.mp4", "frames")]
    assert [Complaints(paths)[index] for index in range(2)] == ["", ""]
    assert (read_frames(paths[0], range) != video).any() and (
        read_frames(paths[1], range) != images
    ).any()


def test_a_hundred_bad_videos_through_the_training_loader(paths: list[str]) -> None:
    """The loader goes on behind each of them, and each error names its file."""
    videos = Clips([Clip(path, 0, "", "") for path in paths], ("a",), [])
    sampling = Sampling(frames=FRAMES, size=16, resize=16)
    data = VideoDataset(videos, sampling, train=True)
    clips, said = iter(loader(data, workers=2, batch_size=None, shuffle=False)), []
    for _ in paths:
        with pytest.raises(VideoError) as caught:
            next(clips)
        said.append(str(caught.value))
    with pytest.raises(StopIteration):
        next(clips)
    for path, line in zip(paths, said, strict=True):
        assert line.startswith(path + ": ") and "\n" not in line
