"""The build: what it finds again, and what it refuses to publish."""

from collections.abc import Callable
from pathlib import Path

import pytest

from notebooks import __main__ as command_line
from notebooks.kit.build import build
from vidattn.errors import UserError

Write = Callable[..., Path]


def executions(root: Path) -> int:
    file = root / "executions.txt"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_book_is_executed_once_and_built_once(
    small_book: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_book()
    html = build(root, root / "built", "smoke")
    page = (html / "chapter.html").read_text()
    assert "steps taken: 3" in page  # the scale's value, not the cell's
    assert executions(root) == 1

    capsys.readouterr()
    built = (html / "chapter.html").stat().st_mtime_ns
    assert build(root, root / "built", "smoke") == html
    assert "Nothing has changed" in capsys.readouterr().out
    assert (html / "chapter.html").stat().st_mtime_ns == built

    source = root / "notebooks" / "chapter.py"
    text = source.read_text().replace("It has one equation", "Reworded")
    source.write_text(
        text.replace("# %% tags", "# %% [markdown]\n# An added cell.\n\n# %% tags")
    )
    build(root, root / "built", "smoke")
    page = (html / "chapter.html").read_text()
    assert "Reworded" in page and page.index("An added cell") < page.index(
        "steps taken: 3"
    )
    assert "steps taken: 3" in page
    assert executions(root) == 1


def test_a_failing_cell_stops_the_build_and_keeps_the_good_site(
    small_book: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = small_book()
    monkeypatch.setattr(command_line, "ROOT", root)
    good = root / "built" / "smoke" / "html" / "chapter.html"
    good.parent.mkdir(parents=True)
    good.write_text("the good site")
    source = root / "notebooks" / "chapter.py"
    source.write_text(
        source.read_text() + "\n# %%\nraise RuntimeError('the kettle is empty')\n"
    )
    for _ in range(2):  # the failed notebook must not be taken for an executed one
        assert (
            command_line.main(
                ["book", "--scale", "smoke", "--build", str(root / "built")]
            )
            == 1
        )
        said = capsys.readouterr().err
        assert "chapter.py, cell 6 failed" in said
        assert "RuntimeError: the kettle is empty" in said
        assert "raise RuntimeError" in said
    assert good.read_text() == "the good site"


@pytest.mark.parametrize(
    ("fault", "warning"),
    [
        ("See {ref}`nowhere`.", "undefined label: 'nowhere'"),
        ("See [there](missing.md).", "missing.md"),
        ("See {cite}`nobody1999`.", 'could not find bibtex key "nobody1999"'),
        ("#### A heading that skips a level", "Non-consecutive header level increase"),
    ],
    ids=["cross-reference", "link", "citation", "warning"],
)
def test_a_fault_on_a_page_stops_the_build(
    small_book: Write,
    fault: str,
    warning: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = small_book(page=f"\n{fault}\n", notebook="# %% [markdown]\n# # A chapter\n")
    monkeypatch.setattr(command_line, "ROOT", root)
    assert (
        command_line.main(["book", "--scale", "smoke", "--build", str(root / "built")])
        == 1
    )
    assert warning in capfd.readouterr().err
    assert not (root / "built" / "smoke" / "html").exists()


def test_a_notebook_outside_the_table_of_contents_is_not_forgotten(
    small_book: Write,
) -> None:
    root = small_book()
    (root / "notebooks" / "another.py").write_text("# %%\n1\n")
    with pytest.raises(
        UserError, match=r"notebooks/another\.py is not in book/_toc\.yml"
    ):
        build(root, root / "built", "smoke")
