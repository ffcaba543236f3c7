"""Frames from a video file, or from a folder of numbered JPEG frames, and back: decord
reads, PyAV writes.

A reader is opened inside the call and never kept, because a decord reader that was
opened in a parent process hangs in a forked data-loading worker and cannot be pickled
for a spawned one.

Frames are decoded one after the other from the first. decord can seek, but a seek
returns wrong frames without a word in AVI with B-frames, FLV, MPEG program streams,
open groups of pictures and periodic intra refresh; decoding in order equals PyAV bit
for bit in all of them, and costs about 1.5 times as much for 8 frames of a ten-second
clip.

Every fault that decord reports is a `VideoError`, and so are these, which it passes
over by default:

- a first timestamp below zero (an edit list): decord delivers frames that should not be
  shown, and repeats others;
- frames that could not be decoded, in whose place decord repeats the nearest one (its
  fault tolerance is set to none);
- an mp4, Matroska, WebM or AVI file that is shorter than its header promises;
- an MPEG transport stream: frame i of decord is not frame i;
- more frames promised than the file has bytes;
- fewer frames than promised; a folder of frames with a number missing.

Not detected, so check the files themselves where it matters (`ffmpeg -v error -xerror
-i FILE -f null -`):

- damaged bytes inside a frame's data, which decode to a damaged picture, and to more of
  them up to the next key frame; damaged bytes inside a JPEG frame;
- damage to a Matroska or WebM file's structure in the middle of the file: what follows
  is lost, the video is shorter;
- a cut file of a container not named above: an MPEG program stream is a shorter video;
- damage behind the last frame asked for: what is not decoded is not checked (decoding
runs a little ahead);
- frames that the camera or an earlier encoder lost, repeated or dropped: a still scene
looks the same;
- a variable frame rate: frames are numbered, not timed;
- 10-bit video: decord's 8-bit colours differ from PyAV's (and a rotation flag turns the
  picture, as in a player, while PyAV delivers it as stored).
"""

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import decord
import numpy as np
from PIL import Image

from vidattn.errors import UserError
from vidattn.video.container import missing_bytes

decord.logging.set_level(decord.logging.QUIET)

# A share of the video's frames: one repaired frame is above it and is reported (0 would
# switch this off).
_NO_REPAIR = 1e-12
# An edit list shifts by seconds; where a container stores no timestamps, decord gives
# about -1e14 or less.
_OLDEST_TIMESTAMP = -1e6
FOLDER_FPS = 12.0

Indices = Sequence[int] | np.ndarray


class VideoError(UserError):
    """A video cannot be read as promised; `path` names it.

    The message is the only required argument, since a data loader rebuilds a worker's
    exception from its text alone; that text is the traceback, whose last line is the
    message.
    """

    def __init__(self, message: str, path: str | Path | None = None) -> None:
        super().__init__(message.rsplit("VideoError: ", 1)[-1].strip())
        self.path = None if path is None else str(path)


@dataclass(frozen=True)
class VideoInfo:
    """What a container promises: number of frames, frames per second, height and width
    in pixels.
    """

    frames: int
    fps: float
    height: int
    width: int


@contextmanager
def _named(path: str, shown: str = "") -> Iterator[None]:
    """Turns whatever the decoder raises into one line that names the file, or what of
    it is shown.
    """
    try:
        yield
    except VideoError:
        raise
    except StopIteration as error:
        raise VideoError(
            f"{path}: fewer frames delivered than promised", path
        ) from error
    except decord.DECORDLimitReachedError as error:
        raise VideoError(
            f"{path}: frames are missing, others are repeated instead", path
        ) from error
    except Exception as error:  # decord raises RuntimeError, DECORDError, IndexError ... for the same fault
        raise VideoError(
            f"{shown or path}: cannot be decoded: {_reason(error)}", path
        ) from error


