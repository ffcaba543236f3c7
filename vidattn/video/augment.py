"""Resizing, cropping, flipping and normalising clips.

Clips are uint8 `(T, H, W, 3)`; all frames of one are treated the same.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidattn.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
JITTER_SCALES = (1.0, 0.875, 0.75, 0.66)
# Quarters of the free height and width: the nine points of a 3 x 3 grid, and the four
# between them and the centre.
_JITTER_PLACES = tuple(
    (y, x) for steps in ((0, 2, 4), (1, 3)) for y in steps for x in steps
)


def resize(clip: Tensor, height: int, width: int) -> Tensor:
    """Scale every frame to `height` x `width`.

    The scaling is bilinear, with anti-aliasing when it shrinks.

    Args:
        clip: Pixels, uint8 `(T, H, W, 3)`.
        height: Pixels.
        width: Pixels.

    Returns:
        uint8 `(T, height, width, 3)`.
    """
    if clip.shape[1:3] == (height, width):
        return clip
    images, size = clip.permute(0, 3, 1, 2), (height, width)  # (T, 3, H, W)
    scaled = functional.interpolate(images, size, mode="bilinear", antialias=True)
    return scaled.permute(0, 2, 3, 1)  # (T, height, width, 3)


def scale(clip: Tensor, size: int | tuple[int, int] | None) -> Tensor:
    """Scale a clip to a size.

    Args:
        clip: Pixels, uint8 `(T, H, W, 3)`.
        size: Pixels of its shorter side, the other one in proportion (rounded); or
            height and width, whatever its proportions; or None: the clip as it is.

    Returns:
        uint8 `(T, H', W', 3)`.
    """
    if isinstance(size, int):
        size = _sides(clip.shape[1], clip.shape[2], size)
    return clip if size is None else resize(clip, *size)


def _sides(height: float, width: float, short: int) -> tuple[int, int]:
    """Return height and width in proportion, the shorter one `short` pixels long."""
    factor = short / min(height, width)
    return max(short, round(height * factor)), max(short, round(width * factor))


def random_scale(
    clip: Tensor,
    sides: tuple[int, int],
    rng: np.random.Generator,
    *,
    stretch: float = 1.0,
    shape: tuple[int, int] | None = None,
) -> Tensor:
    """Scale a clip to a random length of its shorter side, and stretch it at random.

    Args:
        clip: Pixels, uint8 `(T, H, W, 3)`.
        sides: Two lengths between which, both included, that of the shorter side is
            drawn, in pixels.
        rng: The source of randomness.
        stretch: The width is multiplied by a factor between 1 / stretch and stretch,
            and the height divided by it.
        shape: Height and width whose proportions the clip is given before; None keeps
            its own.

    Returns:
        uint8 `(T, H', W', 3)` with min(H', W') from `sides`.

    Source:
        Non-local Neural Networks, section 4.1 (a scaled video whose shorter side is
        drawn from 256 to 320); MFNet's code (made square, 224 to 288, stretched by
        1.25: drawn evenly, then inverted half of the time).
    """
    height, width = shape or clip.shape[1:3]
    short = int(rng.integers(min(sides), max(sides) + 1))
    factor = 1.0
    if stretch > 1:
        factor = float(rng.uniform(1 / stretch, stretch)) ** int(rng.choice((-1, 1)))
    return resize(clip, *_sides(height / factor, width * factor, short))


def crop(clip: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """Cut a rectangle out of every frame.

    Args:
        clip: `(T, H, W, 3)`.
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.

    Returns:
        `(T, height, width, 3)`, a view.

    Raises:
        UserError: The rectangle does not lie inside the frame.
    """
    rows, columns = clip.shape[1:3]
    inside = 0 <= top <= rows - height and 0 <= left <= columns - width
    if not inside or min(height, width) < 1:
        raise UserError(
            f"a crop of {height} x {width} at {top}, {left} leaves a {rows} x "
            f"{columns} frame"
        )
    return clip[:, top : top + height, left : left + width]


def centre_crop(clip: Tensor, size: int) -> Tensor:
    """Cut the square in the middle.

    Args:
        clip: `(T, H, W, 3)`.
        size: Pixels.

    Returns:
        `(T, size, size, 3)`.

    Raises:
        UserError: The frame is smaller.
    """
    top, left = ((side - size) // 2 for side in clip.shape[1:3])
    return crop(clip, top, left, size, size)


def random_crop(clip: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Cut a square at a random place.

    Args:
        clip: `(T, H, W, 3)`.
        size: Pixels.
        rng: The source of randomness.

    Returns:
        `(T, size, size, 3)`.

    Raises:
        UserError: The frame is smaller.
    """
    top, left = (int(rng.integers(max(0, side - size) + 1)) for side in clip.shape[1:3])
    return crop(clip, top, left, size, size)


