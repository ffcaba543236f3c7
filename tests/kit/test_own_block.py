"""The three steps of *A block of your own*, done as the page says them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks.kit.notebook import read_notebook
from tests.house.measure import page

ROOT = Path(__file__).resolve().parents[2]
PAGE = read_notebook(ROOT / "notebooks" / "own_block.py")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of library and tests of blocks, with the page's block in its three places.

    Nothing but the page is read: its text, and the two cells that the text names.
    """
    project = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("vidattn", "tests/blocks"):
        shutil.copytree(ROOT / name, project / name, ignore=ignored)
    cells = [cell.source for cell in PAGE.node.cells]
    text = cells[-2].split("## Three steps into the library")[1]
    head, name, entry, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    file, registry, judge = re.findall(r"`((?:vidattn|tests)/[\w/]+\.py)`", text)
    named = re.search(r"sections \*(.+?)\* and \*(.+?)\*", " ".join(text.split()))
    assert named is not None
    code = [cells[cells.index(each) + 1] for each in map(section, named.groups())]
    (project / file).write_text("\n\n\n".join([head.rstrip(), *code]) + "\n")
    (project / judge).write_text(test)
    known = (project / registry).read_text()
    known = known.replace(
        "\nfrom vidattn.blocks.cgd", f"\n{name}from vidattn.blocks.cgd"
    )
    known = re.sub(r"(BLOCKS: .*?)\n}\n", rf"\1\n{entry}}}\n", known, flags=re.DOTALL)
    (project / registry).write_text(known)
    return project


def section(heading: str) -> str:
    return next(
        cell.source
        for cell in PAGE.node.cells
        if re.match(rf"## {re.escape(heading)}$", cell.source, re.MULTILINE)
    )


def run(project: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "PYTHONPATH": str(project)},
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_and_those_that_ask_every_block_pass(project: Path) -> None:
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    own = run(project, "pytest", *quiet, "tests/blocks/test_window.py")
    assert "11 passed" in own
    asked = ("test_start.py", "test_order.py", "test_registry.py")
    files = [f"tests/blocks/{name}" for name in asked]
    every = run(project, "pytest", *quiet, "-rA", *files, "-k", "window_attention")
    assert every.count("PASSED") >= 3


def test_its_loop_can_fail(project: Path) -> None:
    path = project / "vidattn" / "blocks" / "window.py"
    right = path.read_text()
    try:
        for was, instead in {
            "* q.shape[1] ** -0.5 + b": "* q.shape[1] ** -0.5 + b.flip(0)",
            "scores.masked_fill(outside, -torch.inf)": "scores",
            "(0, 0, 0, 0, w, w)": "(0, 0, 0, 0, 2 * w, 0)",
        }.items():
            assert was in right
            path.write_text(right.replace(was, instead))
            with pytest.raises(AssertionError, match="failed"):
                run(project, "pytest", "-q", "-x", "tests/blocks/test_window.py")
    finally:
        path.write_text(right)


def test_it_keeps_to_the_style_of_the_library(project: Path) -> None:
    path = "vidattn/blocks/window.py"
    shutil.copy(ROOT / "pyproject.toml", project)
    run(project, "ruff", "check", path, "tests/blocks/test_window.py")
    run(project, "ruff", "format", "--check", path)


def test_its_cost_is_counted_by_name(project: Path) -> None:
    words = (
        "vidattn",
        "cost",
        "window_attention",
        "--shape",
        "1",
        "512",
        "8",
        "28",
        "28",
    )
    said = run(project, *words)
    n, c, d, s = 8 * 28 * 28, 512, 256, 5
    assert f"{(4 * c * d * n + 2 * s * d * n) / 1e9:.4f} GMAC" in said


def test_the_page_is_short() -> None:
    measured = page("own_block")
    assert len(PAGE.node.cells) <= 25
    sizes = sorted(measured.sizes(hidden=False))
    assert sizes[-1] <= 30 and sizes[len(sizes) // 2] <= 18
    assert not measured.long_prose