def _reason(error: Exception) -> str:
    """Keeps the first line without the time and the place in decord's source that stand
    before it.
    """
    text = str(error).strip().splitlines()
    return (
        re.sub(r"\[[\d:]+\] \S+:\d+: ", "", text[0]) if text else type(error).__name__
    )


def _open(path: str) -> "decord.VideoReader":
    if not os.path.isfile(path):
        raise VideoError(f"{path}: no such video file or folder of frames", path)
    with _named(path):
        if os.path.getsize(path) == 0:
            raise VideoError(f"{path}: the file is empty", path)
        if missing := missing_bytes(path):
            raise VideoError(
                f"{path}: cut off, {missing} bytes are missing at its end", path
            )
        with av.open(path) as container:
            if container.format.name == "mpegts":
                raise VideoError(
                    f"{path}: MPEG transport streams are decoded wrongly; remux it to mp4",
                    path,
                )
            promised = max(
                (stream.frames for stream in container.streams.video), default=0
            )
        if promised > os.path.getsize(
            path
        ):  # decord takes memory for them all, and ends the process
            raise VideoError(f"{path}: promises {promised} frames in fewer bytes", path)
        # One thread: the same frames in the same order on every machine, and no fight
        # with the loader's workers.
        reader = decord.VideoReader(
            path, ctx=decord.cpu(0), num_threads=1, fault_tol=_NO_REPAIR
        )
        if len(reader) == 0:
            raise VideoError(f"{path}: holds no frame", path)
        first = float(reader.get_frame_timestamp(0)[0])
    if _OLDEST_TIMESTAMP < first < 0:
        raise VideoError(
            f"{path}: the first timestamp is {first:.3f} s, below zero (an edit list)",
            path,
        )
    return reader


def _numbered_frames(folder: str) -> list[str]:
    """Lists `1.jpg`, `00002.jpg` ... of a folder in the order of their numbers, none
    missing.
    """
    with _named(folder):
        images = [
            name
            for name in os.listdir(folder)
            if Path(name).suffix.lower() in (".jpg", ".jpeg")
        ]
    found = sorted(
        (int(Path(name).stem), name) for name in images if Path(name).stem.isdecimal()
    )
    if not found:
        raise VideoError(
            f"{folder}: holds no numbered JPEG frame (00001.jpg ...)", folder
        )
    for expected, (number, name) in enumerate(found, start=found[0][0]):
        if number != expected:
            raise VideoError(
                f"{folder}: frame number {expected} is missing (next is {name})", folder
            )
    return [os.path.join(folder, name) for _, name in found]


def _read_image(path: str, folder: str) -> np.ndarray:
    with (
        _named(folder, f"{folder}: {os.path.basename(path)}"),
        Image.open(path) as image,
    ):
        return np.asarray(image.convert("RGB"))


def probe(path: str | Path) -> VideoInfo:
    """Reads what the container promises.

    Args:
        path: a video file, or a folder of numbered JPEG frames.

    Returns:
        Number of frames, frames per second (12 for a folder, the rate of
        Something-Something V1), height and width.

    Raises:
        VideoError: the file cannot be opened, or breaks a promise that can be checked
            without decoding all of it.
    """
    name = str(path)
    if os.path.isdir(name):
        files = _numbered_frames(name)
        height, width = _read_image(files[0], name).shape[:2]
        return VideoInfo(len(files), FOLDER_FPS, height, width)
    reader = _open(name)
    with _named(name):
        height, width = reader.next().shape[:2]
        return VideoInfo(
            len(reader), float(reader.get_avg_fps()), int(height), int(width)
        )


