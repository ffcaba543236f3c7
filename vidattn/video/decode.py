"""Frames from a video file or a folder of numbered JPEG frames, and back.

decord reads, PyAV writes. A reader is opened inside the call and never kept, because a
decord reader that was opened in a parent process hangs in a forked data-loading worker
and cannot be pickled for a spawned one.

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
    """What a container promises.

    These are the number of frames, frames per second, and height and width in pixels.
    """

    frames: int
    fps: float
    height: int
    width: int


def _fault(path: str, what: str) -> VideoError:
    return VideoError(f"{path}: {what}", path)


@contextmanager
def _named(path: str, shown: str = "") -> Iterator[None]:
    """Turn whatever the decoder raises into one line that names the file."""
    try:
        yield
    except VideoError:
        raise
    except StopIteration as error:
        raise _fault(path, "fewer frames delivered than promised") from error
    except decord.DECORDLimitReachedError as error:
        what = "frames are missing, others are repeated instead"
        raise _fault(path, what) from error
    except Exception as error:  # decord has several exceptions for the same fault
        what = f"cannot be decoded: {_reason(error)}"
        raise VideoError(f"{shown or path}: {what}", path) from error


def _reason(error: Exception) -> str:
    """Return the first line without the time and the place in decord's source."""
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"\[[\d:]+\] \S+:\d+: ", "", first)


def _open(path: str) -> "decord.VideoReader":
    if not os.path.isfile(path):
        raise _fault(path, "no such video file or folder of frames")
    with _named(path):
        size = os.path.getsize(path)
        if size == 0:
            raise _fault(path, "the file is empty")
        if missing := missing_bytes(path):
            raise _fault(path, f"cut off, {missing} bytes are missing at its end")
        with av.open(path) as container:
            if container.format.name == "mpegts":
                what = "MPEG transport streams are decoded wrongly; remux it to mp4"
                raise _fault(path, what)
            promised = max((s.frames for s in container.streams.video), default=0)
        if promised > size:  # decord takes memory for them all, and ends the process
            raise _fault(path, f"promises {promised} frames in fewer bytes")
        # One thread: the same frames in the same order on every machine, and no fight
        # with the loader's workers.
        reader = decord.VideoReader(
            path, ctx=decord.cpu(0), num_threads=1, fault_tol=_NO_REPAIR
        )
        if len(reader) == 0:
            raise _fault(path, "holds no frame")
        first = float(reader.get_frame_timestamp(0)[0])
    if _OLDEST_TIMESTAMP < first < 0:
        what = f"the first timestamp is {first:.3f} s, below zero (an edit list)"
        raise _fault(path, what)
    return reader


def _numbered_frames(folder: str) -> list[str]:
    """Return `1.jpg`, `00002.jpg` ... in the order of their numbers, none missing."""
    with _named(folder):
        names = [Path(name) for name in os.listdir(folder)]
    images = [name for name in names if name.suffix.lower() in (".jpg", ".jpeg")]
    found = sorted(
        (int(name.stem), name.name) for name in images if name.stem.isdecimal()
    )
    if not found:
        raise _fault(folder, "holds no numbered JPEG frame (00001.jpg ...)")
    for expected, (number, name) in enumerate(found, start=found[0][0]):
        if number != expected:
            what = f"frame number {expected} is missing (next is {name})"
            raise _fault(folder, what)
    return [os.path.join(folder, name) for _, name in found]


