"""From video files to clips: decoding, sampling in time, augmentation, data sets."""

from vidattn.errors import MissingExtra

try:
    from vidattn.video.datasets import VideoDataset
    from vidattn.video.decode import VideoError, probe, read_frames, write_video
    from vidattn.video.index import read_index
    from vidattn.video.sample import Sampling
    from vidattn.video.synthetic import SyntheticSpec, write_clips
except ModuleNotFoundError as error:
    raise MissingExtra("video", error) from None

__all__ = [
    "Sampling",
    "SyntheticSpec",
    "VideoDataset",
    "VideoError",
    "probe",
    "read_frames",
    "read_index",
    "write_clips",
    "write_video",
]
