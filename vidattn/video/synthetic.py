"""Synthetic clips whose class is a *relation* between distant places and times.

Every clip is rendered with numpy, written as a real H.264 file and later read back
through the same decoder as any other video. The tasks share one renderer:

- ``lone``: one disc, square or diamond moves; the class is its colour and direction (24
  classes). It asks for no relation and serves to pre-train a backbone, as every paper
  starts from a pre-trained one.
- ``colours``: the same, but the class is its colour alone, or that there is no object
  (7 classes): the order of the frames says nothing. (Without the seventh a network need
  not see one of the six colours.)
- ``ways``: the same, but it goes to the left or to the right, and that is the class:
  only the order of the frames tells.
- ``cue``: for the first and the last frames a hollow ring shows a colour; in between,
  several objects move, each in a direction and a colour of its own. The class is the
  direction of *the object that has the ring's colour* (4 classes). The ring and the
  object are never visible together, and the ring's centre lies ``gap`` pixels or more
  from the object's path where there is room, so the answer needs two distant places at
  two distant times; the other objects are distractors, whose directions are the wrong
  answers.
- ``sizes``: the same, but ring, object and distractor always differ in size, from a few
  pixels to about half of the picture, in any order. What must be related is now as
  small as a position of a feature map or as large as a region of many. The smaller of
  two objects is drawn in front, whichever it is.
- ``axes``: as ``sizes``, but the class is the axis along which the object moves (2
  classes), and the others move along the other one: for networks that do not see which
  frame came first.
- ``apart``: as ``cue``, with small objects that move past each other within one corner
  of the picture while the ring stands in the opposite one: ring and objects share no
  row, no column and no frame, so no line and no plane. The ground is one grey, there
  are two colours and two directions only, and the other object has the other ones: the
  class is the exclusive or of the ring's colour and of the way that the red object
  goes. Some frames are empty between ring and objects.
- ``aligned``: the same, but the ring stands in the middle of where the objects move: it
  shares rows, columns and lines along time with them. Neither is to be cropped: the
  corners are used.

``left``/``right`` and ``up``/``down`` are each other's time reversal: a path is drawn
symmetrically about its middle, the ring stands at both ends of the clip, and nothing
else depends on time.
"""

import csv
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from vidattn.description import Part
from vidattn.video.decode import write_video

# Raise it when the same spec would render other pixels: run folders are keyed by it.
VERSION = 1

DIRECTIONS = ("left", "right", "up", "down")
REVERSED = {"left": "right", "right": "left", "up": "down", "down": "up"}
# Six hues of about equal lightness, so that brightness alone does not tell them apart.
COLOURS = {
    "red": (0.88, 0.30, 0.28),
    "yellow": (0.66, 0.58, 0.12),
    "green": (0.22, 0.66, 0.28),
    "cyan": (0.12, 0.64, 0.68),
    "blue": (0.36, 0.50, 0.92),
    "magenta": (0.82, 0.36, 0.80),
}
RED, CYAN = 0, 3  # the two that "apart" and "aligned" use: opposite hues
RINGLESS = ("lone", "colours", "ways")
RADII = (3.5, 6.0, 10.0)  # of ring and objects in "sizes", in pixels
_STEP = {
    "left": (0.0, -1.0),
    "right": (0.0, 1.0),
    "up": (-1.0, 0.0),
    "down": (1.0, 0.0),
}


