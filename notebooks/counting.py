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
# : The four papers print {glue:text}`printed` figures of parameters and "FLOPs"
#   {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`. What was counted, in which unit, of
#   which network?
#
# Found
# : They count in four ways. {glue:text}`agree` figures agree: {glue:text}`as-text` with the network
#   that the text describes, {glue:text}`named` under a reading that is named beside them, in
#   {glue:text}`fitted` of which something was chosen because it fits; the other {glue:text}`given`
#   could not have disagreed: the paper quotes them, or they are 100% of themselves.
#   {glue:text}`unexplained` are not explained. The same network, a TSM ResNet-50 with five
#   non-local blocks, is printed with {glue:text}`printed-rnl` G by one paper and with
#   {glue:text}`printed-rcca` G by another. It does {glue:text}`one-network` GMAC.
#
# Read on
# : {doc}`counting_table` has all figures in one table, with what had to be chosen for each.
#   {doc}`counting_blocks` compares all blocks of this book in one unit. {doc}`errata` lists what
#   the papers misprint. {ref}`count-your-own` shows how to count a module of your own.
#
# Cost of this page
# : {glue:text}`seconds` seconds on {glue:text}`threads`.
# ::::
#
# The chapters on {doc}`rnl`, {doc}`pnl`, {doc}`rcca` and {doc}`gta` each end with what their paper
# prints. This chapter puts the four beside one another. A printed figure is data; a recomputed one
# is counted on the network that stands behind its row.

# %% tags=["hide-input"]
import time
from collections import Counter

import pandas as pd
import torch
from ptflops import get_model_complexity_info

from notebooks.kit.chapter import Chapter
from notebooks.kit.drawings import say, show_rows, show_table
from notebooks.kit.drawings.costs import printed_against_recomputed
from notebooks.kit.printed import (
    PAPERS,
    Verdict,
    agrees,
    efficiency,
    gta,
    pnl,
    printed_efficiency,
    rcca,
    rnl,
)
from notebooks.kit.printed.choices import CHOICES, ORIGINS
from notebooks.kit.printed.readings import readings
from notebooks.kit.printed.tables import decisions
from notebooks.kit.printed.thop import count
from vidattn import figures
from vidattn.backbones import place, resnet50
from vidattn.blocks import NonLocal, PyramidNonLocal, make_block

started = time.perf_counter()
figures.use_style()


# %% [markdown]
# ## One block, four answers
#
# Take one pyramid block on a small map: $C = 64$ channels, $T = 2$ frames of $8 \times 8$
# positions. It has everything that counters disagree about: convolutions with biases, a
# normalisation, linear layers, and products of two activations, which no module does. By hand, with
# the block's four scales of $N_k = N / 4^k$ positions and $C' = C / 4$ channels each:
#
# - the four $1 \times 1 \times 1$ convolutions of a scale lead from $C'$ to $C'/2$ channels, three
#   times, and back, once: $4 \cdot C' \cdot C'/2$ multiply-adds a position;
# - a bias is one addition an output, a normalisation two operations an element;
# - the two linear layers lead from $C'$ to $C'/2$, for each of four scales;
# - scores and sums over positions are $N_k^2\, C'/2$ multiply-adds each; the weights of the scales
#   are four by four products of $C'/2$ numbers, and their sums four for each of the map's $C N$
#   numbers.

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
shown.loc["what it costs"] = ["", *(f"{n:,}" for n in answers)]
show_table(shown, index=True)
least, most = min(answers), max(answers)
say(
    f"Four counters, four answers, from {least:,} to {most:,}: {most / least:.1f} "
    "times as much for the same block on the same map."
)

# %% [markdown]
# The first two are kinds of one tool, the counter thop (pytorch-OpCounter), at two times: it hooks
# into modules and cannot see a product of two activations. On a network without attention that is
# harmless. On these papers' blocks it leaves out what the papers are about.
#
# ## How we know
#
# Only one paper says what a FLOP is: for RCCA-3D they are "floating point multiplication adds". Its
# backbone is counted so; its modules are not. Each way was found by trying combinations of what may
# be counted or not, the networks being the same, on the FLOPs of the tables that the paper's own
# networks fill. Every way is a reading, and counts as a free choice on all pages of this book.

# %%
SEARCHES = {
    "RNL": (rnl.conventions(), ["biases", "batch normalisation"], "likeliest"),
    "PNL": (pnl.conventions(), ["biases", "batch normalisation"], "the text's"),
    "RCCA-3D": (rcca.conventions(), ["quoted", 2, "itself once"], "the text's"),
    "GTA": (gta.conventions(), ["products"], "the text's"),
    "GTA ": (gta.conventions(likeliest=True), ["products"], "likeliest"),
}


def chosen_of(way):
    """What a way counts, or how."""
    choices = way.choices.items()
    return [name if value is True else value for name, value in choices if value]


