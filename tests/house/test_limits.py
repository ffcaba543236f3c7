"""The house keeps to its limits; `make house` prints what is measured.

A limit is there so that a page can be read and the library stays thin. Where a later
capability needs more, the change that adds it states the lines and raises the limit. A
reader's own block or chapter needs no such change: it does not count until the book's
table of costs has the block, or the chapter has records.
"""

from pathlib import Path
from statistics import median

import pytest

from notebooks.kit.claims.ledger import ledgers
from notebooks.kit.printed.readings import DATA
from tests.house.measure import (
    CHAPTERS,
    CODE,
    FAR,
    PROSE,
    ROOT,
    code_lines,
    far_names,
    js_lines,
    long_lines,
    notebooks,
    page,
    parts,
    skips,
    sources,
    unformatted,
)
from vidattn.blocks import BLOCKS
from vidattn.yamlfile import read_yaml

# In lines of code, formatted at 88 columns.
LIBRARY = 4_300
# Library and notebooks together: what they have. The aim is 12,500; what is above it
# are sentences with computed numbers on the pages of costs, and the kit's types.
ALL = 14_600
CHAPTER = 650
VISIBLE = 30  # a cell whose code a reader sees
VISIBLE_MEDIAN = 18
HIDDEN = 60
CLEAR = 0.25  # of a chapter's lines
SKIPS = 10  # in the whole repository


def test_files_are_formatted_so_that_their_lines_can_be_counted() -> None:
    said = f"not formatted at {CODE} columns (`ruff format`): "
    assert not unformatted(), said + ", ".join(unformatted())


def readers_own(root: Path = ROOT) -> dict[Path, int]:
    """The lines of the blocks and chapters that a reader has added."""
    kinds = {block["kind"] for block in read_yaml(DATA / "polynomials.yaml").values()}
    known = {BLOCKS[kind].__module__ for kind in kinds}
    modules = {block.__module__ for block in BLOCKS.values()} - known
    files = {Path(*module.split(".")).with_suffix(".py") for module in modules}
    results = root / "book" / "results"
    new = [name for name in ledgers(root) if not (results / name).is_dir()]
    files |= {Path("notebooks", f"{name}.py") for name in new}
    return {path: lines for path, lines in sources(root).items() if path in files}


def test_the_library_is_thin() -> None:
    own = [n for path, n in readers_own().items() if path.parts[0] == "vidattn"]
    lines = parts()["library"] - sum(own)
    assert lines <= LIBRARY, f"vidattn has {lines} lines of code, {LIBRARY} at most"


def test_library_and_notebooks_together() -> None:
    lines = sum(parts().values()) - sum(readers_own().values())
    assert lines <= ALL, f"all code has {lines} lines, {ALL} at most: {parts()}"


def test_what_is_a_reader_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing of the book itself: a limit that counts nothing is none.
    blocks = [
        "cbam",
        "crisscross",
        "gta",
        "nonlocal_",
        "pyramid",
        "region",
        "space_time",
        "squeeze",
    ]
    books = {Path("vidattn", "blocks", f"{name}.py") for name in blocks}
    books |= {Path("notebooks", f"{name}.py") for name in notebooks()[:4]}
    assert books <= sources().keys() and not books & readers_own().keys()

    class Mine: ...

    Mine.__module__ = "vidattn.blocks.mine"
    monkeypatch.setitem(BLOCKS, "mine", Mine)
    for name in ("vidattn/blocks/mine.py", "vidattn/blocks/region.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a = 1\nb = 2\n")
    for name in ("rnl", "mine"):
        for file in (f"notebooks/{name}.py", f"book/ledgers/{name}.yaml"):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text("a: 1\n")
    (tmp_path / "book/results/rnl").mkdir(parents=True)
    lines = {path.as_posix(): n for path, n in readers_own(tmp_path).items()}
    assert lines == {"notebooks/mine.py": 1, "vidattn/blocks/mine.py": 2}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_can_be_read_in_one_go(name: str) -> None:
    lines = page(name).lines
    assert lines <= CHAPTER, f"{name} has {lines} lines of code, {CHAPTER} at most"