class SyntheticSpec(Part):
    """What a synthetic data set is; two equal descriptions render the same pixels.

    Args:
        task: ``"lone"``, ``"colours"``, ``"ways"``, ``"cue"``, ``"sizes"``, ``"axes"``,
            ``"apart"`` or ``"aligned"``.
        clips: Number of clips; classes are balanced.
        seed: Seed of the whole set.
        size: Height and width in pixels (even, for yuv420p).
        frames: Frames a clip.
        noise: Standard deviation of Gaussian pixel noise, in units of the full range
            [0, 1].
        distractors: Objects besides the target (none where there is no ring; 0 leaves
            the answer in plain sight: the oracle's data).
        alone: Share of the clips that show the target alone, as if ``distractors`` were
            0.
        gap: Least distance in pixels between the ring's centre and the target's path,
            where there is room for it; else the farthest of 64 places is taken.
    """

    task: Literal[
        "lone", "colours", "ways", "cue", "sizes", "axes", "apart", "aligned"
    ] = "cue"
    clips: int = Field(ge=1)
    seed: int = Field(ge=0)
    size: int = Field(default=48, ge=32, multiple_of=2)
    frames: int = Field(default=24, ge=8)
    noise: float = Field(default=0.1, ge=0.0, le=1.0)
    distractors: int = Field(default=1, ge=0, le=3)
    gap: float = Field(default=16.0, ge=0.0, le=24.0)
    alone: float = Field(default=0.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _lone_has_no_distractors(self) -> "SyntheticSpec":
        if self.task in RINGLESS and self.distractors != 0:
            raise ValueError(
                f"task {self.task!r} has exactly one object: set distractors to 0"
            )
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes' names, in the order of the labels."""
        if self.task == "lone":
            return tuple(f"{colour} {way}" for colour in COLOURS for way in DIRECTIONS)
        if self.task == "colours":
            return (*COLOURS, "nothing")
        if self.task in ("ways", "apart", "aligned"):
            return DIRECTIONS[:2]
        return ("horizontal", "vertical") if self.task == "axes" else DIRECTIONS

    def key(self) -> str:
        """Return sixteen hexadecimal digits for generator version and description.

        Encoded bytes do not count: they are another version's of the encoder.
        """
        # `alone` came after the first clips on disk, whose names must stay.
        unused = set() if self.alone else {"alone"}
        text = f"{VERSION} {self.model_dump_json(exclude=unused)}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scene:
    """One rendered clip and what is true of it.

    Args:
        frames: Pixels, uint8 ``(T, H, W, 3)``.
        label: Index into the classes of the description.
        target: Boolean ``(T, H, W)``, where the object that decides the class is seen.
        ring: Boolean ``(T, H, W)``, where the ring is seen (all false where there is
            none).
    """

    frames: np.ndarray
    label: int
    target: np.ndarray
    ring: np.ndarray


def _cover(
    kind: str, rows: np.ndarray, columns: np.ndarray, radius: float
) -> np.ndarray:
    """Return the share of each pixel, in [0, 1], that a shape covers.

    Rows and columns are offsets from its centre, in pixels.
    """
    if kind == "square":
        # About the area of the disc.
        distance = np.maximum(np.abs(rows), np.abs(columns)) * 1.13
    elif kind == "diamond":
        distance = (np.abs(rows) + np.abs(columns)) * 0.8
    else:
        distance = np.hypot(rows, columns)
    edge = distance - radius
    if kind == "ring":
        edge = np.abs(distance - 0.72 * radius) - 0.28 * radius
    return np.clip(0.5 - edge, 0.0, 1.0)


def _smooth_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a still grey texture ``(H, W, 1)``, which says nothing of the class."""
    coarse = rng.uniform(0.25, 0.55, (5, 5))
    position, known = np.linspace(0, 4, size), np.arange(5)
    along = np.array([np.interp(position, known, row) for row in coarse])
    return np.array([np.interp(position, known, each) for each in along.T]).T[..., None]


def _place_ring(
    rng: np.random.Generator, spec: SyntheticSpec, path: np.ndarray, margin: float
) -> np.ndarray:
    """Return a place at least ``gap`` pixels from the path, else the farthest of 64."""
    candidates = rng.uniform(margin, spec.size - margin, (64, 2))
    nearest = np.linalg.norm(candidates[:, None] - path[None], axis=2).min(axis=1)
    good = np.flatnonzero(nearest >= spec.gap)
    return candidates[good[0]] if len(good) else candidates[nearest.argmax()]


def _path(
    rng: np.random.Generator,
    spec: SyntheticSpec,
    direction: str,
    margin: float,
    steps: int,
) -> np.ndarray:
    """Return a straight path ``(steps, 2)`` inside the picture but for ``margin``."""
    length = rng.uniform(0.35, 0.55) * spec.size
    middle = rng.uniform(8, spec.size - 8, 2)
    way = np.array(_STEP[direction])
    half = np.abs(way) * length / 2 + margin
    middle = np.clip(middle, half, spec.size - half)
    return middle + np.linspace(-0.5, 0.5, steps)[:, None] * length * way


def _small_paths(
    rng: np.random.Generator, spec: SyntheticSpec, directions: list[str], steps: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return small objects' paths and the ring's place in "apart" and "aligned"."""
    size, length = spec.size, spec.size / 4
    low, high = size * 0.52, size - 4  # of all that an object's centre passes
    turned = rng.random(2) < 0.5  # which corner
    place = np.full(2, (low + high) / 2)
    if spec.task == "apart":
        place = rng.uniform(5.5, size * 0.155, 2)
    along = np.linspace(-0.5, 0.5, steps)[:, None] * length
    ways = np.array([_STEP[direction] for direction in directions])
    best, widest = np.zeros(0), -1.0
    for _ in range(64):  # objects that hide each other would make another task of it
        half = np.abs(ways) * length / 2
        middles = rng.uniform(low + half, high - half)
        middles = np.where(turned, size - 1 - middles, middles)
        paths = middles[:, None] + along * ways[:, None]
        apart = np.linalg.norm(paths[:, None] - paths[None], axis=-1).min(axis=-1)
        nearest = apart[~np.eye(len(paths), dtype=bool)].min(initial=np.inf)
        if nearest > widest:
            best, widest = paths, nearest
        if widest >= 2 * RADII[0] + 1:
            break
    return list(best), np.where(turned, size - 1 - place, place)


def render(spec: SyntheticSpec, index: int) -> Scene:
    """Draw clip ``index`` of a data set.

    Args:
        spec: The data set.
        index: 0 to ``spec.clips - 1``.

    Returns:
        The clip and its ground truth, before encoding.
    """
    rng = np.random.default_rng([VERSION, spec.seed, index])
    ringless = spec.task in RINGLESS
    # Labels run through the classes in turn, so any prefix of the set is balanced to
    # within one clip.
    label = index % len(spec.classes)
    colours = list(rng.permutation(len(COLOURS)))
    # Each colour goes in all directions.
    way = index // len(spec.classes) if spec.task == "colours" else label
    mine = DIRECTIONS[way % 4]
    others = [other for other in rng.permutation(DIRECTIONS) if other != mine]
    directions = [mine, *others[: spec.distractors]]
    if spec.task == "axes":
        axes = DIRECTIONS[:2], DIRECTIONS[2:]
        mine = str(rng.choice(axes[label]))
        directions = [mine, *rng.choice(axes[1 - label], spec.distractors)]
    if spec.task == "lone":
        colours[0] = label // 4
    if spec.task == "colours":
        colours[0] = label
        directions = directions[: label < len(COLOURS)]
    lines = spec.task in ("apart", "aligned")
    if lines:
        own, other = rng.permutation([RED, CYAN])
        colours = [own] + [other] * spec.distractors
        directions = [DIRECTIONS[label]] + [DIRECTIONS[1 - label]] * spec.distractors
    if spec.alone and rng.random() < spec.alone:
        directions = directions[:1]

    grid = np.arange(spec.size, dtype=float)
    back = np.full((spec.size, spec.size, 1), 0.4)
    if not lines:
        back = _smooth_background(rng, spec.size)
    image = np.repeat(back[None], spec.frames, axis=0).repeat(3, axis=3)
    target = np.zeros(image.shape[:3], dtype=bool)
    ring = np.zeros_like(target)
    palette = np.array(list(COLOURS.values()))
    # The ring's frames at either end; the objects move in the frames between.
    end = start = 0 if ringless else spec.frames // 4
    if lines:
        # With a pause, so that a network that looks a few frames ahead does not see
        # ring and object at once.
        end, start = spec.frames // 10, 3 * spec.frames // 10
    moving = np.arange(start, spec.frames - start)
    # Of the objects, then of the ring; None: drawn while painting.
    sizes: np.ndarray | None = None
    place: np.ndarray | None = None  # of the ring; None: where there is room
    # Painted from last to first: the target is never hidden by a distractor.
    order = np.arange(len(directions))
    if lines:
        sizes = np.array([RADII[0]] * len(directions) + [5.0])
        paths, place = _small_paths(rng, spec, directions, len(moving))
        order = rng.permutation(order)
    else:
        if spec.task in ("sizes", "axes"):
            # Large objects overlap often, and which is in front would tell the target:
            # the smaller one is.
            sizes = np.resize(rng.permutation(RADII), len(directions) + 1)
            order = np.argsort(sizes[:-1], kind="stable")
        margins = [6.0] * len(directions) if sizes is None else sizes
        pairs = zip(directions, margins, strict=False)
        paths = [_path(rng, spec, *pair, len(moving)) for pair in pairs]

    for i in order[::-1]:
        kind = ("disc", "square", "diamond")[rng.integers(3)]
        radius = rng.choice([4.0, 5.5, 7.0]) if sizes is None else sizes[i]
        for t, (row, column) in zip(moving, paths[i], strict=True):
            cover = _cover(kind, grid[:, None] - row, grid[None] - column, radius)
            image[t] += cover[:, :, None] * (palette[colours[i]] - image[t])
            if i == 0:
                target[t] = cover > 0.5
    if not ringless:
        radius, margin = (6.5, 7) if sizes is None else (sizes[-1], max(sizes[-1], 7))
        if place is None:
            place = _place_ring(rng, spec, paths[0], margin)
        row, column = place
        cover = _cover("ring", grid[:, None] - row, grid[None] - column, radius)
        for t in [*range(end), *range(spec.frames - end, spec.frames)]:
            image[t] += cover[:, :, None] * (palette[colours[0]] - image[t])
            ring[t] = cover > 0.5
    image += rng.normal(0.0, 1.0, image.shape) * spec.noise
    frames = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    return Scene(frames, label, target, ring)


def write_clips(
    spec: SyntheticSpec, root: Path | str = "data", progress: bool = False
) -> Path:
    """Write a data set as H.264 files, or find it again.

    Args:
        spec: The data set.
        root: Folder that holds one folder a data set.
        progress: Print a line every 200 clips.

    Returns:
        The data set's folder: ``00000.mp4`` ..., ``index.csv`` (``path,label``) and
        ``classes.txt``. It appears under its name only when complete; a run that was
        killed leaves nothing that could be mistaken for it.
    """
    folder = Path(root) / f"{spec.task}-{spec.key()}"
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows = []
    for i in range(spec.clips):
        scene = render(spec, i)
        name = f"{i:05d}.mp4"
        write_video(partial / name, scene.frames)
        rows.append((name, scene.label))
        if progress and (i + 1) % 200 == 0:
            print(f"{folder.name}: {i + 1} of {spec.clips} clips written", flush=True)
    with open(partial / "index.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    (partial / "classes.txt").write_text("\n".join(spec.classes) + "\n")
    (partial / "spec.json").write_text(spec.model_dump_json(indent=1) + "\n")
    try:
        partial.rename(folder)
    except OSError:
        # Another process finished the same set first: its files are as good.
        shutil.rmtree(partial)
        if not folder.is_dir():
            raise
    return folder
