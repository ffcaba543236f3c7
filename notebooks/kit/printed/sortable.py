"""The table of all printed costs, which a reader can sort and filter:
`book/_static/table.js`.
"""

from collections.abc import Sequence
from html import escape
from math import isnan

from IPython.display import HTML

from notebooks.kit.printed.tables import MARKS, reason, shown
from notebooks.kit.printed.verdict import PrintedCost

FILTERS = ("paper", "table", "metric", "convention", "verdict")


def cost_table(costs: Sequence[PrintedCost]) -> HTML:
    """Return the table: a row for each cost, and lists to filter it by."""
    rows = [_cells(cost) for cost in costs]
    head = '<th scope="col"><button type="button">{}</button></th>'
    heads = "".join(map(head.format, rows[0]))
    body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows)
    lists = ""
    for column, name in enumerate(rows[0]):
        if name in FILTERS:
            values = dict.fromkeys(row[name][0] for row in rows)
            options = "".join(f"<option>{escape(value)}</option>" for value in values)
            lists += (
                f'<select data-column="{column}" aria-label="{name}">'
                f'<option value="">{name}: all</option>{options}</select>'
            )
    label = "words to search for"
    search = f'<input type="search" placeholder="words" aria-label="{label}">'
    return HTML(
        f'<div class="sortable">{search}{lists} <output></output><div class="frame">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></div>"
    )


def _cells(cost: PrintedCost) -> dict[str, tuple[str, float | None]]:
    """Return for each column what is shown, and the number that it is sorted by, if it
    is one.
    """
    off = 100 * (cost.computed / float(cost.printed) - 1)
    known = not isnan(off)
    away = f"{round(off, 2) + 0.0:+.2f}" if known else "–"
    return {
        "paper": (cost.paper, None),
        "table": (cost.table, None),
        "row": (cost.row, None),
        "metric": (cost.metric, None),
        "printed": (cost.printed, float(cost.printed)),
        "recomputed": (shown(cost, cost.computed), cost.computed if known else -1),
        "off by %": (away, abs(off) if known else -1),
        "convention": (cost.convention, None),
        "verdict": (MARKS[cost.verdict], None),
        "reason": (reason(cost), None),
    }


def _cell(of: tuple[str, float | None]) -> str:
    text, number = of
    if number is None:
        return f'<td data-key="{escape(text)}">{escape(text)}</td>'
    return f'<td class="number" data-key="{number}">{escape(text)}</td>'
