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
# (rnl-cost)=
# # Every printed cost of RNL, recounted
#
# The paper prints parameters and "FLOPs" in Tables II(c) and III and two more figures in its text {cite}`huang2021rnl`. It does not say how it counts.
# This page recomputes each figure, says under which reading it comes out, and keeps two kinds of agreement apart: those of the model that the
# *text* describes, and those of a model that was chosen *because* it fits. A companion of {doc}`rnl`.

# %% tags=["hide-input"]
from collections import Counter, defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from notebooks.kit.drawings import say
from notebooks.kit.printed import agrees
from notebooks.kit.printed.explain import letters, table
from notebooks.kit.printed.rnl import (
    CLIP,
    channel_wise_region,
    conventions,
    efficiency,
    network,
)
from vidattn import figures

figures.use_style()


# %% [markdown]
# ## All of them
#
# **printed** is the paper's figure; **text's model** what the block of the text gives, counted as the tables seem to be; **nearest** what the best
# reading gives, its letter explained below the table. A star marks readings that are a *guess after the fact*: nothing but the printed figure
# speaks for them. The last column is what the text's model costs when every convolution and every product is counted: no figure of
# the paper is meant to equal it.

# %% tags=["hide-input"]
printed = efficiency()
assert all(agrees(f.printed, f.text) == (f.verdict == "agrees") for f in printed)
shown = pd.DataFrame(table(printed))
small = shown.style.hide(axis="index")
small.set_properties(
    **{"text-align": "right"}, subset=shown.columns[2:]
).set_table_attributes('style="font-size: 0.85em"')

# %% tags=["hide-input"]
say(
    "Readings:\n\n"
    + "\n".join(
        f"- **{a.replace('*', chr(92) + '*')}** {r}"
        for r, a in letters(printed).items()
    )
)

# %% [markdown]
# ## How many choices explain how many figures
#
# Each reading makes choices that the text does not make. A choice that explains one figure explains nothing: there is always one that does. Notice
# which choices carry many figures (the mask, Kinetics' classes) and which carry one or two.

# %% tags=["hide-input"]
verdicts = Counter(f.verdict for f in printed)
say(
    f"{verdicts['agrees']} of {len(printed)} figures agree with the model that the text describes, {verdicts['agrees, fitted']} "
    f"under a fitted reading, {verdicts['not explained']} not at all."
)
choices = {
    "F_theta as a masked convolution, the mask counted; 3×3×3 in res4": "masked grouped",
    "Something-Something with a classifier for 400 classes": "with 400 classes",
    "Table II(c) as a difference of two rounded totals": "rounded total",
    "the public code's gate at reduction 16 instead of Eqs. 10-12": "channel gate at its default",
    "CBAM with that gate and a batch normalisation (a guess)": "CBAM's channel gate",
    "GC without its layer normalisation (a guess)": "without the layer normalisation",
}
fitted = [f for f in printed if f.verdict == "agrees, fitted"]
lines = [
    (what, sum(mark in f.reading for f in fitted)) for what, mark in choices.items()
]
assert all(any(mark in f.reading for mark in choices.values()) for f in fitted)
distinct = {(f.row, f.metric.split()[0], f.printed) for f in fitted}
say(
    f"{len(choices)} choices stand behind {len(fitted)} fitted figures, {len(distinct)} of them distinct: "
    "the rows on Something-Something repeat those on Kinetics digit for digit."
)
pd.DataFrame(lines, columns=["choice", "figures that need it"]).style.hide(axis="index")

# %% [markdown]
# ## Which way of counting
#
# That the tool sees modules only, counts one addition for a bias and two operations for a batch normalisation, is itself a fit: sixteen ways were
# tried on the FLOPs of Table III, the models being the same (those of the public code where it has them). One way gives all rows. It is also what the counter thop
# (pytorch-OpCounter, as of 2019) does by default, which makes it a likely reading and not more.

# %%
ways = conventions()
assert sum(way.agreeing == way.rows for way in ways) == 1
tried = pd.DataFrame([way.choices for way in ways]).replace(
    {True: "counted", False: "–"}
)
tried["FLOPs of Table III that agree"] = [
    f"{way.agreeing} of {way.rows}" for way in ways
]
tried["different ones"] = [way.distinct for way in ways]
tried.style.hide(axis="index")

# %% [markdown]
# ## Three findings in the figures
#
# **1.65 is a difference of rounded numbers.** Table II(c) gives one block 1.65 G whatever $F_\theta$ is. A block of its own costs a little
# more; but the totals of the networks with and without it, each rounded to two digits, differ by just that.
#
# **Something-Something's printed parameters are those of 400 classes.** Its data set has 174, but the figures are Kinetics', to the digit.
#
# **A truly channel-wise RNL is *smaller* than NL.** The paper's Table III says the opposite, and a count that includes a mask fits it.

