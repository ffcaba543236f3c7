"""Docstrings appear in the reference as they are written."""

import importlib.util
from pathlib import Path

PLACE = Path(__file__).resolve().parents[3] / "book" / "_ext" / "docstrings.py"


def plain(text: str) -> str:
    spec = importlib.util.spec_from_file_location("docstrings", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return "\n".join(module.plain(text.split("\n")))


def test_a_formula_keeps_its_lines_and_its_signs() -> None:
    text = "A sum.\n\n    y = |x| * w_\n    z = y + x\n\nThe end."
    assert (
        plain(text)
        == "A sum.\n\n.. code-block:: text\n\n    y = |x| * w_\n    z = y + x\n\n"
        "The end."
    )


def test_a_section_is_no_formula() -> None:
    text = "A sum.\n\nArgs:\n    x: A tensor.\n\n    y: Another."
    assert plain(text) == text


def test_signs_are_no_markup_but_code_stays_code() -> None:
    shown = plain("|N| times w_z and theta_ with `**options`")
    assert shown == r"\|N\| times w_z and theta\_ with `**options`"
