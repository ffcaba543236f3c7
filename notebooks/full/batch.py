"""A batch of rows: which, where from, what it takes, and what came of it.
`notebooks/Snakefile` runs one.

    python -m notebooks.full.batch plan | run | record [--paper gta] [--table Fig3]
    [--row NAME] ...

`run` hands on what it does not know: `gpus=8` to the Snakefile, and from the first
option on, such as `--executor slurm --jobs 8`, the rest to Snakemake.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError

from notebooks.full import params
from notebooks.full.datasets.official import DATASETS
from notebooks.full.rows import TABLE, Row, lines, table_rows
from vidattn.cost import count
from vidattn.errors import UserError
from vidattn.training.validation import explain
from vidattn.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "book" / "results" / "full"
ASKED = (
    "gpus",
    "nodes",
    "hours",
    "memory",
    "cpus",
    "retries",
)  # what a job can be given, for the Snakefile
RATE = 20e12  # multiply-adds a second of one GPU: an assumption; `--rate` replaces it


def load(folder: Path) -> dict[str, Row]:
    """Read a folder of files of parameters of one's own, by name.

    Raises:
        UserError: One of them is wrong; one line a fault.
    """
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            found[path.stem] = Row.model_validate(read_yaml(path))
        except ValidationError as error:
            raise UserError(
                "\n".join(f"{path}: {line}" for line in explain(error).splitlines())
            ) from None
    return found


def select(
    rows: Mapping[str, Row], paper: str = "", table: str = "", names: Sequence[str] = ()
) -> dict[str, Row]:
    """Return the rows of a paper, of one of its tables, or those named, and all that
    they need.

    Raises:
        UserError: There is none, or a name is unknown.
    """
    unknown = sorted(set(names) - set(rows))
    chosen = [
        name
        for name, row in rows.items()
        if (not names or name in names)
        and paper.lower() in ("", row.paper.lower(), row.paper.lower().split("-")[0])
        and (not table or any(table in _tables(cell) for cell in row.cells))
    ]
    if unknown or not chosen:
        papers = sorted({row.paper for row in rows.values()})
        tables = dict.fromkeys(
            _tables(cell)[1]
            for row in rows.values()
            if row.paper.lower().startswith(paper.lower())
            for cell in row.cells
        )
        asked = f"paper={paper!r}, table={table!r}, rows={unknown or [*names]}"
        raise UserError(
            f"no row for {asked}: the papers are {', '.join(papers)}, the tables "
            f"{', '.join(tables) or 'none'}, the rows those of {TABLE}"
        )
    for name in chosen:  # it grows on the way
        chosen += [needed for needed in rows[name].needs if needed not in chosen]
    return {name: rows[name] for name in chosen}


def _tables(cell: str) -> tuple[str, str]:
    """Return what may name the table of a cell: what is before the colon, and its first
    word.
    """
    table = cell.partition(":")[0]
    return table, table.split()[0]


def moved(row: Row, data: str = "", runs: str = "") -> Row:
    """Return a row whose data, weights and runs lie elsewhere.

    Args:
        row: The row.
        data: Folder that holds one for each data set, named like its kind, one named
            `weights`, and for data with unusable clips the reports of `python -m
            notebooks data`, `<kind>-faults-<split>.csv`. Empty: as the row says.
        runs: Folder of the runs. Empty: as the row says.

    Raises:
        UserError: There is no folder `data`.
    """
    changes: dict[str, Any] = {"runs": runs} if runs else {}
    if data and not Path(data).is_dir():
        raise UserError(f"data root: {data} is no folder")
    if data and isinstance(row.data, str):
        reports = f"{data}/{row.dataset}-faults-{{split}}.csv"
        there = any(Path(reports.format(split=split)).is_file() for split in row.splits)
        changes |= {
            "data": f"{data}/{row.dataset}",
            "leave_out": reports if there else None,
        }
    if data and row.weights and not row.needs:
        changes["weights"] = f"{data}/weights/{Path(row.weights).name}"
    return row.model_copy(update=changes)


def estimate(row: Row) -> dict[str, float]:
    """Return what a row of the table asks for: GMAC of a training clip, PMAC in all,
    and GB of disk.

    A training step counts three times the forward pass. On the disk are the network and
    its momentum while it is trained, the network as it ends, once more for those that
    start from it, and the scores.
    """
    line, sampling = lines().get(row.row), row.described().sampling
    if line is None or row.members:
        return {"GMAC": 0.0, "PMAC": 0.0, "GB": 0.0}
    sizes = {sampling.size, *(view.size for view in row.tests.values())}
    costs = {
        size: count(row.network, (1, 3, sampling.frames, size, size)) for size in sizes
    }
    once, splits = costs[sampling.size], len(row.splits)
    trained, tested = DATASETS[row.dataset].clips[1]
    views = sum(
        costs[view.size].macs * view.clips * view.crops for view in row.tests.values()
    )
    macs = splits * (3 * once.macs * trained * row.epochs + tested * views)
    scores = 2 * tested * line["classes"] * splits * len(row.tests)
    return {
        "GMAC": once.macs / 1e9,
        "PMAC": macs / 1e15,
        "GB": 4 * (once.params * (3 * splits + 1) + scores) / 1e9,
    }


def state(row: Row) -> str:
    """Say how far a row is: measured, failed, begun, new, or what it waits for."""
    record = gathered(row.folder.parent).get(row.row)
    if record is not None:
        return (
            "measured"
            if record["protocol"] == row.protocol()
            else "measured with other parameters"
        )
    if [*row.folder.glob("executed/*-failed.ipynb")]:
        return "failed"
    if [*row.folder.glob("*/last.pt")]:
        return "begun"
    waits = [*row.needs, *missing(row)]
    return f"needs {', '.join(waits)}" if waits else "new"


def missing(row: Row) -> list[str]:
    """Return the data folder and the weights of a row, if they are not there."""
    files = [row.data] if isinstance(row.data, str) and not row.members else []
    files += [row.weights] if row.weights and not row.needs else []
    return [file for file in files if not Path(file).exists()]


def gathered(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is measured in a folder of runs, or recorded in the book's, by
    row.
    """
    files = [*folder.glob("*/measured.json"), *folder.glob("*.json")]
    return {record["row"]: record for record in map(read_yaml, files)}


