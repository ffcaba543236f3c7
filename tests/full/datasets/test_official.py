"""Six public data sets in miniature: read in their own layouts, each fault reported in
one line.
"""

import csv
import json
import re
from functools import partial
from pathlib import Path

import pytest

from notebooks.__main__ import main
from notebooks.full.datasets.check import check_dataset, report
from notebooks.full.datasets.lists import write_lists
from notebooks.full.datasets.official import DATASETS, read_dataset, read_lists
from tests.video.layouts import (
    FRAMES,
    LAYOUTS,
    TEST,
    TRAIN,
    cut,
    empty,
    lay_out,
    put,
    text,
)
from vidattn.errors import UserError
from vidattn.training import build_data, make_experiment
from vidattn.training.build import check
from vidattn.training.experiment import Experiment, Folder
from vidattn.video.decode import read_frames
from vidattn.video.index import read_index

KINDS = tuple(LAYOUTS)


def clip_id(name: str) -> str:
    """Returns the id that the miniature gave a clip."""
    return Path(name).name.split("_0000")[0].split(".")[0]


def found(kind: str, rows) -> list[tuple[str, int]]:
    """Returns ids and classes, in order; HMDB51 has a file for each class, and so an
    order of its own.
    """
    pairs = [(clip_id(clip.path), clip.label) for clip in rows]
    return sorted(pairs) if kind == "hmdb51" else pairs


def expected(kind: str, rows) -> list[tuple[str, int]]:
    numbers = {
        re.sub(r"\W|_", "", name): number
        for number, name in enumerate(LAYOUTS[kind].classes)
    }
    pairs = [(name, numbers[label.replace(" ", "")]) for name, label in rows]
    return sorted(pairs) if kind == "hmdb51" else pairs


