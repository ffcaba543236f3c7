"""The comparison of two builds finds what is missing, and only that."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.house.compare_pages import main

RECORD = "application/papermill.record/"
TABLE = """<style>td {}</style><table><caption>Two blocks.</caption>
<tr><th>block</th><th>GMAC</th></tr><tr><td>NL</td><td>23.43</td></tr></table>"""
OLD = {
    "cost": [
        ("prose", "(eq-one)=\n$$\na = b \\tag{1}\n$$\n\nIt is {glue:text}`share`."),
        ("stream", "relative error 1.8e-16\n"),
        ("text/html", TABLE),
        ("text/markdown", "At res3 NL takes **23.43** GMAC.\n\n| a | b |\n|---|---|"),
        ("glued share", "'14%'"),
        ("glued seconds", "'20'"),
        ("figure fig-cost", "Costs, on a scale of 10."),
    ],
    "chapter": [("stream", "3 of 3 runs: nl, 93 s\n")],
}
ALLOWED = """
differs:
- {where: "glued seconds$", what: .+, becomes: '\\d+', reason: time}
- {when: runs, what: '\\d+ s$', becomes: '\\d+ s', reason: time}
- {what: '\\de-16', becomes: '\\de-16', rounding: true, reason: rounding}
gone:
- {where: ^chapter line, what: an old line, reason: said elsewhere}
"""


def cell(kind: str, text: str) -> dict[str, Any]:
    """Return a cell with one output."""
    if kind == "prose":
        return {"cell_type": "markdown", "source": text}
    first, _, name = kind.partition(" ")
    outputs: list[dict[str, Any]] = [
        {"output_type": "display_data", "data": {first: text, "text/plain": "<x>"}}
    ]
    metadata: dict[str, Any] = {}
    if first == "stream":
        outputs = [{"output_type": "stream", "text": [text]}]
    elif first == "glued":
        outputs[0]["data"] = {f"{RECORD}text/plain": text}
        outputs[0]["metadata"] = {"scrapbook": {"name": name}}
    elif first == "figure":
        outputs[0]["data"] = {"image/svg+xml": "<svg/>", "text/plain": "<Figure>"}
        metadata = {"mystnb": {"figure": {"caption": text, "name": name}}}
    return {"cell_type": "code", "metadata": metadata, "outputs": outputs}


def write(folder: Path, pages: dict[str, list[tuple[str, str]]]) -> str:
    """Write a folder of executed notebooks."""
    folder.mkdir()
    for name, cells in pages.items():
        text = json.dumps({"cells": [cell(*each) for each in cells]})
        (folder / f"{name}-0123456789abcdef.ipynb").write_text(text)
        (folder / f"{name}-failed.ipynb").write_text("not read")
    return str(folder)


def compare(tmp_path: Path, new: dict[str, list[tuple[str, str]]], *more: str) -> int:
    """Compare the old pages with new ones."""
    allowed = tmp_path / "may_differ.yaml"
    allowed.write_text(ALLOWED)
    folders = [write(tmp_path / "old", OLD), write(tmp_path / "new", new)]
    return main([*folders, "--may-differ", str(allowed), *more])


def replaced(old: str, new: str) -> dict[str, list[tuple[str, str]]]:
    """Return the old pages with one text replaced."""
    read = json.loads(json.dumps(OLD).replace(json.dumps(old)[1:-1], new))
    assert read != json.loads(json.dumps(OLD))
    return {name: [tuple(each) for each in cells] for name, cells in read.items()}


def test_the_same_pages_miss_nothing(tmp_path: Path) -> None:
    assert compare(tmp_path, OLD) == 0


def test_what_moved_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = {"chapter": OLD["chapter"] + OLD["cost"][:3], "other": OLD["cost"][3:]}
    assert compare(tmp_path, new, "--verbose") == 0
    said = capsys.readouterr().out
    assert "moved   cost, cell 3 -> chapter, cell 4: NL | 23.43" in said
    assert "moved   cost, cell 5 -> other, cell 2: share = 14%" in said


def test_what_stands_twice_has_not_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(tmp_path, {"again": OLD["cost"], **OLD}) == 0
    assert "nothing moved to another page" in capsys.readouterr().out


@pytest.mark.parametrize(
    "old, new",
    [
        ("93 s", "7 s"),
        ("'20'", "'31'"),
        ("<td>NL</td>", "<td>NL</td><td>14%</td>"),
        ("At res3 NL takes **23.43** GMAC.", "So: At res3 NL takes 23.43 GMAC. Much."),
        ("<td>NL</td><td>23.43</td>", "<td>NL</td><td>\\n<b>23.43</b></td>"),
    ],
)
def test_what_may_differ_is_not_missing(tmp_path: Path, old: str, new: str) -> None:
    assert compare(tmp_path, replaced(old, new)) == 0


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("<td>23.43</td>", "<td>23.44</td>", "row: NL | 23.43"),
        ("<td>NL</td><td>23.43</td>", "<td>NL</td>", "row: NL | 23.43"),
        ("<th>GMAC</th>", "<th>MMAC</th>", "row: block | GMAC"),
        ("Two blocks.", "Blocks.", "line: Two blocks."),
        ("takes **23.43**", "takes **23.4**", "line: At res3 NL takes 23.43 GMAC."),
        ("| a | b |", "| a | c |", "row: a | b"),
        ("'14%'", "'15%'", "glued: share = 14%"),
        ("glued share", "glued part", "glued: share = 14%"),
        ("1.8e-16", "1.8e-15", "line: relative error 1.8e-16"),
        ("1.8e-16", "1.9e-16", "line: relative error 1.8e-16"),
        ("3 of 3 runs: nl", "3 of 3 runs: rnl", "line: 3 of 3 runs: nl, 93 s"),
        ("scale of 10", "scale", "caption: Costs, on a scale of 10."),
        ("figure fig-cost", "figure fig-costs", "figure: fig-cost"),
        ("(eq-one)=", "(eq-1)=", "label: eq-one"),
        ("tag{1}", "tag{2}", "equation: eq-one (1)"),
        ("{glue:text}`share`", "much", "shown: share"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    assert compare(tmp_path, replaced(old, new)) == 1
    assert any(
        line.startswith("MISSING") and line.endswith(said)
        for line in capsys.readouterr().out.splitlines()
    )


def test_a_picture_less_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = OLD["cost"][-1]
    words = [("prose", ":name: fig-cost"), ("stream", text)]
    assert compare(tmp_path, {**OLD, "cost": [*OLD["cost"][:-1], *words]}) == 1
    assert "MISSING 1 pictures" in capsys.readouterr().out


def test_rounding_may_differ_if_asked_for(tmp_path: Path) -> None:
    assert compare(tmp_path, replaced("1.8e-16", "1.9e-16"), "--rounding") == 0


def test_a_line_may_be_gone_if_said_beforehand(tmp_path: Path) -> None:
    line = ("stream", "an old line\n")
    folders = [
        write(tmp_path / "old", {**OLD, "chapter": [*OLD["chapter"], line]}),
        write(tmp_path / "new", OLD),
    ]
    for text, missing in ((ALLOWED, 0), ("gone: []", 1)):
        (tmp_path / "may.yaml").write_text(text)
        assert main([*folders, "--may-differ", str(tmp_path / "may.yaml")]) == missing
