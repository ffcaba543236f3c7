"""Which frames and pixels of a video a network sees: the description, and the frames.

Frames are sampled uniformly, one of each of T segments, or densely, T frames a fixed
step apart.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from vidattn.description import Pair, Part, Positive
from vidattn.errors import UserError


class Sampling(Part):
    """Which frames and which pixels of a video make a clip.

    Args:
        mode: `"uniform"`, one frame from each of `frames` equal segments (TSN), or
            `"dense"`, every `stride`-th frame.
        frames: Frames a clip.
        stride: Distance of two frames under dense sampling.
        size: Height and width of the training crop, in pixels.
        resize: Length of the shorter side before cropping, or height and width; null
            keeps the video's size.
        scales: Draw the length of the shorter side from this range in training; where
            `resize` is a height and a width, the clip is given their proportions.
        stretch: With `scales`, make a training clip broader or narrower by a factor of
            up to this.
        jitter: Let the training crop vary in size and shape (TSN) instead of in place
            alone.
        flip: Mirror half of the training clips, but none whose class has the word left
            or right in its name.
        test_clips: Clips of one video whose scores are averaged in a test.
        test_crops: 1 (centre), 3 (that cover the longer side) or 10 (corners and
            centre, mirrored, too).
        test_size: Height and width of a test crop; `size` where it is not given.
    """

    mode: Literal["uniform", "dense"] = "uniform"
    frames: Positive = 8
    stride: Positive = 8
    size: Positive = 224
    resize: Positive | Pair | None = 256
    scales: Pair | None = None
    stretch: Annotated[float, Field(ge=1)] = 1.0
    jitter: bool = False
    flip: bool = False
    test_clips: Positive = 1
    test_crops: Literal[1, 3, 10] = 1
    test_size: Positive | None = None

    @model_validator(mode="after")
    def _crops_fit(self) -> "Sampling":
        if self.stretch > 1 and not self.scales:
            raise ValueError(f"stretch {self.stretch:g} needs scales")
        short = min(self.resize) if isinstance(self.resize, tuple) else self.resize
        of_size = ("scales", min(self.scales)) if self.scales else ("resize", short)
        tests = ("test_size", self.test_size or self.size, "resize", short)
        for name, side, by, limit in (("size", self.size, *of_size), tests):
            if limit is not None and side > limit:
                raise ValueError(f"{name} {side} must not exceed {by} {limit}")
        return self


def sample(
    sampling: str,
    total: int,
    frames: int,
    stride: int = 1,
    *,
    clips: int = 1,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Choose frames: at random for training, else the fixed ones of evaluation.

    Training is where a generator is given.

    Args:
        sampling: "uniform" or "dense".
        total: Number n of frames of the video.
        frames: Number T of frames of a clip.
        stride: Frames from one sampled frame to the next (dense only).
        clips: Number K of clips of the video; evaluation only.
        rng: The source of randomness in training.

    Returns:
        Indices `(K, T)`, from 0 to n - 1, rising in each clip except where a dense clip
        wraps around.

    Raises:
        UserError: An unknown sampling.
    """
    if sampling == "uniform":
        if rng is None:
            return uniform_eval(total, frames, clips)
        return uniform_train(total, frames, rng)[None]
    if sampling == "dense":
        if rng is None:
            return dense_eval(total, frames, stride, clips)
        return dense_train(total, frames, stride, rng)[None]
    raise UserError(f"sampling must be uniform or dense, not {sampling!r}")


def uniform_train(total: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one frame of each of T equal segments.

    That is floor((t + u_t) n / T), u_t uniform in [0, 1).

    Args:
        total: Number n of frames of the video; below T, frames repeat.
        frames: Number T of segments.
        rng: The source of randomness.

    Returns:
        Indices `(T,)`, rising.

    Source:
        Temporal Segment Networks, section 3.1. TSM's code rounds the segments' length
        down first and so never sees the last n mod T frames; here they count.
    """
    points = (np.arange(frames) + rng.random(frames)) * total / frames
    # (t + u) n / T can round up to n.
    return np.minimum(points.astype(np.int64), total - 1)


def uniform_eval(total: int, frames: int, clips: int = 1) -> np.ndarray:
    """Take the middle frame of each of T equal segments.

    More clips take other points of the same segments. With one clip, the first half is
    floor((2t + 1) n / 2T) and the second half its mirror image, i_{T-1-t} = n - 1 -
    i_t, so that the clip of the reversed video is the reversed clip. (For T odd and n
    even no frame is the video's middle: the later of the two is taken.) Where a segment
    holds an even number of frames, the middle lies between two, and the step over the
    video's centre is one frame shorter than the others.

    Args:
        total: Number n of frames of the video; below T, frames repeat.
        frames: Number T of segments.
        clips: Number K of clips; clip k takes floor((t + f_k) n / T) with f_k = (1/2 +
            k / K) mod 1.

    Returns:
        Indices `(K, T)`, rising in each clip.

    Source:
        Temporal Segment Networks, section 3.1; TSM's code takes floor((2t + 1) n / 2T)
        in both halves, and with two clips ("twice sample") f = 1/2 and 0.
    """
    # In whole numbers, since a rounding error would move a frame: (t + f_k) n / T =
    # (2Kt + 2K f_k) n / 2KT.
    shifts = (clips + 2 * np.arange(clips)[:, None]) % (2 * clips)
    indices = (2 * clips * np.arange(frames) + shifts) * total // (2 * clips * frames)
    half = frames // 2
    indices[0, frames - half :] = total - 1 - indices[0, :half][::-1]
    return indices


def dense_train(
    total: int, frames: int, stride: int, rng: np.random.Generator
) -> np.ndarray:
    """Take T frames, `stride` apart, from a random start.

    Too short a video starts again from its beginning.

    Args:
        total: Number n of frames of the video.
        frames: Number T of frames.
        stride: Frames from one to the next.
        rng: The source of randomness.

    Returns:
        Indices `(T,)`: (start + t stride) mod n, start uniform in 0 ... max(0, n - 1 -
        (T - 1) stride).

    Source:
        I3D (Carreira and Zisserman 2017), section 2.5: consecutive frames, short videos
        looped. TSM's code draws the start from a window of T stride frames, and so from
        stride - 1 starts fewer.
    """
    last = max(0, total - 1 - (frames - 1) * stride)
    return (int(rng.integers(last + 1)) + stride * np.arange(frames)) % total


def dense_eval(total: int, frames: int, stride: int, clips: int = 1) -> np.ndarray:
    """Take K clips of T frames, `stride` apart, with evenly spaced starts.

    A single clip is centred.

    Args:
        total: Number n of frames of the video; too short a video starts again from its
            beginning.
        frames: Number T of frames.
        stride: Frames from one to the next.
        clips: Number K of clips; RNL takes 10 on Kinetics-400.

    Returns:
        Indices `(K, T)`: (start_k + t stride) mod n.

    Source:
        Non-local Neural Networks, section 4.1 (10 clips evenly); TSM's dense test.
    """
    last = max(0, total - 1 - (frames - 1) * stride)
    evenly = np.arange(clips) * last // max(clips - 1, 1)
    starts = evenly if clips > 1 else np.array([last // 2])
    return (starts[:, None] + stride * np.arange(frames)) % total
