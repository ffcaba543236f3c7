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
# (pnl-cost)=
# # Every printed cost of PNL, recounted
#
# The paper prints parameters and "FLOPs" in Tables 3, 5 and 6 and six differences in its text
# {cite}`xu2021pnl`. It does not say how it counts. This page recomputes each figure, says under
# which reading it comes out, and keeps two kinds of agreement apart: those of the model that the
# *text* describes, and those of a model that was chosen *because* it fits. More figures than in
# {doc}`rnl_cost` fit no reading that was tried. A companion of {doc}`pnl`.

# %% tags=["hide-input"]
from dataclasses import replace
from functools import partial
from itertools import product

import pandas as pd
import torch

from notebooks.kit.drawings import say, show_rows, show_table, stacked_bars
from notebooks.kit.printed import agrees, printed_top1, report
from notebooks.kit.printed.networks import narrow_pyramid, quartered
from notebooks.kit.printed.pnl import IMAGENET, ROWS, conventions
from notebooks.kit.printed.thop import count
from vidattn import figures
from vidattn.backbones import mfnet, place, resnet50
from vidattn.blocks import PyramidNonLocal

figures.use_style()


# %% [markdown]
# ## All of them
#
# **printed** is the paper's figure; **text's model** what the block of the text gives, counted as
# Table 3's baseline seems to be; **nearest** what the best reading gives, its letter explained
# below the table. The last column is what the text's model costs when every convolution and every
# product is counted: no figure of the paper is meant to equal it. The three rows Res50 in Table 5
# are quoted from other papers.

# %% tags=["hide-input"]
printed, cost = report.printed_costs("PNL")
report.show_costs(printed)

# %% [markdown]
# ## How many choices explain how many figures
#
# Each reading makes choices that the text does not make, or contradicts it. A choice that explains
# one figure explains nothing: there is always one that does. The first choice below contradicts
# section 3.2, which shares the convolutions; it carries most.

# %% tags=["hide-input"]
report.say_agreements(printed)
own = "convolutions of its own for each scale, linear layers from C' to C'/8"
choices = {
    "narrow_linear": own,
    "classes_200_101": "UCF101 with a classifier for 200 classes (it has 101)",
    "frames_16": "16 frames for Table 6 (the text: 32)",
    "classes_1000": "quoted networks with a classifier for 1000 classes",
    "cut_two": "a figure cut off, not rounded",
    "decimal_point": "a decimal point one place off",
}
report.show_choices(printed, choices)

# %% [markdown]
# ## Which way of counting
#
# Sixteen ways were tried on the FLOPs of MFNet's seven rows, with the text's models. Batch
# normalisation is counted, at two operations an element, and a linear layer once: only so does the
# bare network come to its five printed digits. Whether biases are counted cannot be told: the bare
# network has none, and the blocks' are too few. That is again the default of the counter thop
# (pytorch-OpCounter), in a version later than the one that fits {doc}`rnl_cost`, where a linear
# layer counts twice.

# %%
ways = conventions()
best = [way.choices for way in ways if way.agreeing == max(w.agreeing for w in ways)]
assert len(best) == 2
for way in best:
    assert way["batch normalisation"]
    assert not way["linear layers twice"] and not way["products"]
report.show_ways(ways, "FLOPs of MFNet's rows that agree")

# %% [markdown]
# ## Which way of building
#
# Parameters do not depend on a way of counting. Twenty-four ways to build the block were tried on
# the five rows that have it: one set of convolutions for all scales (the text) or one for each;
# linear layers from $C'$ to a half, a quarter or an eighth of it; with and without biases and batch
# normalisation. No way gives all five, and the text's gives none.

# %% tags=["hide-input"]
with_block = {
    ("3", "concatenation"): [384],
    ("3", "self-attention"): [384],
    ("5", "MFNet-PNL(x1)"): [384],
    ("5", "MFNet-PNL(x5)"): [192, 192, 384, 384, 384],
    ("6", "R-50+PNL(x1)"): [1024],
}
bare = {"3": cost["3", "MFNet baseline", "params M"].computed}
bare |= {"5": bare["3"], "6": cost["6", "R-50", "params M"].computed}


