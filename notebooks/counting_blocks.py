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
#   vidattn:
#     parameters: notebooks.kit.parameters:CountingParameters
# ---

# %% [markdown]
# (counting-blocks)=
# # All blocks, in one unit
#
# No paper compares its block with the other papers' at the same place, in the same network, in one
# unit. Here all blocks of this book are compared so: multiply-adds (MACs) of everything that is
# done, parameters, and what was measured: the memory that a pass keeps for the backward pass, time,
# and peak memory. A companion of {doc}`counting`.
#
# The two places are those that the papers use most: behind `res3` and `res4` of a ResNet-50 on 8
# frames of 224 × 224 pixels, maps of 8 × 28 × 28 × 512 and 8 × 14 × 14 × 1024. Every block has its
# default options, NL in three forms. Names of rivals: A2 {cite}`chen2018a2`, GloRe
# {cite}`chen2019glore`, CGNL {cite}`yue2018cgnl`, GC {cite}`cao2019gcnet`, SE
# {cite}`hu2018squeeze`, CBAM {cite}`woo2018cbam` and CGD {cite}`he2019cgd`; SA and TA are GTA's
# attention within frames and along time, *in space and time* is a rival decoupled so.

# %% tags=["parameters", "hide-input"]
rounds = 0  # how often each pass is measured, the results being recorded; 0: show what is recorded

# %% tags=["hide-input"]
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy
import torch

from notebooks.kit import bench
from notebooks.kit.drawings import say, show_rows
from notebooks.kit.parameters import CountingParameters
from notebooks.kit.printed.choices import DATA
from vidattn import figures
from vidattn.backbones import BACKBONES, place
from vidattn.blocks import make_block
from vidattn.cost import activation_bytes, count
from vidattn.yamlfile import read_yaml

parameters = CountingParameters(rounds=rounds)
figures.use_style()
torch.manual_seed(0)
RECORDS = Path("book/results/counting")
PLACES = {"res3": (512, 8, 28, 28), "res4": (1024, 8, 14, 14)}
OF = {"res3": "8 × 28 × 28 × 512", "res4": "8 × 14 × 14 × 1024"}


# %% [markdown]
# ## What each costs, as a polynomial
#
# For one clip, with $N = T H W$. A term is named after what it does. They are exact where $C$ is a
# multiple of 64 and $H$ and $W$ of 8, and the tests compare them with the counter at five such
# sizes, to the unit; the two places are compared below.

# %%
C, T, H, W = sympy.symbols("C T H W", positive=True, integer=True)
N = sympy.Symbol("N", positive=True, integer=True)
LETTERS = {str(letter): letter for letter in (C, T, H, W, N)}
BLOCKS = read_yaml(DATA / "polynomials.yaml")
TERMS = {
    name: {what: sympy.sympify(term, LETTERS) for what, term in of["terms"].items()}
    for name, of in BLOCKS.items()
}
COSTS = {name: sum(terms.values()).subs(N, T * H * W) for name, terms in TERMS.items()}


def at(expression, size):
    """The value of an expression in C, T, H, W and N."""
    c, t, h, w = size
    return expression.subs({C: c, T: t, H: h, W: w, N: t * h * w})


for cost in COSTS.values():  # rows and columns are alike
    assert cost.subs({H: W, W: H}, simultaneous=True) == cost


# %% tags=["hide-input"]
def brace(what, term):
    """A term with its name below it."""
    return rf"$\underbrace{{{sympy.latex(term)}}}_{{\text{{{what}}}}}$"


lines = ["| block | MACs |", "| --- | --- |"]
for name, terms in TERMS.items():
    lines.append(f"| {name} | {' + '.join(brace(*of) for of in terms.items())} |")
say("\n".join(lines))

# %% [markdown]
# ## At the two places
#
# MACs and parameters are counted; the memory is measured, in a forward pass on this machine: the
# size of all that autograd keeps for the backward pass, the input where it does, in float32 (SE,
# added keeps nothing of size: the gradient of a sum needs no operand). Where the polynomial is not
# exact (a side of 28 or 14 cannot be halved three times) the table has the count. RCCA-3D is
# counted as it is computed, a position three times among its own keys and two of them masked out;
# its paper counts it once ({doc}`rcca_cost`).