def plan(rows: Mapping[str, Row], rate: float = RATE) -> pd.DataFrame:
    """Return what a batch would run: from what, in which state, and an estimate of what
    it takes.
    """
    table = pd.DataFrame([estimate(row) for row in rows.values()], index=[*rows])
    table["GPU hours"] = table["PMAC"] * 1e15 / rate / 3600
    for name, row in rows.items():
        start = ", ".join(row.members) or row.weights or "new weights"
        data = row.data if isinstance(row.data, str) else row.dataset
        table.loc[name, ["state", "data", "starts from"]] = state(row), data, start
    table.loc["all"] = table[["PMAC", "GB", "GPU hours"]].sum()
    return table


def results(rows: Mapping[str, Row]) -> str:
    """Return one table of a batch, HTML: what was measured, with links to notebooks,
    logs and run cards.
    """
    said = []
    for row in rows.values():
        record = gathered(row.folder.parent).get(row.row, {"scores": {}, "runs": []})
        files = {
            "notebook": "notebooks/row.ipynb",
            "failed": "executed/row-failed.ipynb",
            "log": "log.txt",
        }
        for card in record["runs"]:
            files[f"card {card['split']}"] = "{name}-{key}/result.json".format(**card)
        links = [
            f'<a href="{row.row}/{file}">{what}</a>'
            for what, file in files.items()
            if (row.folder / file).is_file()
        ]
        for test, by_split in record["scores"].items() or [("", {"": ("", "")})]:
            top1, top5 = np.mean([*by_split.values()], axis=0) if test else ("", "")
            cells, shown = "; ".join(row.cells), " ".join(links)
            said.append((row.row, state(row), test, top1, top5, cells, shown))
    heads = ["row", "state", "test", "top-1", "top-5", "cells", "files"]
    table = pd.DataFrame(said, columns=heads)
    return table.to_html(index=False, escape=False, float_format="{:.2f}".format) + "\n"


