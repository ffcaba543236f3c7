"""The regions that a block relates to one place, at each of its scales, drawn on the frames."""

from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor, nn

from vidattn.backbones.place import insertion
from vidattn.errors import UserError
from vidattn.figures.maps import Query, attention_maps, capture, scales_of
from vidattn.figures.pictures import clip_rows

SCALES = ("#35b8ff", "#ff7a5c", "#ffd23f", "#7ee081")  # seen on grey pictures, on any page


class Region(NamedTuple):
    """A region of one frame.

    Attributes:
        weight: What the query gives to it.
        t: Its frame on the feature map.
        box: Left, top, width and height, as shares of the picture's sides.
    """

    weight: float
    t: int
    box: tuple[float, float, float, float]


def correlated_regions(
    model: nn.Module, place: str, number: int, clip: Tensor, query: Query, count: int = 5
) -> list[list[Region]]:
    """Return which regions a placed block correlates most with the one that holds a position.

    Args:
        model: A network.
        place: Stage that the block stands in.
        number: Block of the stage, counting from 1, that it stands behind.
        clip: One clip `(1, 3, T, H, W)`.
        query: A position (t, row, column) on the block's feature map.
        count: How many.

    Returns:
        For each scale of the block, of which all but a pyramid have one: the query's own region, then up to
        `count` others, the largest weight first.

    Raises:
        UserError: As `attention_maps` does.
    """
    block = insertion(model, place, number)
    h, w = capture(model, block, clip).shape[-2:]
    found = []
    for scale in range(scales_of(block)):
        weights = attention_maps(model, place, number, clip, [query], scale)[0].numpy()
        side = 2**scale if scale or weights.shape[1] == h else 2  # else the keys are pooled
        own = np.ravel_multi_index((query[0], query[1] // side, query[2] // side), weights.shape, mode="clip")
        order = [i for i in np.argsort(-weights, axis=None, kind="stable") if i != own]
        regions = []
        for t, row, column in np.transpose(np.unravel_index([own, *order[:count]], weights.shape)):
            top, left = row * side, column * side
            box = (left / w, top / h, min(side, w - left) / w, min(side, h - top) / h)
            regions.append(Region(float(weights[t, row, column]), int(t), box))
        found.append(regions)
    return found


def show_regions(
    frames: np.ndarray, found: Sequence[Sequence[Region]], titles: Sequence[str] | None = None
) -> Figure:
    """Draw a row for each scale: the clip, the query's region in white, the others numbered by their weight.

    Args:
        frames: As many pictures as the feature map has frames, uint8 `(T, H, W, 3)`.
        found: What `correlated_regions` gave, or some of its scales.
        titles: What to write before each row.

    Raises:
        UserError: A region lies in a frame that is not there, or the titles are not as many as the rows.
    """
    if (last := max(region.t for regions in found for region in regions)) >= len(frames):
        raise UserError(f"a region lies in frame {last}, but there are {len(frames)} frames")
    figure, axes = clip_rows(frames, len(found), titles)
    high, wide = frames.shape[1:3]
    for row, regions, colour in zip(axes, found, cycle(SCALES), strict=False):
        for rank, (_, t, box) in enumerate(regions):
            x, y, width, height = np.array(box) * (wide, high, wide, high)
            ink, corner = colour if rank else "white", (x - 0.5, y - 0.5)
            row[t].add_patch(Rectangle(corner, width, height, fill=False, ec=ink, lw=1.8))
            middle = (x + width / 2 - 0.5, y + height / 2 - 0.5)
            number = row[t].text(*middle, str(rank or ""), color=ink, fontsize=8, ha="center", va="center")
            number.set_path_effects([withStroke(linewidth=2, foreground="black")])
    return figure