def jittered_crop(clip: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Cut a rectangle of random size at one of 13 places and scale it to a square.

    Height and width are the frame's shorter side times 1, 0.875, 0.75 or 0.66, drawn as
    a pair at most one step apart.

    Args:
        clip: Pixels, uint8 `(T, H, W, 3)`.
        size: Pixels.
        rng: The source of randomness.

    Returns:
        uint8 `(T, size, size, 3)`.

    Source:
        Temporal Segment Networks, section 3.2 (scale jittering, corner cropping); the
        13 places and the one step are TSN's and TSM's code.
    """
    rows, columns = clip.shape[1:3]
    sides = [int(min(rows, columns) * scale) for scale in JITTER_SCALES]
    steps = range(len(sides))
    pairs = [(sides[i], sides[j]) for i in steps for j in steps if abs(i - j) <= 1]
    height, width = pairs[int(rng.integers(len(pairs)))]
    y, x = _JITTER_PLACES[int(rng.integers(len(_JITTER_PLACES)))]
    top, left = y * (rows - height) // 4, x * (columns - width) // 4
    return resize(crop(clip, top, left, height, width), size, size)


def test_views(clip: Tensor, size: int, crops: int) -> Tensor:
    """Cut the squares that a test looks at.

    Args:
        clip: `(T, H, W, 3)`.
        size: Pixels; the whole shorter side where the clip was resized to `size`.
        crops: 1: the middle. 3: start, middle and end of the longer side, each centred
            across. 10: corners and middle, and the same mirrored.

    Returns:
        `(crops, T, size, size, 3)`.

    Raises:
        UserError: The frame is smaller.

    Source:
        Non-local Neural Networks, section 4.1 (fully-convolutional spatial inference,
        three crops of 256 x 256); Temporal Segment Networks, section 4.1 (corners and
        centre, mirrored), which TSM's test and RCCA-3D's Table X call 10 crops.
    """
    down, across = clip.shape[1] - size, clip.shape[2] - size
    y, x = down // 2, across // 2
    corners = [(0, 0), (0, across), (down, 0), (down, across)]
    first, last = ((y, 0), (y, across)) if across >= down else ((0, x), (down, x))
    places = {1: [(y, x)], 3: [first, (y, x), last], 10: [*corners, (y, x)]}[crops]
    cut = torch.stack([crop(clip, *place, size, size) for place in places])
    return torch.cat([cut, flip(cut)]) if crops == 10 else cut


def flip(clip: Tensor) -> Tensor:
    """Mirror left and right: not for data whose labels tell left from right.

    Args:
        clip: `(..., W, 3)`.

    Returns:
        The same shape.
    """
    return clip.flip(-2)


def normalise(clip: Tensor) -> Tensor:
    """Normalise a clip by ImageNet's statistics and put the channels first.

    It is scaled to [0, 1] first; then the mean is subtracted, and the rest divided by
    the deviation.

    Args:
        clip: Pixels, uint8 `(..., T, H, W, 3)`, RGB.

    Returns:
        float32 `(..., 3, T, H, W)`.
    """
    mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    scaled = (clip.float() / 255 - mean) / deviation
    return scaled.movedim(-1, -4).contiguous()
