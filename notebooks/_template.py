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
#     block: BLOCK_KIND
# ---

# %% [markdown]
# (CHAPTER_NAME)=
# # CHAPTER_TITLE
#
# ::::{admonition} A chapter in miniature
# :class: chapter-card
#
# Paper
# : Authors, *title*, year. (The book's papers stand in `book/references.bib`.)
#
# Idea
# : Two or three sentences: what is compared with what, and what that is good for.
#
# Claimed
# : The paper's own numbers, with their tables.
#
# We found, by mathematics and counting
# : Code and equations agree to {glue:text}`worst`.
#
# We found, by experiment
# : {glue:text}`verdicts`
#
# Cost of this page
# : {glue:text}`seconds` seconds on {glue:text}`threads`, and {glue:text}`live-seconds` more for the
#   live networks (less where finished ones were found again).
# ::::
#
# Say what the reader needs to know first. This page has every section of a chapter, in the book's
# order; its mathematics, attention within a frame, is an example to replace by your paper's. The
# experiment is about `BLOCK_KIND` already.

# %% tags=["parameters", "hide-input"]
scale = "reduced"  # smoke | reduced | full
places = {"res3": [2]}  # behind these blocks of these stages, counted from 1
backbone = "resnet_mini"  # resnet_mini | resnet50
data = None  # a folder of video files with train.csv and val.csv; None: synthetic clips
variants = ["baseline", "BLOCK_CLASS"]  # trained live, by their names in the ledger
seeds = 1  # seeds of each
epochs = 1  # passes over the training clips

# %% tags=["hide-input"]
from itertools import product

import pandas as pd
import sympy
import torch
import torch.nn.functional as F
from einops import einsum, rearrange

from notebooks.kit.chapter import Chapter
from notebooks.kit.drawings import clips, say
from notebooks.kit.proof import draw, error, prove, randomise
from vidattn.backbones import BACKBONES, place
from vidattn.blocks import SpatialAttention, make_block
from vidattn.cost import count

page = Chapter("CHAPTER_NAME", globals())

# %% [markdown]
# ## A clip
#
# What is asked of a network, and why a bare one finds it hard: which way does the object go that
# has the ring's colour?

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two clips of the task, time running to the right. The dashed frame marks the object that counts; the network does not see it.", "name": "fig-CHAPTER_NAME-task"}, "image": {"alt": "Two film strips of small frames: a coloured ring at the ends of the clip, moving shapes between, one of them in a dashed frame."}}
spec = page.test_clips
clips.film_strips(spec, (0, 1), range(1, spec.frames, 3), height=2.3)

# %% [markdown]
# ## Notation
#
# We keep the book's letters ({doc}`notation`).
#
# | the paper | here | |
# | --- | --- | --- |
# | $C'$ | $d$ | the inner width |
#
# ## Equation (1): what it says
#
# :::{admonition} The paper
# :class: paper
# Every position becomes a weighted sum over its own frame:
#
# (CHAPTER_NAME-eq-1)=
# $$
# \mathbf{y}_i = \sum_j \operatorname{softmax}_j \left( \frac{\mathbf{q}_i^\top \mathbf{k}_j}{\sqrt{d}} \right) \mathbf{v}_j, \qquad
# \mathbf{z}_i = \mathbf{x}_i + \mathrm{BN}(\mathbf{W}_o \mathbf{y}_i). \tag{1}
# $$
# :::
#
# :::{admonition} Our reading
# :class: ours
# Where the paper is silent, and what we chose.
# :::
#
# First the clear code, a line for each line of the equation; then the same for one position, by
# hand.


# %% tags=["equation"]
def within_frames(x, p):
    q, k, v = (
        rearrange(F.conv3d(x, p[f"{name}.weight"]), "b d t h w -> b t (h w) d")
        for name in ("q", "k", "v")
    )
    scores = einsum(q, k, "b t i d, b t j d -> b t i j") / q.shape[-1] ** 0.5
    y = einsum(scores.softmax(-1), v, "b t i j, b t j d -> b t i d")  # (1)
    y = rearrange(y, "b t (h w) d -> b d t h w", h=x.shape[3])
    z = F.conv3d(y, p["out.weight"])  # (B, C, T, H, W)
    z = F.batch_norm(z, None, None, p["bn.weight"], p["bn.bias"], training=True)
    return x + z


