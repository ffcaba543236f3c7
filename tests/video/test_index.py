"""Index files: read with every fault named by its line."""

import pytest

from vidattn.errors import UserError
from vidattn.video.index import read_classes, read_index


def folder_with(path, index: str, classes: str | None = "up\ndown\n"):
    for name in ("a.mp4", "b.mp4"):
        (path / name).touch()
    (path / "index.csv").write_text(index)
    if classes is not None:
        (path / "classes.txt").write_text(classes)
    return path


def test_index_is_read_in_order(tmp_path):
    folder_with(tmp_path, "path,label\nb.mp4,1\na.mp4,0\n")
    clips = read_index(tmp_path)
    assert [clip[:2] for clip in clips.rows] == [
        (str(tmp_path / "b.mp4"), 1),
        (str(tmp_path / "a.mp4"), 0),
    ]
    assert clips.classes == ("up", "down") and not clips.faults
    assert read_classes(tmp_path) == ("up", "down")


def test_labels_are_free_without_classes(tmp_path):
    folder_with(tmp_path, "path,label\na.mp4,7\n", classes=None)
    clips = read_index(tmp_path)
    assert (
        clips.rows[0].label == 7
        and clips.classes == tuple("01234567")
        and read_classes(tmp_path) == ()
    )


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("a.mp4,0\n", "index.csv, line 1: the header must be path,label"),
        ("", "line 1: the header"),
        ("path,label\n", "lists no clip"),
        (
            "path,label\na.mp4,0\nb.mp4,2\n",
            "line 3: label: 'b.mp4': '2' is none of the 2 classes",
        ),
        (
            "path,label\na.mp4,-1\n",
            "line 2: must be a path and a class number from 0, not 'a.mp4,-1'",
        ),
        ("path,label\na.mp4,up\n", "line 2: must be a path"),
        ("path,label\na.mp4\n", "line 2: must be a path"),
        ("path,label\na.mp4,0\nc.mp4,0\n", "line 3: missing: 'c.mp4': no such clip in"),
        ("path,label\nsub/c.mp4,0\n", "line 2: missing: 'sub/c.mp4'"),
        (
            "path,label\n../a.mp4,0\n",
            "line 2: outside: '../a.mp4': the path leaves the data folder",
        ),
        ("path,label\n/etc/passwd,0\n", "line 2: outside: '/etc/passwd'"),
    ],
)
def test_faults_name_file_and_line(tmp_path, index, words):
    folder_with(tmp_path, index)
    with pytest.raises(UserError, match=words) as caught:
        read_index(tmp_path)
    assert str(tmp_path / "index.csv") in str(caught.value) and "\n" not in str(
        caught.value
    )


def test_missing_folder_and_file(tmp_path):
    with pytest.raises(UserError, match=r"none/index\.csv: no such file"):
        read_index(tmp_path / "none")
    with pytest.raises(UserError, match=r"val\.csv: no such file"):
        read_index(tmp_path, "val.csv")
