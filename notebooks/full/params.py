"""Writes notebooks/params/full: a file of parameters for each row of
notebooks/full/rows.yaml.

python -m notebooks.full.params
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from notebooks.full import rows as full
from notebooks.kit.printed import printed_accuracy

FOLDER = Path(__file__).resolve().parents[1] / "params" / "full"
GROUPS = ("sampling", "model", "optim")
WIDTHS = {"res3": 512, "res4": 1024}  # of ResNet-50


def text(name: str) -> str:
    """Return a row's file: every field of `full.Row`, and behind it where the paper
    says so.
    """
    row = full.lines()[name]
    figures = [
        figure
        for figure in printed_accuracy(row["paper"])
        if full.owner(figure) == name
    ]
    said = [
        f"# {row['paper']} on {row['printed']}. Written from notebooks/full/rows.yaml: change it there.",
        "# Behind a field stands the paper's section, or 'ours': our choice where the paper is silent.",
    ]
    said += [f"# The paper's text: {row['text']}."] if "text" in row else []
    said += (
        [f"# Its cost is printed as {'; '.join(row['cost'])}."] if "cost" in row else []
    )
    said += [
        field("row", name),
        field("paper", row["paper"]),
        "cells:" if row["cells"] else "cells: []",
    ]
    for cell in row["cells"]:
        shown = [f for f in figures if f"{f['table']}: {f['row']}" == cell]
        values = ", ".join(
            f"{f['split']} {f['metric']} {f['printed'] or 'not printed'}" for f in shown
        )
        said.append(f"- {json.dumps(cell)}  # {values}")
    said += [
        field("dataset", row["dataset"]),
        field("data", f"data/{row['dataset']}"),
        "leave_out: null",
    ]
    said += [field("splits", *row["splits"]), weights(row)]
    said += [field(key, *row[key]) for key in ("epochs", "seed", "tests")]
    for group in GROUPS:
        inner = {
            key.partition(".")[2]: pair
            for key, pair in row.items()
            if key.startswith(f"{group}.")
        }
        inner |= (
            {"num_classes": (row["classes"], row["printed"])}
            if group == "model"
            else {}
        )
        said += [
            f"{group}:",
            *(f"  {field(key, *pair)}" for key, pair in inner.items()),
        ]
    said += [f"# ours: {row['ours']}"] if "ours" in row else []
    said += [
        field("blocks", blocks(row)),
        field("test_every_epoch", *row["test_every_epoch"]),
    ]
    said += [field("members", row.get("members", [])), "runs: runs/full"]
    said += ["workers: null", "checkpoint_seconds: 300.0"]
    return "\n".join(said) + "\n"


def field(key: str, value: Any, source: str = "") -> str:
    """Return one line of YAML, with a comment."""
    shown = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return f"{key}: {shown.removesuffix('...' + chr(10)).strip()}" + (
        f"  # {source}" if source else ""
    )


def weights(row: Mapping[str, Any]) -> str:
    """Return the line that says what a row starts from."""
    if "members" in row:
        return "weights: null  # nothing is trained: the members' scores are averaged"
    if "from" in row:
        return field("weights", row["from"], "the network of that row")
    return field("weights", f"data/weights/{row['weights'][0]}", row["weights"][1])


def blocks(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row's blocks; where K is a share of the channels, those of each stage by
    themselves.
    """
    if "block" not in row:
        return []
    kind, options, places = row["block"], row.get("options", {}), row["at"]
    if "regions" not in row:
        return [{"kind": kind, "options": options, "places": places}]
    shares = {
        stage: options | {"regions": WIDTHS[stage] // row["regions"]}
        for stage in places
    }
    return [
        {"kind": kind, "options": shares[stage], "places": {stage: places[stage]}}
        for stage in places
    ]


def write(folder: Path = FOLDER) -> None:
    """Write the files of all rows, and remove those of no row."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.yaml"):
        if path.stem not in full.lines():
            path.unlink()
    for name in full.lines():
        (folder / f"{name}.yaml").write_text(text(name))


if __name__ == "__main__":
    write()
