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
#     block: global_temporal_attention
#     full: notebooks.full.rows:full_experiments
# ---

# %% [markdown]
# (gta)=
# # GTA: matrices over time that know which frame came first
#
# ::::{admonition} Global temporal attention
# :class: chapter-card
#
# Paper
# : B. He, X. Yang, Z. Wu, H. Chen, S.-N. Lim and A. Shrivastava, *GTA: Global temporal attention
#   for video action understanding*, BMVC 2021 {cite}`he2021gta`, with its appendix.
#
# Idea
# : The non-local block {cite}`wang2018nonlocal` compares every position with every other, and does
#   not care in which order the frames came. GTA first attends within each frame, and then mixes the
#   frames by matrices that are *learned*, one entry for each pair of frames, the same for every
#   clip: at each place, and for regions that the network finds.
#
# Claimed
# : On Something-Something V1 five blocks lift a ResNet-50 that sees single frames from 17.0% to
#   50.6%, five NL blocks to 31.2%, attention in space and then in time (DNL) to 38.8% (Fig. 3);
#   with positions added the latter has 48.4% (Fig. 7); heads that cross the channel groups are
#   better than plain ones, 50.6 against 50.1% (Fig. 14); and GTA costs less than NL.
#
# We found, by mathematics and counting
# : Code and equations agree to {glue:text}`worst`. Of the library's {glue:text}`kinds` kinds of
#   blocks in {glue:text}`settings` settings, {glue:text}`blind` give a network of single frames the
#   same scores for a clip and for the clip played backwards, NL and DNL among them: what DNL gains
#   in the paper, {glue:text}`without-order` of what GTA gains, was made without order. All
#   cross-channel heads of a path are *one* $GT \times GT$ matrix. The region path learns its
#   matrix, but what that makes of the positions is a map that compares every pair of them.
#   {glue:text}`recount`
#
# We found, by experiment
# : {glue:text}`verdicts`
#
# Cost of this page
# : {glue:text}`seconds` seconds on {glue:text}`threads`, and {glue:text}`live-seconds` more for the
#   live networks (less where finished ones were found again).
# ::::
#
# This chapter builds the block from the paper's equations, proves it equal to the library's, and
# asks of it and of all its rivals one question: does it matter in which order the frames come?
# Nothing of the other chapters is needed here. The parameters below are the only thing that a run
# on another scale changes ({doc}`how-to`).

# %% tags=["parameters", "hide-input"]
scale = "reduced"  # smoke | reduced | full
frames = 8  # T: what a clip has at the block's place
groups = 8  # G: channel groups, and as many heads
cross_channel = True  # heads that mix the groups, Eqs. (7) and (8); else plain ones
paths = ["pixel", "region"]  # one of the two or both
regions = None  # K: regions of a frame; None: an eighth of the channels
spatial = True  # attention within each frame first, Eq. (3)
places = {"res3": [1]}  # behind these blocks of these stages, counted from 1
backbone = "resnet_mini"  # resnet_mini | resnet50
data = None  # a folder of video files with train.csv and val.csv; None: synthetic clips
# Networks that are trained live, by their names in the ledger.
variants = ["NL", "DNL", "GTA", "GTA colours"]
seeds = 1  # seeds of each
epochs = 2  # passes over the training clips

# %% tags=["hide-input"]
from collections import Counter
from functools import partial
from itertools import permutations, product

import numpy as np
import pandas as pd
import sympy
import torch
from einops import einsum, rearrange, reduce, repeat
from IPython.display import display
from torch import nn

from notebooks.kit import order
from notebooks.kit.chapter import Chapter
from notebooks.kit.claims.probes import reversed_pairs
from notebooks.kit.drawings import gta as drawings
from notebooks.kit.drawings import say
from notebooks.kit.printed import efficiency, printed_accuracy
from notebooks.kit.proof import draw, error, prove, randomise
from vidattn import blocks as library
from vidattn import figures
from vidattn.backbones import BACKBONES, insertion
from vidattn.backbones.shift import temporal_shift
from vidattn.cost import count
from vidattn.errors import UserError
from vidattn.training import load_trained
from vidattn.video import augment
from vidattn.video.sample import sample
from vidattn.video.synthetic import SyntheticSpec, render

page = Chapter("gta", globals())

# %% [markdown]
# ## A clip, and the same clip backwards
#
# In our clips one object moves, to the left or to the right, and that is the class.
# {numref}`fig-gta-task` shows one clip and below it the same frames, last one first. Nothing else
# has changed: the path is drawn symmetrically about its middle. But what went left now goes right.
# `left` and `right` are each other's reversal.
#
# Take a network that sees single frames and ends in a mean over all positions, as we take the
# paper's R2D (a ResNet-50 on single frames) to do. Its features of frame $t$ depend on frame $t$
# alone; play the clip backwards, and they come in another order, which the mean forgets. *It gives
# a clip and its reversal the same scores.* It can see the colour in each frame; it may even find
# out that something moves along a row, by where things are; which way, it cannot. In a set of clips
# that has each one's reversal, exactly one of two is right: 50%. We call the share of clips for
# which the class scores higher than its reversal the **accuracy within pairs**. It is the figure to
# watch on this page; with two classes that are each other's reversal it is the accuracy.
#
# The cells show it, for a network with random weights, before any training: the scores, the bound,
# and for comparison the same architecture with a temporal shift {cite}`lin2019tsm`, which does see
# its neighbouring frames.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A clip (above) and its reversal (below), time running to the right. A network of single frames with a mean at its end gives both the same scores.", "name": "fig-gta-task"}, "image": {"alt": "Two film strips of the same six frames in opposite order. A coloured shape moves across a grey ground, to one side above and back below."}}
spec = SyntheticSpec(task="ways", clips=24, seed=5, size=40, noise=0.02, distractors=0)
scenes = [render(spec, index) for index in range(spec.clips)]
shown = np.linspace(2, spec.frames - 3, 6).round().astype(int)
label = scenes[0].label  # of two: the other one is that of the reversal
two = spec.classes[label], spec.classes[1 - label]
drawings.clip_and_reversal(scenes[0].frames, shown, two)

# %% tags=["hide-input"]
ways = {"left": (0, -1), "right": (0, 1)}
for scene in scenes:  # the object's way, from the masks: backwards it is the other one
    middles = np.array([np.argwhere(mask).mean(axis=0) for mask in scene.target])
    assert (middles[-1] - middles[0]) @ ways[spec.classes[scene.label]] > 5
    about = middles + middles[::-1]  # symmetric about its middle: the same for all t
    assert len(about) == spec.frames and np.abs(about - about.mean(axis=0)).max() < 1.5


# %% tags=["equation"]
def within_pairs(scores, labels):
    """How often the class scores higher than its reversal, of two classes (n 2)."""
    clip = torch.arange(len(scores))
    lead = scores[clip, labels] - scores[clip, 1 - labels]
    return ((lead.sign() + 1) / 2).mean().item()  # equal scores: half


# %% tags=["hide-input"]
times, few = sample("uniform", spec.frames, 8)[0], scenes[:8]
clips = [augment.normalise(torch.from_numpy(scene.frames[times])) for scene in few]
clips, labels = torch.stack(clips).double(), torch.tensor([s.label for s in few])
shuffled = np.random.default_rng(0).permutation(len(times))
rows, both = [], torch.cat([labels, 1 - labels])
kinds = {"single frames (R2D)": "none", "temporal shift (TSM)": "tsm"}
for name, kind in kinds.items():
    network = BACKBONES["resnet_mini"](num_classes=2, temporal=kind).double().eval()
    orders = clips, clips.flip(2), clips[:, :, shuffled]
    with torch.no_grad():
        scores, back, other = map(network, orders)
    told = within_pairs(torch.cat([scores, back]), both)
    rows.append((name, error(back, scores), error(other, scores), told))
(_, *blind, half), (_, *sees, _) = rows
assert max(blind) < 1e-12 and half == 0.5 and min(sees) > 1e-3
columns = "network, untrained", "reversed: scores differ by", "shuffled: differ by"
table = pd.DataFrame(rows, columns=[*columns, "within pairs"]).style.hide(axis="index")
table = table.format(dict.fromkeys(columns[1:], "{:.0e}") | {"within pairs": "{:.0%}"})
page.glue(reversed=table.set_caption(f"{len(few)} clips and their reversals."))