def parameters_of(channels, row, shared, divisor, biases, norm):
    """The block's parameters in millions, without those that this way of building it
    lacks.
    """
    lacking = ["linear"] * (row == "concatenation") + ["bn"] * (not norm)
    block = narrow_pyramid(channels, divisor, shared=shared)
    return sum(
        parameter.numel() / 1e6
        for name, parameter in block.named_parameters()
        if not name.startswith(tuple(lacking))
        and (biases or not (name.startswith("operations") and name.endswith("bias")))
    )


# %% tags=["hide-input"]
rows = []
for way in product((True, False), (2, 4, 8), (True, False), (True, False)):
    totals = {
        (table, row): bare[table] + sum(parameters_of(c, row, *way) for c in widths)
        for (table, row), widths in with_block.items()
    }
    hits = [agrees(cost[*row, "params M"].printed, totals[row]) for row in with_block]
    rows.append((*way, *totals.values(), sum(hits)))
rows_named = [row for _, row in with_block]
names = ["one set", "C' over", "biases", "norm", *rows_named, "agreeing"]
built = pd.DataFrame(rows, columns=names)
text = cost["3", "self-attention", "params M"].text
assert abs(built["self-attention"][0] - text) < 1e-9 and built["agreeing"][0] == 0
assert built["agreeing"].max() == 4 and (built["agreeing"] == 4).sum() == 1
best_way = built.loc[built["agreeing"].idxmax()]
assert list(best_way.iloc[:4]) == [False, 8, True, True]
most = built.sort_values("agreeing", ascending=False, kind="stable").head(6)
shown = most.astype(object)
for column in ("one set", "biases", "norm"):
    shown[column] = most[column].map({True: "yes", False: "no"})
shown[rows_named] = most[rows_named].map("{:.4f}".format)
wanted = [f"{float(cost[*row, 'params M'].printed):.4f}" for row in with_block]
shown.loc[-1] = ["printed", "", "", "", *wanted, ""]
show_table(shown.sort_index())

# %% [markdown]
# Four rows agree with one way alone. The printed step from concatenation to attention contradicts
# it: such narrow linear layers add much less than Table 3's two rows differ by, while layers to
# $C'/2$ add just that (and are what the library has).

# %% tags=["hide-input"]
pair = [
    cost["3", row, "params M"].printed for row in ("concatenation", "self-attention")
]
step = float(pair[1]) - float(pair[0])
narrow_step = best_way["self-attention"] - best_way["concatenation"]
said = cost["text", "self-attn vs concat", "params M"]
assert round(said.text, 3) == round(step, 3) and narrow_step < step / 3
say(
    f"Printed: {pair[1]} − {pair[0]} = {step:.3f} M (the text says {said.printed} M, "
    f"ten times that). Linear layers to C'/2: {said.text:.4f} M; to C'/8: "
    f"{narrow_step:.4f} M."
)

# %% [markdown]
# ## Three findings in the figures
#
# **The paper's text knows other figures for NL than its Table 5.** The table's row is not
# explained. Subtract the differences that the text gives from it, and PNL's row does not come out;
# add them to PNL's row, and what comes out is the recount.

# %% tags=["hide-input"]
for metric, unit in (("params M", "M"), ("FLOPs G", "G")):
    nl, pnl = cost["5", "MFNet-NL", metric], cost["5", "MFNet-PNL(x1)", metric]
    difference = cost["text", "NL - PNL (MFNet)", metric]
    total = float(pnl.printed) + float(difference.printed)
    assert agrees(f"{total:.2f}", nl.text) and not agrees(nl.printed, nl.text)
    assert f"{float(nl.printed) - float(difference.printed):.2f}" != pnl.printed
    say(
        f"PNL {pnl.printed} + difference {difference.printed} = {total:.2f} {unit}; NL "
        f"recounted {nl.text:.2f}, NL printed {nl.printed}."
    )

# %% [markdown]
# **Table 6 seems to mix networks.** The figures of its bare network come out with 200 classes,
# though UCF101 has 101, and with 16 frames, not 32; PNL's parameters agree with that. Nothing else
# in its other rows does. What they add to the bare network is out of proportion: one NL block would
# have to be at work on thousands of positions, and the text's two differences are only those of the
# printed rows.

