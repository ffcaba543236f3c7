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
# (measured)=
# # Printed and measured, cell by cell
#
# Every accuracy that the four papers print of networks which they trained themselves, and beside it
# what a run of the same protocol gave ({doc}`full-scale`). The column stays empty until somebody
# runs the row; `make full-record` fills it from the runs, with the commit, the machine and the
# seconds, which stand in `book/results/full`. A figure is marked *stale* when the protocol of its
# row, or the code that trains it, is no longer the one that gave it.

# %% tags=["hide-input"]
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from notebooks.full import batch
from notebooks.full import rows as full
from notebooks.kit.printed import PAPERS

records = batch.gathered(Path("book/results/full"))
lines = {paper: full.accuracies(paper, records) for paper in PAPERS}
filled = sum(bool(line["measured"]) for each in lines.values() for line in each)
display(
    Markdown(
        f"{len(full.lines())} rows, {sum(map(len, lines.values()))} printed cells, {filled} of them measured."
    )
)


def show(paper):
    """Show a paper's cells."""
    table = pd.DataFrame(lines[paper]).drop_duplicates()
    display(table.style.hide(axis="index"))


# %% [markdown]
# ## RNL

# %% tags=["hide-input"]
show("RNL")

# %% [markdown]
# ## PNL

# %% tags=["hide-input"]
show("PNL")

# %% [markdown]
# ## RCCA-3D

# %% tags=["hide-input"]
show("RCCA-3D")

# %% [markdown]
# ## GTA

# %% tags=["hide-input"]
show("GTA")

# %% [markdown]
# ## Which choices are ours
#
# Fields whose value no paper states, nor the code that it follows, how many rows have them, and
# what we followed. {doc}`protocol` has the source behind every field.

# %% tags=["hide-input"]
ours = [
    {
        "paper": line["paper"],
        "field": field,
        "value": str(pair[0]),
        "source": pair[1],
        "row": name,
    }
    for name, line in full.lines().items()
    for field, pair in line.items()
    if isinstance(pair, list) and len(pair) == 2 and str(pair[1]).startswith("ours")
]
grouped = pd.DataFrame(ours).groupby(["paper", "field", "value", "source"]).size()
display(grouped.rename("rows").reset_index().style.hide(axis="index"))