# %% [markdown]
# ```{glue} reversed
# ```
#
# Without a word about attention this gives a test for any block: put it into the network of single
# frames and see whether it makes scores differ. We shall do that with all of them. First the block
# itself.
#
# ## Notation
#
# We keep the book's letters ({doc}`notation`); the paper's are near. Feature maps are
# $(B, C, T, H, W)$, and a *place* is a pair (row, column), of which a frame has $P = HW$.
#
# | the paper | here | |
# | --- | --- | --- |
# | $W_Q, W_K, W_V, W_O \in \mathbb{R}^{C \times C}$ | the same names, $C \times d$ and $d \times C$ | projections. The text has $d = C$; what it counts fits $C/2$ for NL and $C/4$ elsewhere |
# | $i, j$ | row and column of a place | in {ref}`(4) <gta-eq-4>` only |
# | $\hat{M}_P, \hat{M}_R$; $\hat{M}_g^k$ | $\hat{M}_P, \hat{M}_R$; $\hat{M}_{kg}$ | learned $T \times T$ matrices; that of head $k$ for group $g$ |
# | $K$; $N_h = G$ | $K$; $G$ | regions of a frame; heads, as many as groups. ($K$ is also the matrix of keys, in (1) to (4).) |
#
# ## Equations (1) and (2): attention among all positions
#
# :::{admonition} The paper
# :class: paper
# All positions of a clip are the rows of $X \in \mathbb{R}^{N \times C}$. With $Q = XW_Q$,
# $K = XW_K$, $V = XW_V$
#
# (gta-eq-1)=
# $$
# A = MV, \qquad M = \operatorname{softmax}\left(\frac{QK^\top}{\sqrt{C}}\right), \tag{1}
# $$
#
# (gta-eq-2)=
# $$
# Y = X + A W_O . \tag{2}
# $$
#
# An "optional normalization layer" before the sum is dropped "for clarity".
# :::
#
# :::{admonition} Our reading
# :class: ours
# The normalisation is a batch normalisation behind $W_O$ {cite}`ioffe2015batchnorm`, as in the
# non-local block. Where it starts is `start`: at 0 a fresh block changes nothing, which is what the
# library does unless told otherwise; our runs start at 1, and the section on them says why. With an
# inner width $d$ the scores are divided by $\sqrt{d}$. No biases: the equations have none.
# :::
#
# Equation {ref}`(1) <gta-eq-1>` does not say which rows belong together. That is what the einops
# pattern says: `b (t h w)` makes one sequence of a whole clip. Two other patterns will be all that
# the next two equations need.

# %% tags=["equation"]
CLIP = "b (t h w)"  # (sequences) (positions of each): all positions are one sequence


def project(x, weight):
    """X W at every position."""
    return einsum(x, weight[..., 0, 0, 0], "b c t h w, d c -> b d t h w")


def attend(x, p, sequences):
    """A of (1): every position of a sequence attends to all of its positions."""
    b, _, t, h, w = x.shape
    q, k, v = (
        rearrange(project(x, p[f"{name}.weight"]), f"b d t h w -> {sequences} d")
        for name in "qkv"
    )  # (n, i, d): n sequences of i positions
    scores = einsum(q, k, "n i d, n j d -> n i j") / q.shape[-1] ** 0.5
    m = scores.softmax(dim=-1)
    a = einsum(m, v, "n i j, n j d -> n i d")  # (1)
    return rearrange(a, f"{sequences} d -> b d t h w", b=b, t=t, h=h, w=w)


def normalise(z, scale, shift):
    """Each channel over the batch, as in training."""
    mean = reduce(z, "b c t h w -> c 1 1 1", "mean")
    variance = reduce((z - mean) ** 2, "b c t h w -> c 1 1 1", "mean")
    z = (z - mean) / (variance + 1e-5) ** 0.5
    return einsum(scale, z, "c, b c t h w -> b c t h w") + shift[:, None, None, None]


def output(a, p, out="out", bn="bn"):
    """A W_O, and the normalisation behind it."""
    z = project(a, p[f"{out}.weight"])  # (B, C, T, H, W)
    return normalise(z, p[f"{bn}.weight"], p[f"{bn}.bias"])


def non_local(x, p):
    """Attention among all positions of a clip."""
    return x + output(attend(x, p, CLIP), p)  # (2)


# %% [markdown]
# The check sums over all pairs of positions, one by one.


# %% tags=["equation"]
def attend_from(i, q, k, v):
    """Row i of A: i and j are positions (t, row, column) of one clip."""
    positions = [*product(*map(range, q.shape[1:]))]
    f = {j: torch.exp(q[:, *i] @ k[:, *j] / len(q) ** 0.5) for j in positions}
    return sum(f[j] / sum(f.values()) * v[:, *j] for j in positions)  # (1)


B, C, T, H, W, d = 2, 12, 3, 5, 4, 4  # uneven, so that a swapped axis cannot hide
x = draw(B, C, T, H, W)
p = {f"{name}.weight": draw(d, C, 1, 1, 1) / C**0.5 for name in "qkv"}
a = attend(x, p, CLIP)
Q, K, V = (project(x, p[f"{name}.weight"])[1] for name in "qkv")
off = [
    error(a[1, :, *i], attend_from(i, Q, K, V))
    for i in product(range(T), range(H), range(W))
]
assert max(off) < 1e-12
print(
    f"Eq. (1) equals its loop over {len(off)} positions; "
    f"the last relative error: {off[-1]:.1e}"
)

# %% [markdown]
# ## Equations (3) and (4): first in space, then in time
#
# :::{admonition} The paper
# :class: paper
# Entangled attention "tends to be biased towards the appearance similarity". So it is decoupled:
# within each frame $t$,
#
# (gta-eq-3)=
# $$
# A_s(t) = \operatorname{softmax}\left(\frac{Q_s(t) K_s(t)^\top}{\sqrt{C}}\right) V_s(t), \qquad
#   Y_s(t) = X(t) + A_s(t) W_O^s, \tag{3}
# $$
#
# and on its result, with projections of its own, along time at each place $(i, j)$,
#
# (gta-eq-4)=
# $$
# A_t(i,j) = \operatorname{softmax}\left(\frac{Q_t(i,j) K_t(i,j)^\top}{\sqrt{C}}\right) V_t(i,j),
#   \qquad Y_t(i,j) = Y_s(i,j) + A_t(i,j) W_O^t . \tag{4}
# $$
#
# The two are SA and TA, together DNL. TA "with positional encoding" is TAPE; the paper does not say
# which encoding.
# :::
#
# Only the pattern changes. The check: each frame for itself, given to {ref}`(1) <gta-eq-1>` as a
# clip of one frame, and each place for itself, as a clip of one place, give the same. Positions are
# ours: sines and cosines of the frame's number {cite}`vaswani2017attention`, added before the three
# projections, which adds no parameters; the printed 31.2M has no room for learned ones
# ({ref}`the table of open questions <gta-open>`).

# %% tags=["equation"]
FRAME, PLACE = "(b t) (h w)", "(b h w) t"  # a sequence is a frame, or a place


def sub(p, prefix):
    """The weights of one part, by the names that they have in it."""
    return {
        name.removeprefix(prefix): weight
        for name, weight in p.items()
        if name.startswith(prefix)
    }


