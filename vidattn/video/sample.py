"""Which frames a network sees: uniform (one of each of T segments) or dense (T frames,
a fixed step apart).
"""

import numpy as np


def sample(
    sampling: str,
    total: int,
    frames: int,
    stride: int = 1,
    *,
    clips: int = 1,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Chooses frames: at random where a generator is given (training), else the fixed
    ones of evaluation.

    Args:
        sampling: "uniform" or "dense".
        total: number n of frames of the video.
        frames: number T of frames of a clip.
        stride: frames from one sampled frame to the next (dense only).
        clips: number K of clips of the video; evaluation only.
        rng: the source of randomness in training.

    Returns:
        Indices `(K, T)`, from 0 to n - 1, rising in each clip except where a dense clip
        wraps around.

    Raises:
        ValueError: an unknown sampling.
    """
    if sampling == "uniform":
        return (
            uniform_eval(total, frames, clips)
            if rng is None
            else uniform_train(total, frames, rng)[None]
        )
    if sampling == "dense":
        if rng is None:
            return dense_eval(total, frames, stride, clips)
        return dense_train(total, frames, stride, rng)[None]
    raise ValueError(f"sampling must be uniform or dense, not {sampling!r}")


def uniform_train(total: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draws one frame of each of T equal segments: floor((t + u_t) n / T), u_t uniform
    in [0, 1).

    Args:
        total: number n of frames of the video; below T, frames repeat.
        frames: number T of segments.
        rng: the source of randomness.

    Returns:
        Indices `(T,)`, rising.

    Source:
        Temporal Segment Networks, section 3.1. TSM's code rounds the segments' length
        down first and so never sees the last n mod T frames; here they count.
    """
    points = (np.arange(frames) + rng.random(frames)) * total / frames
    return np.minimum(
        points.astype(np.int64), total - 1
    )  # (t + u) n / T can round up to n


def uniform_eval(total: int, frames: int, clips: int = 1) -> np.ndarray:
    """Takes the middle frame of each of T equal segments; more clips take other points
    of the same segments.

    With one clip, the first half is floor((2t + 1) n / 2T) and the second half its
    mirror image, i_{T-1-t} = n - 1 - i_t, so that the clip of the reversed video is the
    reversed clip. (For T odd and n even no frame is the video's middle: the later of
    the two is taken.) Where a segment holds an even number of frames, the middle lies
    between two, and the step over the video's centre is one frame shorter than the
    others.

    Args:
        total: number n of frames of the video; below T, frames repeat.
        frames: number T of segments.
        clips: number K of clips; clip k takes floor((t + f_k) n / T) with f_k = (1/2 +
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
    """Takes T frames, `stride` apart, from a random start; too short a video starts
    again from its beginning.

    Args:
        total: number n of frames of the video.
        frames: number T of frames.
        stride: frames from one to the next.
        rng: the source of randomness.

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
    """Takes K clips of T frames, `stride` apart, starts evenly spaced; a single one is
    centred.

    Args:
        total: number n of frames of the video; too short a video starts again from its
            beginning.
        frames: number T of frames.
        stride: frames from one to the next.
        clips: number K of clips; RNL takes 10 on Kinetics-400.

    Returns:
        Indices `(K, T)`: (start_k + t stride) mod n.

    Source:
        Non-local Neural Networks, section 4.1 (10 clips evenly); TSM's dense test.
    """
    last = max(0, total - 1 - (frames - 1) * stride)
    starts = (
        np.array([last // 2]) if clips == 1 else np.arange(clips) * last // (clips - 1)
    )
    return (starts[:, None] + stride * np.arange(frames)) % total
