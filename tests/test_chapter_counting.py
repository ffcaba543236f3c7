"""The chapter on counting and its companions: what the pages promise, and the table's
script in a browser.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from notebooks.kit.build import SCALES
from notebooks.kit.notebook import read_notebook, resolve
from notebooks.kit.printed.sortable import cost_table
from notebooks.kit.printed.verdict import Recounted, judge
from vidattn.errors import UserError
from vidattn.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("verdicts", "counting", "counting_table", "counting_blocks", "errata")


def page(name: str):
    return read_notebook(ROOT / "notebooks" / f"{name}.py")


def code(name: str) -> list[str]:
    return [cell.source for cell in page(name).node.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", PAGES)
def test_the_main_path_is_at_most_40_cells_and_one_page_alone_takes_a_parameter(
    name: str,
) -> None:
    notebook = page(name)
    assert notebook.defaults == ({"rounds": 0} if name == "counting_blocks" else {})
    assert len(notebook.node.cells) <= (40 if name == "counting" else 90)


def test_only_the_full_scale_measures() -> None:
    notebook = page("counting_blocks")
    params = notebook.path.parent / "params"
    scales = {
        scale: read_yaml(params / f"counting_blocks_{scale}.yaml") for scale in SCALES
    }
    assert {
        scale: resolve(notebook, given)["rounds"] > 0 for scale, given in scales.items()
    } == {
        "smoke": False,
        "reduced": False,
        "full": True,
    }
    for given in ({"rounds": -1}, {"rounds": 1.5}, {"round": 3}):
        with pytest.raises(UserError, match=r"^counting_blocks: round"):
            resolve(notebook, given)


def test_every_exercise_has_a_solution_that_asserts() -> None:
    (solutions,) = (
        source for source in code("counting") if source.startswith("# exercise 1")
    )
    text = "\n".join(
        cell.source
        for cell in page("counting").node.cells
        if cell.cell_type == "markdown"
    )
    for number in (1, 2, 3):
        assert f"\n{number}. " in text and f"\n**{number}.** " in text
        part = solutions.partition(f"# exercise {number}")[2].partition(
            f"Exercise {number}:"
        )[0]
        assert "assert " in part


@pytest.fixture(scope="module")
def table() -> str:
    """The table's HTML, with four figures instead of all."""
    names = ("paper", "table", "row", "metric", "printed")
    rows = [
        ("RNL", "III", "<NL>", "FLOPs G", "9.0"),
        ("RNL", "III", "SE & co", "params M", "10.0"),
        ("PNL", "3", "NL", "FLOPs G", "200.0"),
        ("GTA", "Fig4", "I3D", "GFLOPs", "30"),
    ]
    computed = [9.0, 10.04, 150.0, float("nan")]
    costs = [
        judge(dict(zip(names, row, strict=True)), Recounted((), value), value, [])
        for row, value in zip(rows, computed, strict=True)
    ]
    return cost_table(costs).data


def test_the_table_shows_every_figure_and_escapes_what_it_shows(table: str) -> None:
    assert table.count("<tr>") == 5 and table.count("<th ") == 10
    assert "&lt;NL&gt;" in table and "SE &amp; co" in table
    assert '<td class="number" data-key="9.0">9.0</td>' in table
    assert '<td class="number" data-key="-1">–</td>' in table
    assert ">-25.00</td>" in table  # 150 for 200


def test_the_book_loads_the_script() -> None:
    config = read_yaml(ROOT / "book" / "_config.yml")["sphinx"]["config"]
    assert "table.js" in config["html_js_files"]


def test_the_script_sorts_and_filters(table: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser")
    script = (ROOT / "book" / "_static" / "table.js").read_text()
    steps = """
      addEventListener("load", () => {
      const root = document.querySelector(".sortable"), told = [];
      const input = root.querySelector("input");
      const all = name => Array.from(root.querySelectorAll(name));
      const seen = () => all("tbody tr").filter(row => !row.hidden);
      const rows = () => seen().map(row => row.cells[4].textContent);
      const tell = () => told.push([rows(), root.querySelector("output").textContent]);
      const click = column => { all("th button")[column].click(); tell(); };
      const set = (element, value) => {
        element.value = value;
        for (const kind of ["input", "change"]) element.dispatchEvent(new Event(kind));
      };
      tell(); click(4); click(4); click(0);
      set(input, "nl flops"); tell(); set(input, "");
      set(all("select")[0], "RNL"); tell(); set(all("select")[4], "✗"); tell();
      set(all("select")[0], ""); tell();
      document.title = JSON.stringify(told);
      });
    """
    place = tmp_path / "table.html"
    place.write_text(
        f"<html><meta charset=utf-8><title></title><script>{script}</script>"
        f"<body>{table}<script>{steps}</script></body></html>"
    )
    words = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    done = subprocess.run(
        [*words, "--dump-dom", place.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    assert json.loads(title[1]) == [
        [["9.0", "10.0", "200.0", "30"], "4 of 4 figures"],
        [["9.0", "10.0", "30", "200.0"], "4 of 4 figures"],  # by number, not by letters
        [["200.0", "30", "10.0", "9.0"], "4 of 4 figures"],
        [["30", "200.0", "10.0", "9.0"], "4 of 4 figures"],  # by paper: GTA, PNL, RNL
        [["200.0", "9.0"], "2 of 4 figures"],
        [["10.0", "9.0"], "2 of 4 figures"],
        [[], "0 of 4 figures"],
        [["30", "200.0"], "2 of 4 figures"],
    ]
