"""Labelled clips of a folder, decoded where they are used."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidattn.errors import UserError
from vidattn.video import augment
from vidattn.video.decode import read_frames
from vidattn.video.index import read_classes, read_index
from vidattn.video.sample import SAMPLINGS, sample


class VideoDataset(Dataset[tuple[Tensor, int]]):
    """The clips that an index file lists, sampled in time, cropped and normalised.

    What is random in training follows from (seed, epoch, index) alone: not from the workers, nor from the
    order.

    Args:
        folder: the data folder.
        split_file: name of the index file in it.
        sampling: "uniform" or "dense".
        frames: number T of frames of a clip.
        stride: frames from one sampled frame to the next (dense only).
        size: height and width of a crop, in pixels.
        resize: length of the shorter side before the crop, in pixels; None keeps the video's size.
        train: whether time, crop and flip are random.
        flip: whether half of the training clips are mirrored; off where labels tell left from right.
        jitter: whether training crops vary in size (TSN); else they are cut out at a random place.
        clips: clips of a video in evaluation.
        crops: 1 (the centre) or 3 (along the longer side) in evaluation.
        seed: of what is random in training.
        cache: whether decoded frames stay in memory, in each process that decodes: for small sets.

    Raises:
        UserError: an option that is not allowed, or a faulty index file.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        split_file: str = "index.csv",
        sampling: str = "uniform",
        frames: int = 8,
        stride: int = 1,
        size: int = 224,
        resize: int | None = 256,
        train: bool = False,
        flip: bool = False,
        jitter: bool = False,
        clips: int = 1,
        crops: int = 1,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        if sampling not in SAMPLINGS:
            raise UserError(f"sampling must be one of {', '.join(SAMPLINGS)}, not {sampling!r}")
        numbers = {"frames": frames, "stride": stride, "size": size, "clips": clips}
        for name, value in numbers.items():
            if value < 1:
                raise UserError(f"{name} must be at least 1, not {value}")
        if resize is not None and resize < size:
            raise UserError(f"resize must be None or at least size = {size}, not {resize}")
        if crops not in (1, 3):
            raise UserError(f"crops must be 1 or 3, not {crops}")
        if train and (clips, crops) != (1, 1):
            raise UserError(f"training takes clips = 1 and crops = 1, not {clips} and {crops}")
        if seed < 0:
            raise UserError(f"seed must be at least 0, not {seed}")
        self.rows = read_index(folder, split_file)
        self.labels = [label for _, label in self.rows]
        self.classes = read_classes(folder) or tuple(str(label) for label in range(max(self.labels) + 1))
        self.sampling, self.frames, self.stride = sampling, frames, stride
        self.size, self.resize, self.crops, self.clips = size, resize, crops, clips
        self.train, self.flip, self.jitter, self.seed = train, flip, jitter, seed
        # Shared memory: workers that outlive an epoch see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cache: dict[int, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that training's randomness depends on; call it before the loader is iterated over.

        Args:
            epoch: counted from 0.
        """
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Reads one video.

        Args:
            index: its place in the index file.

        Returns:
            Training: float32 `(3, T, H, W)`; evaluation: `(views, 3, T, H, W)`, view = clip * crops + crop.
                The label.

        Raises:
            VideoError: the video cannot be decoded.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index}, allowed are 0 to {len(self) - 1}")
        rng = np.random.default_rng([self.seed, int(self._epoch), index]) if self.train else None
        clips = self._read(index, rng)
        if self.resize is not None:
            clips = augment.resize_short_side(clips, self.resize)
        clips = self._train_view(clips, rng) if rng is not None else self._eval_views(clips)
        return augment.normalise(clips), self.labels[index]

    def _read(self, index: int, rng: np.random.Generator | None) -> Tensor:
        """Gives the frames of all clips, one after the other: uint8 `(K T, H, W, 3)`."""
        path = self.rows[index][0]

        def choose(total: int) -> np.ndarray:
            return sample(self.sampling, total, self.frames, self.stride, clips=self.clips, rng=rng).ravel()

        if self._cache is None:
            return torch.from_numpy(read_frames(path, choose))
        if index not in self._cache:
            self._cache[index] = read_frames(path, range)
        video = self._cache[index]
        return torch.from_numpy(video[choose(len(video))])

    def _train_view(self, clip: Tensor, rng: np.random.Generator) -> Tensor:
        cut = augment.jittered_crop if self.jitter else augment.random_crop
        clip = cut(clip, self.size, rng)  # (T, size, size, 3)
        return augment.flip(clip) if self.flip and rng.random() < 0.5 else clip

    def _eval_views(self, clips: Tensor) -> Tensor:
        three = self.crops == 3
        cut = augment.three_crops(clips, self.size) if three else augment.centre_crop(clips, self.size)[None]
        views = cut.unflatten(1, (self.clips, self.frames))  # (crops, K, T, size, size, 3)
        return views.transpose(0, 1).flatten(0, 1)