# %% tags=["hide-input"]
added = {}
for metric in ("params M", "FLOPs G"):
    bare_one, nl, pnl = (
        float(cost["6", row, metric].printed)
        for row in ("R-50", "R-50+NL", "R-50+PNL(x1)")
    )
    assert f"{nl - pnl:.2f}" == cost["text", "NL - PNL (R-50)", metric].printed
    added[metric] = nl - bare_one
positions = 1000 * added["FLOPs G"] / added["params M"]
there = 16 // 8 * 14 * 14
assert positions > 5 * there
say(
    f"NL adds {added['params M']:.2f} M and {added['FLOPs G']:.2f} G as printed: "
    f"{positions:.0f} operations a parameter. A 1×1×1 convolution does one for each "
    f"position, and res4 has {there} at 16 frames, {2 * there} at 32."
)

# %% [markdown]
# **The quoted rows fit networks for 1000 classes.** Their parameters come out so. Their FLOPs do
# not; the nearest found, after a search over where time might be shortened, halves it in the first
# convolution and quarters it in `pool1`. It gives one of the three to the digit, so it is no more
# than a guess.

# %% tags=["hide-input"]
lines = []
for row in ("Res50-NL", "Res50-CGD", "Res50-CGNL"):
    network = replace(ROWS["5", row].text, classes=IMAGENET)
    guess = count(lambda n=network: quartered(n.build()), network.clip, "modules")
    once = (guess.macs - guess.by_kind["linear"] / 2) / 1e9
    of = cost["5", row, "FLOPs G"]
    hit = "✓" if agrees(of.printed, once) else "✗"
    lines.append((row, of.printed, f"{of.text:.3f}", f"{once:.3f}", hit))
assert [hit for *_, hit in lines] == ["✗", "✗", "✓"]
tried = "T quartered in pool1, 1000 classes"
show_rows(lines, ["row", "printed, G", "PNL's ResNet-50", tried, "hit"])

# %% [markdown]
# ## Everything counted
#
# The products of attention are absent from the printed figures. For one module at `conv4` that
# changes little in the order: PNL stays well below NL. For five it turns the claim around. The
# paper concludes from Table 5 that even five modules cost less than one NL block; but two of the
# five stand at `conv3`, where the first scale alone relates four times as many positions.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Where the multiply-adds go (16 frames of 224 x 224), everything counted. Five PNL modules do more than one NL block: nearly all of it attention, most of that in the two modules at conv3.", "name": "fig-pnl-cost"}, "image": {"alt": "Four horizontal stacked bars. MFNet has about 11 GMAC of convolutions. One NL block adds about half a GMAC of convolutions and one of attention; one PNL module adds a thin slice; five PNL modules add nearly five GMAC of attention."}}
rows = "MFNet", "MFNet-NL", "MFNet-PNL(x1)", "MFNet-PNL(x5)"
texts = [ROWS["5", row].text for row in rows]
networks = dict(zip(("MFNet", "+1 NL", "+1 PNL", "+5 PNL"), texts, strict=True))
kinds = pd.DataFrame(
    {name: count(n.build, n.clip).by_kind for name, n in networks.items()}
).T
at_conv3 = kinds["attention"]["+5 PNL"] - 3 * kinds["attention"]["+1 PNL"]
assert at_conv3 > 0.8 * kinds["attention"]["+5 PNL"]
backbone = kinds.loc["MFNet"]
products = kinds["attention"] + kinds["matmul"] - backbone["matmul"]
parts = pd.DataFrame({"backbone": backbone["conv"]}, index=kinds.index)
parts["blocks' convolutions"] = kinds["conv"] - backbone["conv"]
parts["blocks' products"] = products
colours = ["baseline", "pyramid", "nonlocal"]
stacked_bars({"multiply-adds, GMAC": parts / 1e9}, colours, height=2.2)