def sinusoids(c, t):
    """The number of a frame as sines and cosines, (C, T, 1, 1)."""
    channel = torch.arange(c, dtype=torch.float64)[:, None]
    frame = torch.arange(t, dtype=torch.float64)
    angle = frame / 10_000 ** (2 * (channel // 2) / c)  # (C, T)
    waves = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return rearrange(waves, "c t -> c t 1 1")


def spatial_attention(x, p):
    """SA: attention within each frame."""
    return x + output(attend(x, p, FRAME), p)  # (3)


def temporal_attention(y_s, p, positions=0.0):
    """TA: attention along time at each place; with positions it is TAPE."""
    return y_s + output(attend(y_s + positions, p, PLACE), p)  # (4)


def decoupled(x, p, positions=0.0):
    """DNL: first in space, then in time."""
    y_s = spatial_attention(x, sub(p, "0."))
    return temporal_attention(y_s, sub(p, "1."), positions)


# %%
a_s, a_t = attend(x, p, FRAME), attend(x, p, PLACE)
for t in range(T):
    frame = x[:, :, t : t + 1]
    assert error(a_s[:, :, t : t + 1], attend(frame, p, CLIP)) < 1e-12
for i, j in product(range(H), range(W)):
    here = (..., slice(i, i + 1), slice(j, j + 1))
    assert error(a_t[here], attend(x[here], p, CLIP)) < 1e-12
print(
    f"Eq. (3) is Eq. (1) on each of {T} frames, Eq. (4) is Eq. (1) at each of "
    f"{H * W} places; neither is Eq. (1) on the clip: "
    f"{error(a_s, a):.0%} and {error(a_t, a):.0%} off."
)
assert min(error(a_s, a), error(a_t, a)) > 0.1

# %% [markdown]
# ## Equations (5) and (6): learned matrices, at places and for regions
#
# :::{admonition} The paper
# :class: paper
# GTA takes the place of TA, so that from here on $X$ is the output of {ref}`(3) <gta-eq-3>`. The
# *region transform* (no number) sums a frame up in $K$ regions, with a learned
# $W_G \in \mathbb{R}^{K \times C}$:
#
# (gta-eq-regions)=
# $$
# G_R(t) = W_G X(t)^\top, \qquad X_G(t) = G_R(t) X(t) .
# $$
#
# Two paths are added,
#
# (gta-eq-5)=
# $$
# Y = X + \underbrace{A_P W_P^O}_{\text{Pixel GTA}} + \underbrace{A_R W_R^O}_{\text{Region GTA}},
#   \tag{5}
# $$
#
# both with "randomly initialized weight matrices"
# $\hat{M}_P, \hat{M}_R \in \mathbb{R}^{T \times T}$ in place of the softmax:
#
# (gta-eq-6)=
# $$
# A_P = \hat{M}_P V_P, \qquad A_R = G_R^\top (\hat{M}_R V_R) . \tag{6}
# $$
# :::
#
# :::{admonition} Our reading
# :class: ours
# $V_P = X W_V^P$ at each place, $V_R = X_G W_V^R$ for each region. Nothing normalises $\hat{M}$:
# its entries may be negative, and Figure 15 shows absolute values. Nothing normalises $G_R$ either,
# which is a sum over $P$ places, not a mean. Each path's output is normalised by itself, since the
# region path is of third order in $X$ (shown below). $\hat{M}$ starts normal, with the variance of
# one over the number of terms that it sums.
# :::
#
# `heads` stands for $\hat{M}V$, for a whole batch of places or regions; with one matrix it is one
# line. The check sums index by index.


# %% tags=["equation"]
def one_matrix(m, v):
    """M V, for n places or regions."""
    return einsum(m, v, "t s, b d s n -> b d t n")


def pixel(x, w_v, m, heads):
    """A_P: the frames of each place are mixed."""
    v = rearrange(project(x, w_v), "b d t h w -> b d t (h w)")
    a_p = heads(m, v)  # (6)
    return rearrange(a_p, "b d t (h w) -> b d t h w", h=x.shape[3])


def transform(x, w_g):
    """The region transform: what each region weighs, and what it holds."""
    x = rearrange(x, "b c t h w -> b t (h w) c")
    g_r = einsum(w_g[..., 0, 0, 0], x, "k c, b t i c -> b t k i")  # W_G X(t)^T
    return g_r, einsum(g_r, x, "b t k i, b t i c -> b t k c")  # X_G(t) = G_R(t) X(t)


def region(x, w_g, w_v, m, heads):
    """A_R: the frames of each region are mixed."""
    g_r, x_g = transform(x, w_g)
    v = einsum(x_g, w_v[..., 0, 0, 0], "b t k c, d c -> b d t k")
    a_r = einsum(g_r, heads(m, v), "b t k i, b d t k -> b d t i")  # (6)
    return rearrange(a_r, "b d t (h w) -> b d t h w", h=x.shape[3])


# %% tags=["equation"]
def gta(x, p, heads):
    """Equations (3), (5) and (6); parts whose weights are not there are left out."""
    if "spatial.q.weight" in p:
        x = spatial_attention(x, sub(p, "spatial."))
    y = x
    if "v.pixel.weight" in p:
        a_p = pixel(x, p["v.pixel.weight"], p["m.pixel"], heads)
        y = y + output(a_p, p, "out.pixel.0", "out.pixel.1")  # (5)
    if "w_g.weight" in p:
        w_g, w_v, m = (p[n] for n in ("w_g.weight", "v.region.weight", "m.region"))
        a_r = region(x, w_g, w_v, m, heads)
        y = y + output(a_r, p, "out.region.0", "out.region.1")  # (5)
    return y


# %% tags=["equation"]
def pixel_at(t, i, x, w_v, m):
    """A_P at place i of frame t, x (c t h w)."""
    return sum(m[t, s] * (w_v @ x[:, s, *i]) for s in range(len(m)))  # (6)


def region_at(t, i, x, w_g, w_v, m):
    """A_R at place i of frame t: hands back K regions, each mixed over all frames s."""
    places, mixed = [*product(*map(range, x.shape[2:]))], 0
    for s in range(len(m)):
        x_g = sum(torch.outer(w_g @ x[:, s, *j], x[:, s, *j]) for j in places)
        mixed = mixed + m[t, s] * (x_g @ w_v.T)  # (k d)
    return (w_g @ x[:, t, *i]) @ mixed  # (6)


B, C, T, H, W, d, K = 2, 12, 3, 5, 4, 4, 2
x, M = draw(B, C, T, H, W), draw(T, T)
W_G, W_V = draw(K, C, 1, 1, 1), draw(d, C, 1, 1, 1)
a_p, a_r = pixel(x, W_V, M, one_matrix), region(x, W_G, W_V, M, one_matrix)
w_g, w_v = W_G[..., 0, 0, 0], W_V[..., 0, 0, 0]
for t, i in product(range(T), product(range(H), range(W))):
    assert error(a_p[1, :, t, *i], pixel_at(t, i, x[1], w_v, M)) < 1e-12
    off = error(a_r[1, :, t, *i], region_at(t, i, x[1], w_g, w_v, M))
    assert off < 1e-11
print(f"Eq. (6) equals its loops: relative error {off:.1e}")

# %% [markdown]
# ## Equations (7) and (8): heads that cross the groups
#
# :::{admonition} The paper
# :class: paper
# $V$ is split into $G$ groups $V_g$ of $\lfloor C/G \rfloor$ channels. Each group has a matrix for
# each of $N_h$ heads,
#
# (gta-eq-7)=
# $$
# \texttt{MH}_g = \operatorname{Concat}_{k=1}^{N_h} (\hat{M}_g^k V_g) \in \mathbb{R}^{N_h \times T
#   \times \lfloor C/G \rfloor}, \tag{7}
# $$
#
# and the groups are summed, head by head:
#
# (gta-eq-8)=
# $$
# \texttt{MH}_G = \sum_{g=1}^{G} \texttt{MH}_g \in \mathbb{R}^{N_h \times T \times \lfloor C/G
#   \rfloor} . \tag{8}
# $$
#
# "We simply set $N_h$ to be $G$ and reshape." The paper calls this CCMH, cross-channel multi-head.
# :::
#
# :::{admonition} Our reading
# :class: ours
# $\lfloor C/G \rfloor$ loses channels where $G$ does not divide $C$. Ours cuts the inner width down
# to a multiple of $G$, so that all $C$ channels of the input still reach the block through $W_V$.
# Plain multi-head, the rival of Figure 14, has one matrix a group, $\hat{M}_g V_g$, and no sum.
# :::
#
# Two functions to hand to `gta`, and what they are for one group: {ref}`(6) <gta-eq-6>`.


# %% tags=["equation"]
def cross_channel_heads(m, v):
    """m (k g t s), v (b d s n): head k sums over the groups g that it meets."""
    v = rearrange(v, "b (g c) s n -> g b c s n", g=m.shape[1])
    mh = [
        einsum(m[:, g], v_g, "k t s, b c s n -> b k c t n") for g, v_g in enumerate(v)
    ]  # (7)
    return rearrange(sum(mh), "b k c t n -> b (k c) t n")  # (8)


def plain_heads(m, v):
    """m (g t s), v (b d s n): a head meets its own group alone."""
    v = rearrange(v, "b (g c) s n -> b g c s n", g=len(m))
    a = einsum(m, v, "g t s, b g c s n -> b g c t n")
    return rearrange(a, "b g c t n -> b (g c) t n")


# %% tags=["equation"]
def head_at(k, t, c, m, v):
    """Channel c of head k in frame t, v (b g c s n)."""
    pairs = product(range(m.shape[1]), range(m.shape[3]))
    return sum(m[k, g, t, s] * v[:, g, c, s] for g, s in pairs)  # (7), (8)


B, T, G, width = 2, 3, 4, 3
v, m = draw(B, G * width, T, 7), draw(G, G, T, T)
crossed, groups = cross_channel_heads(m, v), v.unflatten(1, (G, width))
for k, c, t in product(range(G), range(width), range(T)):
    off = error(crossed[:, k * width + c, t], head_at(k, t, c, m, groups))
    assert off < 1e-12
diagonal = torch.zeros_like(m)
diagonal[range(G), range(G)] = m[0]
assert error(cross_channel_heads(diagonal, v), plain_heads(m[0], v)) < 1e-12
for one in (cross_channel_heads(m[:1, :1], v), plain_heads(m[0, :1], v)):
    assert error(one, one_matrix(m[0, 0], v)) < 1e-12
print(
    f"Eqs. (7) and (8) equal their loop to {off:.0e}; plain heads are those whose "
    "matrices off the diagonal are zero; with one group both are Eq. (6)."
)

# %% [markdown]
# ## The clear block is the library's block
#
# `vidattn.blocks` has the same functions written to be trained: no matrix of pairs is held, and the
# regions are gathered from $V$ instead of from $X$. The next cells check that they are equal, for
# every part alone and the whole: the same *random* weights in float64, outputs and every gradient,
# in training mode, so that the batch's own mean and variance are differentiated through; on uneven
# sides, on a side of 1, with 1, 2, 3, 4 and 8 groups, of which only 1 and 2 divide the inner width
# of 10, with several $K$. A third implementation, index by index, judges the library's in the
# tests.
#
# {numref}`fig-gta-2` below is the paper's overview, with shapes read off the library's blocks as
# they ran behind `res3` of a ResNet-50.


# %%
def parts_of_gta(frames):
    """Each part alone, and the whole: settings, clear block, the library's."""
    ways = ["pixel"], ["region"], ["pixel", "region"]
    for g, crossed, first in product((1, 2, 3, 4, 8), (True, False), (False, True)):
        clear = partial(gta, heads=cross_channel_heads if crossed else plain_heads)
        given = {"frames": frames, "groups": g, "cross_channel": crossed}
        for paths, k in product(ways, (1, 3, 7)):
            if k == 1 or "region" in paths:
                more = given | {"paths": paths, "spatial": first, "regions": k}
                make = partial(library.GlobalTemporalAttention, 40, **more)
                name = "SA + " * first + " + ".join(paths)
                yield {"block": name, "G": g}, clear, make


# %%
def attentions(frames):
    """NL, SA, TA and DNL, the latter with positions, too."""

    def learned(x, p):
        return decoupled(x, p, positions=p["1.p"])

    tape = partial(decoupled, positions=sinusoids(40, frames))
    dnl = partial(library.DecoupledNonLocal, 40, frames=frames)
    for name, clear, block in [
        ("NL", non_local, library.NonLocal(40, scaled=True)),
        ("SA", spatial_attention, library.SpatialAttention(40)),
        ("TA", temporal_attention, library.TemporalAttention(40)),
        ("DNL", decoupled, dnl()),
        ("SA + TAPE", tape, dnl(positions="sinusoidal")),
        ("SA + TAPE, learned", learned, dnl(positions="learned")),
    ]:
        yield {"block": name, "G": 1}, clear, lambda block=block: block


# %%
def without_biases(p):
    """The weights of the equations, which have no biases; NL's are set to zero."""
    for name in ("q.bias", "k.bias", "v.bias", "out.bias"):
        if name in p:
            nn.init.zeros_(p.pop(name))
    return p


shapes = [(2, 40, 3, 5, 4), (2, 40, 4, 1, 3), (3, 40, 2, 3, 1)]
table = pd.concat(
    prove([*parts_of_gta(t), *attentions(t)], [shape], std=0.2, weights=without_biases)
    for shape in shapes
    for t in shape[2:3]
)
assert len(table) == 3 * 5 * 2 * 2 * 7 + 3 * 6
page.glue(worst=f"{table['error'].max():.0e}")
table.pivot_table(
    index="block", columns="G", values="error", aggfunc="max", sort=False
).style.format("{:.1e}", na_rep="").set_caption(
    "Largest relative error of values and gradients between the clear blocks and the "
    "library's; columns: groups."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figure 2, read off the library's blocks at res3 of a ResNet-50 on 8 frames: (a) NL, (b) DNL, above in space and below in time, (c) GTA behind its spatial attention, above the pixel path and below the region path. Filled boxes are layers that ran, each with the shape (channels, frames, rows, columns) that leaves it. Residual connections are left out, as in the paper.", "name": "fig-gta-2"}, "image": {"alt": "Five rows of boxes from left to right. a: x, three projections, one softmax over all positions, a product, W O, y. b: the same twice, with a softmax over the places of a frame and one over the frames of a place. c: spatial attention, then above V, a learned matrix and W O; below region weights and V, a product, a learned matrix, a product that hands the regions back, and W O."}}
drawings.overview()

# %% [markdown]
# ## All cross-channel heads are one matrix
#
# Number the rows by $(k, t)$ and the columns by $(g, s)$, and write $\mathbf{M}$ for the
# $GT \times GT$ matrix with entries $\mathbf{M}_{(k,t),(g,s)} = \hat{M}_{kg}[t, s]$.
# ($\hat{M}_{kg}$ is the paper's $\hat{M}_g^k$.) Put {ref}`(7) <gta-eq-7>` into
# {ref}`(8) <gta-eq-8>`: channel $c$ of head $k$ in frame $t$ is
#
# $$
# \texttt{MH}_G[k, t, c] = \sum_{g=1}^{G} \sum_{s=1}^{T} \hat{M}_{kg}[t, s]\, V_g[s, c] =
#   \sum_{(g,s)} \mathbf{M}_{(k,t),(g,s)}\, V_{(g,s),\,c},
# $$
#
# a matrix product. The *slot* $c$, from 1 to $d/G$, is on both sides and nowhere in $\mathbf{M}$:
# **one matrix, applied to all $d/G$ slots** (and to all places or regions). So
#
# - channel $c$ of a group meets channel $c$ of the other groups, never another slot. What "mixes
#   information across channels" otherwise is $W_V$ and $W_O$;
# - a free linear map over channels and time would have $(dT)^2$ entries. This one has $(GT)^2$,
#   which is $(d/G)^2$ times fewer, and does $GT\,d$ multiply-adds for a position instead of
#   $d\,T\,d$;
# - plain heads are $\mathbf{M}$ with blocks off the diagonal zero. And cross-channel heads are
#   nothing but *plain* heads, $G^2$ of them, whose projections are shared: write $V$ out $G$ times,
#   once for each $k$, and sum behind.
#
# The next two cells write both down and check all of it.


# %% tags=["equation"]
def heads_as_one_matrix(m, v):
    """All cross-channel heads: one matrix over groups and frames, for every slot."""
    g, n = len(m), v.shape[-1]
    matrix = rearrange(m, "k g t s -> (k t) (g s)")
    slots = rearrange(v, "b (g c) s n -> b (g s) (c n)", g=g)
    return rearrange(matrix @ slots, "b (k t) (c n) -> b (k c) t n", k=g, n=n)


def heads_as_plain_ones(m, v):
    """All cross-channel heads: G² plain ones, of V written out G times."""
    g = len(m)
    copies = repeat(v, "b d s n -> b (k d) s n", k=g)
    many = plain_heads(rearrange(m, "k g t s -> (k g) t s"), copies)
    return reduce(many, "b (k g c) t n -> b (k c) t n", "sum", k=g, g=g)


# %%
G, T, width = 4, 3, 3
m, v = draw(G, G, T, T), draw(2, G * width, T, 7)
crossed = cross_channel_heads(m, v)
assert error(heads_as_one_matrix(m, v), crossed) < 1e-12
assert error(heads_as_plain_ones(m, v), crossed) < 1e-12

slopes = torch.autograd.functional.jacobian(
    lambda one: cross_channel_heads(m, one[None])[0], v[0]
)
slopes = rearrange(slopes, "(k c) t n (g e) s m -> (t s n m k g) c e", k=G, g=G)
meets = slopes.abs().amax(dim=0) > 0
assert (meets == torch.eye(width, dtype=torch.bool)).all()  # a slot meets itself alone

d, G, T = 128, 8, 8  # behind res3 of a ResNet-50
fresh = library.GlobalTemporalAttention(512, frames=T, groups=G)
entries, free = fresh.m["pixel"].numel(), (d * T) ** 2
assert entries == (G * T) ** 2 and free == entries * (d // G) ** 2
say(
    f"Behind `res3`, $d$ = {d}, $G$ = $T$ = 8: {entries:,} entries a path, where a free "
    f"map over channels and time would have {free:,}; {G * T * d:,} MACs for a position "
    f"instead of {d**2 * T:,}."
)

# %% [markdown]
# Now the region path. Section 3.3 trains "attention maps that do not depend on individual pixel
# relationships". Of $\hat{M}$ that is true in both paths; of the map between positions that follows
# it is not. Put $G_R$ into {ref}`(6) <gta-eq-6>`, with one group: with
# $\mathbf{r}_i = W_G \mathbf{x}_i$ the position $i$ of frame $t$ gets
#
# $$
# A_R[t, i] = \sum_{s, j} \underbrace{\hat{M}_R[t, s]}_{\text{learned}}\;
#   \underbrace{\mathbf{r}_{t i}^\top \mathbf{r}_{s j}}_{\text{pairwise}}\; \mathbf{v}_{s j} .
# $$
#
# That is dot-product attention between all pairs of positions, queries and keys from the same
# projection $W_G$, each weight multiplied by a learned number for its pair of frames. It is never
# written out because it is linear: $N K$ entries suffice. So the path is of third order in $X$:
# features twice as large give an $A_R$ eight times as large, which is why each path needs a
# normalisation of its own.


# %% tags=["equation"]
def region_as_pairs(x, w_g, w_v, m):
    """A_R with all pairs of positions written out, x (b t i c)."""
    r, v = x @ w_g.T, x @ w_v.T  # (b t i k), (b t i d)
    pairs = einsum(m, r, r, "t s, b t i k, b s j k -> b t i s j")
    return einsum(pairs, v, "b t i s j, b s j d -> b d t i")


# %%
B, C, T, H, W, d, K = 2, 12, 3, 5, 4, 4, 2
x, M = draw(B, C, T, H, W), draw(T, T)
W_G, W_V = draw(K, C, 1, 1, 1), draw(d, C, 1, 1, 1)
a_p, a_r = pixel(x, W_V, M, one_matrix), region(x, W_G, W_V, M, one_matrix)
flat = rearrange(x, "b c t h w -> b t (h w) c")
off = error(region_as_pairs(flat, W_G.flatten(1), W_V.flatten(1), M), a_r.flatten(3))
assert off < 1e-12
assert error(region(2 * x, W_G, W_V, M, one_matrix), 2**3 * a_r) < 1e-12
assert error(pixel(2 * x, W_V, M, one_matrix), 2 * a_p) < 1e-12
say(f"The region path equals the sum over all {T * H * W}² pairs to {off:.0e}.")

# %% [markdown]
# ## Which blocks see the order of frames?
#
# :::{admonition} The paper
# :class: paper
# "It ignores the ordering of frames as self-attention is known to be permutation invariant. For
# instance, if we shuffle two pixels temporally, their relationship will be the same, producing the
# same output. This is not sufficient for differentiating actions like 'reveal something' and 'cover
# something'."
# :::
#
# Let $\pi$ permute the frames of a clip. A block $f$ *commutes* with $\pi$ if
# $f(\pi \mathbf{x}) = \pi f(\mathbf{x})$: shuffled frames give the shuffled output. (That is what
# self-attention does. It is not invariant, it is equivariant; the invariance comes from the mean at
# the end.) Layers that see single frames commute with every $\pi$, and so does whatever is made of
# such layers and blocks, up to the mean over time, which forgets $\pi$:
#
# > *If every block in a network of single frames commutes with $\pi$, the network gives
# $\mathbf{x}$ and $\pi\mathbf{x}$ the same scores, whatever it has learned.*
#
# Attention commutes because softmax and sum run over a *set* of keys: permuting the frames permutes
# queries and keys alike, whatever the weights are. The cell checks the code; random weights would
# hardly hide a dependence on order.
#
# For telling `left` from `right` one $\pi$ matters, reversal. There are two ways to fail, then: to
# commute with every permutation, or with reversal alone. The next cell takes **every kind of block
# of the library** and many of their settings, with random weights, and tries all 24 permutations of
# 4 frames; then puts each into a small ResNet of single frames and compares the scores of a clip
# and its reversal. Notice:
#
# - NL and all its rivals, SA, TA and DNL, double attention, GloRe, the pyramid, criss-cross
#   attention, and the decoupled rivals of Figure 6, commute with every permutation. None can tell a
#   clip from its reversal. Decoupling does not help with that.
# - Blocks with a neighbourhood in time (RNL) see order, but only if the neighbourhood is weighed by
#   something that is not symmetric: with pooling as its region summary, RNL commutes with reversal
#   and with nothing else, and the scores are the same.
# - TAPE and GTA commute with none, GTA not even with one group, one path and no SA.
#
# The claim about differences is one about *possibility*: a block that sees order can tell the two
# apart; whether it learns to is for the runs. And where the backbone itself looks along time (TSM,
# 3D convolutions), a blind block is not the only thing that looks.


# %% tags=["equation"]
def from_commuting(f, x, frames):
    """How far f is from commuting: f(π x) from π f(x), π being an order of frames."""
    return error(f(x[:, :, frames]), f(x)[:, :, frames])


# %%
x, backwards = draw(2, 32, 4, 3, 2), [3, 2, 1, 0]
for frames in (backwards, [2, 0, 3, 1]):
    for blind in (library.NonLocal(32), library.DecoupledNonLocal(32)):
        assert from_commuting(randomise(blind), x, frames) < 1e-12
    tape = library.DecoupledNonLocal(32, positions="sinusoidal")
    for sees in (tape, library.GlobalTemporalAttention(32, frames=4)):
        assert from_commuting(randomise(sees), x, frames) > 1e-3

# %%
table = order.sweep()
assert set(table["kind"]) == set(library.BLOCKS)
argued = table["predicted"].notna()  # what stands above
assert table["predicted"].nunique() == 3
assert (table["predicted"] == table["commutes with"])[argued].all()
same = table["scores"] < 1e-12  # what was derived above
assert (same == table["commutes with"].ne("none")).all()
kinds, settings, blind = map(str, (len(library.BLOCKS), len(table), same.sum()))
page.glue(kinds=kinds, settings=settings, blind=blind)
table.drop(columns=["predicted", "scores"]).style.hide(axis="index").format(
    {"reversal": "{:.0e}"}
).set_caption(
    "With which orders of frames a block commutes; last: relative difference when a "
    "clip is reversed before or after it."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What follows for a network of single frames with one block: how much the scores of a clip and of its reversal differ, relative to the largest score, on a logarithmic scale. Left of the line is rounding: such a network cannot tell left from right, whatever it learns.", "name": "fig-gta-order"}, "image": {"alt": "A dot plot with a row for each kind and setting of block. The dots fall into two groups, one near ten to the minus fifteen, the other above ten to the minus six, with nothing in between."}}
drawings.order_plot(table)

# %% [markdown]
# ## Three more properties
#
# - **A fresh block is the identity**, as the normalisations behind $W_O$ start at zero.
# - **The number of frames is fixed.** $\hat{M}$ is $T \times T$: another number of frames is
#   refused.
# - **The pixel path keeps places apart**, the region path does not: an output depends on $T$ inputs
#   in the first, on all $N$ in the second.

# %%
x = draw(2, 16, 3, 5, 4)
block = library.GlobalTemporalAttention(16, frames=3, groups=2).double()
assert torch.equal(block(x), x) and not torch.equal(randomise(block)(x), x)
try:
    block(draw(1, 16, 4, 5, 4))
    raise AssertionError("another number of frames was taken")
except UserError as refused:
    page.glue(another_t=str(refused))
alone = {"frames": 3, "groups": 2, "spatial": False}
for path, reached in {"pixel": 3, "region": 3 * 5 * 4}.items():
    block = library.GlobalTemporalAttention(16, paths=[path], **alone)
    block, x = randomise(block).eval(), x.requires_grad_()
    (slope,) = torch.autograd.grad(block(x)[0, :, 1, 2, 1].sum(), x)
    assert (slope[0].abs().amax(dim=0) > 0).sum() == reached

# %% [markdown]
# Given another number of frames, the block says: "{glue:text}`another-t`".
#
# ## Cost: what follows from the equations
#
# Per block, in multiply-adds (MACs) of one clip, $N = TP$ positions in $T$ frames of $P$ places. A
# projection from $a$ to $b$ channels is $abN$. NL compares $N$ with $N$ positions, SA $N$ with $P$,
# TA $N$ with $T$, and GTA's mixing reads off the matrix: $GT$ products for each of $d$ channels.
# The cell types these as polynomials and asserts that the counter, which watches the library's
# modules run, gives exactly the same number, over uneven sizes and options, widths that $G$ does
# not divide among them. Notice in the output:
#
# - along time nearly everything is projections: with 8 frames TA's products are a small share, and
#   so are the pixel path's;
# - mixing costs $G/2$ times TA's products: "global" is not what makes it cheap;
# - the region path has two orders of doing it. Gathering $X$ first, as the paper writes, costs
#   $KCN + TKCd$ up to $V_R$, projecting first, as the library does, $CdN + KdN$. Which is less
#   depends on the place; the cell says at which.


# %% tags=["equation"]
def orders(C, T, P, K, d):
    """MACs up to V_R: G_R X first, as the paper writes; V first, as the library does."""
    N = T * P
    return K * C * N + T * K * C * d, C * d * N + K * d * N


def macs(C, T, P, K, G, d, e):
    """MACs of one block on a clip; e is the inner width, d the same cut down to G."""
    N = T * P
    nl = 4 * C * (C / 2) * N  # four projections
    sa = 4 * C * e * N
    ta = 4 * C * d * N + 2 * N * T * d
    pixel = 2 * C * d * N + G * T * N * d
    _, gathered = orders(C, T, P, K, d)
    mixed = G * T * (T * K) * d
    region = K * C * N + gathered + mixed + K * d * N + C * d * N
    return {
        "NL": nl + 2 * N**2 * C / 2,
        "NL, keys pooled": nl + 2 * N * (N / 4) * C / 2,
        "SA": sa + 2 * N * P * e,
        "SA, keys pooled": sa + 2 * N * (P / 4) * e,
        "TA": ta,
        "DNL": sa + 2 * N * P * e + ta,
        "pixel GTA": pixel,
        "region GTA": region,
        "GTA": sa + 2 * N * P * e + pixel + region,
    }


# %%
mixing = partial(library.GlobalTemporalAttention, spatial=False)
counted = {
    "NL": library.NonLocal,
    "NL, keys pooled": partial(library.NonLocal, pool_keys="after"),
    "SA": library.SpatialAttention,
    "SA, keys pooled": partial(library.SpatialAttention, pool_keys="after"),
    "TA": library.TemporalAttention,
    "DNL": library.DecoupledNonLocal,
    "pixel GTA": partial(mixing, paths=["pixel"]),
    "region GTA": partial(mixing, paths=["region"]),
    "GTA": library.GlobalTemporalAttention,
}
sizes = [(64, 3, 6, 4), (80, 2, 4, 10), (512, 8, 28, 28)]
for (name, make), (c, t, h, w) in product(counted.items(), sizes):
    for g, k in product((1, 3, 8), (5, c // 8)) if "GTA" in name else [(1, 1)]:
        inner = c // 4 - c // 4 % g
        options = {"frames": t, "groups": g, "regions": k} if "GTA" in name else {}
        found = count(partial(make, c, **options), (1, c, t, h, w)).macs
        assert found == macs(c, t, h * w, k, g, inner, c // 4)[name], (name, c, g, k)

C, T, P, K, G, d = sympy.symbols("C T P K G d", positive=True)
for name, formula in macs(C, T, P, K, G, d, d).items():
    if name in ("NL", "SA", "TA", "pixel GTA", "region GTA"):
        say(f"{name}: ${sympy.latex(sympy.factor(sympy.expand(formula)))}$")

# %%
rows = {}
for stage, C, P in [("res3", 512, 784), ("res4", 1024, 196)]:
    T, G, d, K = 8, 8, C / 4, C / 8
    N = T * P
    whole = macs(C, T, P, K, G, d, d)
    assert whole["DNL"] < whole["GTA"] < whole["NL"]
    products, mixing = 2 * N * T * d, G * T * N * d
    assert mixing == 4 * products
    assert max(products / whole["TA"], mixing / whole["pixel GTA"]) < 0.1
    as_written, as_library = orders(C, T, P, K, d)
    cheaper = "paper writes" if as_written < as_library else "library"
    rows[stage] = {name: value / 1e9 for name, value in whole.items()}
    rows[stage]["cheaper: regions"] = f"as the {cheaper}"
pd.DataFrame(rows).style.format(precision=2).set_caption(
    "GMAC of one block behind a stage of a ResNet-50, 8 frames of 224 × 224, G = 8, "
    "K = C/8."
)

# %% [markdown]
# ## What the printed numbers can bear
#
# Before we train anything, two readings of them; {doc}`gta_figures` asks two more, whether the
# text's sentences fit the tables, and how large chance is.
#
# **Do the costs follow?** {doc}`gta_cost` recounts each of them. With projections from $C$ to $C$
# channels and all keys, as the text has it, hardly any row does. With $C/2$ in NL and $C/4$
# elsewhere, and keys that are max-pooled, all of the authors' own but GTA's do, though one of them
# needs three blocks where the text has five; GTA's ask for a composition that was found by a
# search. The cell counts.
#
# **How much is order?** Figure 7 adds parts one by one to R2D-50, 17.0% on Something-Something V1.
# What was derived above says what each step can have brought. SA sees single frames; TA and DNL
# commute with every permutation, so whatever they gain, they gain by relating frames as a *set*.
# Positions, or GTA, are the first to see order.

# %%
printed = efficiency("GTA")
verdicts = Counter(cost.verdict for cost in printed)
fitted = [cost for cost in printed if cost.verdict == "agrees, fitted"]
guessed = sum("guess" in cost.reading for cost in fitted)
recount = (
    f"Of {len(printed)} printed costs {verdicts['agrees']} follow from the text, "
    f"{len(fitted) - guessed} more only from choices that the text does not have, inner "
    f"widths and pooled keys among them, {guessed} of GTA's own only from a composition "
    f"that was searched for; {verdicts['not explained']} remain unexplained."
)
page.glue(recount=recount)
say(recount)

# %%
fig7 = {
    cell["row"]: float(cell["printed"])
    for cell in printed_accuracy("GTA")
    if cell["table"].startswith("Fig7") and cell["metric"] == "top1"
}
steps = {
    "SA: single frames": fig7["+SA"] - fig7["R2D-50"],
    "TA behind it: frames as a set": fig7["+SA+TA"] - fig7["+SA"],
    "positions (TAPE): order": fig7["+SA+TAPE"] - fig7["+SA+TA"],
    "GTA instead": fig7["+SA+GTA"] - fig7["+SA+TAPE"],
}
whole = fig7["+SA+GTA"] - fig7["R2D-50"]
without_order = (fig7["+SA+TA"] - fig7["R2D-50"]) / whole
assert abs(sum(steps.values()) - whole) < 1e-9 and 0.6 < without_order < 0.7
share = f"{without_order:.0%}"
page.glue(without_order=share)
each = ", ".join(f"{value:.1f} come with {name}" for name, value in steps.items())
say(f"Of {whole:.1f} points {each}. Reached without any sight of order: {share}.")

# %% [markdown]
# ## Experiment
#
# What would be run, what was claimed and how large an effect was predicted was committed before the
# runs; the seeds follow from that commit's hash ({doc}`ledgers/gta`). It is the ledger's second
# version: before it, one seed of GTA (100%) and one of attention with positions (53%) had been seen
# on other clips, so in which direction the claims about them would go was known. DNL cannot exceed
# chance here: the claims against it ask only whether the other network learns. All networks start
# from one backbone of single frames, pre-trained to name the colour of single objects.
#
# First the recorded runs. *Reproduced*: the whole 95% interval of the paired difference lies above
# the tolerance; *not reproduced*: none of it does; *undecided*: it holds the tolerance. *Needs more
# seeds*: it holds the tolerance and is too wide to have seen the predicted effect. Such a verdict
# speaks of these clips and of {glue:text}`steps` steps of training, not of Something-Something; the
# seeds are training seeds, and all runs share their clips and the backbone they start from.
#
# **Where the normalisation starts mattered to GTA.** In a first version of the ledger every block
# started as the identity, its last normalisation at zero, and the first three runs, GTA's among
# them, stayed at chance; on calibration clips, too, and for longer. What a block says is multiplied
# by that normalisation's weight. When it started at 1, GTA learned; attention with positions did
# not, from either start. The paper drops the normalisation from its equations and does not say. So
# the paper's blocks start at 1 in these runs, `start 0` among the exploratory rows shows the other,
# and {doc}`ledgers/gta` tells in what order we saw what.
#
# How often the recorded networks tell a clip from its reversal stands in {doc}`gta_evidence`.
#
# Then live, on this machine: the networks that this page's parameters ask for, trained on video
# files that were just written and decoded. One seed is enough to see what happens, and not enough
# to judge by. One recorded run is replayed for its first steps, too: other losses than the recorded
# ones would mark the records as stale. In its table an argument becomes a measurement: every live
# network of this task sees up to 96 decoded test clips and their reversals. *Scores differ by*: the
# largest difference of the two, relative to the largest score.

# %% tags=["hide-input"]
page.claims(shown=page.ledger.variants)
page.run_card()

# %% tags=["hide-input"]
own = ("GTA", "GTA colours")
trained = page.train(*own, alike=["frames"], sampling={"frames": page.frames})

# %% tags=["hide-input"]
ways = {
    job: described
    for job, described in page.experiments.items()
    if page.synthetic and reversed_pairs(described.data.test.classes)
}
seen, rows = [], []  # what is decoded, and of each network what it tells
if page.synthetic:
    described = next(iter((ways or page.experiments).values()))
    seen = drawings.seen_clips(described, 96)
for name, seed in ways:
    result = page.results[name, seed]
    network, labels = load_trained(result.folder).eval(), [each.label for each in seen]
    decoded = torch.cat([each.clip for each in seen])
    off, told = order.tell(network, decoded, labels, described.data.test.classes)
    if name in ("baseline", "NL", "DNL"):  # blind, by the table above
        assert off < 1e-3 and abs(told - 0.5) < 0.01
    rows.append((name, seed, result.steps, 100 * result.top1, off, 100 * told))
shares = ["top-1, %", "with reversals, %"]
columns = ["network", "seed", "steps", shares[0], "scores differ by", shares[1]]
formats = dict.fromkeys(shares, "{:.0f}") | {"scores differ by": "{:.0e}"}
table = pd.DataFrame(rows, columns=columns).style.hide(axis="index").format(formats)
table if page.synthetic else None

# %% [markdown]
# ## Figures 1 and 17, trained; 15, trained; 8 and 16
#
# Figure 1 compares the maps of NL with those of DNL, Figure 17 adds the swap of their projections,
# of which {doc}`gta_figures` says what it changes and what not. {numref}`fig-gta-1` has their five
# rows for live networks, on the first test clip, for a query on the object. The paper chooses its
# clips; ours is the first one.
#
# Figure 15 shows two data sets, one where order matters and one where it hardly does.
# {numref}`fig-gta-15` has a block that was trained to tell left from right, one that was trained to
# name colours, and one that was not trained; {numref}`fig-gta-15-untrained` has more of the latter.
# Two numbers are given for each matrix below: how far from flat it is (the spread of the averaged
# entries over their mean), and how much of it sees reversal. With $\mathbf{J}$ the matrix that
# reverses the frames, $\hat{M} = \frac{1}{2}(\hat{M} + \mathbf{J}\hat{M}\mathbf{J}) +
# \frac{1}{2}(\hat{M} - \mathbf{J}\hat{M}\mathbf{J})$, and the first half commutes with reversal
# (exercise 2). The share of the second in the square of the norm is one half for random matrices.
#
# Figures 8 and 16 show two regions each, of two and of three clips, and name them: "hand", "paper",
# "watch". Which two of the $K$ were shown, and how they were chosen, is not said. Ours in
# {numref}`fig-gta-8` are the two whose weights $G_R$ vary most, on the first three clips. And since
# we know where the object is, a number says how much they have found: for each region the mean
# weight on the object above the mean of the map, in units of its spread; the largest of the $K$
# regions, mean over 16 clips, beside the same for a block with fresh weights, since the largest of
# many is large by chance alone.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figures 1 and 17, remade with live networks: what one query on the object (dot) attends to in NL, in the two parts of DNL, and in the two after their projections have been swapped. Logarithmic heat, each row with its own range.", "name": "fig-gta-1"}, "image": {"alt": "Five rows of frames of one clip with heat over them: NL over all frames, spatial parts over the query's frame, temporal parts at the query's place in every frame."}}
if {"NL", "DNL"} <= {*trained} and page.synthetic:
    networks = [trained["NL"], trained["DNL"]]
    blocks = [insertion(network, *page.first_place) for network in networks]
    given = [*map(figures.capture, networks, blocks, [seen[0].clip] * 2)]
    query = drawings.query_on(seen[0].mask, given[0].shape[2:])
    maps = drawings.five_rows(*blocks, *given, query)
    display(figures.show_maps(seen[0].frames, maps, [query] * 5, drawings.FIVE_ROWS))


# %% tags=["equation"]
def sees_reversal(m):
    """The share of a matrix that does not commute with the reversal of frames."""
    j = torch.eye(m.shape[-1]).flip(0)
    odd = (m - j @ m @ j) / 2
    return (odd.norm() / m.norm()).item() ** 2


def spread(square):
    """How far from flat the entries are: their spread over their mean."""
    return (square.std() / square.mean()).item()


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figure 15 for the live blocks: trained on clips whose order decides, on clips whose colour does, and not trained. Pixel (above) and region matrices (below), averaged over groups and heads, absolute values, each square with its own scale; rows are frames of the output, columns frames of the input.", "name": "fig-gta-15"}, "image": {"alt": "Six squares of grey cells in irregular shades, a row for pixels and one for regions."}}
told = "not shown (no live GTA)"
if "GTA" in trained:
    own = "trained" if page.data else "left or right"
    names = {own: "GTA", "colours": "GTA colours"}
    blocks = {
        title: insertion(trained[name], *page.first_place)
        for title, name in names.items()
        if name in trained
    }
    (placed,) = page.experiments["GTA", page.card.seeds[0]].blocks
    blocks["untrained"] = drawings.fresh_like(blocks[own], placed.options)
    squares = {title: drawings.averaged(block) for title, block in blocks.items()}
    told = "; ".join(
        f"{title}: "
        + ", ".join(
            f"{path} {spread(squares[title][path]):.2f} and {sees_reversal(m):.0%}"
            for path, m in block.m.items()
        )
        for title, block in blocks.items()
    )
    display(drawings.show_matrices(squares))
page.glue(matrices_told=told, spread_chance=f"{(np.pi / 2 - 1) ** 0.5:.2f}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figures 8 and 16: the two regions whose weights vary most, on three test clips (two rows a clip; red positive, blue negative, each row with its own scale).", "name": "fig-gta-8"}, "image": {"alt": "Six rows of eight frames of clips in which an object moves, tinted red and blue where a region has large weights."}}
told = "not shown (no live GTA with a region path, or no masks)"
if "GTA" in trained and "region" in page.paths and page.synthetic:
    first, two = seen[:16], (blocks[own], blocks["untrained"])
    learned, drawn = drawings.regions(trained["GTA"], two, first)
    display(drawings.show_two_regions(first[:3], learned[:3]))
    levels = [drawings.level_on(each, first) for each in (learned, drawn)]
    told = "{:.2f} trained, {:.2f} untrained".format(*levels)
page.glue(regions_told=told)

# %% [markdown]
# Spread of the averaged entries over their mean, and the share of the matrices that sees reversal:
# {glue:text}`matrices-told`. By chance it would be {glue:text}`spread-chance` and 50%. The weight
# on the object of the region that answers most to it, in standard deviations of its map:
# {glue:text}`regions-told`. Over ten seeds, {doc}`gta_evidence` compares regions with the object
# cell by cell.
#
# (gta-open)=
# ## What the paper leaves open, and what we chose
#
# | Where | What the paper says | What we chose | Why |
# | --- | --- | --- | --- |
# | Eqs. (1), (3), (4) | $W \in \mathbb{R}^{C \times C}$, scores over $\sqrt{C}$ | inner width $C/2$ for NL, $C/4$ for SA, TA and both paths; over $\sqrt{d}$ | the printed parameters and FLOPs, for all but GTA ({doc}`gta_cost`) |
# | Eq. (2) | normalisation "optional", dropped "for clarity" | a batch normalisation behind each $W_O$; it starts at 0, in our runs at 1 | as the non-local block; from 0 GTA did not learn in {glue:text}`steps` steps |
# | Eqs. (1) to (6) | nothing on biases | none | as printed |
# | Eq. (6) | $\hat{M}$ "randomly initialized" | normal, variance of one over the terms it sums; no softmax | Figure 15 takes absolute values |
# | region transform | "grouping similar pixels"; nothing on a normaliser | none | as printed; the path is then of third order in $X$ |
# | section 3.3 | maps "that do not depend on individual pixel relationships" | true of $\hat{M}$ in both paths; the map between positions that the region path makes of it is a sum over pairs | shown above |
# | Eq. (7) | $\lfloor C/G \rfloor$ | inner width cut down to a multiple of $G$ | no input channel is lost |
# | Eq. (8) | with $G = 1$? | one matrix, {ref}`(6) <gta-eq-6>`: the rows without CCMH | the two are the same function |
# | Figure 14 | "multi-head" | $G$ matrices, one a group | the cross-channel sum removed |
# | Figures 7, 12 | TAPE, no encoding named; with CCMH | sines and cosines, added before the three projections; $Q$ of group $k$ with $K$ of group $g$ | 31.2M has no room for learned positions |
# | Figure 3 | 50.2 G, 31.2M for GTA | the block as the text has it | no $K$ fits both; {doc}`gta_cost` has a composition that does, found by a search |
# | section 4.1 | "every other residual block" | after blocks 1, 3 of res3 and 1, 3, 5 of res4 | as the non-local paper |
# | section 4.3 | CCMH gains "1%" on Region GTA | the cells, which say more | recomputed in {doc}`gta_figures`; check marks of Figure 5 lost |
# | Figures 6, 9 | no numbers in the text at hand | none quoted | the text's sentences alone |
# | Figure 17 | projections are swapped | $W_O$ and normalisations stay | "query/key/value projections" |
#
# ## Exercises
#
# Think first; each solution was executed, and asserts what it says.
#
# 1. Put pixel GTA directly before the mean at the end of a network, nothing nonlinear behind it.
#    What of $\hat{M}$ do the scores still depend on? Can such a network tell a clip from its
#    reversal? (In Figure 11 a block in the last stage brings least.)
# 2. Which $\hat{M}$ make pixel GTA with one group blind: to every permutation, and to reversal? How
#    many free numbers has each kind, of $T^2$?
# 3. From how many frames on does mixing with $G$ heads cost more than the two products of spatial
#    attention, keys not pooled? How many are that behind `res3` and `res4` of a ResNet-50 with
#    $G = 8$?
# 4. Write the temporal shift of TSM {cite}`lin2019tsm` as pixel GTA: with which heads, and which
#    matrices?
#
# ```{dropdown} Solutions
# **1.** On its column sums. The mean over $t$ of $\sum_s \hat{M}[t, s]\, \mathbf{v}_s$ is
# $\sum_s \big(\frac{1}{T} \sum_t \hat{M}[t, s]\big) \mathbf{v}_s$: a weighted mean over frames,
# with $T$ learned weights for each pair of head and group, and no more. It can still tell the two
# apart, unless those weights are the same backwards; but it cannot relate two frames, only weigh
# each. That would be a reason for the last stage's small gain if the block stood behind the last
# residual block; the paper's own is that too little of space is left there.
#
# **2.** Those that commute with the permutation matrices. With all of them:
# $a\mathbf{I} + b\,\mathbf{e}\mathbf{e}^\top$ with $\mathbf{e}$ the vector of ones, each frame
# itself and the mean of all, 2 numbers. With reversal: those that are the same turned by half a
# circle, $\hat{M}[T-1-t, T-1-s] = \hat{M}[t, s]$, which leaves $\lceil T^2/2 \rceil$. Random
# matrices are neither.
#
# **3.** $GT \cdot N d > 2 P \cdot N d$, so $T > 2P/G$: a quarter of the places of a frame for
# $G = 8$. No clip of the paper is near. With keys pooled by 2 × 2, as the printed costs ask, the
# bound is a quarter of it: 12.25 frames at `res4`, and the paper's clips of 16 frames are beyond
# it.
#
# **4.** Plain heads, eight groups: $\hat{M}_1$ has ones above the diagonal (it takes frame
# $t + 1$), $\hat{M}_2$ ones below it, the others are $\mathbf{I}$, and $W_V$ and $W_O$ do nothing.
# Then $A_P$ is the shifted $X$. So pixel GTA with plain heads holds TSM's shift, and learns instead
# how far to look, in which channels.
# ```

# %% tags=["hide-input", "solution"]
x, M, W_V = draw(2, 6, 5, 3, 4), draw(5, 5), draw(4, 6, 1, 1, 1)  # exercise 1


def score(x, m):
    """What is left of pixel GTA with one matrix behind the mean over all positions."""
    return pixel(x, W_V, m, one_matrix).mean(dim=(2, 3, 4))


columns = M.sum(dim=0) / 5
by_frame = project(x, W_V).mean(dim=(3, 4))
assert error(score(x, M), einsum(columns, by_frame, "s, b d s -> b d")) < 1e-12
other = M + draw(5, 5)
other = other - (other - M).mean(dim=0)  # other matrix, same column sums
assert error(other, M) > 0.1 and error(score(x, other), score(x, M)) < 1e-12
assert error(score(x.flip(2), M), score(x, M)) > 0.01
even = M - (M - M.flip(1)).mean(dim=0) / 2  # column sums that are the same backwards
assert error(even.sum(dim=0), even.sum(dim=0).flip(0)) < 1e-12
assert error(score(x.flip(2), even), score(x, even)) < 1e-12
print("Exercise 1: before a mean only the column sums count, one weight a frame")

# %% tags=["hide-input", "solution"]
x, M, W_V = draw(2, 6, 5, 3, 4), draw(5, 5), draw(4, 6, 1, 1, 1)  # exercise 2
eye = torch.eye(5, dtype=torch.float64)


def freedom(orders):
    """The dimension of the matrices that commute with these orders of five frames."""
    turned = [eye[list(each)] for each in orders]
    rows = [torch.kron(o, eye) - torch.kron(eye, o.T.contiguous()) for o in turned]
    return 25 - torch.linalg.matrix_rank(torch.cat(rows)).item()


assert freedom(permutations(range(5))) == 2 and freedom([(4, 3, 2, 1, 0)]) == 13
shuffled, backwards = [2, 0, 1, 4, 3], [4, 3, 2, 1, 0]
everything, turned = 0.3 * eye + 0.7 * torch.ones_like(eye), M + M.flip(0, 1)
for matrix, frames, commutes in [
    (everything, shuffled, True),
    (turned, backwards, True),
    (turned, shuffled, False),
    (M, backwards, False),
]:
    off = from_commuting(lambda x, m=matrix: pixel(x, W_V, m, one_matrix), x, frames)
    assert off < 1e-12 if commutes else off > 0.01
print("Exercise 2: of 25 numbers 2 are left for every permutation, 13 for reversal")

# %% tags=["hide-input", "solution"]
T, P, G, N, d = sympy.symbols("T P G N d", positive=True)  # exercise 3
(equal,) = sympy.solve(G * T * N * d - 2 * P * N * d, T)
assert equal == 2 * P / G
res3, res4 = (equal.subs({P: places, G: 8}) for places in (784, 196))
assert (res3, res4) == (196, 49) and float(res4) / 4 == 12.25
print(f"Exercise 3: T > {equal}: more than {res3} frames at res3, {res4} at res4")

# %% tags=["hide-input", "solution"]
x, eye = draw(2, 16, 5, 3, 4), torch.eye(5, dtype=torch.float64)  # exercise 4
plain = {"groups": 8, "cross_channel": False, "paths": ["pixel"], "spatial": False}
plain |= {"frames": 5, "inner": 16, "start": 1}
block = library.GlobalTemporalAttention(16, **plain).double().eval()
for layer in (block.v["pixel"], block.out["pixel"][0]):
    layer.weight.data = torch.eye(16, dtype=torch.float64)[..., None, None, None]
ahead, behind = eye.roll(1, 1).triu(1), eye.roll(-1, 1).tril(-1)
block.m["pixel"].data = torch.stack([ahead, behind, *[eye] * 6])
fresh = (1 + 1e-5) ** 0.5  # what the normalisation divides by
assert error(fresh * (block(x) - x), temporal_shift(x)) < 1e-12
print("Exercise 4: the temporal shift is pixel GTA with eight plain heads")
page.close()

# %% [markdown]
# ## Run it at scale
#
# ```bash
# make notebook NB=gta SCALE=smoke # seconds
# make notebook NB=gta PARAMS='-p groups 4 -p cross_channel False -p seeds 2' # plain heads
# make notebook NB=gta SCALE=full PARAMS='-p data /data/something-v1' # the paper's, on your clips
# make evidence LEDGER=gta # the recorded runs again
# ```
#
# A parameter that cannot work is refused before anything starts, in one line.