@pytest.mark.parametrize("hidden, most", [(False, VISIBLE), (True, HIDDEN)])
@pytest.mark.parametrize("name", CHAPTERS)
def test_no_cell_is_too_long(name: str, hidden: bool, most: int) -> None:
    cells = [cell for cell in page(name).cells if cell.hidden is hidden]
    assert cells
    longer = {cell.number: cell.lines for cell in cells if cell.lines > most}
    kind = "hidden" if hidden else "visible"
    said = f"{name}: {kind} cells have {most} lines at most; number and lines: {longer}"
    assert not longer, said


@pytest.mark.parametrize("name", CHAPTERS)
def test_visible_cells_are_short(name: str) -> None:
    middle = median(page(name).sizes(hidden=False))
    said = f"{name}: the median of its visible cells is {middle} lines, "
    assert middle <= VISIBLE_MEDIAN, said + f"{VISIBLE_MEDIAN} at most"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_quarter_of_a_chapter_is_what_the_equations_become(name: str) -> None:
    clear, lines = page(name).clear, page(name).lines
    said = f"{name}: functions and classes in visible cells tagged 'equation' are "
    assert clear >= CLEAR * lines, (
        said + f"{clear} of {lines} lines, {CLEAR:.0%} wanted"
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_an_equation_cell_can_be_read_alone(name: str) -> None:
    far = far_names(page(name))
    said = f"{name}: equation cells use names from {FAR} or more sections above: "
    assert not far, said + ", ".join(far)


@pytest.mark.parametrize("name", notebooks())
def test_prose_is_wrapped(name: str) -> None:
    found = page(name).long_prose
    shown = [f"cell {number}: {line[:40]}..." for number, line in found[:5]]
    said = f"{name}: {len(found)} lines of prose are over {PROSE} columns: {shown}"
    assert not found, said


def test_hardly_a_line_is_kept_from_the_formatter() -> None:
    said = f"{SKIPS} lines may be kept from the formatter, found are {skips()}"
    assert len(skips()) <= SKIPS, said


# What follows tests the ruler.

PYTHON = '''"""Says what.

And why.
"""

import os  # counts


def f(x):
    """Return x."""
    # why
    y = """a
    b"""

    return (
        x,
        y,
    )
'''


def test_lines_of_python() -> None:
    assert code_lines(PYTHON) == {6, 9, 12, 13, 15, 16, 17, 18}


def test_lines_of_javascript() -> None:
    text = '/* a\n b */\n\nlet a = "// no comment";  // why\n// why\nlet b = `1\n2`;\n'
    assert js_lines(text) == 3


def test_all_parts_are_counted() -> None:
    counted = set(map(str, sources()))
    here = {"vidattn/__init__.py", "notebooks/gta.py", "book/_ext/docstrings.py"}
    assert here <= counted
    assert not [name for name in counted if name.startswith(("tests", ".venv"))]


@pytest.mark.parametrize(
    "line, long",
    [
        ("word " * 30, True),
        (f"- {'word ' * 30}", True),
        (f": {'word ' * 30}", True),
        (f"| {'word ' * 30}|", False),
        (f"## {'word ' * 30}", False),
        (f":name: {'word ' * 30}", False),
        (f"[a link](https://{'long' * 30})", False),
        (f"$$ {'x + ' * 30} x $$", False),
        (f"$$\n{'x + ' * 30} x\n$$", False),
        (f"$$\nx\n$$\n{'word ' * 30}", True),
        ("word " * 20 + "$x$", True),
        ("w" * 100, False),
    ],
)
def test_what_is_long_prose(line: str, long: bool) -> None:
    assert bool(list(long_lines(line))) is long


def test_clear_code_and_far_names(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    text = """# %%
import far_module
one = 1

# %% [markdown]
# ## A section

# %% tags=["equation"]
size = 3

def f(x):
    return far_module.f(x) + one  # (1)

# %% tags=["equation", "hide-input"]
def hidden():
    return 1

# %% [markdown]
# ## Another section

# %% [markdown]
# ## And one more

# %% tags=["equation"]
def g(x):
    size = 2
    return f(x) + one + size
"""
    (folder / "small.py").write_text(text)
    measured = page("small", tmp_path)
    assert measured.clear == 2 + 3
    assert measured.sizes(hidden=False) == [2, 3, 3]
    assert measured.sizes(hidden=True) == [2]
    assert far_names(measured) == ["one in cell 7"]
