# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# (counting-table)=
# # All printed costs, in one table
#
# Every figure of parameters and FLOPs that the four papers print {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`, beside the recomputed one. How each paper counts, and how that was
# found, is told in {doc}`counting`, of which this is a companion; the papers' own pages of costs ({doc}`rnl_cost`, {doc}`pnl_cost`, {doc}`rcca_cost`, {doc}`gta_cost`) go through them one by
# one.

# %% tags=["hide-input"]
from collections import Counter
from html import escape
from math import isnan

import pandas as pd
from IPython.display import HTML

from notebooks.kit.drawings import say, show_table
from notebooks.kit.printed.efficiency import (
    CHOICES,
    ORIGINS,
    beside_tables,
    csv_row,
    efficiency,
)
from notebooks.kit.printed.explain import agrees, decimals
from notebooks.kit.printed.models import readings
from vidattn.blocks import NonLocal

figures_found = efficiency()
assert len(figures_found) == 225


# %% [markdown]
# ## The table
#
# A figure *agrees* if the recomputed one, rounded to as many digits, is the printed one. The last column says why: a choice is *stated* where the paper's text has it, from *public code* where that
# shows it, and *fitted* where nothing but the figure speaks for it; where nothing fits, it names the nearest reading and all that were tried. The same table comes as CSV from
# `python -m notebooks.kit.printed efficiency`. In the table ✓ is agreement with the text's own network, (✓) under a reading, = what could not have disagreed since nothing is counted, ✗ none. Click on a heading to sort; type into the box, or choose, to filter.

# %% tags=["hide-input", "full-width"]
MARKS = {"agrees": "✓", "agrees, fitted": "(✓)", "given": "=", "not explained": "✗"}
COLUMNS = [
    "paper",
    "table",
    "row",
    "metric",
    "printed",
    "recomputed",
    "off by %",
    "convention",
    "verdict",
    "reason",
]


def line(figure):
    """One row of the table: for each column what is shown, and what it is sorted by."""
    row, digits = csv_row(figure), decimals(figure.printed) + 1
    printed, computed = float(figure.printed), figure.computed
    off = 100 * (computed / printed - 1)
    known = not isnan(computed)
    shown = [
        row["paper"],
        row["table"],
        row["row"],
        row["metric"],
        figure.printed,
        f"{computed:.{digits}f}" if known else "–",
        f"{round(off, 2) + 0.0:+.2f}" if known else "–",
        row["convention"],
        MARKS["given" if figure.given else figure.verdict],
        row["reason"],
    ]
    keys = [
        *shown[:4],
        printed,
        computed if known else -1,
        abs(off) if known else -1,
        *shown[7:],
    ]
    cells = zip(shown, keys, strict=True)
    return "".join(
        f'<td data-key="{escape(str(key))}">{escape(cell)}</td>' for cell, key in cells
    )


def choice(column):
    """A list to filter a column by."""
    values = dict.fromkeys(
        csv_row(f)[column]
        if column != "verdict"
        else MARKS["given" if f.given else f.verdict]
        for f in figures_found
    )
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return f'<select data-column="{COLUMNS.index(column)}" aria-label="{column}"><option value="">{column}: all</option>{options}</select>'


STYLE = """
.costs { font-size: 0.78em; line-height: 1.35; }
.costs .frame { max-height: 75vh; overflow: auto; border: 1px solid var(--book-rule, #ccc); }
.costs table { border-collapse: collapse; width: 100%; margin: 0; }
.costs th { position: sticky; top: 0; background: var(--pst-color-background, #fff); }
.costs th button { all: unset; cursor: pointer; font-weight: 600; white-space: nowrap; }
.costs th button:focus-visible { outline: 2px solid; }
.costs th[aria-sort=ascending] button::after { content: " ▲"; }
.costs th[aria-sort=descending] button::after { content: " ▼"; }
.costs td, .costs th { padding: 0.25em 0.6em; text-align: left; vertical-align: top; }
.costs tr { border-top: 1px solid var(--book-rule, #ccc); }
.costs td:nth-child(5), .costs td:nth-child(6), .costs td:nth-child(7) { text-align: right; white-space: nowrap; }
.costs td:nth-child(10) { min-width: 22em; }
.costs input, .costs select { font: inherit; margin: 0 0.4em 0.5em 0; max-width: 14em; }
"""
SCRIPT = """
(function () {
  const root = document.currentScript.closest(".costs"), body = root.querySelector("tbody");
  const rows = Array.from(body.rows), search = root.querySelector("input"), heads = root.querySelectorAll("th");
  const lists = Array.from(root.querySelectorAll("select")), said = root.querySelector("output");
  function filter() {
    const words = search.value.toLowerCase().split(/\\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word)) ||
        !lists.every(list => !list.value || row.cells[list.dataset.column].textContent === list.value);
      shown += !row.hidden;
    }
    said.textContent = shown + " of " + rows.length + " figures";
  }
  function sort(column) {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach(head => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.key, numbers = rows.every(row => isFinite(key(row)));
    rows.sort((a, b) => (numbers ? key(a) - key(b) : key(a).localeCompare(key(b))) * (up ? 1 : -1));
    body.append(...rows);
  }
  search.addEventListener("input", filter);
  lists.forEach(list => list.addEventListener("change", filter));
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => sort(column)));
  filter();
})();
"""

