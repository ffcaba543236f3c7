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
# Every figure of parameters and FLOPs that the four papers print
# {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`, beside the recomputed one. How each paper
# counts, and how that was found, is told in {doc}`counting`, of which this is a companion; the
# papers' own pages of costs ({doc}`rnl_cost`, {doc}`pnl_cost`, {doc}`rcca_cost`, {doc}`gta_cost`)
# go through them one by one.

# %% tags=["hide-input"]
from collections import Counter

from notebooks.kit.drawings import say, show_rows
from notebooks.kit.printed import Verdict, agrees, efficiency, printed_efficiency, says
from notebooks.kit.printed.choices import CHOICES, ORIGINS
from notebooks.kit.printed.readings import readings
from notebooks.kit.printed.sortable import cost_table
from notebooks.kit.printed.tables import MARKS, beside_tables, by_table, shown
from vidattn.blocks import NonLocal

costs = efficiency()
assert len(costs) == len(printed_efficiency())


# %% [markdown]
# ## The table
#
# A figure *agrees* if the recomputed one, rounded to as many digits, is the printed one. The last
# column says why: a choice is *stated* where the paper's text has it, from *public code* where that
# shows it, and *fitted* where nothing but the figure speaks for it; where nothing fits, it names
# the nearest reading and all that were tried. The same table comes as CSV from
# `python -m notebooks costs`. In the table ✓ is agreement with the text's own network, (✓) under a
# reading, = what could not have disagreed since nothing is counted, ✗ none. Click on a heading to
# sort; type into the box, or choose, to filter.

# %% tags=["hide-input", "full-width"]
cost_table(costs)

# %% [markdown]
# ## How many choices explain how many figures
#
# Beside each table: its verdicts, what was chosen freely (because it fits, with neither text nor
# public code to back it), and how many *distinct* figures that explains. Some readings are several
# decisions in one, and count as many. Equal figures of equal networks count once, and a percentage
# does not count beside the total that it is a percentage of. A table whose figures are as few as
# its choices has explained nothing.

# %% tags=["hide-input"]
tables = beside_tables(costs)
lines = [
    (
        f"{of.paper}, {of.table}",
        *(of.verdicts[verdict] for verdict in MARKS),
        of.decisions,
        of.distinct,
        "; ".join(f"{says([choice])} ({n})" for choice, n in of.free.most_common()),
    )
    for of in tables
]
assert sum(of.verdicts.total() for of in tables) == len(costs)
names = ["table", *MARKS.values(), "free choices", "distinct figures"]
names.append("which, and for how many figures")
show_rows(lines, names)
few = [of for of in tables if of.decisions and of.distinct <= of.decisions]
weak = [f"{of.paper}, {of.table}" for of in few]
say(f"With no more distinct figures than free choices: {'; '.join(weak)}.")

# %% [markdown]
# ## Where rows of one table are read differently
#
# One reading should serve a whole table. Where it does not, this is why.

# %% tags=["hide-input"]
departing = {}
for (paper, table), own in by_table(costs).items():
    agreeing = [of for of in own if of.verdict is not Verdict.UNEXPLAINED]
    needed = Counter(choice for of in agreeing for choice in of.reading)
    for choice, number in needed.items():
        if number < len(agreeing):
            where = f"{paper} {table}: {number} of {len(agreeing)}"
            departing.setdefault(choice, []).append(where)
lines = [
    (ORIGINS[of.origin], of.says, "; ".join(where), of.departs)
    for choice, where in departing.items()
    for of in [CHOICES[choice]]
]
show_rows(lines, ["from", "choice", "figures of a table that need it", "why not all"])

# %% [markdown]
# ## What is not explained
#
# Each with the nearest figure that was found. The five quoted networks of GTA's Figure 4 are other
# papers' and are not described in it: there is nothing to count.

# %% tags=["hide-input"]
unexplained = [of for of in costs if of.verdict is Verdict.UNEXPLAINED]
lines = []
for of in unexplained:
    nearest = shown(of, of.computed), says(of.reading), len(of.others)
    row = f"{of.paper} {of.table}: {of.row}"
    lines.append((row, of.metric, of.printed, *nearest))
names = ["row", "metric", "printed", "nearest", "under the reading", "others tried"]
show_rows(lines, names)
papers = Counter(of.paper for of in unexplained)
by_paper = ", ".join(f"{number} of {paper}" for paper, number in papers.items())
say(f"{len(unexplained)} of {len(costs)}: {by_paper}.")

# %% [markdown]
# Two leads that are not counted as explanations. PNL's MFNet-NL (8.15 M, 11.66 G) has both figures
# if the block's inner width is not half of 384 but one of the widths below; the paper's own text,
# though, gives differences that fit the half ({doc}`pnl_cost`). And the two rows of RCCA-3D with
# five modules in TSM fit nothing in a search over widths, passes and structures ({doc}`rcca_cost`).

# %% tags=["hide-input"]
nl = readings("PNL")["5", "MFNet-NL"].text
row = "PNL", "MFNet-NL"
wanted = {of.metric: of.printed for of in costs if (of.paper, of.row) == row}
half = nl.backbone.width * 2**4 // 2
positions = nl.backbone.inner * (nl.backbone.side // 2**4) ** 2
# four convolutions and three biases for each further channel
channel = 4 * 2 * half + 3
fits = []
for inner in range(half - 8, half + 17):
    macs, params = nl.amount()
    params += (inner - half) * channel / 1e6
    macs += (inner - half) * channel * positions / 1e9
    if agrees(wanted["params M"], params) and agrees(wanted["FLOPs G"], macs):
        fits.append(inner)
wide, own = (
    sum(p.numel() for p in NonLocal(2 * half, inner=inner).parameters())
    for inner in (fits[0], half)
)
assert wide - own == (fits[0] - half) * channel and half not in fits
say(
    f"Inner widths that give both figures: {', '.join(map(str, fits))}; half of the "
    f"channels is {half}."
)
