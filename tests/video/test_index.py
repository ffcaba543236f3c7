"""Index files: read with every fault named by its line, and made from two data sets' annotations."""

import pytest

from vidattn.errors import UserError
from vidattn.video.index import read_classes, read_index, write_index


def folder_with(path, index: str, classes: str | None = "up\ndown\n"):
    for name in ("a.mp4", "b.mp4"):
        (path / name).touch()
    (path / "index.csv").write_text(index)
    if classes is not None:
        (path / "classes.txt").write_text(classes)
    return path


def test_index_is_read_in_order(tmp_path):
    folder_with(tmp_path, "path,label\nb.mp4,1\na.mp4,0\n")
    assert read_index(tmp_path) == [(str(tmp_path / "b.mp4"), 1), (str(tmp_path / "a.mp4"), 0)]
    assert read_classes(tmp_path) == ("up", "down")


def test_labels_are_free_without_classes(tmp_path):
    folder_with(tmp_path, "path,label\na.mp4,7\n", classes=None)
    assert read_index(tmp_path)[0][1] == 7 and read_classes(tmp_path) == ()


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("a.mp4,0\n", "index.csv, line 1: the header must be path,label"),
        ("", "line 1: the header"),
        ("path,label\n", "lists no clip"),
        ("path,label\na.mp4,0\nb.mp4,2\n", "line 3: label 2, allowed are 0 to 1"),
        ("path,label\na.mp4,-1\n", "line 2: must be a path and a class number from 0, not 'a.mp4,-1'"),
        ("path,label\na.mp4,up\n", "line 2: must be a path"),
        ("path,label\na.mp4\n", "line 2: must be a path"),
        ("path,label\na.mp4,0\nc.mp4,0\n", "line 3: no such clip: .*c.mp4"),
        ("path,label\nsub/c.mp4,0\n", "line 2: no such clip: .*c.mp4"),
    ],
)
def test_faults_name_file_and_line(tmp_path, index, words):
    folder_with(tmp_path, index)
    with pytest.raises(UserError, match=words) as caught:
        read_index(tmp_path)
    assert str(tmp_path / "index.csv") in str(caught.value) and "\n" not in str(caught.value)


def test_missing_folder_and_file(tmp_path):
    with pytest.raises(UserError, match="none: no such data folder"):
        read_index(tmp_path / "none")
    with pytest.raises(UserError, match=r"val\.csv: no such index file"):
        read_index(tmp_path, "val.csv")


KINETICS = (
    "label,youtube_id,time_start,time_end,split\n"
    "arm wrestling,--abc,3,13,train\nabseiling,xyz,20,30,train\nabseiling,gone,0,10,train\n"
    "zumba,zzz,1,11,train\n"
)


def test_kinetics(tmp_path):
    (tmp_path / "train.csv").write_text(KINETICS)
    data = tmp_path / "data"
    for name in (
        "arm_wrestling/--abc_000003_000013.mp4",
        "xyz_000020_000030.mp4",
        "zumba/zzz_000001_000011.mp4",
    ):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    summary = write_index(tmp_path / "train.csv", data, "kinetics", "train_index.csv")
    assert (summary.clips, summary.missing, summary.classes) == (3, 1, 3)
    assert str(summary) == "3 clips of 3 classes; 1 annotated clips are missing"
    assert read_classes(data) == ("abseiling", "arm wrestling", "zumba")
    assert read_index(data, "train_index.csv") == [
        (str(data / "arm_wrestling/--abc_000003_000013.mp4"), 1),
        (str(data / "xyz_000020_000030.mp4"), 0),
        (str(data / "zumba/zzz_000001_000011.mp4"), 2),
    ]
    # A second split with fewer classes keeps the numbers.
    (tmp_path / "val.csv").write_text("label,youtube_id,time_start,time_end\nzumba,zzz,1,11\n")
    write_index(tmp_path / "val.csv", data, "kinetics", "val_index.csv")
    assert read_index(data, "val_index.csv") == [(str(data / "zumba/zzz_000001_000011.mp4"), 2)]
    (tmp_path / "val.csv").write_text("label,youtube_id,time_start,time_end\nyoga,zzz,1,11\n")
    with pytest.raises(UserError, match=r"class 'yoga' is not in .*classes.txt"):
        write_index(tmp_path / "val.csv", data, "kinetics", "val_index.csv")


def test_something_v1(tmp_path):
    (tmp_path / "labels.csv").write_text("7;Pushing [something], then pulling it\n9;Folding [something]\n")
    for clip in ("7", "9"):
        (tmp_path / "data" / clip).mkdir(parents=True)
    write_index(tmp_path / "labels.csv", tmp_path / "data", "something-v1")
    assert read_index(tmp_path / "data") == [(str(tmp_path / "data/7"), 1), (str(tmp_path / "data/9"), 0)]
    assert read_classes(tmp_path / "data")[1] == "Pushing [something], then pulling it"


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("x", "ucf", "one of kinetics, something-v1, not 'ucf'"),
        ("label,youtube_id\nzumba,z\n", "kinetics", "a.csv, line 2: must have label"),
        ("label,youtube_id,time_start,time_end\nzumba,z,one,2\n", "kinetics", "a.csv, line 2"),
        ("7 Folding\n", "something-v1", "a.csv, line 1: must be <id>;<class>, not '7 Folding'"),
        ("7;Folding\n", "something-v1", "none of the 1 clips"),
    ],
)
def test_wrong_annotations(tmp_path, text, kind, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        write_index(tmp_path / "a.csv", tmp_path, kind)
    with pytest.raises(UserError, match=r"no such annotation file|must be one of"):
        write_index(tmp_path / "none.csv", tmp_path, kind)
    assert not (tmp_path / "index.csv").exists()
