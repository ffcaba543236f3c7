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
from IPython.display import display

from notebooks.full import batch
from notebooks.full import rows as full
from notebooks.kit.drawings import say
from notebooks.kit.printed import PAPERS

records = batch.gathered(Path("book/results/full"))
lines = {paper: full.accuracies(paper, records) for paper in PAPERS}
filled = sum(bool(line["measured"]) for each in lines.values() for line in each)
cells = sum(map(len, lines.values()))
say(f"{len(full.lines())} rows, {cells} printed cells, {filled} of them measured.")


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
    (line["paper"], field, str(pair[0]), pair[1])
    for line in full.lines().values()
    for field, pair in line.items()
    if isinstance(pair, list) and len(pair) == 2 and str(pair[1]).startswith("ours")
]
columns = ["paper", "field", "value", "source"]
grouped = pd.DataFrame(ours, columns=columns).groupby(columns).size()
display(grouped.rename("rows").reset_index().style.hide(axis="index"))