# %%
x, d = draw(2, 8, 3, 4, 5), 2
W_q, W_k, W_v = (draw(d, 8) for _ in range(3))
rows = x[0, :, 1].flatten(1).T  # the positions of one frame, (H W, C)
scores = torch.stack([(W_q @ rows[7]) @ (W_k @ row) / d**0.5 for row in rows])
y = sum(a * (W_v @ row) for a, row in zip(scores.softmax(0), rows, strict=True))
q, k, v = rows[7] @ W_q.T, rows @ W_k.T, rows @ W_v.T
off = error(F.scaled_dot_product_attention(q[None], k, v)[0], y)
assert off < 1e-12
print(f"Eq. (1) at one position equals its sum by hand: {off:.0e}")

# %% [markdown]
# ## The clear block is the library's block
#
# Random weights (at the zero start all blocks would agree), float64, training mode, uneven shapes;
# the output and every gradient.

# %%
cases = [
    ({"inner": d}, within_frames, lambda d=d: SpatialAttention(8, inner=d))
    for d in (2, 3)
]
table = prove(cases, shapes=[(3, 8, 2, 3, 4), (2, 8, 3, 2, 5)])
page.glue(worst=f"{table['error'].max():.0e}")
table.style.hide(axis="index").format({"error": "{:.0e}"})

# %% [markdown]
# ## Properties
#
# What follows from the equation, asserted: a fresh block is the identity, and the order of the
# frames does not matter.

# %%
assert torch.equal(SpatialAttention(8).double()(x), x)
block, order = randomise(SpatialAttention(8)).eval(), torch.tensor([2, 0, 1])
off = error(block(x[:, :, order]), block(x)[:, :, order])
assert off < 1e-12
print(f"Frames permuted first or last: {off:.0e}")

# %% [markdown]
# ## Cost: what follows from the equation
#
# A table of operations, their sum, and the counter's word on it.
#
# | operation | MACs |
# | --- | --- |
# | four projections | $4 C d T P$, with $P = HW$ |
# | both products | $2 T P^2 d$ |

# %%
C, d, T, P = sympy.symbols("C d T P", positive=True, integer=True)
macs = 4 * C * d * T * P + 2 * T * P**2 * d
for c, t, h, w in product((32, 64), (2, 3), (3, 5), (4, 7)):
    counted = count(lambda c=c: SpatialAttention(c, inner=8), (1, c, t, h, w)).macs
    assert counted == macs.subs({C: c, d: 8, T: t, P: h * w})
say(f"${sympy.latex(sympy.factor(macs))}$ MACs.")

# %%
network = BACKBONES[page.backbone]()
bare = count(network, (1, 3, 8, 40, 40))
with_block = place(network, page.places, make_block(page.block, **page.options))
whole = count(with_block, (1, 3, 8, 40, 40))
rows = [("bare", bare), ("with BLOCK_CLASS", whole)]
rows = [(name, cost.macs / 1e6, cost.params / 1e3) for name, cost in rows]
table = pd.DataFrame(rows, columns=["network", "MMAC", "thousand parameters"])
table.style.hide(axis="index").format(precision=1)

# %% [markdown]
# ## Cost: what the paper prints
#
# | row | printed | counted | |
# | --- | --- | --- | --- |
# | the paper's table | ... | ... | agrees, or under which reading it would |
#
# ## Experiment
#
# What is run and claimed stands in {doc}`ledgers/CHAPTER_NAME`, and is committed before the runs;
# `make evidence LEDGER=CHAPTER_NAME` makes them. First what is recorded, then live, on this machine,
# what the parameters ask for.

# %% tags=["hide-input"]
page.claims(
    {
        "over-baseline": "more accurate than the bare network",
        "over-non-local": "more accurate than NL",
    }
)
page.run_card()

# %% tags=["hide-input"]
trained = page.train("BLOCK_CLASS")

# %% tags=["hide-input"]
page.live_table()

# %% [markdown]
# ## What the paper leaves open, and what we chose
#
# | Where | What the paper says | What we chose | Why |
# | --- | --- | --- | --- |
# | Eq. (1) | nothing on the start | $\mathrm{BN}$ starts at zero | the block enters as the identity |
#
# ## Exercises
#
# 1. At which $P$ do the two products cost as much as the projections?
#
# ```{dropdown} Solution
# **1.** $2TP^2d = 4CdTP$ where $P = 2C$.
# ```

# %% tags=["hide-input", "solution"]
assert sympy.solve(2 * T * P**2 * d - 4 * C * d * T * P, P) == [2 * C]
page.close()

# %% [markdown]
# ## Run it at scale
#
# ```bash
# make notebook NB=CHAPTER_NAME SCALE=smoke                   # seconds
# make notebook NB=CHAPTER_NAME PARAMS='-p seeds 2'           # on two seeds
# make evidence LEDGER=CHAPTER_NAME                # the recorded runs
# ```
