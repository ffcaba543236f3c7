"""Labelled clips, decoded where they are used."""

import re

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidattn.errors import UserError
from vidattn.video import augment
from vidattn.video.decode import read_frames
from vidattn.video.index import Clips
from vidattn.video.sample import sample

# Words: `upright` tells no side.
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)


class VideoDataset(Dataset[tuple[Tensor, int]]):
    """The clips of a list, sampled in time, scaled, cropped and normalised.

    What is random in training follows from (seed, epoch, index) alone: not from the
    workers, nor from the order. A clip whose class has the word left or right in its
    name is never mirrored (GTA, appendix E).

    Args:
        videos: the list.
        sampling: "uniform" or "dense".
        frames: number T of frames of a clip.
        stride: frames from one sampled frame to the next (dense only).
        size: height and width of a crop, in pixels.
        resize: length of the shorter side before the crop, in pixels; or height and
            width; None keeps the video's size.
        scales: in training, draw the length of the shorter side from this range, its
            ends included; where `resize` is a height and a width, the clip is given
            their proportions.
        stretch: with `scales`, make the clip broader or narrower by a factor of up to
            this.
        train: whether time, scale, crop and flip are random.
        flip: whether half of the training clips are mirrored.
        jitter: whether training crops vary in size (TSN); else they are cut out at a
            random place.
        clips: clips of a video in evaluation.
        crops: 1 (the centre), 3 (along the longer side) or 10 (corners and centre,
            mirrored too) in evaluation.
        seed: of what is random in training.
        cache: whether decoded frames stay in memory, in each process that decodes: for
            small sets.

    Raises:
        UserError: mirrored views of classes that tell left from right.
    """

    def __init__(
        self,
        videos: Clips,
        *,
        sampling: str = "uniform",
        frames: int = 8,
        stride: int = 1,
        size: int = 224,
        resize: int | tuple[int, int] | None = 256,
        scales: tuple[int, int] | None = None,
        stretch: float = 1.0,
        train: bool = False,
        flip: bool = False,
        jitter: bool = False,
        clips: int = 1,
        crops: int = 1,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        self.paths, self.labels = (
            [clip.path for clip in videos.rows],
            [clip.label for clip in videos.rows],
        )
        self.classes = videos.classes
        self._sided = [_SIDE.search(name) is not None for name in self.classes]
        if crops == 10 and any(self._sided):
            raise UserError(
                "10 crops mirror the views, but a class has the word left or right in its name"
            )
        self.sampling, self.frames, self.stride = sampling, frames, stride
        self.size, self.resize, self.crops, self.clips = size, resize, crops, clips
        self.scales, self.stretch = scales, stretch
        self.train, self.flip, self.jitter, self.seed = train, flip, jitter, seed
        # Shared memory: workers that outlive an epoch see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cache: dict[int, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.paths)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that training's randomness depends on; call it before the
        loader is iterated over.

        Args:
            epoch: counted from 0.
        """
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Reads one video.

        Args:
            index: its place in the list.

        Returns:
            Training: float32 `(3, T, H, W)`; evaluation: `(views, 3, T, H, W)`, view =
                clip * crops + crop. The label.

        Raises:
            VideoError: the video cannot be decoded.
        """
        rng = (
            np.random.default_rng([self.seed, int(self._epoch), index])
            if self.train
            else None
        )
        clips = self._read(index, rng)
        views = (
            self._eval_views(clips)
            if rng is None
            else self._train_view(clips, self.labels[index], rng)
        )
        return augment.normalise(views), self.labels[index]

    def _read(self, index: int, rng: np.random.Generator | None) -> Tensor:
        """Gives the frames of all clips, one after the other: uint8 `(K T, H, W,
        3)`.
        """
        path = self.paths[index]

        def choose(total: int) -> np.ndarray:
            return sample(
                self.sampling,
                total,
                self.frames,
                self.stride,
                clips=self.clips,
                rng=rng,
            ).ravel()

        if self._cache is None:
            return torch.from_numpy(read_frames(path, choose))
        if index not in self._cache:
            self._cache[index] = read_frames(path, range)
        video = self._cache[index]
        return torch.from_numpy(video[choose(len(video))])

    def _train_view(self, clip: Tensor, label: int, rng: np.random.Generator) -> Tensor:
        if self.scales is None:
            clip = augment.scale(clip, self.resize)
        else:
            shape = self.resize if isinstance(self.resize, tuple) else None
            clip = augment.random_scale(
                clip, self.scales, rng, stretch=self.stretch, shape=shape
            )
        cut = augment.jittered_crop if self.jitter else augment.random_crop
        clip = cut(clip, self.size, rng)  # (T, size, size, 3)
        mirror = self.flip and rng.random() < 0.5 and not self._sided[label]
        return augment.flip(clip) if mirror else clip

    def _eval_views(self, clips: Tensor) -> Tensor:
        cut = augment.test_views(
            augment.scale(clips, self.resize), self.size, self.crops
        )
        views = cut.unflatten(
            1, (self.clips, self.frames)
        )  # (crops, K, T, size, size, 3)
        return views.transpose(0, 1).flatten(0, 1)