# %%
def options(name, frames=8):
    """The options of a block; some must be told T."""
    given = BLOCKS[name].get("options", {}).items()
    return {option: frames if value == "T" else value for option, value in given}


def block_maker(name):
    """What makes a block of that name."""
    return make_block(BLOCKS[name]["kind"], **options(name))


def counted_at(name, size):
    """What a block costs on a map of that size."""
    return count(lambda: block_maker(name)(size[0]), (1, *size))


counted, kept = {}, {}
for (where, size), name in product(PLACES.items(), BLOCKS):
    counted[name, where] = counted_at(name, size)
    block = block_maker(name)(size[0])
    kept[name, where] = activation_bytes(block, (1, *size), measured=True) / 2**20
    exact = counted[name, where].macs == at(COSTS[name], size)
    assert exact == (name != "PNL"), name


# %% tags=["hide-input"]
def millions(macs):
    """Multiply-adds in millions: whole ones, or two digits of what is less than ten."""
    return f"{macs / 1e6:,.0f}" if macs > 1e7 else f"{macs / 1e6:.2g}"


names = ["block", "parameters, M", "MMAC", "NL = 1", "of which convolutions"]
for where in PLACES:
    lines = []
    for name in BLOCKS:
        cost, memory = counted[name, where], kept[name, where]
        work, conv = cost.macs / counted["NL", where].macs, cost.by_kind["conv"]
        shares = f"{work:.3f}", f"{conv / cost.macs:.0%}", f"{memory:.1f}"
        amounts = f"{cost.params / 1e6:.3f}", millions(cost.macs), *shares
        lines.append((name, *amounts, f"{memory / kept['NL', where]:.2f}"))
    say(f"**{OF[where]}**")
    show_rows(lines, [*names, "kept, MiB", "NL = 1 "])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Multiply-adds of one block at the two places, on a logarithmic axis, ordered by the first. NL and the papers' blocks are filled, others hollow. The gates (GC, CBAM, CGD and both SE) do less than a hundredth of a GMAC and are left out.", "name": "fig-all-blocks"}, "image": {"alt": "Two panels of dots, a row for each block. At res3 NL, RNL and SE + RNL lead with over 20 GMAC, GloRe in space and time follows with 15, the pooled forms of NL and RCCA-3D have 7 to 8, PNL, GTA and SA + TA about 5, the others 1.5 to 3. At res4 GloRe in space and time is far ahead with 25, RCCA-3D second with 8, and PNL last with 1."}}
MECHANISMS = {"NL": "nonlocal", "RNL": "region", "SE + RNL": "chain", "PNL": "pyramid"}
MECHANISMS |= {"RCCA-3D": "crisscross", "GTA": "temporal"}
order = sorted(BLOCKS, key=lambda name: -counted[name, "res3"].macs)
gates = {name for name in BLOCKS if counted[name, "res3"].macs < 1e7}
assert gates == {"GC", "CBAM", "SE", "SE, added", "CGD"}
order = [name for name in order if name not in gates]
fig = plt.figure(figsize=(figures.WIDTH, 5.2), layout="constrained")
axes = fig.subplots(1, 2, sharey=True)
for axis, where in zip(axes, PLACES, strict=True):
    for row, name in enumerate(order):
        mechanism = MECHANISMS.get(name.partition(",")[0], "baseline")
        colour = figures.COLOURS[mechanism]
        face = colour if name in MECHANISMS else "none"
        gmac = counted[name, where].macs / 1e9
        axis.plot(gmac, row, "o", color=colour, markerfacecolor=face)
    axis.set(xscale="log", xticks=(1, 2, 5, 10, 20), xlim=(0.8, 32))
    axis.set_xlabel(f"GMAC, {OF[where]}")
    axis.xaxis.set(major_formatter="{x:g}", minor_formatter="")
    axis.grid(axis="x")
