"""Six public data sets, in the layouts and with the annotation files in which they are
distributed.

A reader turns a data set's own lists into `Listed` clips; none opens a video. The
layouts are facts from the data sets' pages and from public code that reads them:
MMAction2 (tools/data), CVDF's kinetics-dataset, TSM (tools and ops/dataset_config),
torchvision's datasets, MFNet's lists.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from vidattn.errors import UserError
from vidattn.video.index import (
    Clips,
    Listed,
    find_clips,
    read_classes,
    read_rows,
    read_text,
)

# Where the annotation files and the videos are looked for, below the data folder.
ANNOTATIONS = (
    "",
    "annotations",
    "labels",
    "splits",
    "ucfTrainTestlist",
    "testTrainMulti_7030_splits",
)
VIDEOS = (
    "UCF-101",
    "hmdb51_org",
    "20bn-something-something-v1",
    "20bn-something-something-v2",
    "videos",
    "rawframes",
    "",
)
REPORT = [
    "where",
    "name",
    "kind",
    "detail",
]  # header of a report of `python -m notebooks data`


class Lists(NamedTuple):
    """The classes of a data set, number 0 first, and the clips of its training and of
    its test list.
    """

    classes: tuple[str, ...]
    train: list[Listed]
    test: list[Listed]


def _find(root: Path, *names: str) -> Path:
    """Returns the first annotation file that is there, of the names that are in use."""
    for path in (root / folder / name for folder in ANNOTATIONS for name in names):
        if path.is_file():
            return path
    raise UserError(f"{root}: no annotation file {' or '.join(names)}")


def _lines(path: Path, separator: str = "\n") -> Iterator[tuple[str, str, str]]:
    """Yields of each line that is not empty: where it stands, and what is before and
    behind a separator.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            before, _, behind = line.strip().partition(separator)
            yield f"{path.name}, line {number}", before, behind


def _classes(root: Path, train: list[Listed]) -> tuple[str, ...]:
    """Returns the classes of `classes.txt`, or else of the training list in the order
    of their names.
    """
    return read_classes(root) or tuple(
        sorted({clip.label for clip in train if clip.label})
    )


def _kinetics400(root: Path, split: int) -> Lists:
    """Kinetics-400: `train.csv` and `val.csv` with label, youtube_id, time_start and
    time_end; mp4 files.

    A clip is `<id>_<start>_<end>.mp4`, six digits each, in `train` and `val` (CVDF),
    `videos_train` and `videos_val` (MMAction2), `videos/train` ... or the data folder
    itself, flat or by class, spaces as `_` or not. CVDF's replacements for broken files
    come first. The classes are those of the training list in the order of their names,
    unless `classes.txt` names them.
    """

    def listed(*words: str) -> Iterator[Listed]:
        path = _find(
            root,
            *(before + word + ".csv" for word in words for before in ("", "kinetics_")),
        )
        places = ["replacement/replacement_for_corrupted_k400"]
        places += [
            before + word for word in words for before in ("", "videos_", "videos/")
        ] + ["videos", ""]
        places = [place for place in places if (root / place).is_dir()]
        rows = read_rows(path)
        _, header = next(rows, (1, []))
        for number, row in rows:
            field = dict(zip(header, row, strict=False))
            try:
                start, end = (
                    int(float(field[time])) for time in ("time_start", "time_end")
                )
                label, name = (
                    field["label"],
                    f"{field['youtube_id']}_{start:06d}_{end:06d}.mp4",
                )
            except (KeyError, ValueError, OverflowError):
                needed = "label, youtube_id, time_start, time_end"
                raise UserError(f"{path}, line {number}: must have {needed}") from None
            inner = ("", label, label.replace(" ", "_"))
            folders = tuple(
                f"{place}/{folder}".strip("/") for place in places for folder in inner
            )
            yield Listed(f"{path.name}, line {number}", name, label, folders)

    train, test = list(listed("train")), list(listed("val", "validate"))
    return Lists(_classes(root, train), train, test)


def _mini_kinetics200(root: Path, split: int) -> Lists:
    """Mini-Kinetics-200: `train_ytid_list.txt` and `val_ytid_list.txt`, a video's name
    on YouTube a line, over the files and annotations of Kinetics-400.

    Source:
        Xie et al. 2018, Rethinking Spatiotemporal Feature Learning (the 200 classes and
        the lists).
    """

    def chosen(word: str, clips: list[Listed]) -> Iterator[Listed]:
        named = {clip.name.rsplit("_", 2)[0]: clip for clip in clips}
        for where, name, _ in _lines(_find(root, f"{word}_ytid_list.txt")):
            yield named.get(name, Listed("", name, None))._replace(where=where)

    whole = _kinetics400(root, split)
    train, test = list(chosen("train", whole.train)), list(chosen("val", whole.test))
    return Lists(_classes(root, train), train, test)


def _something_v1(root: Path, split: int) -> Lists:
    """Something-Something V1: lines `<id>;<class>`, and a class a line; folders `<id>`
    of 00001.jpg ...
    """

    def listed(word: str) -> Iterator[Listed]:
        for where, name, label in _lines(
            _find(root, f"something-something-v1-{word}.csv"), ";"
        ):
            yield Listed(where, name, label or None, VIDEOS)

    classes = _lines(_find(root, "something-something-v1-labels.csv"))
    return Lists(
        tuple(name for _, name, _ in classes),
        list(listed("train")),
        list(listed("validation")),
    )


