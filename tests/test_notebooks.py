"""What every page that is a notebook promises; what a chapter promises beyond it is in
its own file.
"""

import ast
import re
from pathlib import Path

import pytest

from notebooks.kit.build import at_scale
from notebooks.kit.chapter import Chapter
from notebooks.kit.notebook import TAG, Notebook, read_notebook, resolve

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.stem for path in (ROOT / "notebooks").glob("[!_]*.py"))
CHAPTERS = ("rnl", "pnl", "rcca", "gta")
DRAWS = re.compile(
    r"plt\.show\(\)|\.picture\(|figures\.(attention_figure|dot_plot|interval_plot|show_(?!table)\w+)\("
)


def page(name: str) -> Notebook:
    return read_notebook(ROOT / "notebooks" / f"{name}.py")


def sources(name: str, kind: str) -> str:
    return "\n".join(
        cell.source for cell in page(name).node.cells if cell.cell_type == kind
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_has_a_caption_and_a_text_for_those_who_cannot_see_it(
    name: str,
) -> None:
    drawing = [
        c
        for c in page(name).node.cells
        if c.cell_type == "code" and DRAWS.search(c.source)
    ]
    assert drawing or name not in CHAPTERS
    for cell in drawing:
        shown = cell.metadata["mystnb"]
        assert len(shown["figure"]["caption"]) > 40 and len(shown["image"]["alt"]) > 40


def keywords(tree: ast.AST) -> set[str]:
    """The names that calls of `glue` in some code glue by keyword."""
    return {
        keyword.arg.replace("_", "-")
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "glue"
        for keyword in call.keywords
        if keyword.arg
    }


def of_chapter() -> dict[str, set[str]]:
    """What each method of `Chapter` glues."""
    tree = ast.parse((ROOT / "notebooks" / "kit" / "chapter.py").read_text())
    (chapter,) = (n for n in tree.body if isinstance(n, ast.ClassDef))
    return {
        method.name: keywords(method)
        for method in chapter.body
        if isinstance(method, ast.FunctionDef)
    }


def test_what_a_chapter_glues_is_found() -> None:
    made = of_chapter()
    assert made["close"] == {"seconds", "threads"}
    assert {"verdicts", "bare", "oracle"} <= made["claims"]
    assert made["train"] == {"live-seconds"}


@pytest.mark.parametrize("name", PAGES)
def test_every_glued_name_that_the_prose_shows_is_glued(name: str) -> None:
    code = sources(name, "code")
    made = [
        re.sub(r"\{\w+\}", r"\\w+", text)
        for text in re.findall(r'glue\(f"([^"]+)"', code)
    ] + [
        re.sub(r"\{\w+\}", r"\\w+", text).replace("_", "-")
        for call in re.findall(r"glue\(\*\*\{(.*?)\}\)", code)
        for text in re.findall(r'f"([^"]+)": ', call)
    ]
    made += [rf"{name}-\w+-clips" for name in re.findall(r'Evidence\("(\w+)"', code)]
    called = keywords(ast.parse(code))
    for method, names in of_chapter().items():
        called |= names if f"page.{method}(" in code else set()
    for glued in re.findall(r"\{glue:text\}`([^`]+)`", sources(name, "markdown")):
        assert (
            glued in called
            or f'"{glued}"' in code
            or any(re.fullmatch(each, glued) for each in made)
        ), glued


def tags(name: str) -> set[str]:
    return {tag for c in page(name).node.cells for tag in c.metadata.get("tags", [])}


@pytest.mark.parametrize("name", [name for name in PAGES if TAG in tags(name)])
def test_the_parameters_of_a_page_s_scales_are_accepted(name: str) -> None:
    for scale in ("smoke", "reduced"):
        given = at_scale(ROOT, page(name), scale)
        assert given.keys() <= resolve(page(name), given).keys()
        assert given.get("scale", scale) == scale


def test_a_page_without_parameters_has_no_files_of_them() -> None:
    scales = "smoke", "reduced", "full"
    files = {path.stem for path in (ROOT / "notebooks" / "params").glob("*.yaml")}
    taking = [name for name in PAGES if TAG in tags(name)]
    assert {*CHAPTERS} <= {*taking}
    assert files <= {f"{name}_{scale}" for name in taking for scale in scales}


def test_pages_need_no_network() -> None:
    for name in PAGES:
        assert not re.search(r"https?://|src=|@import", sources(name, "code")), name


@pytest.mark.parametrize(
    "name", [n for n in PAGES if "= Chapter(" in sources(n, "code")]
)
def test_no_parameter_has_the_name_of_something_that_a_page_has(name: str) -> None:
    assert page(name).defaults
    assert not {key for key in page(name).defaults if hasattr(Chapter, key)}


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_a_generator(name: str) -> None:
    for cell in page(name).node.cells:
        if cell.cell_type == "code" and (body := ast.parse(cell.source).body):
            assert not ast.unparse(body[-1]).startswith("torch.manual_seed("), name
