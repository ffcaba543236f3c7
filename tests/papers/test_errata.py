"""Every erratum has a cell of the page that shows it: the cells are run here, one test each."""

import re
from pathlib import Path
from typing import Any

import pytest

from vidattn.notebook import read_notebook
from vidattn.papers import PAPERS
from vidattn.papers.models import DATA
from vidattn.yamlfile import read_yaml

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PAGE = NOTEBOOKS / "errata.py"
CELLS = [cell.source for cell in read_notebook(PAGE).node.cells if cell.cell_type == "code"]
SHOWING = {match[1]: cell for cell in CELLS if (match := re.match(r"# erratum: (\w+)\n", cell))}
ERRATA = read_yaml(DATA / "errata.yaml")


def test_every_erratum_has_a_cell_and_says_what_it_is() -> None:
    assert list(SHOWING) == list(ERRATA)
    for erratum in ERRATA.values():
        assert set(erratum) == {"paper", "where", "kind", "printed", "is"}
        assert erratum["paper"] in PAPERS
        assert erratum["kind"] in ("equation", "unit", "count", "claim")
    for name, cell in SHOWING.items():
        assert "assert " in cell and f'shows("{name}"' in cell.replace("shows(\n    ", "shows(")


@pytest.fixture(scope="module")
def run() -> Any:
    """Runs a cell after those before it; returns what it has shown."""
    space: dict[str, Any] = {}
    exec(CELLS[0], space)
    shown: list[str] = []
    space["display"] = lambda markdown: shown.append(markdown.data)
    pending = list(SHOWING)

    def run_to(name: str) -> str:
        while pending and name in pending:
            shown.clear()
            exec(SHOWING[pending.pop(0)], space)
        return "".join(shown)

    return run_to


@pytest.mark.parametrize("name", ERRATA)
def test_erratum(name: str, run: Any) -> None:
    text = run(name)
    evidence = text.partition("\n\n")[2]
    assert text.startswith(f"**{ERRATA[name]['paper']}, {ERRATA[name]['where']}**")
    assert len(evidence) > 20 and ("nan" not in evidence)
    assert re.search(r"\d", evidence) or name == "pnl_conv_g"