axes[0].set_yticks(range(len(order)), order)
axes[0].invert_yaxis()
plt.show()

# %% tags=["hide-input"]
res3, res4 = (
    {name: counted[name, where].macs / 1e9 for name in BLOCKS} for where in PLACES
)
pooled = "NL, keys pooled after"
assert res3["RCCA-3D"] < res3[pooled] < res3["NL"] and res4["RCCA-3D"] > res4["NL"]
assert res3["GTA"] < res3[pooled] and res4["GTA"] < res4[pooled]
least = min(("RNL", "PNL", "RCCA-3D", "GTA"), key=res4.get)
say(
    f"Of the four papers' blocks {least} does least at res4 ({res4[least]:.2f} GMAC), "
    f"and RCCA-3D most ({res4['RCCA-3D']:.2f}, more than NL's {res4['NL']:.2f}). At "
    f"res3 PNL does {res3['PNL']:.2f}, GTA {res3['GTA']:.2f}, RCCA-3D "
    f"{res3['RCCA-3D']:.2f}, RNL {res3['RNL']:.2f}, NL {res3['NL']:.2f} and NL with "
    f"pooled keys {res3[pooled]:.2f}. A2 and GloRe, which relate no pairs of "
    f"positions, do {res3['A2']:.2f} and {res3['GloRe']:.2f}."
)

# %% [markdown]
# ## Which term rules where
#
# The largest term of each block at the two places, and its share. Pairs of positions rule NL while
# $N > 2C$: at `res3` by far, at `res4` not. RCCA-3D has nearly only convolutions; SA + TA and GTA
# have mostly convolutions.

# %%
lines = []
for name, terms in TERMS.items():
    row = [name]
    for size in PLACES.values():
        values = {what: at(term, size) for what, term in terms.items()}
        ruling = max(values, key=values.get)
        row += [ruling, f"{float(values[ruling] / sum(values.values())):.0%}"]
    lines.append(row)
names = ["block", "res3: largest term", "share", "res4: largest term", "share "]
show_rows(lines, names)


# %% tags=["hide-input"]
def equal(name, first, second, letter):
    """Where one term of a block is as large as another."""
    difference = TERMS[name][first] - TERMS[name][second]
    return sympy.solve(difference.subs(W, H), letter)


(pairs,) = equal("NL", "pairs of positions", "convolutions", N)
(side,) = equal("RCCA-3D", "pairs on lines", "convolutions", H)
(frames,) = equal("SA + TA", "pairs of frames", "convolutions", T)
assert (pairs, frames) == (2 * C, 4 * C)
say(
    f"Where two terms are equal: NL's at $N = {sympy.latex(pairs)}$; RCCA-3D's, with "
    f"$H = W$, at $H = {sympy.latex(sympy.simplify(side))}$, a side of "
    f"{float(at(side, PLACES['res3'])):.0f} positions at res3's width and 8 frames; "
    "the pairs of frames of SA + TA reach its convolutions at $T = "
    f"{sympy.latex(frames)}$ frames."
)

