"""Which clip has which label: the index file of a data folder, and how one is made from a data set's
annotations.

An index is a CSV file with the header `path,label`: a path relative to the folder (a video file or a folder
of JPEG frames) and a class number. `classes.txt` beside it names the classes, one a line, number 0 first.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidattn.errors import UserError

ANNOTATIONS = ("kinetics", "something-v1")


@dataclass(frozen=True)
class IndexSummary:
    """What `write_index` found: number of clips written, of annotated clips that are not on the disk, and of
    classes."""

    clips: int
    missing: int
    classes: int

    def __str__(self) -> str:
        return f"{self.clips} clips of {self.classes} classes; {self.missing} annotated clips are missing"


def read_classes(folder: str | Path) -> tuple[str, ...]:
    """Reads `classes.txt`.

    Args:
        folder: the data folder.

    Returns:
        The classes' names; empty where there is no such file.
    """
    path = Path(folder) / "classes.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


def read_index(folder: str | Path, split_file: str = "index.csv") -> list[tuple[str, int]]:
    """Reads an index file and checks every line of it.

    Args:
        folder: the data folder.
        split_file: name of the index file in it.

    Returns:
        Full path and label of each clip, in the file's order.

    Raises:
        UserError: no such folder or file, a wrong header or line, a label that is no class, a clip that is
            not there.
    """
    index = Path(folder) / split_file
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such data folder")
    if not index.is_file():
        raise UserError(f"{index}: no such index file (a CSV file with the header path,label)")
    names = read_classes(folder)
    present: dict[str, set[str]] = {}  # one listing a folder: a question per clip is slow on a network's disk
    rows: list[tuple[str, int]] = []
    with open(index, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if next(reader, None) != ["path", "label"]:
            raise UserError(f"{index}, line 1: the header must be path,label")
        for row in reader:
            where = f"{index}, line {reader.line_num}"
            if len(row) != 2 or not row[1].isdecimal():
                raise UserError(f"{where}: must be a path and a class number from 0, not {','.join(row)!r}")
            label = int(row[1])
            if names and label >= len(names):
                raise UserError(f"{where}: label {label}, allowed are 0 to {len(names) - 1} (classes.txt)")
            path = os.path.join(folder, row[0])
            parent, name = os.path.split(os.path.normpath(path))
            if parent not in present:
                present[parent] = set(os.listdir(parent)) if os.path.isdir(parent) else set()
            if name not in present[parent]:
                raise UserError(f"{where}: no such clip: {path}")
            rows.append((path, label))
    if not rows:
        raise UserError(f"{index}: lists no clip")
    return rows


def write_index(
    annotations: str | Path, folder: str | Path, kind: str, split_file: str = "index.csv"
) -> IndexSummary:
    """Makes an index file from a data set's own annotations; clips that are not on the disk are left out and
    counted.

    Class numbers follow `classes.txt`, which is written (names in alphabetical order) where it is missing, so
    that a second split of the same folder has the same numbers.

    Args:
        annotations: "kinetics": a CSV file with columns label, youtube_id, time_start, time_end; clips are
            `<id>_<start>_<end>.mp4` (six digits each), in the folder or in one named after the class, spaces
            as `_` or not. "something-v1": lines `<id>;<class>` without a header; clips are folders `<id>` of
            JPEG frames.
        folder: the data folder.
        kind: "kinetics" or "something-v1".
        split_file: name of the index file to write.

    Returns:
        What was found.

    Raises:
        UserError: an unknown kind, no such annotations, a wrong line, a class that `classes.txt` lacks, no
            clip found.
    """
    if kind not in ANNOTATIONS:
        raise UserError(f"annotations must be one of {', '.join(ANNOTATIONS)}, not {kind!r}")
    if not Path(annotations).is_file():
        raise UserError(f"{annotations}: no such annotation file")
    listed = list(_kinetics(annotations) if kind == "kinetics" else _something(annotations))
    names = read_classes(folder) or tuple(sorted({name for _, name in listed}))
    numbers = {name: number for number, name in enumerate(names)}
    rows: list[tuple[str, int]] = []
    for candidates, name in listed:
        if name not in numbers:
            raise UserError(f"{annotations}: class {name!r} is not in {Path(folder) / 'classes.txt'}")
        found = next((path for path in candidates if os.path.exists(os.path.join(folder, path))), None)
        if found is not None:
            rows.append((found, numbers[name]))
    if not rows:
        raise UserError(f"{folder}: none of the {len(listed)} clips of {annotations} is there")
    _write(Path(folder) / "classes.txt", "".join(name + "\n" for name in names))
    temporary = Path(folder) / f".{split_file}.{os.getpid()}.tmp"
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "label"), *rows])
    os.replace(temporary, Path(folder) / split_file)
    return IndexSummary(len(rows), len(listed) - len(rows), len(names))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _kinetics(annotations: str | Path) -> Iterator[tuple[list[str], str]]:
    """Gives each clip's possible paths and its class."""
    with open(annotations, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                label, start, end = row["label"], int(float(row["time_start"])), int(float(row["time_end"]))
                name = f"{row['youtube_id']}_{start:06d}_{end:06d}.mp4"
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(
                    f"{annotations}, line {reader.line_num}: must have label, youtube_id, "
                    "time_start, time_end"
                ) from error
            yield [name, f"{label}/{name}", f"{label.replace(' ', '_')}/{name}"], label


def _something(annotations: str | Path) -> Iterator[tuple[list[str], str]]:
    """Gives each clip's folder and its class."""
    for number, line in enumerate(Path(annotations).read_text(encoding="utf-8").splitlines(), start=1):
        clip, separator, name = line.partition(";")
        if not separator or not clip.isdecimal() or not name:
            raise UserError(f"{annotations}, line {number}: must be <id>;<class>, not {line!r}")
        yield [clip], name