def _read_image(path: str, folder: str) -> np.ndarray:
    shown = f"{folder}: {os.path.basename(path)}"
    with _named(folder, shown), Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def probe(path: str | Path) -> VideoInfo:
    """Read what the container promises.

    Args:
        path: A video file, or a folder of numbered JPEG frames.

    Returns:
        Number of frames, frames per second (12 for a folder, the rate of
        Something-Something V1), height and width.

    Raises:
        VideoError: The file cannot be opened, or breaks a promise that can be checked
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
        fps = float(reader.get_avg_fps())
        return VideoInfo(len(reader), fps, int(height), int(width))


def read_frames(
    path: str | Path, indices: Indices | Callable[[int], Indices]
) -> np.ndarray:
    """Decode the frames at `indices`, which may repeat and stand in any order.

    Args:
        path: A video file, or a folder of numbered JPEG frames.
        indices: T frame numbers, counted from 0; or a function that gives them from the
            number of frames, so that the file is opened only once.

    Returns:
        uint8 array `(T, H, W, 3)`, RGB.

    Raises:
        VideoError: The file cannot be decoded, or breaks a promise that can be checked.
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
        raise _fault(name, "the frames differ in size")
    return np.stack([frames[index] for index in wanted])


def _decode(reader: "decord.VideoReader", wanted: set[int]) -> dict[int, np.ndarray]:
    """Decode every frame up to the last wanted one in turn; return the wanted ones."""
    frames = {}
    for index in range(max(wanted) + 1):
        frame = reader.next()
        if index in wanted:
            frames[index] = _without_padding(frame.asnumpy())
    return frames


def _without_padding(frame: np.ndarray) -> np.ndarray:
    """Drop the filler at the end of each row, which decord takes for more channels.

    It divides the length of a padded row by the width: at a width of 16, 24 or 48
    pixels that gives 6, 4 and 4 "channels", and the picture is sheared.
    """
    height, width, channels = frame.shape
    if channels == 3:
        return frame
    rows = frame.reshape(height, width * channels)
    return rows[:, : 3 * width].reshape(height, width, 3)


def _wanted(
    name: str, indices: Indices | Callable[[int], Indices], total: int
) -> list[int]:
    """Resolve `indices` and refuses those outside the video."""
    wanted = [int(i) for i in (indices(total) if callable(indices) else indices)]
    if not wanted:
        raise _fault(name, "no frame asked for")
    if outside := [index for index in wanted if not 0 <= index < total]:
        what = f"frame {outside[0]} asked for, allowed are 0 to {total - 1}"
        raise _fault(name, what)
    return wanted


def write_video(
    path: str | Path, frames: np.ndarray, fps: float = 12.0, crf: int = 18
) -> None:
    """Write an H.264 mp4 (yuv420p), under a temporary name first.

    The same frames give the same bytes.

    Args:
        path: Where to write, ending in `.mp4`.
        frames: RGB as a uint8 array `(T, H, W, 3)`; H and W even, since yuv420p halves
            both for the colours.
        fps: Frames per second.
        crf: Constant rate factor of the x264 encoder, 0 (lossless up to the change of
            colour space) to 51.

    Raises:
        UserError: The frames, the rate or the suffix cannot be written.
    """
    target = Path(path)
    four = frames.ndim == 4 and frames.shape[-1] == 3
    if not four or frames.dtype != np.uint8 or not frames.size:
        found = f"{frames.dtype} {frames.shape}"
        raise UserError(
            f"frames must be a non-empty uint8 array (T, H, W, 3), not {found}"
        )
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise UserError(
            f"yuv420p needs an even height and width, not {height} x {width}"
        )
    if fps <= 0 or not 0 <= crf <= 51:
        raise UserError(
            f"fps must be above 0 and crf in 0 to 51, not fps={fps}, crf={crf}"
        )
    if target.suffix != ".mp4":
        raise UserError(f"{target}: only .mp4 is written")
    mine = f".{target.stem}.{os.getpid()}-{threading.get_ident()}.tmp"
    temporary = target.with_name(mine)
    rate = Fraction(fps).limit_denominator(1001)
    exact = {"fflags": "+bitexact"}  # leaves dates and version strings out
    try:
        with av.open(str(temporary), "w", format="mp4", options=exact) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # Any reader can seek in it: a key frame every 12 frames, and no B-frames.
            stream.options = dict(crf=str(crf), g="12", bf="0", threads="1")
            for image in frames:
                image = np.ascontiguousarray(image)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
