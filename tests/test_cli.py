"""The command line: bad input is one line on stderr and status 2, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from notebooks import __main__ as of_the_book
from vidattn import __main__ as of_the_library

PROJECT = Path(__file__).resolve().parents[1]


def test_an_unknown_notebook_in_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "notebooks", "notebook", "no-such"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("no notebook 'no-such' in ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "kernle",
            "[3, 3, 3]",
            "rnl: kernle: unknown parameter (did you mean kernel?)",
        ),
        ("epochs", "many", "rnl: epochs: must be a valid integer, not 'many'"),
        ("data", "/no/such/folder", "rnl: data: there is no folder '/no/such/folder'"),
        ("kernel", "[3, 4, 3]", "rnl: kernel"),
        ("places", "{res3: [9]}", "rnl: places: "),
    ],
)
def test_the_make_target_refuses_wrong_parameters_in_one_line(
    name: str, value: str, line: str
) -> None:
    done = subprocess.run(
        [
            "make",
            "--no-print-directory",
            "notebook",
            "NB=rnl",
            f"PARAMS=-p {name} '{value}'",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    said, make = done.stderr.splitlines()
    assert said.startswith(line)
    assert "*** [" in make  # make[1] where make runs these tests


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["book", "--scale", "huge"],
            "scale 'huge' is unknown; allowed are smoke, reduced, full",
        ),
        (["notebook", "rnl", "--yaml", "no/such.yaml"], "no/such.yaml: no such file"),
        (["notebook", "rnl", "-p", "steps", "[1"], "-p steps: not YAML"),
        (["run", "no/such.yaml"], "no/such.yaml: no such file"),
        (
            ["attend", "a.mp4", "b.mp4", "--out", "no/such"],
            "--out: several clips need a folder that exists",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = of_the_library if words[0] in ("run", "attend") else of_the_book
    assert commands.main(words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(line)
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_each_fault_of_a_description_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Two(BaseModel):
        a: int
        b: int

    def fail(_: object) -> None:
        Two.model_validate({"a": "x", "b": "y"})

    monkeypatch.setattr(of_the_book, "_bench", fail)
    assert of_the_book.main(["bench"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["a", "b"]


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(of_the_book, "_bench", fail)
    with pytest.raises(KeyError):
        of_the_book.main(["bench"])


def test_a_faulty_experiment_file_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    description = tmp_path / "run.yaml"
    description.write_text("name: tiny\nnonsense: 1\n")
    assert of_the_library.main(["run", str(description)]) == 2
    assert "nonsense: unknown" in capsys.readouterr().err
