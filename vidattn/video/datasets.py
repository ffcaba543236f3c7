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
from vidattn.video.sample import Sampling, sample

# Words: `upright` tells no side.
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)


class VideoDataset(Dataset[tuple[Tensor, int]]):
    """The clips of a list, sampled in time, scaled, cropped and normalised.

    What is random in training follows from (seed, epoch, index) alone: not from the
    workers, nor from the order. A clip whose class has the word left or right in its
    name is never mirrored (GTA, appendix E).

    Args:
        videos: The list.
        sampling: Which frames and pixels make a clip.
        train: Whether time, scale, crop and flip are random; else the views of a test
            are taken.
        seed: Seed of what is random in training.
        cache: Whether decoded frames stay in memory, in each process that decodes: for
            small sets.

    Raises:
        UserError: Mirrored views are asked for, of classes that tell left from right.
    """

    def __init__(
        self,
        videos: Clips,
        sampling: Sampling,
        *,
        train: bool = False,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        self.paths = [clip.path for clip in videos.rows]
        self.labels = [clip.label for clip in videos.rows]
        self.classes = videos.classes
        self._sided = [_SIDE.search(name) is not None for name in self.classes]
        if not train and sampling.test_crops == 10 and any(self._sided):
            raise UserError(
                "10 crops mirror the views, but a class has the word left or right in "
                "its name"
            )
        self.sampling, self.train, self.seed = sampling, train, seed
        # Shared memory: workers that outlive an epoch see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cache: dict[int, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.paths)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that training's randomness depends on.

        Call it before the loader is iterated over.

        Args:
            epoch: Counted from 0.
        """
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Read one video.

        Args:
            index: Its place in the list.

        Returns:
            Training: float32 `(3, T, H, W)`; evaluation: `(views, 3, T, H, W)`, view =
                clip * crops + crop. The label.

        Raises:
            VideoError: The video cannot be decoded.
        """
        label = self.labels[index]
        if self.train:
            rng = np.random.default_rng([self.seed, int(self._epoch), index])
            views = self._train_view(self._read(index, rng), label, rng)
        else:
            views = self._test_views(self._read(index, None))
        return augment.normalise(views), label

    def _read(self, index: int, rng: np.random.Generator | None) -> Tensor:
        """Return the frames of all clips in turn: uint8 `(K T, H, W, 3)`."""
        how = self.sampling

        def choose(total: int) -> np.ndarray:
            return sample(
                how.mode,
                total,
                how.frames,
                how.stride,
                clips=how.test_clips,
                rng=rng,
            ).ravel()

        if self._cache is None:
            return torch.from_numpy(read_frames(self.paths[index], choose))
        if index not in self._cache:
            self._cache[index] = read_frames(self.paths[index], range)
        video = self._cache[index]
        return torch.from_numpy(video[choose(len(video))])

    def _train_view(self, clip: Tensor, label: int, rng: np.random.Generator) -> Tensor:
        how = self.sampling
        if how.scales is None:
            clip = augment.scale(clip, how.resize)
        else:
            shape = how.resize if isinstance(how.resize, tuple) else None
            clip = augment.random_scale(
                clip, how.scales, rng, stretch=how.stretch, shape=shape
            )
        cut = augment.jittered_crop if how.jitter else augment.random_crop
        clip = cut(clip, how.size, rng)  # (T, size, size, 3)
        mirror = how.flip and rng.random() < 0.5 and not self._sided[label]
        return augment.flip(clip) if mirror else clip

    def _test_views(self, clips: Tensor) -> Tensor:
        how = self.sampling
        clips = augment.scale(clips, how.resize)
        cut = augment.test_views(clips, how.test_size or how.size, how.test_crops)
        # (crops, K, T, size, size, 3)
        views = cut.unflatten(1, (how.test_clips, how.frames))
        return views.transpose(0, 1).flatten(0, 1)
