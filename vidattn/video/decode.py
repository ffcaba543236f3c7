"""Frames from a video file and back: decord reads, PyAV writes.

A reader is opened inside the call and never kept, because a decord reader that was opened in a parent process hangs
in a forked data-loading worker and cannot be pickled for a spawned one.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import decord
import numpy as np

from vidattn.errors import UserError

decord.logging.set_level(decord.logging.QUIET)


class VideoError(UserError):
    """A video cannot be read as promised; `path` names it.

    The message is the only required argument, since a data loader rebuilds a worker's exception from its text alone.
    """

    def __init__(self, message: str, path: str | Path | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else str(path)


@dataclass(frozen=True)
class VideoInfo:
    """What a container promises: number of frames, frames per second, height and width in pixels."""

    frames: int
    fps: float
    height: int
    width: int


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Turns whatever the decoder raises into one line that names the file."""
    try:
        yield
    except VideoError:
        raise
    except Exception as error:  # decord raises RuntimeError, DECORDError, IndexError ... for the same fault
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise VideoError(f"{path}: cannot be decoded: {lines[0] if lines else type(error).__name__}", path) from error


def _open(path: str | Path) -> "decord.VideoReader":
    name = str(path)
    if not os.path.isfile(name):
        raise VideoError(f"{name}: no such video file", name)
    if os.path.getsize(name) == 0:
        raise VideoError(f"{name}: the file is empty", name)
    with _named(name):
        # One thread: the same frames in the same order on every machine, and no fight with the loader's workers.
        reader = decord.VideoReader(name, ctx=decord.cpu(0), num_threads=1)
    if len(reader) == 0:
        raise VideoError(f"{name}: holds no frame", name)
    return reader


def probe(path: str | Path) -> VideoInfo:
    """Reads what the container promises.

    Args:
        path: a video file.

    Returns:
        Number of frames, frames per second, height and width.

    Raises:
        VideoError: the file cannot be opened.
    """
    reader = _open(path)
    with _named(str(path)):
        height, width = reader[0].shape[:2]
        return VideoInfo(len(reader), float(reader.get_avg_fps()), int(height), int(width))


def read_frames(path: str | Path, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Decodes the frames at `indices`, which may repeat and stand in any order.

    Args:
        path: a video file.
        indices: T frame numbers, counted from 0.

    Returns:
        uint8 array `(T, H, W, 3)`, RGB.

    Raises:
        VideoError: the file cannot be decoded, or breaks a promise that can be checked.
    """
    name = str(path)
    wanted = [int(index) for index in indices]
    reader = _open(name)
    total = len(reader)
    outside = [index for index in wanted if not 0 <= index < total]
    if outside:
        raise VideoError(f"{name}: frame {outside[0]} asked for, allowed are 0 to {total - 1}", name)
    with _named(name):
        first = float(reader.get_frame_timestamp(0)[0])
        if first < 0:
            raise VideoError(f"{name}: the first timestamp is {first:g} s, below zero (an edit list)", name)
        frames: np.ndarray = reader.get_batch(wanted).asnumpy()
    if len(frames) != len(wanted):
        raise VideoError(f"{name}: {len(wanted)} frames asked for, {len(frames)} delivered", name)
    return frames


def write_video(path: str | Path, frames: np.ndarray, fps: float = 12.0, crf: int = 18) -> None:
    """Writes an H.264 mp4 (yuv420p), under a temporary name first; the same frames give the same bytes.

    Args:
        path: where to write, ending in `.mp4`.
        frames: uint8 array `(T, H, W, 3)`, RGB; H and W even, since yuv420p halves both for the colours.
        fps: frames per second.
        crf: x264's constant rate factor, 0 (lossless up to the change of colour space) to 51.

    Raises:
        ValueError: the frames, the rate or the suffix cannot be written.
    """
    target = Path(path)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"frames must be a non-empty uint8 array (T, H, W, 3), not {frames.dtype} {frames.shape}")
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise ValueError(f"yuv420p needs an even height and width, not {height} x {width}")
    if fps <= 0 or not 0 <= crf <= 51:
        raise ValueError(f"fps must be above 0 and crf in 0 to 51, not fps={fps}, crf={crf}")
    if target.suffix != ".mp4":
        raise ValueError(f"{target}: only .mp4 is written")
    temporary = target.with_name(f".{target.stem}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        # bitexact leaves dates and version strings out.
        with av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # A key frame every 12 frames keeps random access cheap; without B-frames, order of coding = order of time.
            stream.options = {"crf": str(crf), "g": "12", "bf": "0", "threads": "1", "flags": "+bitexact+cgop"}
            for image in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
            container.mux(stream.encode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
