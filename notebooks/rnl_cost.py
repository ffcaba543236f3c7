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
# The paper prints parameters and "FLOPs" in Tables II(c) and III and two more figures in its text
# {cite}`huang2021rnl`. It does not say how it counts. This page recomputes each figure, says under
# which reading it comes out, and keeps two kinds of agreement apart: those of the model that the
# *text* describes, and those of a model that was chosen *because* it fits. A companion of
# {doc}`rnl`.

# %% tags=["hide-input"]
from pathlib import Path

import pandas as pd

from notebooks.kit.drawings import say, stacked_bars
from notebooks.kit.printed import report
from notebooks.kit.printed.networks import channel_wise_region
from notebooks.kit.printed.rnl import conventions, network
from vidattn import figures
from vidattn.blocks import NonLocal, RegionNonLocal
from vidattn.cost import count

figures.use_style()


def counted(make):
    """Count the whole network with a block at each of its five places."""
    whole = network(make)
    return count(whole.build, whole.clip)


# %% [markdown]
# ## All of them
#
# **printed** is the paper's figure; **text's model** what the block of the text gives, counted as
# the tables seem to be; **nearest** what the best reading gives, its letter explained below the
# table. A star marks readings that are a *guess after the fact*: nothing but the printed figure
# speaks for them. The last column is what the text's model costs when every convolution and every
# product is counted: no figure of the paper is meant to equal it.

# %% tags=["hide-input"]
printed, cost = report.printed_costs("RNL")
report.show_costs(printed)

# %% [markdown]
# ## How many choices explain how many figures
#
# Each reading makes choices that the text does not make. A choice that explains one figure explains
# nothing: there is always one that does. Notice which choices carry many figures (the mask,
# Kinetics' classes) and which carry one or two.

# %% tags=["hide-input"]
report.say_agreements(printed)
choices = {
    "coded": "F_theta as a masked convolution, the mask counted; 3×3×3 in res4",
    "classes_400_174": "Something-Something with a classifier for 400 classes",
    "rounded_total": "Table II(c) as a difference of two rounded totals",
    "gate": "the public code's gate at reduction 16 instead of Eqs. 10-12",
    "cbam_gate": "CBAM with that gate and a batch normalisation (a guess)",
    "bare_context": "GC without its layer normalisation (a guess)",
}
fitted = report.fitted(printed)
distinct = {(c.row, c.metric.split()[0], c.printed) for c in fitted}
say(
    f"{len(choices)} choices stand behind {len(fitted)} fitted figures, {len(distinct)} of "
    "them distinct: the rows on Something-Something repeat those on Kinetics digit for "
    "digit."
)
report.show_choices(printed, choices)

# %% [markdown]
# ## Which way of counting
#
# That the tool sees modules only, counts one addition for a bias and two operations for a batch
# normalisation, is itself a fit: sixteen ways were tried on the FLOPs of Table III, the models
# being the same (those of the public code where it has them). One way gives all rows. It is also
# what the counter thop (pytorch-OpCounter, as of 2019) does by default, which makes it a likely
# reading and not more.

# %%
ways = conventions()
assert sum(way.agreeing == way.rows for way in ways) == 1
report.show_ways(ways, "FLOPs of Table III that agree")

# %% [markdown]
# ## Three findings in the figures
#
# **1.65 is a difference of rounded numbers.** Table II(c) gives one block 1.65 G whatever
# $F_\theta$ is. A block of its own costs a little more; but the totals of the networks with and
# without it, each rounded to two digits, differ by just that.
#
# **Something-Something's printed parameters are those of 400 classes.** Its data set has 174, but
# the figures are Kinetics', to the digit.
#
# **A truly channel-wise RNL is *smaller* than NL.** The paper's Table III says the opposite, and a
# count that includes a mask fits it.

# %% tags=["hide-input"]
one = cost["II(c)", "max pooling", "GFLOPs"]
say(
    f"One block with max pooling: {one.text:.4f} G by itself, {one.computed:.2f} as a "
    f"difference of rounded totals, {one.printed} printed."
)
sth = cost["III SSv1", "baseline", "params M"]
say(
    f"Baseline on Something-Something: {sth.text:.2f} M with 174 classes, "
    f"{sth.computed:.2f} M with 400, {sth.printed} M printed."
)
nl, rnl = (cost["III K400", f"+5 {name}", "params M"] for name in ("NL", "RNL"))
true = counted(channel_wise_region).params / 1e6
assert true < nl.computed < float(rnl.printed)
say(
    f"+5 RNL: {rnl.printed} M printed; truly channel-wise {rnl.text:.1f} M with 3×7×7 "
    f"everywhere and {true:.1f} M with 3×3×3 in res4. +5 NL: {nl.printed} M."
)

# %% [markdown]
# ## Everything counted
#
# The two products of attention are absent from the printed figures, although they are the largest
# part of what a block does at `res3`. Below, every convolution and product counts. Attention is the
# same in both, so that it dilutes what RNL saves.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Where the multiply-adds of the three networks go (8 frames of 224 x 224). The blocks' attention, which the paper's tables leave out, is the same for NL and RNL; only the thin slice of convolutions differs.", "name": "fig-rnl-cost"}, "image": {"alt": "Three horizontal stacked bars. The baseline has convolutions only, about 33 GMAC. NL and RNL add a small amount of convolutions and a much larger amount of attention, about 48 GMAC each."}}
networks = {"baseline": None, "+5 NL": NonLocal, "+5 RNL": RegionNonLocal}
kinds = pd.DataFrame({name: counted(make).by_kind for name, make in networks.items()}).T
backbone = kinds["conv"]["baseline"]
parts = pd.DataFrame({"backbone": backbone}, index=kinds.index)
parts["blocks' convolutions"] = kinds["conv"] - backbone
parts["blocks' attention"] = kinds["attention"]
colours = ["baseline", "region", "nonlocal"]
stacked_bars({"multiply-adds, GMAC": parts / 1e9}, colours, height=1.9)

# %% tags=["hide-input"]
full = {name: cost["III K400", name, "FLOPs G"] for name in networks}
totals = kinds.sum(axis=1) / 1e9
assert all(abs(totals[name] - full[name].all_counted) < 1e-9 for name in full)
nl, rnl = full["+5 NL"], full["+5 RNL"]
claim = cost["text", "RNL vs NL", "FLOPs saved G"]
saved = nl.all_counted - rnl.all_counted
say(
    f"As printed, RNL saves {claim.printed} of {nl.printed} G, "
    f"{float(claim.printed) / float(nl.printed):.0%}. Everything counted, NL's network "
    f"costs {nl.all_counted:.2f} and RNL's {rnl.all_counted:.2f} GMAC: {saved:.1f} are "
    f"saved, {saved / nl.all_counted:.0%}."
)
share = kinds["attention"]["+5 NL"] / kinds.sum(axis=1)["+5 NL"]
say(
    f"{share:.0%} of what NL's network does is attention, which its printed figure "
    "does not contain."
)

# %% [markdown]
# ## Measured
#
# A count is not a second. The table was recorded by `make bench` on the machine that its first line
# names: every block at the places of Table I, one clip, forward and in training, as ratios to NL at
# the same place (NL's own row says what they are ratios of). On your machine the ratios will differ
# somewhat, and the seconds much. Memory is the peak beyond input and weights. The last line is the
# control: the same block with its $N \times N$ matrix written out.

# %% tags=["hide-input"]
say(Path("book/results/rnl/bench.md").read_text())