# %% [markdown]
# ## How each grows
#
# On logarithmic axes a power is a straight line, and its slope the power. From the map of `res3`
# one size is changed at a time; $H$ and $W$ enter alike.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Multiply-adds from the polynomials as T, H or both sides grow from the map of res3 (dotted line), C = 512. Whoever relates all pairs of positions ends with a slope near two in T and H, and near four in the sides; within a frame GTA and SA + TA do, too. GTA lies just above SA + TA. PNL is approximate where its sides cannot be halved three times.", "name": "fig-growth"}, "image": {"alt": "Three panels with logarithmic axes. In each the lines of NL, NL with pooled keys and PNL end steepest. In T the others stay near a slope of one. In H and in the sides GTA and SA + TA bend up, too, RCCA-3D less, and A2 stays straight and lowest."}}
DRAWN = {
    "NL": "nonlocal",
    pooled: "nonlocal",
    "PNL": "pyramid",
    "RCCA-3D": "crisscross",
}
DRAWN |= {"GTA": "temporal", "SA + TA": "chain", "A2": "baseline"}
c, t, h, w = PLACES["res3"]
GROWS = {
    "frames T": (np.geomspace(1, 256, 60), lambda n: (c, n, h, w), t),
    "rows H": (np.geomspace(4, 512, 60), lambda n: (c, t, n, w), h),
    "sides H = W": (np.geomspace(4, 256, 60), lambda n: (c, t, n, n), h),
}
fig = plt.figure(figsize=(figures.WIDTH, 3.6), layout="constrained")
axes, ends = fig.subplots(1, 3, sharey=True), {}
for axis, (label, (sizes, size_of, now)) in zip(axes, GROWS.items(), strict=True):
    for name, mechanism in DRAWN.items():
        macs = sympy.lambdify((C, T, H, W), COSTS[name])
        line = [macs(*size_of(n)) / 1e9 for n in sizes]
        style = {"color": figures.COLOURS[mechanism], "label": name}
        axis.plot(sizes, line, ls="--" if "pooled" in name else "-", **style)
        last, more = (macs(*size_of(n)) for n in (sizes[-1], 1.01 * sizes[-1]))
        ends[name, label.split()[0]] = np.log(more / last) / np.log(1.01)
    axis.axvline(now, color=figures.INK, lw=0.6, ls=":")
    axis.set(xscale="log", yscale="log", xlabel=label)
axes[0].set(ylabel="GMAC")
fig.legend(*axes[0].get_legend_handles_labels(), ncols=4, loc="outside lower center")
plt.show()

# %% tags=["hide-input"]
for name, letter in product(("NL", "PNL"), ("frames", "rows")):
    assert ends[name, letter] > 1.9 and ends[name, "sides"] > 3.9
assert all(ends[name, "frames"] < 1.4 for name in ("RCCA-3D", "GTA", "SA + TA", "A2"))
assert ends["GTA", "rows"] > 1.8 < ends["SA + TA", "rows"]
assert ends["RCCA-3D", "rows"] < 1.5 and ends["A2", "rows"] < 1.1

# %% [markdown]
# The slope at a point is what one percent more of a size costs, in percent. Below it is derived
# from the polynomials, at the two places and far out, where only the highest power is left.

# %%
lines, slopes = [], {}
for name, cost in COSTS.items():
    row = [name]
    for letter in (T, H, C):
        slope = letter * sympy.diff(cost, letter) / cost
        row += [f"{float(at(slope, size)):.2f}" for size in PLACES.values()]
        row.append(sympy.degree(cost, letter))
        slopes[name, letter] = row[-3:]
    lines.append(row)
columns = product("THC", ("res3", "res4", "far out"))
names = [f"{letter}: {where}" for letter, where in columns]
show_rows(lines, ["block", *names])
assert all(slopes[name, T][-1] == 2 for name in ("NL", "PNL", "RCCA-3D"))
say(
    "RCCA-3D has a square in $T$, too, but a small one: at res3 one percent more "
    f"frames costs it {slopes['RCCA-3D', T][0]}%, NL {slopes['NL', T][0]}%."
)

# %% [markdown]
# ## In the same networks
#
# Each block five times, in a TSM ResNet-50 (after blocks 1 and 3 of `res3` and 1, 3 and 5 of
# `res4`; 8 frames of 224 × 224 pixels) and in an MFNet (the same of `conv3` and `conv4`; 16 frames,
# of which 8 reach the blocks), for 400 classes. Percentages are of the bare network.

# %%
TSM, FIRST, LAST = "TSM ResNet-50", (1, 3), (1, 3, 5)
# backbone, options, places; frames of a clip; channels at the places
resnet = "resnet50", {"temporal": "tsm"}, {"res3": FIRST, "res4": LAST}
own = "mfnet", {}, {"conv3": FIRST, "conv4": LAST}
NETWORKS = {TSM: (resnet, 8, (512, 1024)), "MFNet": (own, 16, (192, 384))}


