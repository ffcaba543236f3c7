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
# (counting)=
# # Counting: what a printed cost means
#
# ::::{admonition} Every printed cost, recomputed or explained
# :class: chapter-card
#
# Question
# : The four papers print {glue:text}`printed` figures of parameters and "FLOPs" {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`. What was counted, in which unit, of which network?
#
# Found
# : They count in four ways. {glue:text}`agree` figures agree: {glue:text}`as-text` with the network that the text describes, {glue:text}`stated` under a reading that is named beside them; {glue:text}`unexplained` are not explained. The
#   same network, a TSM ResNet-50 with five non-local blocks, is printed with 49.38 G by one paper and with 161 G by another. It does {glue:text}`one-network` GMAC.
#
# Read on
# : {doc}`counting_table` has all figures in one table, with what had to be chosen for each. {doc}`counting_blocks` compares all blocks of this book in one unit. {doc}`errata` lists what
#   the papers misprint. The last section shows how to count a module of your own.
#
# Cost of this page
# : {glue:text}`seconds` seconds on {glue:text}`threads`.
# ::::
#
# The chapters on {doc}`rnl`, {doc}`pnl`, {doc}`rcca` and {doc}`gta` each end with what their paper prints. This chapter puts the four beside one another. No number here is typed in: a
# printed figure is data, a recomputed one is counted on the network that stands behind its row.

# %% tags=["hide-input"]
import time
from collections import Counter
from dataclasses import replace
from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
import torch
from myst_nb import glue
from ptflops import get_model_complexity_info

from vidattn import figures
from vidattn.backbones import place, resnet50
from vidattn.blocks import PyramidNonLocal, make_block
from vidattn.cost import count
from vidattn.figures import say, show_table
from vidattn.papers import agrees, pnl, printed_efficiency, rcca, rnl
from vidattn.papers.efficiency import CHOICES, ORIGINS, efficiency
from vidattn.papers.models import readings

started = time.perf_counter()
figures.use_style()
PAPERS = {"RNL": "region", "PNL": "pyramid", "RCCA-3D": "crisscross", "GTA": "temporal"}


# %% [markdown]
# ## One block, four answers
#
# Take one pyramid block on a small map: $C = 64$ channels, $T = 2$ frames of $8 \times 8$ positions. It has everything that counters disagree about: convolutions with biases, a
# normalisation, linear layers, and products of two activations, which no module does. By hand, with the block's four scales of $N_k = N / 4^k$ positions and $C' = C / 4$ channels each:
#
# - the four $1 \times 1 \times 1$ convolutions of a scale lead from $C'$ to $C'/2$ channels, three times, and back, once: $4 \cdot C' \cdot C'/2$ multiply-adds a position;
# - a bias is one addition an output, a normalisation two operations an element;
# - the two linear layers lead from $C'$ to $C'/2$, for each of four scales;
# - scores and sums over positions are $N_k^2\, C'/2$ multiply-adds each; the weights of the scales are four by four products of $C'/2$ numbers, and their sums four for each of the
#   map's $C N$ numbers.

