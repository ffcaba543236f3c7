"""Every figure that the four papers print, as data.

`data/printed_efficiency.csv` holds parameters and FLOPs, `data/printed_accuracy.csv`
accuracies. Both have the key (paper, table, row, metric), to which the accuracies add
dataset, split and views, and `printed` as the paper has it, so that its last digit is
known.
"""

import csv
from pathlib import Path

from vidattn.errors import UserError

PAPERS = ("RNL", "PNL", "RCCA-3D", "GTA")


def printed_efficiency(paper: str | None = None) -> list[dict[str, str]]:
    """Return the printed parameters and FLOPs of one paper, or of all.

    Args:
        paper: One of `PAPERS`.

    Returns:
        A dictionary for each printed figure, with the keys `paper`, `table`, `row`,
        `metric`, `printed`.

    Raises:
        UserError: The paper is unknown.
    """
    return _read("printed_efficiency.csv", paper)


def printed_accuracy(paper: str | None = None) -> list[dict[str, str]]:
    """Return the printed accuracies (%) of one paper, or of all, with what is known of
    each run.

    Args:
        paper: One of `PAPERS`.

    Returns:
        A dictionary for each printed figure; the keys are those of the file's first
        line.

    Raises:
        UserError: The paper is unknown.
    """
    return _read("printed_accuracy.csv", paper)


def printed_top1(paper: str, dataset: str | None = None) -> dict[tuple[str, str], str]:
    """Return a paper's printed top-1 accuracies (%) by table and row.

    Args:
        paper: One of `PAPERS`.
        dataset: Only those on it; a table may have the same row on several.
    """
    return {
        (cell["table"], cell["row"]): cell["printed"]
        for cell in printed_accuracy(paper)
        if cell["metric"] == "top1" and dataset in (None, cell["dataset"])
    }


def _read(name: str, paper: str | None) -> list[dict[str, str]]:
    if paper is not None and paper not in PAPERS:
        raise UserError(f"paper={paper!r} is unknown: allowed are {', '.join(PAPERS)}")
    path = Path(__file__).parent / "data" / name
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if paper in (None, row["paper"])]
