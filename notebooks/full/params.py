"""Files of parameters of the table's rows, with the source behind each field.

    python -m notebooks.full.params [--folder runs/params]

writes one for each row, to be read, copied and changed. A batch writes those of its
rows into their folders before it runs them.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from notebooks.full.rows import Row, fields, lines, owner, table_row, table_rows
from notebooks.kit.printed.cells import printed_accuracy

HEADING = (
    "# {paper} on {printed}. Written from notebooks/full/rows.yaml.",
    "# Behind a field stands the paper's section, public code, or 'ours': our choice.",
)


def text(row: Row) -> str:
    """Return a row's file: every field of `Row`. Where the row is trained as the table
    says, the source stands behind each.
    """
    line = _line(row)
    said = [each.format_map(line) for each in HEADING if line]
    if "text" in line:
        said.append(f"# The paper's text: {line['text']}.")
    if "cost" in line:
        said.append(f"# Its cost is printed as {'; '.join(line['cost'])}.")
    for key, value in row.model_dump(mode="json").items():
        if key in ("sampling", "model", "optim"):
            sources = fields(line, key)
            said.append(f"{key}:")
            for name, inner in value.items():
                said.append("  " + _field(name, inner, sources.get(name, ("", ""))[1]))
        elif key == "cells" and value:
            said += ["cells:", *(_cell(row, cell) for cell in value)]
        else:
            said.append(_field(key, value, _source(line, key)))
    return "\n".join(said) + "\n"


def _line(row: Row) -> dict[str, Any]:
    """Return the table's line of a row; nothing where the row is another one."""
    if row.row not in lines():
        return {}
    table = table_row(row.row)
    start, named = (Path(each.weights or "").name for each in (row, table))
    same = row.protocol() == table.protocol() and start == named
    return lines()[row.row] if same else {}


def _source(line: Mapping[str, Any], key: str) -> str:
    if key == "weights" and "members" in line:
        return "nothing is trained: the members' scores are averaged"
    if key == "weights" and "from" in line:
        return "the network of that row"
    if key == "blocks":
        options = fields(line, "options").items()
        said = [f"{name} {value}: {source}" for name, (value, source) in options]
        return "; ".join(said + ([f"ours: {line['ours']}"] if "ours" in line else []))
    sourced = ("splits", "weights", "epochs", "seed", "tests", "test_every_epoch")
    return str(line[key][1]) if line and key in sourced else ""


def _field(key: str, value: Any, source: str) -> str:
    """Return one line of YAML, with a comment."""
    shown = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    shown = shown.removesuffix("...\n").strip()
    return f"{key}: {shown}" + (f"  # {source}" if source else "")


def _cell(row: Row, cell: str) -> str:
    """Return a printed cell, with what is printed there."""
    values = [
        f"{figure['split']} {figure['metric']} {figure['printed'] or 'not printed'}"
        for figure in printed_accuracy()
        if owner(figure) == row.row and f"{figure['table']}: {figure['row']}" == cell
    ]
    return f"- {json.dumps(cell)}" + (f"  # {', '.join(values)}" if values else "")


def write(row: Row, path: Path) -> None:
    """Write a row's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(row))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.full.params", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/params"))
    folder = parser.parse_args().folder
    for name, each in table_rows().items():
        write(each, folder / f"{name}.yaml")
    print(f"{len(lines())} files of parameters: {folder}")