def read_frames(
    path: str | Path, indices: Indices | Callable[[int], Indices]
) -> np.ndarray:
    """Decodes the frames at `indices`, which may repeat and stand in any order.

    Args:
        path: a video file, or a folder of numbered JPEG frames.
        indices: T frame numbers, counted from 0; or a function that gives them from the
            number of frames, so that the file is opened only once.

    Returns:
        uint8 array `(T, H, W, 3)`, RGB.

    Raises:
        VideoError: the file cannot be decoded, or breaks a promise that can be checked.
    """
    name = str(path)
    if os.path.isdir(name):
        files = _numbered_frames(name)
        wanted = _wanted(name, indices, len(files))
        frames = {index: _read_image(files[index], name) for index in set(wanted)}
    else:
        reader = _open(name)
        wanted = _wanted(name, indices, len(reader))
        with _named(name):
            frames = _decode(reader, set(wanted))
    if len({frame.shape for frame in frames.values()}) != 1:
        raise VideoError(f"{name}: the frames differ in size", name)
    return np.stack([frames[index] for index in wanted])


def _decode(reader: "decord.VideoReader", wanted: set[int]) -> dict[int, np.ndarray]:
    """Decodes every frame up to the last wanted one, in order, and copies the wanted
    ones.
    """
    frames = {}
    for index in range(max(wanted) + 1):
        frame = reader.next()
        if index in wanted:
            frames[index] = _without_padding(frame.asnumpy())
    return frames


def _without_padding(frame: np.ndarray) -> np.ndarray:
    """Drops the filler at the end of each row, which decord takes for more channels.

    It divides the length of a padded row by the width: at a width of 16, 24 or 48
    pixels that gives 6, 4 and 4 "channels", and the picture is sheared.
    """
    height, width, channels = frame.shape
    if channels == 3:
        return frame
    return frame.reshape(height, width * channels)[:, : 3 * width].reshape(
        height, width, 3
    )


def _wanted(
    name: str, indices: Indices | Callable[[int], Indices], total: int
) -> list[int]:
    """Resolves `indices` and refuses those outside the video."""
    wanted = [
        int(index) for index in (indices(total) if callable(indices) else indices)
    ]
    if not wanted:
        raise VideoError(f"{name}: no frame asked for", name)
    outside = [index for index in wanted if not 0 <= index < total]
    if outside:
        raise VideoError(
            f"{name}: frame {outside[0]} asked for, allowed are 0 to {total - 1}", name
        )
    return wanted


def write_video(
    path: str | Path, frames: np.ndarray, fps: float = 12.0, crf: int = 18
) -> None:
    """Writes an H.264 mp4 (yuv420p), under a temporary name first; the same frames give
    the same bytes.

    Args:
        path: where to write, ending in `.mp4`.
        frames: uint8 array `(T, H, W, 3)`, RGB; H and W even, since yuv420p halves both
            for the colours.
        fps: frames per second.
        crf: x264's constant rate factor, 0 (lossless up to the change of colour space)
            to 51.

    Raises:
        ValueError: the frames, the rate or the suffix cannot be written.
    """
    target = Path(path)
    if (
        frames.ndim != 4
        or frames.shape[-1] != 3
        or frames.dtype != np.uint8
        or 0 in frames.shape
    ):
        found = f"{frames.dtype} {frames.shape}"
        raise ValueError(
            f"frames must be a non-empty uint8 array (T, H, W, 3), not {found}"
        )
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise ValueError(
            f"yuv420p needs an even height and width, not {height} x {width}"
        )
    if fps <= 0 or not 0 <= crf <= 51:
        raise ValueError(
            f"fps must be above 0 and crf in 0 to 51, not fps={fps}, crf={crf}"
        )
    if target.suffix != ".mp4":
        raise ValueError(f"{target}: only .mp4 is written")
    temporary = target.with_name(
        f".{target.stem}.{os.getpid()}-{threading.get_ident()}.tmp"
    )
    try:
        # bitexact leaves dates and version strings out.
        with av.open(
            str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}
        ) as container:
            stream = container.add_stream(
                "libx264", rate=Fraction(fps).limit_denominator(1001)
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # Any reader can seek in it: a key frame every 12 frames, and no B-frames.
            stream.options = dict(crf=str(crf), g="12", bf="0", threads="1")
            for image in frames:
                frame = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(image), format="rgb24"
                )
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
