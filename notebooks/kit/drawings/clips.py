"""The clips of the book's task: film strips, and what a network can see of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, from_numpy

from notebooks.kit.drawings.page import sheet
from vidattn.video import augment
from vidattn.video.sample import sample
from vidattn.video.synthetic import Scene, SyntheticSpec, render


def film_strips(
    spec: SyntheticSpec, clips: Sequence[int], frames: Sequence[int], height: float
) -> Figure:
    """Draw some frames of some clips, a dashed frame around the object that counts.

    Args:
        spec: Description of the clips.
        clips: Their numbers, a row each.
        frames: Numbers of the frames that are shown.
        height: The figure's height, in inches.
    """
    scenes = [render(spec, index) for index in clips]
    rows = [(spec.classes[scene.label], scene) for scene in scenes]
    return strips(rows, frames, height)


def strips(
    rows: Sequence[tuple[str, Scene]], frames: Sequence[int], height: float
) -> Figure:
    """Draw some frames of some clips, a row each.

    Args:
        rows: What is written before a row, and its clip.
        frames: As for `film_strips`.
        height: As for `film_strips`.
    """
    fig, axes = sheet(height, len(rows), len(frames))
    for row, (text, scene) in zip(axes, rows, strict=True):
        for axis, t in zip(row, frames, strict=True):
            axis.imshow(scene.frames[t])
            axis.set(xticks=[], yticks=[])
            if row is axes[-1]:
                axis.set_xlabel(f"frame {t}")
            _mark(axis, scene.target[t])
        row[0].set_ylabel(text)
    return fig


def _mark(axis: Axes, mask: np.ndarray) -> None:
    if mask.any():
        rows, columns = np.nonzero(mask)
        corner = float(columns.min() - 2), float(rows.min() - 2)
        width, height = (float(np.ptp(side) + 4) for side in (columns, rows))
        look: dict[str, Any] = {"fill": False, "ec": "white", "ls": "--", "lw": 1.2}
        axis.add_patch(Rectangle(corner, width, height, **look))


def gaps(spec: SyntheticSpec, clips: int) -> np.ndarray:
    """Return how far the ring and all that the object ever covers are apart in each of
    some clips: pixels, edge to edge.
    """
    apart = []
    for scene in (render(spec, index) for index in range(clips)):
        ring, target = (np.argwhere(m.any(0)) for m in (scene.ring, scene.target))
        apart.append(np.linalg.norm(ring[:, None] - target[None], axis=2).min())
    return np.array(apart)


class Seen:
    """What a network is shown of a clip: sampled frames, cropped in the middle.

    Args:
        spec: Description of the clips.
        index: Number of the clip.
        frames: Frames that are sampled.
        crop: Side of the crop, in pixels.
    """

    def __init__(self, spec: SyntheticSpec, index: int, frames: int, crop: int) -> None:
        self.scene: Scene = render(spec, index)
        self._times = sample("uniform", spec.frames, frames)[0]
        edge = (spec.size - crop) // 2
        self._inside = slice(edge, edge + crop)

    def cut(self, video: np.ndarray) -> np.ndarray:
        """Return the frames and pixels of a video or a mask that the network sees."""
        return video[self._times][:, self._inside, self._inside]

    @property
    def pictures(self) -> np.ndarray:
        """The frames as they are seen, (T, H, W, 3)."""
        return self.cut(self.scene.frames)

    @property
    def clip(self) -> Tensor:
        """The network's input, (1, 3, T, H, W)."""
        return augment.normalise(from_numpy(self.pictures))[None]

    def position(self, mask: np.ndarray, size: Sequence[int]) -> tuple[int, ...]:
        """Return the position of a map of features that a mask fills most.

        Args:
            mask: Which pixels of the video count, (frames, rows, columns).
            size: T, H and W of the map.
        """
        seen = self.cut(mask)
        seen = seen[:: len(seen) // size[0]]
        filled = F.adaptive_avg_pool2d(from_numpy(seen).double(), (size[1], size[2]))
        found = np.unravel_index(int(filled.argmax()), tuple(size))
        return tuple(int(i) for i in found)