lines, sharp = [], {}
for paper, (ways, used, networks) in SEARCHES.items():
    ranked = sorted((way.agreeing for way in ways), reverse=True)
    most, alike = ranked[0], ranked.count(ranked[0])
    # the way that this book uses is among the best
    (chosen,) = (way for way in ways if chosen_of(way) == used)
    assert chosen.agreeing == most
    best = f"{most} of {chosen.rows}", chosen.distinct, alike, ranked[alike]
    lines.append((paper, networks, len(ways), *best))
    sharp[paper] = (most, alike)

# %% tags=["hide-input"]
names = ["paper", "networks", "ways tried", "figures that the best give"]
names += ["different ones", "equally good ways", "the next gives"]
show_rows(lines, names)

# %% [markdown]
# RNL's way is sharp: one of sixteen gives all seven figures, with the networks of the public code
# where that has them. RCCA-3D's gives all but three rows, which no way gives. PNL's gives three
# figures; the other rows need another network, too, or are not explained ({doc}`pnl_cost`), and
# whether biases count cannot be told. GTA's is not known by itself: the text's networks give the
# bare rows alone, and those say only that normalisations do not count. That products do was found
# together with the networks that were chosen because they fit ({doc}`gta_cost`); with those fixed,
# no way without products gives more than the bare rows, but that is no second witness.

# %% tags=["hide-input"]
assert sharp["RNL"] == (7, 1) and sharp["RCCA-3D"][1] == 1 and sharp["PNL"] == (3, 2)
flops = [r for r in printed_efficiency("GTA") if r["metric"] == "FLOPs G"]
own = [r for r in flops if r["table"] in ("Fig3", "Fig7")]
bare_rows = [r for r in own if "+" not in r["row"]]
assert sharp["GTA"][0] == len(bare_rows) == 3
assert all(way.choices["products"] or way.agreeing <= 3 for way in SEARCHES["GTA "][0])
counted = [way.choices for way in SEARCHES["GTA"][0] if way.agreeing == 3]
assert {way["batch normalisation"] for way in counted} == {False}

# %% [markdown]
# ## One network, two papers
#
# A TSM ResNet-50 with non-local blocks, all keys, at five places: after blocks 1 and 3 of `res3`
# and 1, 3 and 5 of `res4`. Two papers print its cost.

# %%
prints = {
    (r["paper"], r["row"], r["metric"]): r["printed"] for r in printed_efficiency()
}
by_rnl = prints["RNL", "+5 NL", "FLOPs G"]
by_rcca = prints["RCCA-3D", "TSM+5NL no down-sampling", "FLOPs G"]
five = readings("RNL")["III K400", "+5 NL"].text
in_rcca = rcca.ROWS["TSM+5NL no down-sampling"]
assert [len(at) for at in five.at.values()] == [*in_rcca.at.values()] == [2, 3]
macs, seen = five.amount("all").macs, five.amount().macs
base = rcca.bare(rcca.TSM).macs
twice = base + 2 * rcca.added(in_rcca).macs
how = f"{base} in MACs + the blocks in two operations a MAC; cut off"
lines = [
    ("RNL, Table III, +5 NL", by_rnl, seen, "modules only: the products are missing"),
    ("RCCA-3D, text", by_rcca, twice, how),
    ("this book", "", macs, "multiply-adds of everything"),
]
lines = [(where, of, f"{ours:.2f}", what) for where, of, ours, what in lines]
show_rows(lines, ["where", "printed, G", "recomputed, G", "what it is"])
Chapter.glue(printed_rnl=by_rnl, printed_rcca=by_rcca, one_network=f"{macs:.2f}")

# %% [markdown]
# So a figure of one paper must not be set beside a figure of another, and not even a block's beside
# its backbone's in the same table of RCCA-3D. The comparison that can be made, all blocks in one
# unit at the same places, is on {doc}`counting_blocks`.
#
# ## All 225
#
# Every figure, printed against recomputed; what could not have disagreed is left out. Below, the
# distance is in units of the last printed digit: within half a unit of zero the two agree. What
# lies farther off is not explained; {doc}`counting_table` lists each with the readings that were
# tried.