heads = "".join(
    f'<th scope="col"><button type="button">{column}</button></th>'
    for column in COLUMNS
)
body = "".join(f"<tr>{line(figure)}</tr>" for figure in figures_found)
lists = "".join(map(choice, ("paper", "table", "metric", "convention", "verdict")))
HTML(
    f'<div class="costs"><style>{STYLE}</style><input type="search" placeholder="words" aria-label="words to search for">'
    f'{lists} <output></output><div class="frame"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    f"<script>{SCRIPT}</script></div>"
)

# %% [markdown]
# ## How many choices explain how many figures
#
# Beside each table: its verdicts, what was chosen freely (because it fits, with neither text nor public code to back it), and how many *distinct* figures that explains. Some readings are several decisions in one, and count as many. Equal figures of equal
# networks count once, and a percentage does not count beside the total that it is a percentage of. A table whose figures are as few as its choices has explained nothing.

# %% tags=["hide-input"]
lines = []
for beside in beside_tables(figures_found):
    free = "; ".join(f"{what} ({number})" for what, number in beside.free.most_common())
    own = [
        f for f in figures_found if (f.paper, f.table) == (beside.paper, beside.table)
    ]
    verdicts = Counter("given" if f.given else f.verdict for f in own)
    lines.append(
        (
            f"{beside.paper}, {beside.table}",
            *(verdicts[verdict] for verdict in MARKS),
            beside.decisions,
            beside.distinct,
            free,
        )
    )
assert sum(sum(row[1:5]) for row in lines) == 225
weak = [
    name for name, *_, choices, distinct, _ in lines if choices and distinct <= choices
]
show_table(
    pd.DataFrame(
        lines,
        columns=[
            "table",
            *MARKS.values(),
            "free choices",
            "distinct figures",
            "which, and for how many figures",
        ],
    )
)
say(f"With no more distinct figures than free choices: {'; '.join(weak)}.")

# %% [markdown]
# ## Where rows of one table are read differently
#
# One reading should serve a whole table. Where it does not, this is why.

# %% tags=["hide-input"]
found = {}
for paper, table in dict.fromkeys((f.paper, f.table) for f in figures_found):
    own = [
        f
        for f in figures_found
        if (f.paper, f.table) == (paper, table) and f.verdict != "not explained"
    ]
    for what in dict.fromkeys(what for f in own for what in f.choices):
        with_it = [f for f in own if what in f.choices]
        if len(with_it) < len(own):
            found.setdefault(what, []).append(
                f"{paper} {table}: {len(with_it)} of {len(own)}"
            )
lines = [
    (ORIGINS[CHOICES[what]["from"]], what, "; ".join(where), CHOICES[what]["departs"])
    for what, where in found.items()
]
show_table(
    pd.DataFrame(
        lines,
        columns=["from", "choice", "figures of a table that need it", "why not all"],
    )
)

# %% [markdown]
# ## What is not explained
#
# Each with the nearest figure that was found. The five quoted networks of GTA's Figure 4 are other papers' and are not described in it: there is nothing to count.

# %% tags=["hide-input"]
open_ = [f for f in figures_found if f.verdict == "not explained"]
lines = [
    (
        f"{f.paper} {f.table}: {f.row}",
        f.metric,
        f.printed,
        "–" if isnan(f.computed) else f"{f.computed:.{decimals(f.printed) + 1}f}",
        f.reading,
        len(f.others),
    )
    for f in open_
]
show_table(
    pd.DataFrame(
        lines,
        columns=[
            "row",
            "metric",
            "printed",
            "nearest",
            "under the reading",
            "others tried",
        ],
    )
)
counts = Counter(f.paper for f in open_)
say(
    f"{len(open_)} of 225: "
    + ", ".join(f"{number} of {paper}" for paper, number in counts.items())
    + "."
)

# %% [markdown]
# Two leads that are not counted as explanations. PNL's MFNet-NL (8.15 M, 11.66 G) has both figures if the block's inner width is not half of 384 but one of the widths below; the paper's own text,
# though, gives differences that fit the half ({doc}`pnl_cost`). And the two rows of RCCA-3D with five modules in TSM fit nothing in a search over widths, passes and structures ({doc}`rcca_cost`).

# %% tags=["hide-input"]
nl = readings("PNL")["5", "MFNet-NL"].text
wanted = {
    f.metric: f.printed
    for f in figures_found
    if (f.paper, f.row) == ("PNL", "MFNet-NL")
}
fits, half = [], nl.backbone.width * 2**4 // 2
positions = nl.backbone.inner * (nl.backbone.side // 2**4) ** 2
for inner in range(half - 8, half + 17):
    more = (
        inner - half
    )  # a wider block: four convolutions and three biases for every further channel
    params = nl.value("params M") + more * (4 * 2 * half + 3) / 1e6
    flops = nl.value("FLOPs G") + more * (4 * 2 * half + 3) * positions / 1e9
    if agrees(wanted["params M"], params) and agrees(wanted["FLOPs G"], flops):
        fits.append(inner)
one = NonLocal(2 * half, inner=fits[0])
assert sum(p.numel() for p in one.parameters()) - sum(
    p.numel() for p in NonLocal(2 * half).parameters()
) == (fits[0] - half) * (4 * 2 * half + 3)
assert half not in fits
say(
    f"Inner widths that give both figures: {', '.join(map(str, fits))}; half of the channels is {half}."
)
