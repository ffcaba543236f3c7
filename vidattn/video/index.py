"""Which clip has which label.

Annotations become clips that are there, and faults that are named.

An index is a CSV file with the header `path,label`: a path relative to the data folder
(a video file or a folder of JPEG frames) and a class number. `classes.txt` beside it
names the classes, one a line, number 0 first. Whoever has other annotations turns them
into `Listed` clips and writes those that are there as an index.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vidattn.errors import UserError

HEADER = ["path", "label"]  # of an index


class Listed(NamedTuple):
    """A clip as an annotation lists it.

    Args:
        where: File and line of the annotation.
        name: The clip's path below one of `folders`.
        label: Its class's name; None where the annotations do not say it.
        folders: Where the clip may lie, below the data folder; the first that holds it
            counts.
    """

    where: str
    name: str
    label: str | None
    folders: tuple[str, ...] = ("",)


class Clip(NamedTuple):
    """A clip that is there: path, class number, where it is listed, its name there."""

    path: str
    label: int
    where: str
    name: str


class Fault(NamedTuple):
    """Why a listed clip cannot be used.

    The kinds: "outside", "label", "missing", "duplicate" and "unreadable".
    """

    where: str
    name: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.name!r}: {self.detail}"


class Clips(NamedTuple):
    """The usable clips of a list, the classes' names, and what cannot be used."""

    rows: list[Clip]
    classes: tuple[str, ...]
    faults: list[Fault]


def find_clips(
    root: str | Path,
    classes: tuple[str, ...],
    listed: Iterable[Listed],
    seen: dict[str, str] | None = None,
) -> Clips:
    """Look for listed clips on the disk. Nothing is opened.

    Args:
        root: The data folder.
        classes: The classes' names, number 0 first.
        listed: The clips. One whose path leaves the data folder (an absolute path, or
            one with `..`) is a fault, wherever it leads; symbolic links are followed.
        seen: Where each clip was listed so far; with it, a clip that is listed twice is
            a fault.

    Returns:
        The clips in their order, and the faults.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    present: dict[
        str, set[str]
    ] = {}  # one listing a folder: a question per clip is slow on a network's disk

    def is_there(path: str) -> bool:
        parent, name = os.path.split(path)
        if parent not in present:
            present[parent] = set()
            with suppress(OSError):
                present[parent].update(os.listdir(parent))
        return name in present[parent]

    rows, faults = [], []
    for where, name, label, folders in listed:
        places = [os.path.join(folder, name) for folder in folders]
        if any(
            os.path.isabs(place) or ".." in place.split("/") or "\0" in place
            for place in places
        ):
            kind, detail = "outside", "the path leaves the data folder"
        elif label is None:
            kind, detail = "label", "the annotations do not say its class"
        elif label not in numbers:
            kind, detail = "label", f"{label!r} is none of the {len(classes)} classes"
        elif (
            found := next((p for p in places if is_there(os.path.join(root, p))), None)
        ) is None:
            kind, detail = "missing", f"no such clip in {root}"
        elif seen is not None and found in seen:
            kind, detail = "duplicate", f"listed before, in {seen[found]}"
        else:
            rows.append(Clip(os.path.join(root, found), numbers[label], where, name))
            if seen is not None:
                seen[found] = where
            continue
        faults.append(Fault(where, name, kind, detail))
    return Clips(rows, classes, faults)


def read_text(path: Path) -> str:
    """Read an annotation file.

    Raises:
        UserError: It is not there, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: must be text in UTF-8") from None


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file and the numbers of their lines, without empty ones.

    Raises:
        UserError: It is not there, or is no CSV file.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None


def read_classes(folder: str | Path) -> tuple[str, ...]:
    """Read `classes.txt`.

    Args:
        folder: Where the index file lies.

    Returns:
        The classes' names; empty where there is no such file.
    """
    path = Path(folder) / "classes.txt"
    return tuple(read_text(path).splitlines()) if path.is_file() else ()


def read_index(folder: str | Path, split_file: str = "index.csv") -> Clips:
    """Read an index file and check every line of it.

    Args:
        folder: The data folder.
        split_file: The index file, from that folder on, or its absolute path.
            `classes.txt` is looked for beside it.

    Returns:
        The clips, in the file's order; a clip may be listed twice.

    Raises:
        UserError: No such folder or file, a wrong header or line, a label that is no
            class, a clip that is not there or outside the folder.
    """
    index = Path(folder) / split_file
    rows = read_rows(index)
    if next(rows, (1, []))[1] != HEADER:
        raise UserError(f"{index}, line 1: the header must be path,label")
    listed = []
    for number, row in rows:
        where = f"{index}, line {number}"
        if len(row) != 2 or not row[1].isdecimal():
            said = ",".join(row)
            raise UserError(
                f"{where}: must be a path and a class number from 0, not {said!r}"
            )
        listed.append(Listed(where, row[0], str(int(row[1]))))
    if not listed:
        raise UserError(f"{index}: lists no clip")
    names = read_classes(index.parent)
    numbers = range(len(names) or 1 + max(int(clip.label or 0) for clip in listed))
    clips = find_clips(folder, tuple(map(str, numbers)), listed)
    for fault in clips.faults:
        raise UserError(str(fault))
    return clips._replace(classes=names or clips.classes)