def _something_v2(root: Path, split: int) -> Lists:
    """Something-Something V2: JSON lists of entries with id and template, whose
    placeholders stand in brackets, and a mapping of classes to numbers; `<id>.webm`.
    """

    def load(word: str, kind: type) -> tuple[Path, Any]:
        path = _find(root, f"something-something-v2-{word}.json", f"{word}.json")
        try:
            content = json.loads(read_text(path))
        except ValueError as error:
            raise UserError(f"{path}: not JSON ({error})") from None
        if not isinstance(content, kind):
            raise UserError(f"{path}: must be a JSON {kind.__name__}")
        return path, content

    def listed(word: str) -> Iterator[Listed]:
        path, entries = load(word, list)
        for number, entry in enumerate(entries, start=1):
            found = entry if isinstance(entry, dict) else {}
            label = str(found.get("template", "")).replace("[", "").replace("]", "")
            yield Listed(
                f"{path.name}, entry {number}",
                f"{found.get('id')}.webm",
                label or None,
                VIDEOS,
            )

    _, numbers = load("labels", dict)
    classes = sorted(
        numbers, key=lambda name: (len(str(numbers[name])), str(numbers[name]))
    )  # 2 before 10
    return Lists(tuple(classes), list(listed("train")), list(listed("validation")))


def _ucf101(root: Path, split: int) -> Lists:
    """UCF101: `classInd.txt` with `<number from 1> <class>`, `trainlist<split>.txt` and
    `testlist<split>.txt` with `<class>/<video>.avi`, in training with the class's
    number behind it; `UCF-101/<class>/<video>.avi`.
    """
    numbers = {
        name: number for _, number, name in _lines(_find(root, "classInd.txt"), " ")
    }

    def listed(word: str) -> Iterator[Listed]:
        for where, name, given in _lines(
            _find(root, f"{word}list{split:02d}.txt"), " "
        ):
            label = str(PurePath(name).parent)
            agrees = given in ("", numbers.get(label))
            yield Listed(where, name, label if agrees else f"{label} {given}", VIDEOS)

    return Lists(tuple(numbers), list(listed("train")), list(listed("test")))


def _hmdb51(root: Path, split: int) -> Lists:
    """HMDB51: `<class>_test_split<split>.txt` with `<video>.avi 1` for training, 2 for
    testing, 0 for neither; `<class>/<video>.avi`. The classes are those of the files,
    unless `classes.txt` names them.
    """
    ending = f"_test_split{split}.txt"
    found = [
        path for folder in ANNOTATIONS for path in (root / folder).glob("*" + ending)
    ]
    files = {path.name.removesuffix(ending): path for path in found}
    if not files:
        raise UserError(f"{root}: no annotation file <class>{ending}")
    lists: dict[str, list[Listed]] = {"0": [], "1": [], "2": []}
    for label in sorted(files):
        for where, name, use in _lines(files[label], " "):
            known = use.strip() if use.strip() in lists else None
            # With a use that is none it is reported with the training list.
            lists[known or "1"].append(
                Listed(where, f"{label}/{name}", known and label, VIDEOS)
            )
    return Lists(read_classes(root) or tuple(sorted(files)), lists["1"], lists["2"])


class DataSet(NamedTuple):
    """A data set's reader, and the official numbers: of classes, and by split of
    training and test clips.
    """

    read: Callable[[Path, int], Lists]
    classes: int
    clips: dict[int, tuple[int, int]]


DATASETS = {
    "kinetics400": DataSet(_kinetics400, 400, {1: (246_534, 19_906)}),  # CVDF's lists
    "mini_kinetics200": DataSet(_mini_kinetics200, 200, {1: (80_000, 5_000)}),
    "something_v1": DataSet(_something_v1, 174, {1: (86_017, 11_522)}),
    "something_v2": DataSet(_something_v2, 174, {1: (168_913, 24_777)}),
    "ucf101": DataSet(
        _ucf101, 101, {1: (9_537, 3_783), 2: (9_586, 3_734), 3: (9_624, 3_696)}
    ),
    "hmdb51": DataSet(_hmdb51, 51, dict.fromkeys((1, 2, 3), (3_570, 1_530))),
}


def read_lists(
    kind: str, root: str | Path, split: int = 1, report: str | Path | None = None
) -> Lists:
    """Reads a data set's annotations, and does not look for the clips.

    Args:
        kind: a name in `DATASETS`.
        root: the data folder.
        split: which of the official splits; UCF101 and HMDB51 have three.
        report: a report of `python -m notebooks data`, whose clips are left out.

    Raises:
        UserError: no such split or annotation file, one that cannot be read, or a
            report of other lists.
    """
    if split not in DATASETS[kind].clips:
        raise UserError(
            f"split: {kind} has {', '.join(map(str, DATASETS[kind].clips))}, not {split}"
        )
    lists = DATASETS[kind].read(Path(root), split)
    if report is None:
        return lists
    rows = read_rows(Path(report))
    header = next(rows, (1, []))[1]
    left_out = {tuple(row[:2]) for _, row in rows}
    unknown = left_out - {clip[:2] for clip in (*lists.train, *lists.test)}
    if header != REPORT or unknown:
        raise UserError(
            f"{report}: not a report of these lists; `python -m notebooks data` makes one"
        )
    kept = (
        [clip for clip in listed if clip[:2] not in left_out] for listed in lists[1:]
    )
    return Lists(lists.classes, *kept)


def read_dataset(
    kind: str, root: str | Path, split: int = 1, report: str | Path | None = None
) -> tuple[Clips, Clips]:
    """Reads a data set's training and test clips; one that is listed twice, in either
    list, is a fault.

    Args and errors are those of `read_lists`.
    """
    classes, *both = read_lists(kind, root, split, report)
    seen: dict[str, str] = {}
    train, test = (find_clips(root, classes, listed, seen) for listed in both)
    return train, test
