"""`make chapter` starts a chapter that runs as it is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from notebooks.__main__ import main
from notebooks.kit import start
from notebooks.kit.claims import load_ledger
from notebooks.kit.start import start_chapter
from tests.house.measure import code_lines
from vidattn.blocks import BLOCKS
from vidattn.errors import UserError
from vidattn.training.build import check

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of all that a chapter is started from, without what is recorded."""
    for name in ("notebooks", "book"):
        shutil.copytree(
            ROOT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("_build", "__pycache__", "results", "*.svg"),
        )
    return tmp_path


def files(project: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_the_template_is_a_chapter_in_miniature() -> None:
    text = (ROOT / "notebooks" / "_template.py").read_text()
    assert len(code_lines(text)) <= 150
    sections = (
        "chapter-card",
        '"parameters"',
        "page = Chapter(",
        "## A clip",
        "## Notation",
        '["equation"]',
        "## The clear block is the library's block",
        "## Properties",
        "## Cost: what follows from the equation",
        "## Cost: what the paper prints",
        "## Experiment",
        "page.claims(",
        "page.train(",
        "## What the paper leaves open, and what we chose",
        "## Exercises",
        '"solution"',
        "## Run it at scale",
    )
    at = [text.index(each) for each in sections]
    assert at == sorted(at)


def test_a_started_chapter_runs_with_no_further_edit(
    project: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "vidattn", project / "vidattn")
    backbone = Path("book/results/rnl/backbone.pt")
    (project / backbone).parent.mkdir(parents=True)
    shutil.copy(ROOT / backbone, project / backbone)

    def notebooks(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "notebooks", *words],
            env={**os.environ, "PYTHONPATH": str(project)},
            cwd=project,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = notebooks("chapter", "mine", "--block", "region", "--title", "My idea")
    assert "make notebook NB=mine SCALE=smoke" in said
    notebooks("notebook", "mine", "--scale", "smoke")
    done = nbformat.read(project / "book/_build/notebooks/mine.ipynb", as_version=4)
    shown = "\n".join(str(cell.get("outputs", "")) for cell in done.cells)
    assert "No runs are recorded yet" in shown
    assert "Run card: 2 runs" in shown  # baseline and RegionNonLocal, live
    assert done.cells[0].source.startswith("(mine)=\n# My idea\n")
    runs = {path.name.rsplit("-", 1)[0] for path in (project / "runs").iterdir()}
    assert runs == {"mine-baseline", "mine-regionnonlocal"}


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_ledger_fits_every_block(
    kind: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_chapter(project, "mine", kind, None)
    ledger = load_ledger(project / "book" / "ledgers" / "mine.yaml")
    own = BLOCKS[kind].__name__
    assert ledger.primary == ("baseline", "NL", own) and len(ledger.claims) == 2
    monkeypatch.chdir(ROOT)  # where the recorded backbone is
    check(ledger.experiment(own, 0))


def test_what_is_written(project: Path) -> None:
    before = files(project)
    written = start_chapter(project, "mine", "spatial_attention", "A  title\n# %%")
    names = {path.relative_to(project).as_posix() for path in written}
    assert names == {
        "notebooks/mine.py",
        "notebooks/params/mine_smoke.yaml",
        "notebooks/params/mine_reduced.yaml",
        "book/ledgers/mine.yaml",
        "book/_toc.yml",
    }
    after = files(project)
    changed = {path for path in after if before.get(path) != after[path]}
    assert changed == {*written}
    page = (project / "notebooks" / "mine.py").read_text()
    assert "# # A title # %%\n" in page
    for path in written:
        assert not re.search("CHAPTER_|BLOCK_", path.read_text()), path
    contents = (project / "book" / "_toc.yml").read_text()
    papers = contents.split(start.PART)[1].split("- caption:")[0]
    assert papers.rstrip().endswith("- file: mine")
    assert contents.replace("      - file: mine\n", "") == (
        before[project / "book" / "_toc.yml"].decode()
    )


@pytest.mark.parametrize(
    ("name", "block", "said"),
    [
        ("rnl", "region", "the name 'rnl' is taken: there is notebooks/rnl.py"),
        ("intro", "region", "the name 'intro' is taken: there is book/intro.md"),
        ("pnl_c2d", "region", "'pnl_c2d' is taken: there is book/ledgers/pnl_c2d.yaml"),
        ("kit", "region", "the name 'kit' is taken: there is notebooks/kit"),
        ("my-idea", "region", "'my-idea' cannot be a chapter's name; allowed: small"),
        ("_mine", "region", "'_mine' cannot be a chapter's name"),
        ("../mine", "region", "'../mine' cannot be a chapter's name"),
        ("class", "region", "'class' cannot be a chapter's name"),
        ("", "region", "'' cannot be a chapter's name"),
        ("mine", "regio", "block='regio' is unknown; allowed: 'nonlocal', 'region'"),
    ],
)
def test_what_is_refused_in_one_line_before_anything_is_written(
    project: Path, name: str, block: str, said: str
) -> None:
    before = files(project)
    with pytest.raises(UserError) as caught:
        start_chapter(project, name, block, None)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert files(project) == before


def test_no_chapter_is_started_twice(project: Path) -> None:
    start_chapter(project, "mine", "region", None)
    with pytest.raises(UserError, match="the name 'mine' is taken"):
        start_chapter(project, "mine", "region", None)


def test_the_command_says_it_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chapter", "rnl"]) == 2
    assert capsys.readouterr().err == (
        "the name 'rnl' is taken: there is notebooks/rnl.py\n"
    )