# %% tags=["hide-input"]
found = efficiency()
names = {
    Verdict.AGREES: "the text's network",
    Verdict.FITTED: "a named reading",
    Verdict.UNEXPLAINED: "not explained",
    Verdict.GIVEN: "quoted, or 100% of itself",
}
verdicts = {of: Counter(c.verdict for c in found if c.paper == of) for of in PAPERS}
by_paper = pd.DataFrame(verdicts).T.fillna(0).astype(int)[[*names]]
by_paper.loc["all four"] = by_paper.sum()
total = by_paper.loc["all four"]
agree = len(found) - total[Verdict.UNEXPLAINED]
by_reading = [of for of in found if of.verdict is Verdict.FITTED]
origins = [{CHOICES[choice].origin for choice in of.reading} for of in by_reading]
by_fit = sum("fit" in each for each in origins)
assert len(found) == len(printed_efficiency()) == total.sum() and agree >= 200
show_table(by_paper.rename(columns=names), index=True)
as_text, by_name, unexplained, given = (int(total[verdict]) for verdict in names)
Chapter.glue(printed=len(found), agree=int(agree), as_text=as_text, named=by_name)
Chapter.glue(fitted=by_fit, given=given, unexplained=unexplained)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every printed figure that was recomputed. Above, against the recomputed one, on logarithmic axes. Below, how far apart they are, in units of the last printed digit: linear within one unit, logarithmic beyond; in the band they agree. The five quoted networks of GTA's Figure 4 that are not built here are missing.", "name": "fig-printed-recomputed"}, "image": {"alt": "Two panels that share a horizontal axis, the printed figure. Above, all points lie on the diagonal as far as the eye can tell, but for a handful of crosses. Below, circles and diamonds lie in a narrow band about zero, and crosses outside it, some by hundreds of units."}}
printed_against_recomputed(found, names)

# %% [markdown]
# ## What agreement is worth
#
# A reading that is chosen because it fits explains nothing if it explains one figure: there is
# always one that does. So every reading is marked with where it comes from, and beside each table
# of {doc}`counting_table` stands how many free choices explain how many distinct figures.

# %% tags=["hide-input"]
used = Counter(choice for of in by_reading for choice in of.reading)
origin = Counter(CHOICES[choice].origin for choice in used)
free = [choice for choice in used if CHOICES[choice].origin == "fit"]
ones = [choice for choice in free if used[choice] == 1]
say(
    f"{len(used)} readings beyond the texts' networks stand behind "
    f"{len(by_reading)} figures: {origin['code']} that public code shows, and "
    f"{origin['fit']} that nothing but the figures speaks for. Some of these are "
    f"several decisions in one; they are {decisions(free)}. To these come the ways of "
    f"counting. {len(ones)} of the fitted readings explain a single figure each, and "
    "are worth no more than that."
)
lines = [
    (ORIGINS[CHOICES[choice].origin], CHOICES[choice].says, number)
    for choice, number in used.most_common()
]
show_rows(lines, ["from", "choice", "figures that need it"])

# %% [markdown]
# (count-your-own)=
# ## Count your own
#
# The counter behind this book takes any module, at any shape of input, and needs neither weights
# nor memory: it runs the module on PyTorch's meta device, where tensors have shapes and no numbers.
# It says what each layer does, by kind of operation, and which parameters are whose.

# %%
bare, clip = resnet50(num_classes=200, temporal="tsm"), (1, 3, 8, 224, 224)
without, block = count(bare, clip), count(PyramidNonLocal(1024), (1, 1024, 8, 14, 14))
model = place(bare, {"res4": (5,)}, PyramidNonLocal)
cost = count(model, clip)
assert cost.macs == without.macs + block.macs
assert cost.params == sum(p.numel() for p in model.parameters())
show_table(cost.table(1).map("{:,}".format), index=True)

# %% mystnb={"figure": {"caption": "Where a TSM ResNet-50 with one pyramid block spends its multiply-adds: cost.picture(1) of the cell above.", "name": "fig-picture"}, "image": {"alt": "A horizontal stacked bar for each layer of a ResNet-50. res4 is longest; a small part of its bar is attention, all other bars are convolutions only."}}
cost.picture(1)

# %% [markdown]
# `table(depth)` and `picture(depth)` go as deep as you ask: one part of a layer's name tells stages
# apart, three tell the blocks in them. From the command line:
#
# ```bash
# python -m vidattn cost region --shape 1 512 8 28 28 -p kernel "[3, 3, 3]"
# python -m vidattn cost resnet50 --shape 1 3 8 224 224 --place pyramid "{res4: [5]}" --png cost.png
# python -m vidattn cost my_package.my_file:my_function --shape 1 3 224 224 --depth 2
# python -m notebooks costs > costs.csv        # all 225 figures
# ```
#
# The first counts a block, the second a network with blocks and draws it, the third whatever a
# function of yours makes. `notebooks.kit.printed.thop.count` counts as two of the papers do.
#
# ### Is it right?
#
# The tests compare it with counts by hand for every kind of operation and every block, to the unit,
# and with a second counter that watches other calls. Here is a third, written by others: ptflops
# 0.7.5, as it counts PyTorch's own operations, on whole networks with five blocks each.