def network(which, name=None):
    """Count a network with a block at each of its five places, or bare."""
    (backbone, given, places), frames, _ = NETWORKS[which]

    def build():
        model = BACKBONES[backbone](num_classes=400, **given)
        return model if name is None else place(model, places, block_maker(name))

    return count(build, (1, 3, frames, 224, 224))


# %%
bare = {which: network(which) for which in NETWORKS}
in_networks = {}
for (which, (_, _, widths)), name in product(NETWORKS.items(), BLOCKS):
    first = counted_at(name, (widths[0], 8, 28, 28))
    last = counted_at(name, (widths[1], 8, 14, 14))
    macs = bare[which].macs + 2 * first.macs + 3 * last.macs
    params = bare[which].params + 2 * first.params + 3 * last.params
    in_networks[which, name] = macs, params
for which, name in ((TSM, "GTA"), ("MFNet", "PNL")):  # the same as counting the whole
    whole = network(which, name)
    assert in_networks[which, name] == (whole.macs, whole.params)

# %% tags=["hide-input"]
for which, plain in bare.items():
    amounts = f"{plain.macs / 1e9:.2f} GMAC, {plain.params / 1e6:.2f} M parameters"
    say(f"**{which}**, bare: {amounts}.")
    lines = []
    for name in BLOCKS:
        macs, params = in_networks[which, name]
        weights = f"{params / 1e6:.2f}", f"{params / plain.params - 1:+.1%}"
        work = f"{macs / 1e9:.2f}", f"{macs / plain.macs - 1:+.1%}"
        lines.append((name, *weights, *work))
    names = ["block × 5", "parameters, M", "more", "GMAC", "more "]
    show_rows(lines, names)
assert in_networks[TSM, "NL"][0] > 2.5 * bare[TSM].macs
assert in_networks[TSM, "A2"][0] < 1.3 * bare[TSM].macs

# %% [markdown]
# ## Measured
#
# One run on one machine: every block at the two places by itself, then five times in the TSM
# ResNet-50. One clip; a forward pass without gradients, and a training pass, forward and backward.
# Times are ratios within a round after one that warms up, the median and in brackets the extremes;
# memory is the peak beyond weights and input, in a process of its own, the gradients of all weights
# included. Normalisation uses its running statistics in training passes, too: one clip has none.
# What was recorded is shown; `make notebook NB=counting_blocks SCALE=full` measures again, and
# takes half an hour of a quiet machine.


# %% tags=["hide-input", "full-width"]
wanted = {name: (of["kind"], options(name)) for name, of in BLOCKS.items()}
shapes = {where: (1, *size) for where, size in PLACES.items()}
clip = {TSM: (1, 3, 8, 224, 224)}
SUITES = {
    "blocks": bench.Suite(shapes, wanted),
    "networks": bench.Suite(clip, {"bare": bench.BARE, **wanted}, NETWORKS[TSM][0]),
}
if parameters.rounds:
    RECORDS.mkdir(parents=True, exist_ok=True)
    for name, suite in SUITES.items():
        text = bench.table(suite, parameters.rounds)
        (RECORDS / f"{name}.md").write_text(text + "\n")
files = {name: RECORDS / f"{name}.md" for name in SUITES}
tables = {name: file.read_text() for name, file in files.items() if file.is_file()}
for recorded in tables.values():
    say(recorded)
if not tables:
    say("Nothing has been measured yet.")

# %% tags=["hide-input"]
if "blocks" in tables:
    ratio, found = bench.ratios(tables["blocks"]), []
    for where in PLACES:
        rows = [(counted[name, where].macs, *ratio[name, where]) for name in order]
        forward, _, training, memory = pd.DataFrame(rows).rank().corr()[0][1:]
        times = f"{forward:.2f} and {training:.2f} at {where}"
        found.append(f"{times}, with the memory of a training pass {memory:.2f}")
    say(
        "Are multiply-adds time? Over all blocks but the gates the rank correlation of "
        "MACs with the time of a forward and of a training pass is "
        f"{'; '.join(found)}."
    )