# %%
C, T, H, W = 64, 2, 8, 8
N, c = T * H * W, C // 4
N_k = [N // 4**k for k in range(4)]
done = {
    "convolutions": sum(4 * c * (c // 2) * n for n in N_k),
    "their biases": sum((3 * (c // 2) + c) * n for n in N_k),
    "normalisation": C * N,
    "linear layers": 2 * 4 * c * (c // 2),
    "products": sum(2 * n**2 * (c // 2) for n in N_k) + 4 * 4 * (c // 2) + 4 * C * N,
}
# How often each counter counts each of them.
weights = pd.DataFrame(
    {
        "RNL's": [1, 1, 2, 2, 0],
        "PNL's": [1, 1, 2, 1, 0],
        "RCCA-3D's": [2, 0, 0, 2, 2],
        "GTA's": [1, 0, 0, 1, 1],
    },
    index=list(done),
)
answers = weights.mul(pd.Series(done), axis=0).sum()

block, shape = PyramidNonLocal(C), (1, C, T, H, W)
assert answers["RNL's"] == count(block, shape, "modules").macs
assert answers["PNL's"] == count(block, shape, "modules, linear layers once").macs
assert answers["GTA's"] == count(block, shape).macs
assert answers["RCCA-3D's"] == 2 * count(block, shape).macs
assert len(set(answers)) == 4

# %% tags=["hide-input"]
shown = weights.map(lambda w: "–" if w == 0 else f"× {w}")
shown.insert(0, "how many", [f"{n:,}" for n in done.values()])
shown.loc["**what it costs**"] = ["", *(f"{n:,}" for n in answers)]
shown.index = shown.index.str.replace("**", "")
show_table(shown, index=True)
say(
    f"Four counters, four answers, from {min(answers):,} to {max(answers):,}: {max(answers) / min(answers):.1f} times as much for the same block on the same map."
)

# %% [markdown]
# The first two are kinds of one tool, the counter thop (pytorch-OpCounter), at two times: it hooks into modules and cannot see a product of two activations. On a network without attention
# that is harmless. On these papers' blocks it leaves out what the papers are about.
#
# ## How we know
#
# Only one paper says what a FLOP is: for RCCA-3D they are "floating point multiplication adds". Its backbone is counted so; its modules are not. Each way was found by trying combinations of what may be
# counted or not, the networks being the same, on the FLOPs of the tables that the paper's own networks fill. A way that gives every row could hardly be chance; that it is *the* way is still a reading, and counts as a free choice on every page of this book.

# %%
lines = []
for paper, ways in (("RNL", rnl.conventions()), ("PNL", pnl.conventions())):
    best = max(ways, key=lambda way: way.agreeing)
    alike = [way for way in ways if way.agreeing == best.agreeing]
    used = [name for name, counted in best.choices.items() if counted]
    said = "multiplications of modules" + "".join(f", {name}" for name in used)
    lines.append((paper, said, len(ways), len(alike), f"{best.agreeing} of {best.rows}"))

printed = {
    r["row"]: r["printed"] for r in printed_efficiency("RCCA-3D") if r["metric"] == "FLOPs G"
}
own = [name for name in printed if name in rcca.ROWS and rcca.ROWS[name].at and name not in ("c", "TSM+NL*5", "TSM+RCCA*5", "TSM+5NL no down-sampling", "RCCA extra")]  # fmt: skip
hits = {}
for quoted, unit, itself in product((True, False), (1, 2), (0, 1, 3)):
    base = {name: rcca.bare(rcca.ROWS[name].backbone, None if quoted else rcca.UCF101)[0] for name in own}  # fmt: skip
    hits[quoted, unit, itself] = sum(
        agrees(printed[name], base[name] + unit * rcca.added(rcca.ROWS[name], itself)[0])
        for name in own
    )
assert max(hits, key=hits.get) == (True, 2, 1) and sorted(hits.values())[-2] < len(own)
lines.append(("RCCA-3D", "backbone's MACs, taken from elsewhere, and twice the modules'", len(hits), 1, f"{hits[True, 2, 1]} of {len(own)}"))  # fmt: skip

of_gta = [r for r in printed_efficiency("GTA") if r["metric"] == "FLOPs G" and r["table"] in ("Fig3", "Fig7")]  # fmt: skip
hits = Counter()
for way, unit in product(("all", "modules", "modules, linear layers once"), (1, 2)):
    for row in of_gta:
        network = readings("GTA")[row["table"], row["row"]].likeliest
        hits[way, unit] += agrees(row["printed"], unit * network.value("FLOPs G", way))
assert hits.most_common(1)[0][0] == ("all", 1) and sorted(hits.values())[-2] < len(of_gta)
lines.append(("GTA", "MACs of convolutions and products", len(hits), 1, f"{hits['all', 1]} of {len(of_gta)}"))  # fmt: skip
show_table(pd.DataFrame(lines, columns=["paper", "one FLOP is", "ways tried", "equally good", "figures that the best gives"]))  # fmt: skip

# %% [markdown]
# PNL's three of seven are what its text's networks give; the other rows need another network, too, or are not explained ({doc}`pnl_cost`). Two ways are equally good there because its networks
# have hardly any biases.
#
# ## One network, two papers
#
# A TSM ResNet-50 with non-local blocks, all keys, at five places: after blocks 1 and 3 of `res3` and 1, 3 and 5 of `res4`. Two papers print its cost.

# %%
prints = {(r["paper"], r["row"], r["metric"]): r["printed"] for r in printed_efficiency()}
five = readings("RNL")["III K400", "+5 NL"].text
in_rcca = rcca.ROWS["TSM+5NL no down-sampling"]
assert sum(five.by_kind().values()) / 1e9 == five.value("FLOPs G")
macs, seen = five.value("FLOPs G", "all"), five.value("FLOPs G")
twice = rcca.bare(rcca.TSM)[0] + 2 * rcca.added(in_rcca)[0]
only_blocks = macs - replace(five, make=None).value("FLOPs G", "all")
assert abs(only_blocks - rcca.added(in_rcca)[0]) < 1e-9  # the same five blocks
show_table(
    pd.DataFrame(
        [
            ("RNL, Table III, +5 NL", prints["RNL", "+5 NL", "FLOPs G"], f"{seen:.2f}", "modules only: the products are missing"),
            ("RCCA-3D, text", prints["RCCA-3D", "TSM+5NL no down-sampling", "FLOPs G"], f"{twice:.2f}", "33.0 in MACs + the blocks in two operations a MAC; cut off"),
            ("this book", "", f"{macs:.2f}", "multiply-adds of everything"),
        ],
        columns=["where", "printed, G", "recomputed, G", "what it is"],
    )
)  # fmt: skip
glue("one-network", f"{macs:.2f}", display=False)

# %% [markdown]
# So a figure of one paper must not be set beside a figure of another, and not even a block's beside its backbone's in the same table of RCCA-3D. The comparison that can be made, all
# blocks in one unit at the same places, is on {doc}`counting_blocks`.
#
# ## All 225
#
# Every figure, printed against recomputed. Where a figure falls on the line, the network, the unit and the way of counting are known well enough to give its last digit. What lies off it is
# not explained; {doc}`counting_table` lists each with the readings that were tried.

# %% tags=["hide-input"]
found = efficiency()
marks = {"agrees": "o", "agrees, fitted": "D", "not explained": "X"}
names = {"agrees": "the text's network", "agrees, fitted": "a stated reading", "not explained": "not explained"}  # fmt: skip
table = pd.DataFrame(
    {"paper": f.paper, "verdict": f.verdict, "unit": f.unit, "printed": float(f.printed),
     "computed": f.computed, "convention": f.convention}
    for f in found
)  # fmt: skip
by_paper = table.pivot_table(index="paper", columns="verdict", values="unit", aggfunc="size", fill_value=0)  # fmt: skip
by_paper = by_paper.reindex(index=PAPERS, columns=marks).rename(columns=names)
by_paper.loc["all four"] = by_paper.sum()
show_table(by_paper.rename_axis(index=None, columns=None), index=True)
total = Counter(f.verdict for f in found)
assert len(found) == 225 and total["agrees"] + total["agrees, fitted"] >= 200
glue("printed", len(found), display=False)
glue("agree", total["agrees"] + total["agrees, fitted"], display=False)
glue("as-text", total["agrees"], display=False)
glue("stated", total["agrees, fitted"], display=False)
glue("unexplained", total["not explained"], display=False)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every printed figure against the recomputed one, on logarithmic axes; below, how far apart they are. A cross is not explained. The five quoted networks of GTA's Figure 4 that are not built here are missing.", "name": "fig-printed-recomputed"}, "image": {"alt": "Two panels that share a horizontal axis, the printed figure. Above, all points lie on the diagonal as far as the eye can tell, but for a handful of crosses. Below, the relative difference: nearly all points lie on zero; crosses reach from minus 70 to plus 20 percent."}}
fig, (above, below) = plt.subplots(
    2, 1, figsize=(figures.WIDTH, 6.2), sharex=True, height_ratios=(3, 2), layout="constrained"
)
for (paper, verdict), part in table.dropna().groupby(["paper", "verdict"], sort=False):
    style = {"color": figures.COLOURS[PAPERS[paper]], "marker": marks[verdict], "linestyle": "none"}
    style |= {"markersize": 7 if verdict == "not explained" else 4, "markeredgecolor": "none"}
    above.plot(part.printed, part.computed, **style)
    below.plot(part.printed, 100 * (part.computed / part.printed - 1), **style)
ends = [table.printed.min() / 1.5, table.printed.max() * 1.5]
above.plot(ends, ends, color=figures.INK, lw=0.6, zorder=0)
below.axhline(0, color=figures.INK, lw=0.6, zorder=0)
for paper, mechanism in PAPERS.items():
    above.plot([], [], "o", color=figures.COLOURS[mechanism], label=paper)
for verdict, mark in marks.items():
    above.plot([], [], mark, color=figures.INK, label=names[verdict])
above.set(xscale="log", yscale="log", ylabel="recomputed: G, M or %")
below.set(xlabel="printed: G, M or %", ylabel="recomputed less printed, %")
above.legend(ncols=2)
plt.show()

# %% [markdown]
# ## What agreement is worth
#
# A reading that is chosen because it fits explains nothing if it explains one figure: there is always one that does. So every reading is marked with where it comes from, and beside each table of
# {doc}`counting_table` stands how many free choices explain how many distinct figures.

# %% tags=["hide-input"]
used = Counter(what for f in found if f.verdict == "agrees, fitted" for what in f.choices)
lines = [(ORIGINS[CHOICES[what]["from"]], what, number) for what, number in used.most_common()]
origin = Counter(where for where, *_ in lines)
assert set(origin) == set(ORIGINS.values())
say(
    f"{len(lines)} choices beyond the texts' networks stand behind {total['agrees, fitted']} figures: {origin['stated']} that a text states, {origin['public code']} that public code shows, and {origin['fitted']} that nothing but the figures speaks for. To these come four ways of counting."
)
ones = [what for what, number in used.items() if number == 1 and CHOICES[what]["from"] == "fit"]
say(
    f"{len(ones)} of the fitted choices explain a single figure each, and are worth no more than that."
)
show_table(pd.DataFrame(lines, columns=["from", "choice", "figures that need it"]))

# %% [markdown]
# ## Count your own
#
# The counter behind this book takes any module, at any shape of input, and needs neither weights nor memory: it runs the module on PyTorch's meta device, where tensors have shapes and no
# numbers. It says what each layer does, by kind of operation, and which parameters are whose.

# %%
model = place(resnet50(num_classes=200, temporal="tsm"), {"res4": (5,)}, PyramidNonLocal)
cost = count(model, (1, 3, 8, 224, 224))
assert sum(cost.by_layer.values()) == sum(cost.by_kind.values()) == cost.macs
assert cost.params == sum(p.numel() for p in model.parameters())
show_table(cost.table(1).map("{:,}".format), index=True)

# %% mystnb={"figure": {"caption": "Where a TSM ResNet-50 with one pyramid block spends its multiply-adds: cost.picture(1) of the cell above.", "name": "fig-picture"}, "image": {"alt": "A horizontal stacked bar for each layer of a ResNet-50. res4 is longest; a small part of its bar is attention, all other bars are convolutions only."}}
cost.picture(1)

# %% [markdown]
# `table(depth)` and `picture(depth)` go as deep as you ask: one part of a layer's name tells stages apart, three tell the blocks in them. From the command line:
#
# ```bash
# python -m vidattn.cost region --shape 1 512 8 28 28 -p kernel "[3, 3, 3]"
# python -m vidattn.cost resnet50 --shape 1 3 8 224 224 --place pyramid "{res4: [5]}" --png cost.png
# python -m vidattn.cost my_package.my_file:my_function --shape 1 3 224 224 --depth 2
# python -m vidattn.papers efficiency > costs.csv        # all 225 figures
# ```
#
# The first counts a block, the second a network with blocks and draws it, the third whatever a function of yours makes. `--convention` counts as the papers do.

# ### Is it right?
#
# The tests compare it with counts by hand for every kind of operation and every block, to the unit, and with a second counter that watches other calls. Here is a third, written by others: ptflops
# 0.7.5, as it counts PyTorch's own operations, on whole networks with five blocks each.

# %% tags=["hide-input"]
lines, quiet = [], {"as_strings": False, "print_per_layer_stat": False, "verbose": False}
for name, kind in {"bare": None, "RCCA-3D": "recurrent_crisscross", "PNL": "pyramid", "NL": "nonlocal"}.items():  # fmt: skip
    whole, added = resnet50(num_classes=400, temporal="tsm"), []
    if kind:
        whole = place(whole, {"res3": (1, 3), "res4": (1, 3, 5)}, make_block(kind))
    ours = count(whole, (1, 3, 8, 112, 112))
    for part in whole.modules():
        if isinstance(part, (torch.nn.Conv3d, torch.nn.Linear)) and part.bias is not None:
            part.register_forward_hook(lambda _, __, out, to=added: to.append(out.numel()))
    theirs, params = get_model_complexity_info(whole, (3, 8, 112, 112), backend="aten", **quiet)
    fused = ours.by_kind["attention"]
    assert params == ours.params and theirs == ours.macs - fused + sum(added)
    assert sum(added) < 0.01 * ours.macs
    lines.append((name, ours.macs, theirs, f"{theirs / ours.macs - 1:+.2%}", fused, sum(added), f"{sum(added) / (ours.macs - fused):+.2%}"))  # fmt: skip
frame = pd.DataFrame(lines, columns=["blocks", "ours, MACs", "ptflops", "off by", "ours: fused attention", "theirs: biases", "off by, without attention"])  # fmt: skip
show_table(frame.map(lambda cell: f"{cell:,}" if isinstance(cell, int) else cell))

# %% [markdown]
# Two differences, and they are all of it, to the unit. ptflops does not know PyTorch's fused attention and counts it as nothing: the blindness of the first two counters above, in a newer
# tool. And it counts the addition of a bias as a multiply-add, which this book does not.

# %% tags=["hide-input"]
cell = cost.table(3).loc["res4.placed.5"]
say(
    f"The block after the fifth of res4 does {cell['MACs'] / 1e9:.3f} GMAC, {cell['attention'] / cell['MACs']:.0%} of them attention; counted as PNL's tables are it would be {count(PyramidNonLocal(1024), (1, 1024, 8, 14, 14), 'modules, linear layers once').macs / 1e9:.3f} G."
)
glue("seconds", f"{time.perf_counter() - started:.0f}", display=False)
threads = torch.get_num_threads()
glue("threads", f"{threads} thread{'s' * (threads > 1)}", display=False)

# %% [markdown]
# ## Exercises
#
# 1. RNL's Table III prints 32.89 G for a bare TSM ResNet-50, GTA's Figure 3 prints 32.7 G for a ResNet-50 on as many frames. Which operations are the difference?
# 2. What would RCCA-3D's 49.3 G for one module be, in one unit for backbone and module?
# 3. Find a block of this book whose cost under RNL's way of counting is less than a hundredth of what it does.
#
# :::{dropdown} Solutions
# **1.** Biases and normalisations, and a classifier that scores every frame: the first cell below takes them off one by one.
#
# **2.** The module's share halves.
#
# **3.** Anything that relates positions without a module: the smaller the channels beside the positions, the worse. A non-local block with $C = 8$ on $8 \times 56 \times 56$ will do.
# :::

# %% tags=["hide-input", "solution"]
# exercise 1
bare = readings("RNL")["III K400", "baseline"].text
kinds, gta_bare = bare.by_kind(), readings("GTA")["Fig3", "R2D-50"].text
assert kinds["bias"] == 0  # its convolutions have none; the classifier's is in "linear"
once = 2048 * 174  # GTA's classifier, at one multiply-add a weight, on the mean frame
assert kinds["conv"] + once == round(1e9 * gta_bare.value("FLOPs G"))
print(f"Exercise 1: normalisation {kinds['norm'] / 1e9:.3f} G, pooling {kinds['pool'] / 1e9:.3f} G and {kinds['linear'] / 1e9:.3f} G of the classifier, less {once / 1e9:.4f} G.")  # fmt: skip
# exercise 2
module = rcca.added(rcca.ROWS["R=3"])[0]
assert agrees("49.3", 33.0 + 2 * module)
print(f"Exercise 2: 33.0 + {module:.2f} = {33.0 + module:.1f} GMAC, {module / 33.0:.0%} more and not {2 * module / 33.0:.0%}.")  # fmt: skip
# exercise 3
from vidattn.blocks import NonLocal

narrow = [count(NonLocal(8), (1, 8, 8, 56, 56), way).macs for way in ("modules", "all")]
assert 100 * narrow[0] < narrow[1]
print(f"Exercise 3: {narrow[0]:,} of {narrow[1]:,}.")