# %% tags=["hide-input"]
quiet = {"as_strings": False, "print_per_layer_stat": False, "verbose": False}
kinds = {"RCCA-3D": "recurrent_crisscross", "PNL": "pyramid", "NL": "nonlocal"}
lines, clip = [], (3, 8, 112, 112)
for name in ("bare", *kinds):
    whole, added = resnet50(num_classes=400, temporal="tsm"), []
    if name in kinds:
        places = {"res3": (1, 3), "res4": (1, 3, 5)}
        whole = place(whole, places, make_block(kinds[name]))
    ours = count(whole, (1, *clip))
    for part in whole.modules():
        counted = isinstance(part, torch.nn.Conv3d | torch.nn.Linear)
        if counted and part.bias is not None:
            part.register_forward_hook(lambda _, __, y, to=added: to.append(y.numel()))
    theirs, params = get_model_complexity_info(whole, clip, backend="aten", **quiet)
    fused, biases = ours.by_kind["attention"], sum(added)
    assert params == ours.params and theirs == ours.macs - fused + biases
    assert biases < 0.01 * ours.macs
    off, rest = theirs / ours.macs - 1, biases / (ours.macs - fused)
    numbers = ours.macs, theirs, f"{off:+.2%}", fused, biases, f"{rest:+.2%}"
    lines.append((name, *(f"{n:,}" if isinstance(n, int) else n for n in numbers)))
names = ["blocks", "ours, MACs", "ptflops", "off by", "ours: fused attention"]
names += ["theirs: biases", "off by, without attention"]
show_rows(lines, names)

# %% [markdown]
# Two differences, and they are all of it, to the unit. ptflops does not know PyTorch's fused
# attention and counts it as nothing: the blindness of the first two counters above, in a newer
# tool. And it counts the addition of a bias as a multiply-add, which this book does not.

# %% tags=["hide-input"]
layer = cost.table(3).loc["res4.placed.5"]
by_modules = count(
    PyramidNonLocal(1024), (1, 1024, 8, 14, 14), "modules, linear layers once"
)
say(
    f"The block after the fifth of res4 does {layer['MACs'] / 1e9:.3f} GMAC, "
    f"{layer['attention'] / layer['MACs']:.0%} of them attention; counted as PNL's "
    f"tables are it would be {by_modules.macs / 1e9:.3f} G."
)
threads = torch.get_num_threads()
Chapter.glue(threads=f"{threads} thread{'s' * (threads > 1)}")
Chapter.glue(seconds=f"{time.perf_counter() - started:.0f}")

# %% [markdown]
# ## Exercises
#
# 1. RNL's Table III prints another cost for a bare TSM ResNet-50 than GTA's Figure 3 does for a
#    ResNet-50 on as many frames. Which operations are the difference?
# 2. What would RCCA-3D's total with one module be, in one unit for backbone and module?
# 3. Find a block of this book whose cost under RNL's way of counting is less than a hundredth of
#    what it does.
#
# :::{dropdown} Solutions
# The cell below computes them.
#
# **1.** Normalisation, the averages before the classifier, and a classifier that scores every frame
# and not their mean.
#
# **2.** The total less half of what the module adds to it: a multiply-add of the backbone counts
# once and one of the module twice.
#
# **3.** Anything that relates positions without a module: the smaller the channels beside the
# positions, the worse. A non-local block with $C = 8$ on $8 \times 56 \times 56$ will do.
# :::

# %% tags=["hide-input", "solution"]
# exercise 1
bare = readings("RNL")["III K400", "baseline"].text
of_gta = readings("GTA")["Fig3", "R2D-50"].text
kinds = bare.by_kind()
assert kinds["bias"] == 0  # its convolutions have none; the classifier's is in "linear"
# GTA's classifier, at one multiply-add a weight, on the mean frame
once = of_gta.by_kind()["matmul"]
assert kinds["conv"] + once == round(1e9 * of_gta.amount().macs)
more = kinds["norm"] + kinds["pool"] + kinds["linear"] - once
assert more == round(1e9 * (bare.amount().macs - of_gta.amount().macs))
norm, pool, linear = (kinds[kind] / 1e9 for kind in ("norm", "pool", "linear"))
print(
    f"Exercise 1: normalisation {norm:.3f} G, pooling {pool:.3f} G and {linear:.3f} G "
    f"of the classifier, less {once / 1e9:.4f} G."
)
# exercise 2
module, base = rcca.added(rcca.ROWS["R=3"]).macs, rcca.bare(rcca.TSM).macs
assert agrees(prints["RCCA-3D", "R=3", "FLOPs G"], base + 2 * module)
print(
    f"Exercise 2: {base} + {module:.2f} = {base + module:.1f} GMAC, "
    f"{module / base:.0%} more and not {2 * module / base:.0%}."
)
# exercise 3
narrow = [count(NonLocal(8), (1, 8, 8, 56, 56), way).macs for way in ("modules", "all")]
assert 100 * narrow[0] < narrow[1]
print(f"Exercise 3: {narrow[0]:,} of {narrow[1]:,}.")
