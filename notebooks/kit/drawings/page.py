"""What a page says and shows beside its figures."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from vidattn.figures.style import WIDTH


def sheet(
    height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure as wide as the page, and its axes.

    Args:
        height: Its height in inches.
        rows: Rows of axes.
        columns: Columns of axes.
        **options: As for `matplotlib.figure.Figure.subplots`.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def say(text: str) -> None:
    """Show a sentence, in Markdown, whose numbers were computed."""
    from IPython.display import Markdown, display  # only notebooks need it

    display(Markdown(text))


def show_table(frame: pd.DataFrame, index: bool = False, wrap: bool = True) -> None:
    """Show a table in a smaller type.

    Args:
        frame: The table, its cells as they are to be read.
        index: Show the names of its rows, too.
        wrap: Break long cells into lines; else a wide table is scrolled.
    """
    from IPython.display import display

    style = "font-size: 0.85em; white-space: " + ("normal" if wrap else "nowrap")
    shown = frame.style.set_table_attributes(f'style="{style}"')
    display(shown if index else shown.hide(axis="index"))


def measured(suite: str, without: str | None = None) -> str:
    """Return the recorded times and memory of a suite's blocks, in Markdown: the
    machine, then a table.

    Args:
        suite: A suite of `make bench`.
        without: Name of a column to leave out.
    """
    text = Path("book/results", suite, "bench.md").read_text()
    lines = [x for x in text.splitlines() if not x.startswith("Control")]
    rows = [[cell.strip() for cell in x.split("|")] for x in lines if "|" in x]
    kept = [i for i, cell in enumerate(rows[0]) if cell != without]
    table = ["|".join(row[i] for i in kept) for row in rows]
    return "\n".join([*(x for x in lines if "|" not in x), *table])


def show_rows(rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> None:
    """Show rows as a table.

    Args:
        rows: The rows, their cells as they are to be read.
        columns: What the columns are called.
    """
    show_table(pd.DataFrame(list(rows), columns=list(columns)))