def faulty(kind: str, root: Path) -> None:
    """Lays a data set out with one clip of each fault; 10, 2, 3, 40 and 5 are whole."""
    layout = LAYOUTS[kind]
    wrong = [
        ("6", "arm wrestling"),
        ("7", "tearing paper"),
        ("8", "arm wrestling"),
        ("10", "tearing paper"),
        ("../../../9", "arm wrestling"),
    ]
    layout.annotate(root, [*TRAIN, *wrong], [*TEST, ("11", "juggling")])
    for word, rows in (
        ("train", [*TRAIN, *wrong[1:3], wrong[4]]),
        ("val", [*TEST, ("11", "juggling")]),
    ):
        for name, label in rows:
            put(root / layout.path(name, label, word))  # 9 is there, too: outside
    empty(root / layout.path("7", "tearing paper", "train"))
    cut(root / layout.path("8", "arm wrestling", "train"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_layout_is_read(kind: str, tmp_path: Path) -> None:
    lay_out(kind, tmp_path)
    train, test = read_dataset(kind, tmp_path)
    assert train.classes == LAYOUTS[kind].classes
    assert found(kind, train.rows) == expected(kind, TRAIN) and not train.faults
    assert found(kind, test.rows) == expected(kind, TEST) and not test.faults
    clip = next(clip for clip in train.rows if clip_id(clip.path) == "2")
    assert clip.path == str(
        tmp_path / LAYOUTS[kind].path("2", "arm wrestling", "train")
    )
    assert read_frames(clip.path, range).shape == (FRAMES, 32, 48, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_one_line_and_is_left_out_only_when_told(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "a" / "b" / "data"
    faulty(kind, root)
    listed = tmp_path / "faults.csv"
    assert main(["data", kind, str(root), "--out", str(listed), "--workers", "1"]) == 2
    said = capsys.readouterr()
    assert said.err == f"6 clips cannot be used: {listed} lists them\n"
    with open(listed, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["where", "name", "kind", "detail"]
    assert sorted((fault, clip_id(name)) for _, name, fault, _ in rows) == [
        ("duplicate", "10"),
        ("label", "11"),
        ("missing", "6"),
        ("outside", "9"),
        ("unreadable", "7"),
        ("unreadable", "8"),
    ]
    *lines, classes, train, test = said.out.splitlines()
    assert len(lines) == 6
    for (where, name, fault, detail), line in zip(rows, lines, strict=True):
        assert line == f"{where}: {fault}: {name!r}: {detail}"
        assert list(root.rglob(where.split(",")[0])) and re.search(
            r", (line|entry) \d+$", where
        )
    details = {clip_id(name): detail for _, name, _, detail in rows}
    assert re.search(r"empty|00003.jpg: cannot be decoded", details["7"])
    assert re.search(r"cut off|00012.jpg: cannot be decoded", details["8"])
    assert details["9"] == "the path leaves the data folder"
    assert re.match(r"listed before, in .*(line|entry) \d+$", details["10"])
    assert classes.startswith(
        f"{len(LAYOUTS[kind].classes)} classes (wrong in number: officially "
    )
    official = DATASETS[kind].clips[1]
    label_in_test = (
        kind != "hmdb51"
    )  # there, a use that is none is counted with the training list
    trained, tested = (8, 3) if label_in_test else (9, 2)
    wrong = "(wrong in number: officially {})"
    assert train.startswith(
        f"{trained} training clips {wrong.format(official[0])}, 3 usable, "
    )
    assert all(
        part in train
        for part in ("1 missing", "1 outside", "1 duplicate", "2 unreadable")
    )
    assert test.startswith(f"{tested} test clips {wrong.format(official[1])}, 2 usable")
    assert ("1 label" in test) == label_in_test

    def described(name: str, report: Path | None = None) -> Experiment:
        write_lists(tmp_path / name, kind, root, report=report)
        files = {
            word: str(tmp_path / name / f"{word}.csv") for word in ("train", "val")
        }
        data = {"root": str(root), "train": files["train"], "test": files["val"]}
        return make_experiment(
            {
                "name": "mini",
                "data": {"kind": "folder", **data},
                "sampling": {"frames": 2, "size": 16, "resize": 24},
                "model": {"backbone": "resnet_mini", "num_classes": 12},
                "optim": {"epochs": 1, "batch": 2, "lr": 0.1},
            }
        )

    words = r"data: \d clips cannot be used, the first: .*leave_out takes its report"
    with pytest.raises(UserError, match=words) as caught:
        described("whole")
    assert "\n" not in str(caught.value) and not (tmp_path / "whole").exists()
    told = described("told", listed)
    check(told)
    used = [sorted(clip_id(path) for path in data.paths) for data in build_data(told)]
    assert used == [["10", "2", "3"], ["40", "5"]]
    assert build_data(told)[0].classes == LAYOUTS[kind].classes
    assert (tmp_path / "told" / "left_out.csv").read_bytes() == listed.read_bytes()


def test_a_whole_data_set_has_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out("something_v1", tmp_path)
    out = ["--out", str(tmp_path / "faults.csv"), "--workers", "1"]
    assert main(["data", "something_v1", str(tmp_path), *out]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 classes (wrong in number: officially 174)",
        "3 training clips (wrong in number: officially 86017), 3 usable",
        "2 test clips (wrong in number: officially 11522), 2 usable",
    ]
    assert (tmp_path / "faults.csv").read_text() == "where,name,kind,detail\n"


def test_a_quick_check_looks_at_the_first_frame_only(tmp_path: Path) -> None:
    lay_out("something_v1", tmp_path)
    cut(tmp_path / "20bn-something-something-v1" / "3")
    assert check_dataset("something_v1", tmp_path, quick=True, workers=1)[0] == []
    (fault,) = check_dataset("something_v1", tmp_path, workers=1)[0]
    assert fault[:3] == ("something-something-v1-train.csv, line 3", "3", "unreadable")


@pytest.mark.parametrize(
    ("annotation", "clip"),
    [
        ("train.csv", "train/{}"),  # CVDF
        (
            "annotations/kinetics_train.csv",
            "videos_train/arm_wrestling/{}",
        ),  # MMAction2
        (
            "annotations/train.csv",
            "videos/train/arm wrestling/{}",
        ),  # CVDF, arranged by class
        ("train.csv", "arm wrestling/{}"),
        ("kinetics_train.csv", "{}"),
    ],
)
def test_kinetics_as_laboratories_have_it(
    tmp_path: Path, annotation: str, clip: str
) -> None:
    head = "label,youtube_id,time_start,time_end"
    text(tmp_path / annotation, [head, "arm wrestling,-_x_y,3.0,13.5"])
    text(tmp_path / annotation.replace("train", "val"), [head, "yoga,v,0,10"])
    path = tmp_path / clip.format("-_x_y_000003_000013.mp4")
    text(path, [""])
    train, test = read_dataset("kinetics400", tmp_path)
    assert train.rows[0][:2] == (str(path), 0)
    assert test.faults[0].detail == "'yoga' is none of the 1 classes"
    replacement = (
        tmp_path / "replacement" / "replacement_for_corrupted_k400" / path.name
    )
    text(replacement, [""])
    assert read_dataset("kinetics400", tmp_path)[0].rows[0].path == str(replacement)
    text(tmp_path / "classes.txt", ["yoga", "arm wrestling"])
    assert read_dataset("kinetics400", tmp_path)[0].rows[0].label == 1


def test_mini_kinetics_names_a_clip_that_kinetics_lacks(tmp_path: Path) -> None:
    lay_out("mini_kinetics200", tmp_path, [*TRAIN, ("_-a_b", "arm wrestling")])
    with open(tmp_path / "val_ytid_list.txt", "a") as file:
        file.write("unknown0000\n")
    train, test = read_dataset("mini_kinetics200", tmp_path)
    assert train.rows[3].name == "_-a_b_000003_000013.mp4"
    (fault,) = test.faults
    assert fault[:3] == ("val_ytid_list.txt, line 3", "unknown0000", "label")
    assert fault.detail == "the annotations do not say its class"


def test_ucf101_has_three_splits_and_its_numbers_must_agree(tmp_path: Path) -> None:
    lay_out("ucf101", tmp_path)
    assert len(read_dataset("ucf101", tmp_path, 2)[0].rows) == 1
    with pytest.raises(UserError, match=r"no annotation file trainlist03\.txt"):
        read_dataset("ucf101", tmp_path, 3)
    with pytest.raises(UserError, match="split: ucf101 has 1, 2, 3, not 4"):
        read_dataset("ucf101", tmp_path, 4)
    text(
        tmp_path / "ucfTrainTestlist" / "trainlist01.txt",
        ["armwrestling/2.avi 1", "armwrestling/2.avi 2"],
    )
    train, _ = read_dataset("ucf101", tmp_path)
    assert (
        train.faults[0].detail == "'armwrestling 1' is none of the 2 classes"
        and len(train.rows) == 1
    )


def test_a_clip_in_both_lists_is_a_duplicate(tmp_path: Path) -> None:
    lay_out("something_v2", tmp_path, TRAIN, [*TEST, TRAIN[0]])
    train, test = read_dataset("something_v2", tmp_path)
    assert len(train.rows) == 3
    assert test.faults[0].detail == "listed before, in train.json, entry 1"
    with pytest.raises(
        UserError, match=r"1 clips cannot be used, the first: validation\.json, entry 3"
    ):
        write_lists(tmp_path / "lists", "something_v2", tmp_path)


def test_hmdb51_leaves_out_what_is_neither(tmp_path: Path) -> None:
    lay_out("hmdb51", tmp_path)
    put(tmp_path / "hmdb51_org/arm_wrestling/neither.avi")
    names = [
        clip.name for clips in read_dataset("hmdb51", tmp_path) for clip in clips.rows
    ]
    assert len(names) == 5 and "arm_wrestling/neither.avi" not in names


def test_hmdb51_is_in_one_order_on_every_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LAYOUTS["hmdb51"].annotate(tmp_path, TRAIN, TEST)
    glob, orders = Path.glob, []
    for backwards in (False, True):
        order = partial(sorted, reverse=backwards)
        monkeypatch.setattr(
            Path,
            "glob",
            lambda self, words, order=order: iter(order(glob(self, words))),
        )
        orders.append(read_lists("hmdb51", tmp_path))
    assert orders[0] == orders[1] and orders[0].train[0].name == "arm_wrestling/2.avi"


def test_an_annotation_cannot_lead_outside_by_its_class(tmp_path: Path) -> None:
    head = "label,youtube_id,time_start,time_end"
    text(
        tmp_path / "data" / "train.csv",
        [head, "../..,x,3,13", "a,y,3,13", "/etc,z,3,13", "a\0,w,3,13"],
    )
    text(tmp_path / "data" / "val.csv", [head, "a,/v,3,13"])
    for name in ("x_000003_000013.mp4", "data/y_000003_000013.mp4"):
        text(tmp_path / name, [""])
    train, test = read_dataset("kinetics400", tmp_path / "data")
    kinds = [fault.kind for fault in (*train.faults, *test.faults)]
    assert (
        kinds == ["outside", "missing", "outside", "outside"] and len(train.rows) == 1
    )


def test_links_are_followed(tmp_path: Path) -> None:
    """CVDF's own script arranges by class with links, and laboratories link folders to
    other disks.
    """
    lay_out("kinetics400", tmp_path / "disk")
    (tmp_path / "data").mkdir()
    for name in ("annotations", "train", "val"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "disk" / name)
    assert len(read_dataset("kinetics400", tmp_path / "data")[0].rows) == 3


@pytest.mark.parametrize(
    ("kind", "file", "content", "words"),
    [
        (
            "kinetics400",
            "annotations/train.csv",
            "label,youtube_id\na,x\n",
            "line 2: must have label",
        ),
        (
            "kinetics400",
            "annotations/train.csv",
            "label,youtube_id,time_start,time_end\na,x,soon,9\n",
            "line 2",
        ),
        (
            "kinetics400",
            "annotations/train.csv",
            "label,youtube_id,time_start,time_end\na,x,inf,9\n",
            "line 2",
        ),
        (
            "kinetics400",
            "annotations/val.csv",
            "label,youtube_id,time_start,time_end\na,x\n",
            "line 2",
        ),
        (
            "kinetics400",
            "annotations/train.csv",
            'label,"' + 140_000 * "x",
            "line 1: field larger than",
        ),
        ("something_v2", "labels/train.json", "[{", "train.json: not JSON"),
        ("something_v2", "labels/train.json", "{}", "train.json: must be a JSON list"),
        (
            "something_v2",
            "labels/labels.json",
            "[]",
            "labels.json: must be a JSON dict",
        ),
        (
            "something_v1",
            "something-something-v1-labels.csv",
            b"\xff\xfe",
            "must be text in UTF-8",
        ),
        (
            "something_v1",
            "something-something-v1-train.csv",
            None,
            "no annotation file something-something-v1-t",
        ),
        (
            "ucf101",
            "ucfTrainTestlist/classInd.txt",
            None,
            "no annotation file classInd.txt",
        ),
        (
            "mini_kinetics200",
            "val_ytid_list.txt",
            None,
            "no annotation file val_ytid_list.txt",
        ),
    ],
)
def test_faulty_annotations_are_one_line(
    tmp_path: Path, kind: str, file: str, content: str | bytes | None, words: str
) -> None:
    LAYOUTS[kind].annotate(tmp_path, TRAIN, TEST)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(
            content.encode() if isinstance(content, str) else content
        )
    with pytest.raises(UserError, match=words) as caught:
        read_lists(kind, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_folder_and_split_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no annotation file <class>_test_split2\.txt"):
        read_lists("hmdb51", tmp_path, 2)
    with pytest.raises(
        UserError, match=r"none: no annotation file train.csv or kinetics_train.csv"
    ):
        read_lists("kinetics400", tmp_path / "none")


def test_odd_entries_are_faults(tmp_path: Path) -> None:
    LAYOUTS["something_v2"].annotate(tmp_path, TRAIN, TEST)
    entries = [
        "a",
        {"id": "1"},
        {"template": "tearing paper"},
        {"id": 1, "template": 2},
    ]
    (tmp_path / "labels" / "train.json").write_text(json.dumps(entries))
    kinds = [fault.kind for fault in read_dataset("something_v2", tmp_path)[0].faults]
    assert kinds == ["label", "label", "missing", "label"]


def test_the_key_is_that_of_the_lists_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("one", "two"):
        lay_out("something_v1", tmp_path / name)
        put(tmp_path / name / "20bn-something-something-v1" / "12")

    def key(name: str, **options) -> str:
        root, lists = tmp_path / name, tmp_path / f"lists-{name}"
        write_lists(lists, "something_v1", root)
        train, test = (str(lists / f"{word}.csv") for word in ("train", "val"))
        return Folder(root=str(root), train=train, test=test, **options).key()

    assert key("one") == key("two") == key("one", cache=True)
    annotation = tmp_path / "two" / "something-something-v1-train.csv"
    lines = annotation.read_text()
    for old, new in (
        ("10;", "12;"),
        ("2;arm wrestling", "2;tearing paper"),
        ("3;tearing paper\n", ""),
    ):
        assert old in lines
        annotation.write_text(lines.replace(old, new))
        assert key("one") != key("two")


def test_index_files_hold_what_the_annotations_say(tmp_path: Path) -> None:
    """Names with commas and quotes, folders of frames, links; again, after a change."""
    root, lists = tmp_path / "data", tmp_path / "lists"
    head, odd = "label,youtube_id,time_start,time_end", "a, \"b\" 'c'"
    text(root / "train.csv", [head, '"a, ""b"" \'c\'",x,3,13', "yoga,y,3,13"])
    text(root / "val.csv", [head, "yoga,z,3,13"])
    for folder, name in ((f"train/{odd}", "x"), ("train/yoga", "y"), ("val", "z")):
        text(root / folder / f"{name}_000003_000013.mp4", [""])
    write_lists(lists, "kinetics400", root)
    for word, clips in zip(
        ("train", "val"), read_dataset("kinetics400", root), strict=True
    ):
        read = read_index(root, str(lists / f"{word}.csv"))
        assert [clip[:2] for clip in read.rows] == [clip[:2] for clip in clips.rows]
        assert read.classes == clips.classes == (odd, "yoga")
    text(root / "train.csv", [head, "yoga,y,3,13"])
    write_lists(lists, "kinetics400", root)
    assert (lists / "train.csv").read_text() == (
        "path,label\ntrain/yoga/y_000003_000013.mp4,0\n"
    )
    assert (lists / "classes.txt").read_text() == "yoga\n"


def test_the_command_writes_index_files_of_what_can_be_used(tmp_path: Path) -> None:
    lay_out("kinetics400", tmp_path)
    cut(tmp_path / LAYOUTS["kinetics400"].path("2", "arm wrestling", "train"))
    out = ["--out", str(tmp_path / "faults.csv"), "--workers", "1", "--lists"]
    words = ["data", "kinetics400", str(tmp_path), *out, str(tmp_path)]
    assert main(words) == 2  # a clip cannot be used, which the status says
    train, test = Folder(root=str(tmp_path)).clips()
    assert found("kinetics400", train.rows) == [("10", 1), ("3", 1)]
    assert found("kinetics400", test.rows) == expected("kinetics400", TEST)
    assert (tmp_path / "left_out.csv").read_text().count("\n") == 2
    text(tmp_path / "val.csv", ["label,youtube_id,time_start,time_end"])
    with pytest.raises(UserError, match=r"val\.csv: is no index file; choose another"):
        write_lists(tmp_path, "kinetics400", tmp_path, report=tmp_path / "faults.csv")


def test_a_report_of_other_lists_is_refused(tmp_path: Path) -> None:
    lay_out("something_v1", tmp_path)
    for lines in (
        [],
        ["a,b"],
        ["where,name,kind,detail", "train.csv, line 1,10,missing,"],
    ):
        text(tmp_path / "r.csv", lines)
        with pytest.raises(UserError, match=r"r.csv: not a report of these lists"):
            read_lists("something_v1", tmp_path, 1, tmp_path / "r.csv")
    with pytest.raises(UserError, match=r"none.csv: no such file"):
        read_lists("something_v1", tmp_path, 1, tmp_path / "none.csv")
    (tmp_path / "r.csv").write_text(report([]))
    assert read_lists("something_v1", tmp_path, 1, tmp_path / "r.csv") == read_lists(
        "something_v1", tmp_path
    )
