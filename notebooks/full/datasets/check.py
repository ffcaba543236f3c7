"""What of a data set is there and can be decoded: a report, before anything is
trained.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset, Subset

from notebooks.full.datasets.official import DATASETS, REPORT, read_dataset
from vidattn.video.decode import VideoError, probe, read_frames
from vidattn.video.index import Fault


class Complaints(Dataset[str]):
    """What is wrong with each of several videos; an empty text where nothing is found.

    Args:
        paths: video files or folders of frames.
        quick: whether only what the files' headers promise, and the first frame, is
            checked; else every frame is decoded.
    """

    def __init__(self, paths: list[str], quick: bool = False) -> None:
        self.paths, self.quick = paths, quick

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> str:
        path = self.paths[index]
        try:
            if self.quick:
                probe(path)
            else:  # of a video the last frame: all are decoded before it, and none is kept
                read_frames(
                    path, range if os.path.isdir(path) else lambda total: [total - 1]
                )
        except VideoError as error:
            return str(error).removeprefix(f"{path}: ")
        return ""


def survive(
    dataset: Complaints, *, workers: int = 2, timeout: float = 600
) -> Iterator[str]:
    """Yields a data set's items in order, and goes on when one of them kills or hangs
    its process.

    Args:
        dataset: items are texts.
        workers: processes at a time, started afresh; at least one.
        timeout: seconds that one item may take.

    Yields:
        The item, or what became of the process.
    """
    start, total, alone = 0, len(dataset), False
    while start < total:
        part = Subset(dataset, range(start, start + 1 if alone else total))
        options: dict[str, Any] = {
            "timeout": timeout,
            "multiprocessing_context": "spawn",
        }
        try:
            for item in DataLoader(
                part, num_workers=max(1, workers), batch_size=None, **options
            ):
                yield item
                start += 1
            alone = False
        except (
            RuntimeError
        ) as error:  # a worker is gone, or hangs: is it the next item that does it?
            if alone:
                yield f"ends or hangs the decoder ({str(error).splitlines()[0]})"
                start += 1
            alone = not alone


def check_dataset(
    kind: str,
    root: str | Path,
    split: int = 1,
    *,
    quick: bool = False,
    workers: int = 2,
) -> tuple[list[Fault], str]:
    """Finds what of a data set is missing, unreadable or wrong in number.

    Args:
        kind: a name in `DATASETS`.
        root: the data folder.
        split: which of the official splits.
        quick: as in `Complaints`.
        workers: processes that decode.

    Returns:
        The faults in the order of the lists, and a summary.

    Raises:
        UserError: no such data set, split, folder or annotation file, or an annotation
            file that cannot be read.
    """

    def counted(name: str, found: int, official: int) -> str:
        return f"{found} {name}" + (
            "" if found == official else f" (wrong in number: officially {official})"
        )

    train, test = read_dataset(kind, root, split)
    _, classes, official = DATASETS[kind]
    faults, said = [], [counted("classes", len(train.classes), classes)]
    paths = [clip.path for clip in (*train.rows, *test.rows)]
    complaints = survive(Complaints(paths, quick), workers=workers)
    for name, clips, number in (
        ("training", train, official[split][0]),
        ("test", test, official[split][1]),
    ):
        asked = ((clip, next(complaints)) for clip in clips.rows)
        bad = [
            Fault(clip.where, clip.name, "unreadable", text)
            for clip, text in asked
            if text
        ]
        kinds = Counter(fault.kind for fault in (*clips.faults, *bad))
        usable = [
            f"{len(clips.rows) - len(bad)} usable",
            *(f"{n} {kind}" for kind, n in kinds.items()),
        ]
        listed = counted(f"{name} clips", len(clips.rows) + len(clips.faults), number)
        said.append(", ".join([listed, *usable]))
        faults += [*clips.faults, *bad]
    return faults, "\n".join(said)


def report(faults: list[Fault]) -> str:
    """Returns the faults as CSV, which a description of a run takes as
    `data.leave_out`.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([REPORT, *faults])
    return text.getvalue()
