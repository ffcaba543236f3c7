"""From video files to clips: decoding, sampling in time, augmentation, data sets."""