# %% tags=["hide-input"]
value = {(f.table, f.row, f.metric): f for f in printed}
one = value["II(c)", "max pooling", "GFLOPs"]
say(
    f"One block with max pooling: {one.text:.4f} G by itself, {one.computed:.2f} as a difference of rounded totals, {one.printed} printed."
)

sth = value["III SSv1", "baseline", "params M"]
say(
    f"Baseline on Something-Something: {sth.text:.2f} M with 174 classes, {sth.computed:.2f} M with 400, {sth.printed} M printed."
)

nl, rnl = (value["III K400", f"+5 {name}", "params M"] for name in ("NL", "RNL"))
true = sum(p.numel() for p in network(channel_wise_region).parameters()) / 1e6
assert true < nl.computed < float(rnl.printed)
say(
    f"+5 RNL: {rnl.printed} M printed; truly channel-wise {rnl.text:.1f} M with 3×7×7 everywhere and {true:.1f} M with 3×3×3 in res4. "
    f"+5 NL: {nl.printed} M."
)

# %% [markdown]
# ## Everything counted
#
# The two products of attention are absent from the printed figures, although they are the largest part of what a block does at `res3`. Below, every
# convolution and product counts. Attention is the same in both, so that it dilutes what RNL saves.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Where the multiply-adds of the three networks go (8 frames of 224 x 224). The blocks' attention, which the paper's tables leave out, is the same for NL and RNL; only the thin slice of convolutions differs.", "name": "fig-rnl-cost"}, "image": {"alt": "Three horizontal stacked bars. The baseline has convolutions only, about 33 GMAC. NL and RNL add a small amount of convolutions and a much larger amount of attention, about 48 GMAC each."}}
from vidattn.blocks import NonLocal, RegionNonLocal
from vidattn.cost import count

kinds = {
    name: count(lambda make=make: network(make), CLIP).by_kind
    for name, make in {
        "baseline": None,
        "+5 NL": NonLocal,
        "+5 RNL": RegionNonLocal,
    }.items()
}
base = kinds["baseline"]["conv"]
fig, axis = plt.subplots(figsize=(figures.WIDTH, 1.9), layout="constrained")
left = defaultdict(float)
parts = {
    "backbone": (figures.COLOURS["baseline"], lambda k: base),
    "blocks' convolutions": (figures.COLOURS["region"], lambda k: k["conv"] - base),
    "blocks' attention": (figures.COLOURS["nonlocal"], lambda k: k["attention"]),
}
for part, (colour, take) in parts.items():
    widths = [take(k) / 1e9 for k in kinds.values()]
    axis.barh(
        list(kinds), widths, left=[left[n] for n in kinds], color=colour, label=part
    )
    for name, width in zip(kinds, widths, strict=True):
        left[name] += width
axis.set(xlabel="multiply-adds, GMAC")
axis.invert_yaxis()
axis.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
plt.show()

# %% tags=["hide-input"]
full = {
    name: value["III K400", name, "FLOPs G"] for name in ("baseline", "+5 NL", "+5 RNL")
}
assert all(
    abs(sum(kinds[name].values()) / 1e9 - full[name].all_counted) < 1e-9
    for name in full
)
saved = full["+5 NL"].all_counted - full["+5 RNL"].all_counted
claim = value["text", "RNL vs NL", "FLOPs saved G"]
say(
    f"As printed, RNL saves {claim.printed} of {full['+5 NL'].printed} G, {float(claim.printed) / float(full['+5 NL'].printed):.0%}. "
    f"Everything counted, NL's network costs {full['+5 NL'].all_counted:.2f} and RNL's {full['+5 RNL'].all_counted:.2f} GMAC: "
    f"{saved:.1f} are saved, {saved / full['+5 NL'].all_counted:.0%}."
)
share = kinds["+5 NL"]["attention"] / sum(kinds["+5 NL"].values())
say(
    f"{share:.0%} of what NL's network does is attention, which its printed figure does not contain."
)

# %% [markdown]
# ## Measured
#
# A count is not a second. The table was recorded by `make bench` on the machine that its first line names: every block at the places of Table I, one clip, forward and in training, as
# ratios to NL at the same place (NL's own row says what they are ratios of). On your machine the ratios will differ somewhat, and the seconds much. Memory is the peak
# beyond input and weights. The last line is the control: the same block with its $N \times N$ matrix written out.

# %% tags=["hide-input"]
display(Markdown(Path("book/results/rnl/bench.md").read_text()))