def record(rows: Mapping[str, Row], book: Path = RECORDS) -> list[str]:
    """Copy what was measured with the table's own parameters into the book; return the
    rows' names.

    Raises:
        UserError: A row was measured with others.
    """
    files = {name: row.folder / "measured.json" for name, row in rows.items()}
    found = {name: file for name, file in files.items() if file.is_file()}
    for name in found:
        if (said := state(rows[name])) != "measured":
            raise UserError(f"{name}: {said} than the table's; not recorded")
    book.mkdir(parents=True, exist_ok=True)
    for name, file in found.items():
        shutil.copyfile(file, book / f"{name}.json")
    return [*found]


def run(rows: Mapping[str, Row], words: Sequence[str]) -> int:
    """Run a batch by Snakemake, each row in a job of its own, and leave one table;
    return its exit status.

    One controller at a time: its lock ends with it, so that after a crash the next one
    can start. Jobs that ran on hold the locks of their rows until they end.

    Args:
        rows: The rows.
        words: What a job asks for, `gpus=8`, and further words of Snakemake's command
            line. Without `--executor` rows run on this machine, one after another.

    Raises:
        UserError: Data or weights are not there, a word is unknown, or another
            controller is at work in the same folder.
    """
    asked = [word for word in words if re.fullmatch(rf"({'|'.join(ASKED)})=\d+", word)]
    if wrong := [
        word
        for word in takewhile(lambda w: not w.startswith("-"), words)
        if word not in asked
    ]:
        raise UserError(
            f"{wrong[0]}: a job asks for {', '.join(ASKED)}, each with a whole number"
        )
    if files := sorted({file for row in rows.values() for file in missing(row)}):
        raise UserError(f"not there: {', '.join(files)}")
    runs = next(iter(rows.values())).folder.parent
    runs.mkdir(parents=True, exist_ok=True)
    for row in rows.values():  # as its notebook and torchrun read it
        params.write(row, row.folder / "row.yaml")
    command = [sys.executable, "-m", "snakemake", "--directory", str(ROOT)]
    command += ["--snakefile", str(ROOT / "notebooks" / "Snakefile")]
    command += ["--nolock", "--keep-going", "--rerun-incomplete"]
    command += ["--rerun-triggers", "mtime"]
    command += [word for word in words if word not in asked]
    command += [] if "--executor" in words else ["--cores", "1"]
    command += ["--config", f"runs={runs}", f"rows={','.join(rows)}", *asked]
    try:
        with FileLock(runs / "controller.lock", timeout=0):
            status = subprocess.run(command, check=False).returncode
    except Timeout:
        raise UserError(f"{runs}: another batch is at work here") from None
    (runs / "results.html").write_text(results(rows))
    done = sum(state(row) == "measured" for row in rows.values())
    print(f"{done} of {len(rows)} rows are measured: {runs / 'results.html'}")
    return status


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.full.batch", description=__doc__
    )
    parser.add_argument("command", choices=("plan", "run", "record"))
    parser.add_argument("--paper", default="", help="rnl, pnl, rcca or gta")
    parser.add_argument(
        "--table", default="", help="one of its tables, as in the cells of the rows"
    )
    parser.add_argument(
        "--row", action="append", default=[], help="a row; can be given more than once"
    )
    parser.add_argument(
        "--params", type=Path, help="a folder of files of parameters of one's own"
    )
    parser.add_argument(
        "--data-root", default="", help="folder of the data sets and of `weights`"
    )
    parser.add_argument("--runs", default="", help="folder of the runs")
    parser.add_argument(
        "--rate", type=float, default=RATE, help="multiply-adds a second of one GPU"
    )
    options, words = parser.parse_known_args(arguments)
    try:
        if words and options.command != "run":
            parser.error(f"unknown: {' '.join(words)}")
        known = load(options.params) if options.params else table_rows()
        found = select(known, options.paper, options.table, options.row)
        rows = {
            name: moved(row, options.data_root, options.runs)
            for name, row in found.items()
        }
        if options.command == "plan":
            print(
                plan(rows, options.rate).to_string(
                    float_format="{:.1f}".format, na_rep=""
                )
            )
        elif options.command == "record":
            print(f"recorded: {', '.join(record(rows)) or 'nothing'}")
        else:
            return run(rows, words)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