# %% tags=["hide-input"]
nl, one, five = (
    cost["5", f"MFNet-{x}", "FLOPs G"] for x in ("NL", "PNL(x1)", "PNL(x5)")
)
assert one.all_counted < nl.all_counted < five.all_counted
assert float(five.printed) < float(nl.printed)
say(
    f"Printed: five PNL modules {five.printed} G, one NL block {nl.printed} G. "
    f"Everything counted: {five.all_counted:.2f} and {nl.all_counted:.2f} GMAC; one "
    f"PNL module {one.all_counted:.2f}."
)

# %% [markdown]
# ## What the text repeats
#
# The text repeats some figures of the tables, and not always the same ones. The first cell compares
# them. The second asks the printed parameters two things that the text leaves open or contradicts:
# do the scales share their weights, and how wide are the linear layers of $f_{comb}$?

# %% tags=["hide-input"]
top1 = {row: float(printed) for row, printed in printed_top1("PNL").items()}


def points(row, other, table="5"):
    """Points that one row of a table is above another."""
    return top1[table, row] - top1[table, other]


def more(metric, row, other, table="5"):
    """What one row of a table is printed with more than another."""
    a, b = (float(cost[table, name, metric].printed) for name in (row, other))
    return a - b


one, five, bare, nl = "MFNet-PNL(x1)", "MFNet-PNL(x5)", "MFNet [38]", "MFNet-NL [26]"
words = "self-attention mechanism", "vanilla concatenation"
on_r50 = points("R-50 + PNL(x1)", "R-50 + NL", "6")
step = more("params M", "self-attention", "concatenation", "3")
R50 = "R-50+NL", "R-50+PNL(x1)", "6"
M, G = "params M", "FLOPs G"
said = [
    ("one module over MFNet, points", 3.81, points(one, bare), 2),
    ("five modules over MFNet, points", 3.35, points(five, bare), 2),
    ("the same over MFNet-NL", 3.35, points(five, nl), 2),
    ("PNL over NL, ResNet-50, points", 2.34, on_r50, 2),
    ("attention over concatenation, points", 0.26, points(*words, "3"), 2),
    ("parameters of that attention, M", 0.09, step, 3),
    ("NL less PNL, MFNet, M parameters", 0.22, more(M, "MFNet-NL", one), 2),
    ("NL less PNL, MFNet, G", 0.42, more(G, "MFNet-NL", one), 2),
    ("NL less PNL, ResNet-50, M parameters", 1.92, more(M, *R50), 2),
    ("NL less PNL, ResNet-50, G", 5.41, more(G, *R50), 2),
]
lines = [
    [what, text, f"{cell:.{digits}f}", "✓" if abs(text - cell) < 1e-6 else "✗"]
    for what, text, cell, digits in said
]
columns = ["difference", "the text says", "the cells give", ""]
pd.DataFrame(lines, columns=columns).style.hide(axis="index").format(precision=2)


# %% tags=["hide-input"]
def millions(make, **options):
    with torch.device("meta"):
        network = make()
        if options:
            place(network, {"conv4": (5,)}, partial(PyramidNonLocal, **options))
    return sum(weight.numel() for weight in network.parameters()) / 1e6


bare = partial(mfnet, num_classes=200)
shared, own = (millions(bare, shared=yes) for yes in (True, False))
linears = own - millions(bare, shared=False, combine="concat")
attention = float(cost["3", "self-attention", "params M"].printed)
r50 = {c: f"{millions(partial(resnet50, num_classes=c)):.2f}" for c in (200, 101)}
assert f"{millions(bare):.3f}" == "7.843"
assert abs(own - attention) < abs(shared - attention) / 5
assert f"{linears:.3f}" == f"{step:.3f}"
printed_r50 = float(cost["6", "R-50", "params M"].printed)
assert r50[200] == f"{printed_r50}" != r50[101]
say(
    f"MFNet with one module: {shared:.3f} M parameters if the scales share them, "
    f"{own:.3f} M if not, {attention} M printed: nearer to not shared, and neither. The "
    f"linear layers make {linears:.4f} M of them. ResNet-50's printed {printed_r50} M "
    f"are those of 200 classes; UCF101 has 101, {r50[101]} M."
)
