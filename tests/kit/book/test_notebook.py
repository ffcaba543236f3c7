"""A notebook's parameters, refused before a kernel starts, and what its outputs depend
on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from notebooks import __main__ as command_line
from notebooks.kit.build import at_scale, notebook_key
from notebooks.kit.notebook import Notebook, read_notebook, resolve
from vidattn.errors import UserError

Write = Callable[..., Path]


def chapter(root: Path) -> Notebook:
    return read_notebook(root / "notebooks" / "chapter.py")


def test_parameters_are_the_cells_values_replaced_by_those_given(
    small_book: Write,
) -> None:
    notebook = chapter(small_book())
    assert notebook.defaults == {"steps": 2, "kernel": [1, 3, 3], "folder": "."}
    assert resolve(notebook, {"kernel": [3, 5, 5]}) == {
        "steps": 2,
        "kernel": [3, 5, 5],
        "folder": ".",
    }


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"stepz": 1},
            "chapter: stepz: unknown parameter (did you mean steps?); "
            "allowed are: steps, kernel, folder",
        ),
        ({"steps": "many"}, "chapter: steps: must be a valid integer, not 'many'"),
        ({"kernel": [1, 2, 3]}, "chapter: kernel: sizes must be odd, not [1, 2, 3]"),
        ({"folder": "no/such"}, "chapter: folder: no/such is no folder"),
    ],
)
def test_a_wrong_parameter_is_one_line(
    small_book: Write, given: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        resolve(chapter(small_book()), given)
    assert str(caught.value) == line


def test_two_faults_are_two_lines(small_book: Write) -> None:
    with pytest.raises(UserError) as caught:
        resolve(chapter(small_book()), {"steps": "many", "folder": 3})
    assert len(str(caught.value).splitlines()) == 2


def test_the_cell_and_the_model_must_name_the_same(small_book: Write) -> None:
    root = small_book(notebook='# %% tags=["parameters"]\nsteps = 1\n')
    with pytest.raises(UserError, match="differ in: folder, kernel"):
        resolve(chapter(root), {})


def test_a_parameter_must_be_a_literal(small_book: Write) -> None:
    root = small_book(notebook='# %% tags=["parameters"]\nsteps = 2 * n\n')
    with pytest.raises(
        UserError, match=r"parameter steps must be a literal, not: 2 \* n"
    ):
        chapter(root).defaults  # noqa: B018


def test_an_unknown_notebook_names_the_known(small_book: Write) -> None:
    root = small_book()
    with pytest.raises(UserError, match=r"no notebook 'chaptre' .* there are: chapter"):
        read_notebook(root / "notebooks" / "chaptre.py")


def test_a_scale_is_a_file(small_book: Write) -> None:
    root = small_book()
    assert at_scale(root, chapter(root), "smoke") == {"steps": 3}
    with pytest.raises(UserError, match=r"chapter_full\.yaml: no such file"):
        at_scale(root, chapter(root), "full")
    with pytest.raises(
        UserError, match="scale 'huge' is unknown; allowed are smoke, reduced, full"
    ):
        at_scale(root, chapter(root), "huge")


def test_the_command_refuses_with_status_2_and_starts_no_kernel(
    small_book: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = small_book()
    monkeypatch.setattr(command_line, "ROOT", root)
    words = ["notebook", "chapter", "--scale", "smoke", "--build", str(root / "built")]
    assert command_line.main([*words, "-p", "kernel", "[1, 2, 2]"]) == 2
    assert (
        capsys.readouterr().err == "chapter: kernel: sizes must be odd, not [1, 2, 2]\n"
    )
    assert not (root / "executions.txt").exists()


def test_the_key_follows_code_and_parameters_and_what_is_read_but_not_prose(
    small_book: Write,
) -> None:
    root = small_book()
    source, helper = root / "notebooks" / "chapter.py", root / "vidattn" / "helper.py"
    values = {"steps": 2}

    def key() -> str:
        return notebook_key(root, chapter(root), values)

    keys = [key()]
    source.write_text(
        source.read_text().replace("It has one equation", "There is one equation")
    )
    helper.write_text('"""Another docstring."""\n# and a comment\nWIDTH = 4\n')
    assert key() == keys[0]
    helper.write_text('"""A helper."""\nWIDTH = 5\n')
    keys.append(key())
    source.write_text(source.read_text().replace("steps taken", "steps done"))
    keys.append(key())
    (root / "book" / "results").mkdir()
    (root / "book" / "results" / "numbers.csv").write_text("1\n")
    keys.append(key())
    values["steps"] = 3
    keys.append(key())
    assert len(set(keys)) == 5
