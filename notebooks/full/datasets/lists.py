"""A public data set as index files: what a run reads, in one format for all of them."""

import csv
import io
import os
from pathlib import Path

from filelock import FileLock

from notebooks.full.datasets.official import read_dataset
from vidattn.errors import UserError
from vidattn.training.checkpoint import write_atomically
from vidattn.video.index import HEADER, read_rows

INDICES = ("train.csv", "val.csv")


def write_lists(
    folder: str | Path,
    kind: str,
    root: str | Path,
    split: int = 1,
    report: str | Path | None = None,
) -> None:
    """Write the clips of a data set as `train.csv` and `val.csv`, relative to its root.

    Beside them stand `classes.txt` and, where clips are left out, `left_out.csv`, a
    copy of the report. A run takes them as `data: {kind: folder, root: <root>, train:
    <folder>/train.csv, test: <folder>/val.csv}`, with the folder's absolute path.

    Args:
        folder: Where they go.
        kind: A name in `DATASETS`.
        root: The data folder.
        split: Which of the official splits.
        report: A report of `python -m notebooks data`, whose clips are left out.
            Without it, one clip that cannot be used is an error.

    Raises:
        UserError: The annotations or the report are faulty, a clip cannot be used and
            is not left out, or an annotation of the data set would be overwritten.
    """
    for name in INDICES:
        there = Path(folder) / name
        if there.is_file() and next(read_rows(there), None) != (1, HEADER):
            raise UserError(f"{there}: is no index file; choose another folder")
    train, test = read_dataset(kind, root, split, report)
    if faults := [*train.faults, *test.faults]:
        raise UserError(
            f"data: {len(faults)} clips cannot be used, the first: {faults[0]}; "
            "`python -m notebooks data` reports them all, and leave_out takes its report"
        )
    written = {"classes.txt": "".join(f"{name}\n" for name in train.classes).encode()}
    for name, clips in zip(INDICES, (train, test), strict=True):
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(HEADER)
        rows.writerows((os.path.relpath(c.path, root), c.label) for c in clips.rows)
        written[name] = text.getvalue().encode()
    if report is not None:
        written["left_out.csv"] = Path(report).read_bytes()
    Path(folder).mkdir(parents=True, exist_ok=True)
    with FileLock(Path(folder) / ".lock"):  # processes of one run come at once
        for name, content in written.items():
            write_atomically(Path(folder) / name, lambda file, c=content: file.write(c))
