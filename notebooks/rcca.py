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
#     block: recurrent_crisscross
#     full: notebooks.full.rows:full_experiments
# ---

# %% [markdown]
# (rcca)=
# # RCCA-3D: three lines at a time, three times
#
# ::::{admonition} Recurrent 3D criss-cross attention
# :class: chapter-card
#
# Paper
# : C. Cao, Y. Lu, Y. Zhang, D. Jiang and Y. Zhang, *Efficient spatiotemporal context modeling for action recognition*, Neurocomputing, 2023
#   {cite}`cao2023rcca3d`, read in a manuscript version.
#
# Idea
# : The non-local block {cite}`wang2018nonlocal` relates every position of a clip to every other. RCCA-3D relates a position only to those on its row, its column and its
#   line through time, and does that three times in a row. What one pass brings to a line, the next brings to a plane, and the third everywhere.
#
# Claimed
# : On UCF101 one module lifts TSM from 85.01% to 86.81%, one NL block to 86.44% (Table VI); three passes are best (Table IV: 84.91, 85.73, 86.81 and 85.78% for one to four); the
#   original features must be added after every pass (Table I); $\gamma$ should start at 1 (Table II); and it needs "25%" fewer parameters and "11%" fewer "FLOPs" than NL (abstract).
#
# We found, by mathematics and counting
# : Code and equations agree to {glue:text}`worst`. Equation (5), in the text at hand, is a misprint, and we show which. Three passes do reach every position, exactly; but at equal weights {glue:text}`on-planes` of the
#   attention stays on the planes through the position that asks. For two places to meet half-way, which a network that ends in a mean may be content with, two passes are enough. {glue:text}`conv-share` of the cost at `res3` is $1 \times 1 \times 1$ convolutions, which the paper's complexity leaves out: with everything counted the
#   module costs {glue:text}`res3-ratio` of an NL block at `res3` and {glue:text}`res4-ratio` at `res4`. {glue:text}`recount`
#
# We found, by experiment
# : {glue:text}`verdicts`
#
# Cost of this page
# : {glue:text}`seconds` seconds on {glue:text}`threads`, and {glue:text}`live-seconds` more for the live networks (less where finished ones were found again).
# ::::
#
# This chapter builds the module from the paper's equations, proves it equal to the library's, and asks what three passes do and what they cost.
# {ref}`rnl` and {ref}`pnl` take two other blocks apart; nothing of them is needed here. The parameters below are the only thing that a run on another scale changes ({doc}`how-to`).

# %% tags=["parameters", "hide-input"]
scale = "reduced"  # smoke | reduced | full
passes = 3  # R: how often the criss-cross attention is applied
structure = "a"  # what each pass is added to: a | b | c | d
gamma = 1.0  # what the scalar gamma starts at
reduction = 4  # C / C': how much narrower queries and keys are than the features
places = {
    "res3": [1]
}  # modules stand after these blocks of these stages, counted from 1
backbone = "resnet_local"  # resnet_local | resnet_mini | mfnet_mini | resnet50 | mfnet
data = None  # a folder of video files with train.csv and val.csv; None: synthetic clips
# Networks that are trained live, by their names in the ledger.
variants = ["aligned RCCA R=1", "RCCA", "aligned baseline"]
seeds = 1  # seeds of each
epochs = 2  # passes over the training clips

# %% tags=["hide-input"]
import time
from functools import partial
from itertools import combinations, pairwise, product
from math import prod
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy
import torch
from einops import einsum, rearrange, reduce
from IPython.display import display
from myst_nb import glue
from torch import nn

from notebooks.kit import drawings
from notebooks.kit.chapter import Chapter
from notebooks.kit.drawings import say
from vidattn import figures
from vidattn.backbones import BACKBONES, place

started = time.perf_counter()
parameters = Chapter("rcca", dict(globals())).parameters
parameters.check()
figures.use_style()
torch.manual_seed(0)


# %% [markdown]
# ## A clip on which a bare network fails
#
# Our clips ask: *does the object that has the ring's colour go left or right?* The ring is seen in the first and the last frames. In between a red and a cyan object pass each other. Neither the ring nor the objects decide alone: the class is the exclusive or of the ring's colour and of the way that the red object goes.
#
# For a paper about lines there are two kinds. In *apart*, the objects move in one corner of the picture and the ring stands in the opposite one: ring and objects share no line and no plane, that is no row, no column, no frame. In *aligned*, the ring stands in the
# middle of where the objects move: the same rows and columns, at other times. How many passes each
# needs is computed under the figure, for the network that will be trained.
#
# Below is one clip of each, every third frame. The dashed frame marks the object that counts; the network does not see it.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two clips, time running to the right. Find the ring, remember its colour, follow the object that has it (dashed frame). Above the ring stands in the opposite corner (apart), below in the middle of where the objects move (aligned).", "name": "fig-rcca-task"}, "image": {"alt": "Two film strips of seven small frames over a grey background. A coloured ring is seen in the first and last frames, two coloured shapes move in between, a dashed frame around the one of the ring's colour. In the upper strip the ring stands in another corner than the shapes, in the lower one among them."}}
from notebooks.kit.claims.ledger import load_ledger
from notebooks.kit.claims.running import run_all
from vidattn.backbones import insertion
from vidattn.video.sample import sample
from vidattn.video.synthetic import SyntheticSpec, render

ledger = load_ledger("book/ledgers/rcca.yaml")
specs = {
    task: SyntheticSpec(**{**ledger.base["data"]["test"], "task": task})
    for task in ("apart", "aligned")
}
spec = specs[ledger.base["data"]["test"]["task"]]
scenes = {
    task: [render(each, index) for index in range(40)] for task, each in specs.items()
}
quiet = {task: each.model_copy(update={"noise": 0.0}) for task, each in specs.items()}
shown = range(1, spec.frames, 3)
fig, axes = plt.subplots(
    2, len(shown), figsize=(figures.WIDTH, 2.3), layout="constrained"
)
for row, (task, (scene, *_)) in zip(axes, scenes.items(), strict=True):
    for axis, t in zip(row, shown, strict=True):
        axis.imshow(scene.frames[t])
        axis.set(
            xticks=[], yticks=[], xlabel=f"frame {t}" if row[0] is axes[1, 0] else ""
        )
        if scene.target[t].any():
            rows_, columns_ = np.nonzero(scene.target[t])
            corner = (columns_.min() - 2, rows_.min() - 2)
            size = (np.ptp(columns_) + 4, np.ptp(rows_) + 4)
            axis.add_patch(
                plt.Rectangle(corner, *size, fill=False, ec="white", ls="--", lw=1.2)
            )
    row[0].set_ylabel(f"{task}:\n{spec.classes[scene.label]}")
plt.show()

clip_shape = (ledger.base["sampling"]["frames"], *[ledger.base["sampling"]["size"]] * 2)
temporal = ledger.base["model"].get("temporal", "none")
stage, (number, *_) = next(
    (name, numbers) for name, numbers in places.items() if numbers
)


def window(network, before=None):
    """Frames and pixels that one feature sees, from the kernels and strides up to a
    module, or to the end.
    """
    frames_, pixels, step = 1, 1, 1
    for name, part in network.named_modules():
        if part is before:
            break
        if isinstance(part, nn.Conv3d | nn.MaxPool3d) and "downsample" not in name:
            kernel, stride = (
                np.broadcast_to(size, 3) for size in (part.kernel_size, part.stride)
            )
            frames_, pixels, step = (
                frames_ + kernel[0] - 1,
                pixels + (kernel[2] - 1) * step,
                step * stride[2],
            )
        frames_ += 2 * (
            getattr(part, "temporal", "none") == "tsm" and hasattr(part, "conv2")
        )  # a shift: one frame each way
    return int(frames_), int(pixels), int(step)


def window_by_derivative(network, before, shape):
    """The same, from where the derivative of one feature in the middle of a large clip
    is not zero.
    """
    given = []
    hook = (before or network.fc).register_forward_pre_hook(
        lambda _, inputs: given.append(inputs[0])
    )
    x = draw(1, 3, *shape).requires_grad_()
    last = (
        network.features(x) if before is None else network(x) is not None and given[0]
    )
    hook.remove()
    t, h, w = (side // 2 for side in last.shape[2:])
    (slope,) = torch.autograd.grad(last[0, :, t, h, w].sum(), x)
    t, _, w = torch.nonzero(slope[0].sum(dim=0), as_tuple=True)
    return int(t.max() - t.min()) + 1, int(w.max() - w.min()) + 1


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


bare = (
    place(
        BACKBONES[backbone](temporal=temporal),
        {stage: (number,)},
        lambda c: nn.Identity(),
    )
    .double()
    .eval()
)
here = insertion(bare, stage, number)
lines_ = []
for name, before in {
    "what the module is given": here,
    "the last features": None,
}.items():
    frames_, pixels, step = window(bare, before)
    if scale != "full":
        assert window_by_derivative(bare, before, (25, 8 * step, 16 * step)) == (
            frames_,
            pixels,
        )
    lines_.append([name, frames_, pixels, f"{clip_shape[0]}", f"{clip_shape[1]}"])
frames_, pixels, step = window(bare, here)
grid = (clip_shape[0], clip_shape[1] // step, clip_shape[2] // step)
times, edge = (
    sample("uniform", spec.frames, clip_shape[0])[0],
    (spec.size - clip_shape[1]) // 2,
)


def knowing(mask):
    """The positions (t, row, column) of the module's map whose windows touch a mask of
    the clip.
    """
    seen_ = torch.from_numpy(
        mask[times][:, edge : edge + clip_shape[1], edge : edge + clip_shape[2]]
    )[None].double()
    size, halves = (frames_, pixels, pixels), (frames_ // 2, pixels // 2, pixels // 2)
    return torch.nonzero(
        nn.functional.max_pool3d(seen_, size, (1, step, step), halves)[0]
    )


rows_ = []
for task, plain in quiet.items():
    off = []
    for scene in (render(plain, index) for index in range(40)):
        drawn = (scene.frames != scene.frames[0, 0, 0]).any(
            axis=-1
        )  # soft edges, both objects
        with_ring = scene.ring.any(axis=(1, 2))[:, None, None]
        same = knowing(drawn & with_ring)[:, None] == knowing(drawn & ~with_ring)
        off.append(
            3 - same.sum(dim=-1).max().item()
        )  # coordinates in which the nearest differ
    for D in sorted(set(off)):
        rows_.append([task, D, off.count(D), -(-D // 2), D])
half_way = [
    "task",
    "coordinates that differ",
    "clips of 40",
    "R until some feature knows both: half, rounded up",
    "R until the object's knows the ring: one each",
]

alpha, delta = np.random.default_rng(0).standard_normal(
    (2, 2, 100_000)
)  # of two colours; of two pairs of objects
right_ = [
    alpha[0] + delta[0] > 0,
    alpha[1] + delta[0] < 0,
    alpha[0] + delta[1] < 0,
    alpha[1] + delta[1] > 0,
]
assert sum(each.astype(int) for each in right_).max() == 3  # never all four
assert (
    knowing(scenes[next(iter(scenes))][0].ring)
    .max(dim=0)
    .values.lt(torch.tensor(grid))
    .all()
)
for key, value in {
    "window": f"{frames_} of {clip_shape[0]} frames and {pixels} of {clip_shape[1]} pixels",
    "grid": "×".join(map(str, grid)),
    "stage": stage,
}.items():
    glue(key, value, display=False)
windows = pd.DataFrame(
    lines_,
    columns=["", "frames", "pixels a side", "frames of the clip", "pixels of the clip"],
)
nearest = pd.DataFrame(rows_, columns=half_way)
for key, frame, caption in (
    ("windows", windows, "What one feature of the bare network sees."),
    (
        "nearest",
        nearest,
        "The nearest features that see the ring and an object, on the module's map.",
    ),
):
    glue(key, frame.style.hide(axis="index").set_caption(caption), display=False)

# %% [markdown]
# Our network is a small TSM ResNet {cite}`lin2019tsm` whose later stages look at single positions. Behind {glue:text}`stage`, where the module stands, a feature sees {glue:text}`window`, on a map of {glue:text}`grid` positions; its last features see no more. (The first table, from kernels and strides, confirmed by
# derivatives.)
#
# ```{glue} windows
# ```
#
# The mean at the end adds up what all positions know: "a red ring somewhere", "a red thing going left somewhere". If no feature sees both, the score of left over right is (in test mode, where batch normalisation mixes nothing) $\alpha(\text{ring}) + \delta(\text{objects})$. With a red or a cyan ring,
# red or cyan going left, there are four cases, and no $\alpha$, $\delta$ get more than three right: of the four inequalities, those of two opposite cases add up to one that says that $\alpha_1 + \alpha_2 + \delta_1 + \delta_2$ is positive, the other two to one that says that it is negative. The cell tries it out. **So without a module,
# where no feature sees both, at most 75% of balanced clips**, on average: of a single clip such a network may know by chance what its noise says. Training has no reason to go even there: the additive scores with the least
# cross-entropy on an exclusive or are all equal. Its probabilities are then one half; its *accuracy* is how the near-ties happen to fall, anywhere between 25% and 75%.
#
# What can a module do about it? RCCA-3D lets every position hear of the positions on its three lines, and does that $R$ times; each time is a *pass*. The second table counts in how many of the three coordinates the nearest two features differ, one that sees the ring and one that sees an object.
#
# ```{glue} nearest
# ```
#
# None would mean: a single feature of the bare network sees both, and no module is needed. The paper's argument is that the object's feature must hear of the ring: that takes a pass for each coordinate. But a network that
# ends in a mean needs less. It is enough that *some* feature hears of both; they may meet half-way, and that takes half as many passes, rounded up.
#
# So the *ledger*, the file that says what is run and claimed before it is run, could say what $R$ should do ({doc}`ledgers/rcca`). In *apart*, where the nearest differ in three coordinates, no feature hears of both after one pass (but for the little that video coding smears over a frame): with $R = 1$ the scores are still additive, and 75% is
# the most, whatever is learned. $R = 2$ lifts that bound, $R = 3$ and NL do, too. In *aligned* one pass is enough to lift it. A bound that is lifted is a possibility; whether training finds the way is what the runs ask.
#
# The bare network, pre-trained on single objects and fine-tuned on {glue:text}`clips` clips, gets {glue:text}`bare` of the test clips right; without the second object, {glue:text}`oracle`. Half of the training clips show the target alone, no test clip does: without such clips none of the networks that we tried at first, NL among them,
# got anywhere within minutes. (An additive score can get those clips right and still say nothing on the others.)
#
# ## Notation
#
# We keep the book's letters ({doc}`notation`). A feature map $(B, C, T, H, W)$ is also read as a list of $N = THW$ positions, row $i$ being position $i$. Where we differ from the paper:
#
# | the paper | here | |
# | --- | --- | --- |
# | $\mathbf{u}$; $i \in [1, \dots, T + H + W - 2]$ | $i$; $j \in \mathcal{L}_i$ | a position; the positions on its three lines, itself among them, once |
# | $\mathbf{Q_u}$, $\boldsymbol{\Omega}_{i,\mathbf{u}}$, $\boldsymbol{\Phi}_{i,\mathbf{u}}$ | $\mathbf{q}_i$, $\mathbf{k}_j$, $\mathbf{v}_j$ | query, key, value |
# | $d_{i,\mathbf{u}}$, $\mathbf{A}_{i,\mathbf{u}}$ | $\log f_{ij}$, $w_{ij}$ | affinity, attention weight |
# | $\mathbf{H}$; $\mathbf{Y}, \mathbf{Y}', \mathbf{Y}''$ | $\mathbf{y} = \mathcal{F}(\mathbf{x})$; $\mathbf{z}_1, \mathbf{z}_2, \mathbf{z}_3$ | the sum over three lines; what leaves each pass |
# | $C'$, $C_d$ | $d$, $d / C$ | the inner width |
#
# $\gamma$ and $R$ stay as they are, and $L = T + H + W - 2$ is the number of positions in $\mathcal{L}_i$.
#
# ## Equations (1) to (3): attention along three lines
#
# :::{admonition} The paper
# :class: paper
# $1 \times 1 \times 1$ convolutions make $\mathbf{q}$ and $\mathbf{k}$ of $d < C$ channels and $\mathbf{v}$ of $C$ channels. A position is compared with the positions "in the same row, column or depth":
#
# (rcca-eq-1)=
# $$
# \log f_{ij} = \mathbf{q}_i \mathbf{k}_j^\top, \qquad j \in \mathcal{L}_i, \tag{1}
# $$
#
# (rcca-eq-2)=
# $$
# w_{ij} = \frac{f_{ij}}{\sum_{l \in \mathcal{L}_i} f_{il}}, \tag{2}
# $$
#
# (rcca-eq-3)=
# $$
# \mathbf{y}_i = \sum_{j \in \mathcal{L}_i} w_{ij} \mathbf{v}_j . \tag{3}
# $$
# :::
#
# :::{admonition} Our reading
# :class: ours
# In the text at hand {ref}`(2) <rcca-eq-2>` has come apart: it reads $\mathbf{A}_{i,\mathbf{u}} = \frac{e^{d_{i,\mathbf{u}}}}{T + H + W - 2} \sum_{j=1}^{e^{d_{j,\mathbf{u}}}} e^{d_{j,\mathbf{u}}}$, the upper limit of the sum having changed
# places with its terms. "A softmax layer is applied": the weights of a position sum to one. The cell tries the literal readings, and they do not.
#
# Section III-A once calls $\mathcal{L}_i$ "the points with the same coordinates in one dimension". Those would fill three *planes*. On a line, *two* of three coordinates agree, and only then are there $T + H + W - 2$ of them.
# Nothing is divided by $\sqrt{d}$, nothing is normalised.
# :::
#
# `lines` says which positions share a line, `criss_cross` is the three equations. Below them position after position is gathered and summed by hand.

# %%
B, C, T, H, W = 2, 8, 3, 5, 4  # all different, so that a swapped axis cannot hide
d, N = C // 4, T * H * W


def error(found, wanted):
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def flat(x):
    return rearrange(x, "b c t h w -> b (t h w) c")


def conv_1x1x1(x, p, name):
    weight = p[f"{name}.weight"][..., 0, 0, 0]  # the same matrix at every position
    return einsum(x, weight, "b c t h w, d c -> b d t h w") + rearrange(
        p[f"{name}.bias"], "d -> d 1 1 1"
    )


def on_lines(t, h, w):
    return t + h + w - 2  # L


def lines(t, h, w):
    """Which positions share a line: (N, N), true where two of the three coordinates
    agree, or all.
    """
    at = torch.cartesian_prod(*map(torch.arange, (t, h, w))).reshape(-1, 3)
    agree = rearrange(at, "i a -> i 1 a") == rearrange(at, "j a -> 1 j a")
    return reduce(agree.int(), "i j a -> i j", "sum") >= 2


def criss_cross(x, p):
    q, k, v = (flat(conv_1x1x1(x, p, name)) for name in "qkv")
    log_f = einsum(q, k, "b i d, b j d -> b i j")  # (1)
    log_f = log_f.masked_fill(~lines(*x.shape[2:]), -torch.inf)
    w = log_f.softmax(dim=-1)  # (2)
    y = einsum(w, v, "b i j, b j c -> b i c")  # (3)
    y = rearrange(y, "b (t h w) c -> b c t h w", t=x.shape[2], h=x.shape[3])
    return conv_1x1x1(y, p, "out") if "out.weight" in p else y  # structure c, below


x, p, L = draw(B, C, T, H, W), {}, on_lines(T, H, W)
for name, width in {"q": d, "k": d, "v": C}.items():
    p |= {
        f"{name}.weight": draw(width, C, 1, 1, 1) / C**0.5,
        f"{name}.bias": draw(width),
    }
y = criss_cross(x, p)

assert (lines(T, H, W).sum(dim=1) == L).all()
q, k, v = (conv_1x1x1(x, p, name)[0] for name in "qkv")
for t, h, w in product(range(T), range(H), range(W)):
    row = [(t, h, s) for s in range(W)]
    column = [
        (t, s, w) for s in range(H) if s != h
    ]  # without the position itself, which the row has
    depth = [(s, h, w) for s in range(T) if s != t]
    omega = [(s, i, j) for s, i, j in row + column + depth]
    f = [torch.exp(q[:, t, h, w] @ k[:, s, i, j]) for s, i, j in omega]  # (1)
    A = [one / sum(f) for one in f]  # (2)
    y_u = sum(a * v[:, s, i, j] for a, (s, i, j) in zip(A, omega, strict=True))  # (3)
    assert len(omega) == L and error(y[0, :, t, h, w], y_u) < 1e-12
print(
    f"Eqs. (1) to (3) equal their loop over {N} positions; the last relative error: {error(y[0, :, t, h, w], y_u):.1e}"
)

f = torch.stack(f)
readings = {
    "softmax": f / f.sum(),
    "e^d / (L times the sum)": f / (L * f.sum()),
    "e^d / L, times the sum": f / L * f.sum(),
}
print(
    "Sum of a position's weights: "
    + "; ".join(f"{name}: {w.sum():.3g}" for name, w in readings.items())
)
assert [name for name, w in readings.items() if abs(w.sum() - 1) < 1e-12] == ["softmax"]

# %% [markdown]
# ## Equations (4) to (7): again, and what to add
#
# :::{admonition} The paper
# :class: paper
# The sum is weighed with one learnable scalar and added to the features, "so that the next layer is able to obtain both the relation and appearance information":
#
# (rcca-eq-4)=
# $$
# \mathbf{z}_1 = \gamma \mathbf{y} + \mathbf{x}. \tag{4}
# $$
#
# That is one pass. Three passes with *the same* weights make the module, in structure $a$ (Fig. 2):
#
# (rcca-eq-5)=
# $$
# \mathbf{z}_3 = \gamma \mathcal{F}(\gamma \mathcal{F}(\gamma \mathcal{F}(\mathbf{x}) + \mathbf{x}) + \mathbf{x}) + \mathbf{x}. \tag{5}
# $$
#
# Structure $b$ adds each pass's own input:
#
# (rcca-eq-6)=
# $$
# \mathbf{z}_3 = \gamma \mathcal{F}(\mathbf{z}_2) + \mathbf{z}_2, \qquad \mathbf{z}_2 = \gamma \mathcal{F}(\mathbf{z}_1) + \mathbf{z}_1, \qquad \mathbf{z}_1 = \gamma \mathcal{F}(\mathbf{x}) + \mathbf{x}. \tag{6}
# $$
#
# Structure $d$ adds $\mathbf{x}$ once, at the end:
#
# (rcca-eq-7)=
# $$
# \mathbf{z}_3 = \gamma \mathcal{F}(\gamma \mathcal{F}(\gamma \mathcal{F}(\mathbf{x}))) + \mathbf{x}. \tag{7}
# $$
#
# Structure $c$ is $a$ with values of $d$ channels and a $1 \times 1 \times 1$ convolution that restores $C$. Generally $R$ passes; $R = 3$ and $a$ are chosen.
# :::
#
# :::{admonition} Our reading
# :class: ours
# {ref}`(5) <rcca-eq-5>` is not what is printed. Printed is $\gamma \mathcal{F}(\gamma \mathcal{F}(\mathbf{x}) + \mathbf{x}) + \mathbf{x} + \mathbf{x}$, with *two* $\mathcal{F}$. The text has three modules in series, adds $\mathbf{x}$ after each, and
# ends: "the output feature map of RCCA-3D module $\mathbf{Y}''$ is obtained from $\mathbf{H}''$", the third. What happened is easy to see: take {ref}`(5) <rcca-eq-5>`, lose the outermost "$\gamma \mathcal{F}($" with its "$)$", and the printed line is left, all three $+\,\mathbf{x}$ still there.
# :::
#
# One function has all structures. Since it only multiplies and adds, we can hand it *symbols* and read off the formula that it computes; and we can do the same with the library's module, its attention
# replaced by the letter $\mathcal{F}$. So the first check compares formulas, not numbers. The second says what the misprint would compute: the output of *two* passes, plus $\mathbf{x}$ once more. A third
# witness is the cost: by section IV-C a pass costs 5.4 G and the module with $R = 3$ 16.3 G, three times as much but for rounding.


# %%
def recurrent(F, x, gamma, R=3, structure="a"):
    z = x
    for r in range(1, R + 1):
        added = {"a": x, "b": z, "c": x, "d": x if r == R else 0}[structure]
        z = gamma * F(z) + added  # (4), again and again
    return z


from vidattn.blocks import CrissCross3d, NonLocal, RecurrentCrissCross3d

X, gamma_, F_ = sympy.Symbol("x"), sympy.Symbol("gamma"), sympy.Function("F")
z_1 = gamma_ * F_(X) + X
z_2 = gamma_ * F_(z_1) + z_1
typed = {
    "a": gamma_ * F_(gamma_ * F_(gamma_ * F_(X) + X) + X) + X,  # (5), as we read it
    "b": gamma_ * F_(z_2) + z_2,  # (6)
    "d": gamma_ * F_(gamma_ * F_(gamma_ * F_(X))) + X,  # (7)
}
for name, formula in typed.items():
    block = RecurrentCrissCross3d(C, structure=name)
    del block.gamma, block.crisscross
    block.gamma, block.crisscross = gamma_, F_
    assert recurrent(F_, X, gamma_, structure=name) == formula == block(X)
    say(
        f"Structure {name}, as the library's module writes it: ${sympy.latex(block(X))}$"
    )

printed_5 = gamma_ * F_(gamma_ * F_(X) + X) + X + X
assert printed_5 == recurrent(F_, X, gamma_, R=2) + X != typed["a"]
assert (printed_5.count(F_), typed["a"].count(F_)) == (2, 3)


def printed_eq_5(x, p):
    F = partial(criss_cross, p=p)
    return p["gamma"] * F(p["gamma"] * F(x) + x) + x + x


p["gamma"] = torch.tensor(0.7, dtype=torch.float64)
three = recurrent(partial(criss_cross, p=p), x, p["gamma"])
say(
    f"Eq. (5) as printed differs from three passes by {error(printed_eq_5(x, p), three):.0%} of the largest entry, on random weights."
)
assert error(printed_eq_5(x, p), three) > 0.05

# %% [markdown]
# ## The clear module is the library's module
#
# `vidattn.blocks` has the same function written to be trained: three products along three axes under one softmax, no $N \times N$ matrix and nothing gathered. The next cell proves the two equal for all four structures,
# one to four passes and all four widths of Table V: the same *random* weights, float64, the output and every gradient, on maps of uneven sides and on maps with a side of 1, where a line is a
# point. A third implementation, index by index, judges the library's in the tests, and with it this one.


# %%
def random_block(block, std=0.2):
    for weight in block.parameters():
        nn.init.normal_(weight, std=std)
    return block.double()


def clear(x, p, R, structure):
    inner = {name.removeprefix("crisscross."): value for name, value in p.items()}
    return recurrent(partial(criss_cross, p=inner), x, p["gamma"], R, structure)


def compare(clear, block, shape):
    """Largest relative error of the output, the input's gradient and the weights'
    gradients.
    """
    block = random_block(block)
    x, cotangent = draw(*shape).requires_grad_(), draw(*shape)
    p = dict(block.named_parameters())
    sides = []
    for out in (clear(x, p), block(x)):
        first, *others = torch.autograd.grad(out, (x, *p.values()), cotangent)
        sides.append(
            (out, first, torch.cat([gradient.flatten() for gradient in others]))
        )
    return max(error(found, wanted) for found, wanted in zip(*sides, strict=True))


SHAPES = [
    (2, 16, 3, 5, 4),
    (1, 16, 2, 3, 6),
    (2, 16, 1, 4, 3),
    (1, 16, 4, 1, 3),
    (1, 16, 3, 2, 1),
]
cases = [*product("abcd", (1, 2, 3, 4), (2, 4, 8, 16))]
found = []
for structure_, R, reduction_ in cases:
    make = partial(
        RecurrentCrissCross3d, 16, passes=R, structure=structure_, reduction=reduction_
    )
    worst = max(
        compare(partial(clear, R=R, structure=structure_), make(), shape)
        for shape in SHAPES
    )
    found.append([structure_, R, worst])
table = pd.DataFrame(found, columns=["structure", "R", "error"])
assert len(cases) == 64 and table["error"].max() < 1e-9
glue("worst", f"{table['error'].max():.0e}", display=False)
table = table.pivot_table(index="structure", columns="R", values="error", aggfunc="max")
table.style.format("{:.1e}").set_caption(
    "Largest relative error of values and gradients between the clear module and the library's."
)

# %% [markdown]
# ## Figures 2, 3 and 5: what is in the module
#
# {numref}`fig-rcca-3` is read off the module: each filled box is a layer that ran, with the shape that left it when the module was given the features of `res3` of a ResNet-50. The matrix of weights has $L$ entries a position, where NL has $N$. Notice
# what is missing: no $\mathbf{W}_z$, no normalisation. The values have all $C$ channels, so that the convolution $v$ alone has two thirds of the module's weights.
#
# {numref}`fig-rcca-2` is drawn from the *formulas* that the library's module gave above: the cell takes each apart from the outside, $\gamma \mathcal{F}(\text{inner}) + \text{rest}$, and draws an arrow for the rest.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Fig. 3, read off the library's CrissCross3d at res3, with the shape (channels, frames, rows, columns) that leaves each layer. Left as in structures a, b and d, right as in c, whose values are reduced and restored.", "name": "fig-rcca-3"}, "image": {"alt": "Two block diagrams. Left: x feeds three convolutions q, k and v; q and k meet in the affinity with a softmax over 62 weights a position, which meets v in a product, the result y. Right: the same with a v of 128 channels and a further convolution that restores 512."}}
shape = (1, 512, 8, 28, 28)
fig, axes = plt.subplots(1, 2, figsize=(figures.WIDTH, 4.2), layout="constrained")
for axis, reduced in zip(axes, (False, True), strict=True):
    ran = drawings.layers_that_ran(CrissCross3d(512, reduce_values=reduced), shape)
    assert ran["q"] == ran["k"] and ran["v"].out[0] == (128 if reduced else 512)
    sizes = {
        name: weight.numel()
        for name, weight in CrissCross3d(512, reduce_values=reduced).named_parameters()
    }
    assert reduced or 0.65 < sizes["v.weight"] / sum(sizes.values()) < 0.68
    weights = (on_lines(*shape[2:]), *shape[2:])
    texts = {
        "x": "$x$\n" + "×".join(map(str, shape[1:])),
        "A": "affinity, softmax\n" + "×".join(map(str, weights)),
        "⊗": "⊗",
    }
    texts |= {name: f"${name}$" for name in "qkv"} | {
        "out": "restore",
        "y": "$y$\n" + "×".join(map(str, shape[1:])),
    }
    positions = {
        "x": (0, 0),
        "q": (-1.15, -1.3),
        "k": (0, -1.3),
        "v": (1.15, -1.3),
        "A": (-0.57, -2.6),
        "⊗": (0.4, -3.6),
    }
    end = [("⊗", "out"), ("out", "y")] if reduced else [("⊗", "y")]
    positions |= (
        {"out": (0.4, -4.6), "y": (0.4, -5.7)} if reduced else {"y": (0.4, -4.9)}
    )
    edges = [("x", name) for name in "qkv"] + [
        ("q", "A"),
        ("k", "A"),
        ("A", "⊗"),
        ("v", "⊗"),
        *end,
    ]
    drawings.diagram(
        axis, {k: v for k, v in ran.items() if v.kernel}, positions, edges, texts
    )
    axis.set(xlim=(-1.75, 1.75), ylim=(-6.1, 0.4))
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above, the paper's Fig. 2: a module of structure a in a TSM ResNet-50, before the last block of res3, with shapes from the network that ran. Below, the paper's Fig. 5 and Eq. (5) as printed. Arcs are what is added to each pass; all F of a row have the same weights. Structure c has a's arcs, with the right-hand F of Fig. 3.", "name": "fig-rcca-2"}, "image": {"alt": "Five rows of boxes from left to right. a, within a backbone: arcs lead from x to each of three sums. b: arcs from the input of each pass to its sum. c: as a. d: one sum at the end with an arc from x. The misprint: two passes, with arcs from x."}}
network = place(
    BACKBONES["resnet50"](num_classes=101, temporal="tsm"),
    {"res3": (3,)},
    RecurrentCrissCross3d,
)
ran = drawings.layers_that_ran(network, (1, 3, 8, 224, 224))


def took_apart(formula):
    """What each pass adds to gamma F(its input): "x", "input" or "none", first pass
    first.
    """
    added = []
    while formula != X:
        for f in formula.find(F_):
            (inner,) = f.args
            if (rest := formula - gamma_ * f) in (0, X, inner):
                break
        added.append(
            {X: "x", inner: "input"}.get(rest, "none")
            if inner != X or rest == 0
            else "x"
        )
        formula = inner
    return added[::-1]


def draw_structure(axis, added, y=0.0, start=0.0, before=(), after=()):
    """A row of boxes: what comes before, x, a pass for each entry of `added`, what
    comes after.
    """
    names, at, arcs = [*before, "x"], {}, []
    for r, rest in enumerate(added, start=1):
        if rest != "none":
            arcs.append(("x" if rest == "x" else names[-1], f"⊕ {r}"))
        names += [f"F {r}"] + [f"⊕ {r}"] * (rest != "none")
    names += [*after] or ["z"]
    for name, following in zip(names, [*names[1:], ""], strict=True):
        at[name] = (start, y)
        start += 0.4 + sum(
            0.75 if box in (*before, *after) else 0.2 for box in (name, following)
        )
    texts = {f"F {r}": r"$\gamma\,\mathcal{F}$" for r in range(1, 9)} | {
        "x": "$x$",
        "z": "$z$",
    }
    drawings.diagram(axis, {}, at, pairwise(names), texts)
    for a, b in arcs:
        style = f"arc3,rad={-0.42 if at[b][0] - at[a][0] < 3 else -0.28}"
        arrow = {
            "arrowstyle": "-|>",
            "color": figures.COLOURS["crisscross"],
            "lw": 1.1,
            "shrinkA": 11,
            "shrinkB": 9,
        }
        axis.annotate("", at[b], at[a], arrowprops=arrow | {"connectionstyle": style})
    return at


def shape_text(name, sides):
    return f"{name}\n" + "×".join(map(str, sides))


x_shape = ran["res3.placed.3.crisscross.q 0"].given
before = [
    shape_text("clip", ran["conv1"].given),
    shape_text("to block 3\nof res3", x_shape),
]
after = [
    shape_text("block 4 of\nres3 to res5", ran["res5.blocks.2.conv3"].out),
    shape_text("mean, fc", ran["fc"].out),
]
assert sum(".q " in name for name in ran) == 3 and took_apart(typed["a"]) == [
    "x",
    "x",
    "x",
]
rows = {
    "b": typed["b"],
    "c": typed["a"],
    "d": typed["d"],
    "(5) as printed, less one x": printed_5 - X,
}
assert took_apart(rows["b"]) == ["x", "input", "input"] and took_apart(rows["d"]) == [
    "none",
    "none",
    "x",
]
fig, axis = plt.subplots(figsize=(figures.WIDTH, 3.6), layout="constrained")
draw_structure(axis, took_apart(typed["a"]), before=before, after=after)
for number_, (name, formula) in enumerate(rows.items(), start=1):
    draw_structure(axis, took_apart(formula), y=-1.7 * number_, start=3.95)
    axis.text(0, -1.7 * number_, name, va="center", fontsize=9)
axis.set(xlim=(-0.8, 13.1), ylim=(-7.2, 1.3))
plt.show()

# %% [markdown]
# ## What three passes do, exactly
#
# :::{admonition} The paper
# :class: paper
# After the first pass a position knows its lines; after the second "the information of all the points on the same plane", Fig. 4(b); after the third "any two points" are related: "it is enough for an RCCA-3D module to contain three CCA-3D modules".
# :::
#
# What does the output at position $i$ depend on? On the inputs $j$ at which the Jacobian $\partial \mathbf{z}_i / \partial \mathbf{x}_j$ is not zero. The next cell takes this matrix from the library's module by automatic differentiation, for every pair of
# positions, and counts. Two positions with the same row, column or frame number as $i$ share a plane with it; there are three such planes, which share lines:
#
# $$
# \underbrace{T + H + W - 2}_{R = 1}, \qquad \underbrace{TH + TW + HW - T - H - W + 1}_{R = 2}, \qquad \underbrace{THW}_{R = 3}.
# $$
#
# The claim is exact, for structures $a$, $b$, $c$ and $d$ alike. "The same plane" must be read as *the three planes through it*, and the misprint of {ref}`(5) <rcca-eq-5>` reaches those, not everything: another witness.
# On one frame two passes are enough, as in the two-dimensional original {cite}`huang2019ccnet`. The last assertion in the loop is about meeting half-way: inputs that differ in $D$ coordinates both reach some third position as soon as $2R \geq D$.


# %%
def influence(f, t, h, w):
    """The size of d z_i / d x_j for all pairs of positions: (N, N)."""
    x = draw(1, C, t, h, w).requires_grad_()
    outputs = flat(f(x))[0]
    rows = [
        torch.autograd.grad(z_i @ draw(C), x, retain_graph=True)[0] for z_i in outputs
    ]
    return torch.stack([flat(row)[0].norm(dim=-1) for row in rows])


def on_planes(t, h, w):
    return t * h + t * w + h * w - t - h - w + 1


lines_of_counts = []
for sides, structure_ in product([(3, 5, 4), (2, 3, 6), (1, 4, 5), (4, 1, 3)], "abcd"):
    expected = [on_lines(*sides), on_planes(*sides), prod(sides), prod(sides)]
    for R, count_ in enumerate(expected, start=1):
        block = random_block(RecurrentCrissCross3d(C, passes=R, structure=structure_))
        reached = influence(block, *sides) > 0
        assert (reached.sum(dim=1) == count_).all() and (reached == reached.T).all()
        agreeing = torch.cartesian_prod(*map(torch.arange, sides))
        agreeing = (agreeing[:, None] == agreeing).sum(dim=-1)
        assert (reached == (agreeing >= 3 - R)).all()  # not only as many, but these
        meet = (
            reached.double().T @ reached.double() > 0
        )  # some third position depends on both
        assert (meet == (agreeing >= 3 - 2 * R)).all()
        lines_of_counts.append(
            ["×".join(map(str, sides)), prod(sides), structure_, R, count_]
        )
reached = influence(partial(printed_eq_5, p=p), T, H, W) > 0
assert (reached.sum(dim=1) == on_planes(T, H, W)).all()
say(
    f"Eq. (5) as printed reaches {on_planes(T, H, W)} of {N} positions; three passes reach all {N}."
)
table = pd.DataFrame(
    lines_of_counts, columns=["T×H×W", "positions", "structure", "R", "reached"]
)
table = table[table.structure == "a"].pivot_table(
    index=["T×H×W", "positions"], columns="R", values="reached"
)
table.style.format(precision=0).set_caption(
    "Inputs that one output depends on, counted; columns: passes."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Fig. 4, computed: how strongly the output at one position (ringed) depends on each input, after one, two and three passes of the module, time to the right. Darker is stronger, on a logarithmic scale; white is exactly zero. The paper's figure ends with the second row.", "name": "fig-rcca-4"}, "image": {"alt": "Three rows of five grids. First row: in the middle grid a cross, in the others one cell at the same place. Second row: the middle grid is full, the others have a cross. Third row: all grids are full; cells off the crosses are paler."}}
sides, at = (5, 6, 7), (2, 2, 3)
own = int(np.ravel_multi_index(at, sides))
torch.manual_seed(2)
block = random_block(RecurrentCrissCross3d(C))
maps = []
for R in (1, 2, 3):
    block.passes = R
    maps.append(influence(block, *sides)[own].reshape(sides).numpy())
low, high = min(m[m > 0].min() for m in maps), max(m.max() for m in maps)
fig, axes = plt.subplots(
    3, sides[0], figsize=(figures.WIDTH, 4.1), layout="constrained"
)
for row, R, m in zip(axes, (1, 2, 3), maps, strict=True):
    for t, axis in enumerate(row):
        shade = np.where(
            m[t] > 0,
            0.15 + 0.85 * np.log(np.maximum(m[t], low) / low) / np.log(high / low),
            0,
        )
        axis.imshow(shade, cmap="Purples", vmin=0, vmax=1)
        axis.set_xticks(np.arange(sides[2] + 1) - 0.5, [])
        axis.set_yticks(np.arange(sides[1] + 1) - 0.5, [])
        axis.grid(True, alpha=0.5)
        axis.tick_params(length=0)
        axis.set_xlabel(f"frame {t}" if R == 3 else "")
        if t == at[0]:
            axis.plot(
                at[2],
                at[1],
                "o",
                ms=7,
                mfc="none",
                mec=figures.COLOURS["nonlocal"],
                mew=1.8,
            )
    row[0].set_ylabel(f"R = {R}\n{(m > 0).sum()} of {prod(sides)}")
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Fig. 1, computed from the same Jacobians: five frames of a feature map, one behind the other. Filled are the positions that the output at the orange one depends on, coloured by the pass that first brings them: first (dark), second, third (light).", "name": "fig-rcca-1"}, "image": {"alt": "Three panels of five slanted grids, side by side. In the first a dark cross in the middle grid and one dark cell in each other grid; in the second the middle grid is full and the others have crosses; in the third all grids are full."}}
SHADES = ["#3b1782", "#7f57d6", "#cbbcec"]
first = 1 + sum(
    (np.array(maps[:R]) == 0).all(axis=0) for R in (1, 2)
)  # the pass that first reaches a position
corners = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])  # of a cell: row, column
fig, axes = plt.subplots(1, 3, figsize=(figures.WIDTH, 1.75), layout="constrained")
for R, axis in enumerate(axes, start=1):
    for (t, h, w), pass_ in np.ndenumerate(first):
        down, right = (
            corners + np.array([h, w])
        ).T  # frames stand behind each other, seen from the side
        fill = (
            figures.COLOURS["nonlocal"]
            if (t, h, w) == at
            else SHADES[pass_ - 1]
            if pass_ <= R
            else "none"
        )
        axis.fill(
            3.6 * t + 0.42 * right, 0.3 * right - down, fc=fill, ec=figures.INK, lw=0.35
        )
    axis.set(
        aspect="equal",
        xticks=[],
        yticks=[],
        xlabel=f"R = {R}: {(first <= R).sum()} positions",
    )
    axis.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# ## Reached, but how much?
#
# That a derivative is not zero says little about its size. Take the simplest attention that there is, the one a module has when queries or keys are zero: all $L$ weights equal. Let values be the features themselves and $\gamma = 1$. One pass is then
# a matrix $\mathbf{P}$, $p_{ij} = 1/L$ on the lines, and the structures become four ways to sum *walks* along lines:
#
# $$
# \begin{aligned}
# a:&\quad \mathbf{1} + \mathbf{P} + \mathbf{P}^2 + \mathbf{P}^3, & b:&\quad (\mathbf{1} + \mathbf{P})^3 = \mathbf{1} + 3\mathbf{P} + 3\mathbf{P}^2 + \mathbf{P}^3, \\
# d:&\quad \mathbf{1} + \mathbf{P}^3, & \text{(5) as printed}:&\quad 2 \cdot \mathbf{1} + \mathbf{P} + \mathbf{P}^2.
# \end{aligned}
# $$
#
# The cell asserts that of the library's modules. It also answers the question. From a position to one off its planes there are $3! = 6$ walks of three steps, each worth $1/L^3$. The table says where the weight of $\mathbf{P}^R$ lies at `res3`, $8 \times 28 \times 28$, by how many
# of the three coordinates differ. Even weights of NL lie mostly off the planes, because most positions do; after three passes little of the weight does.

# %%
P = lines(T, H, W).double() / L
one = torch.eye(N, dtype=torch.float64)
walks = {
    "a": one + P + P @ P + P @ P @ P,
    "b": torch.linalg.matrix_power(one + P, 3),
    "d": one + P @ P @ P,
}
even = {
    "k.weight": torch.zeros(d, C, 1, 1, 1),
    "k.bias": torch.zeros(d),
    "v.bias": torch.zeros(C),
}
even |= {
    "q.weight": torch.zeros(d, C, 1, 1, 1),
    "q.bias": torch.zeros(d),
    "v.weight": torch.eye(C).reshape(C, C, 1, 1, 1),
}
for name, matrix in walks.items():
    block = RecurrentCrissCross3d(C, structure=name).double()
    block.crisscross.load_state_dict(even)
    assert error(flat(block(x)), matrix @ flat(x)) < 1e-12
constant = torch.tensor(1.0, dtype=torch.float64)
as_printed = printed_eq_5(
    x, {name: value.double() for name, value in even.items()} | {"gamma": constant}
)
assert error(flat(as_printed), (2 * one + P + P @ P) @ flat(x)) < 1e-12
assert (
    torch.round((L * P) @ (L * P) @ (L * P))[~(torch.linalg.matrix_power(P, 2) > 0)]
    == 6
).all()


def pass_on(y):
    """P y on a map (T, H, W), without the matrix."""
    sums = sum(y.sum(axis=axis, keepdims=True) for axis in range(3))
    return (sums - 2 * y) / (sum(y.shape) - 2)


y = draw(T, H, W).numpy()
assert np.allclose(pass_on(y).ravel(), P.numpy() @ y.ravel())
sides, at = (8, 28, 28), (3, 10, 20)
differ = sum(
    places_ != own_ for places_, own_ in zip(np.indices(sides), at, strict=True)
)
spread, y = {}, np.zeros(sides)
y[at] = 1
for R in range(1, 9):
    y = pass_on(y)
    spread[f"R = {R}"] = [y[differ == number].sum() for number in range(4)]
spread["NL"] = [(differ == number).mean() for number in range(4)]
shares = pd.DataFrame(
    spread, index=["itself", "on its lines", "else on its planes", "off its planes"]
).T
assert (
    shares.loc["R = 2", "off its planes"]
    == 0
    < shares.loc["R = 3", "off its planes"]
    < 0.2
)
assert shares.loc["NL", "off its planes"] > 0.75
glue("on-planes", f"{1 - shares.loc['R = 3', 'off its planes']:.0%}", display=False)
shares.style.format("{:.2%}").set_caption(
    "Where equal weights lie on 8 × 28 × 28 positions, by number of passes."
)

# %% [markdown]
# Attention that has learned need not be even. But one thing it cannot learn. In NL the weight from $i$ to $j$ is $e^{\mathbf{q}_i \mathbf{k}_j^\top}$: position $i$ asks, and what it asks for decides. On a walk $i \leftarrow m \leftarrow l \leftarrow j$ the weight is a product of three. The first, $w_{im}$, is
# decided in the last pass, by what $i$ has become; the last, $w_{lj}$, in the first pass, at $l$, before anything of $i$ has arrived there. *So a position off my planes is not asked my question: it is passed on by positions that do not know who will want it.* The next section asserts this, too.
#
# ## Properties
#
# - **Not the identity at the start.** A fresh module has $\gamma = 1$ and changes its input at once, unlike NL and PNL, which start as the identity. With $\gamma = 0$ it does, in every structure.
# - **Order along an axis does not matter.** Permute the frames, and the output's frames are permuted alike; the same holds for rows and for columns, each axis for itself, reversal among them. Permute *positions* at random, and
#   lines are torn apart: the module answers differently. NL commutes with that, too.
# - **At $R = 1$ three structures are one:** $a$, $b$ and $d$.
# - **What keeps the appearance.** Multiply by $\gamma = 0$ and see what the second and third pass are given: in $a$, $b$ and $c$ still $\mathbf{x}$, in $d$ nothing. That is what the paper means by "lost".
# - **The far end is not asked:** replace $\mathbf{x}_i$, and every first-pass weight at positions off the lines of $i$ stays the same, bit for bit. In NL the one weight that matters, $w_{ij}$, changes.


# %%
def moved(block, x, change):
    """How far what a block adds depends on whether the order is changed before or after
    it.
    """
    return error(block(change(x)) - change(x), change(block(x) - x))


rng = np.random.default_rng(0)
x = draw(2, C, 4, 5, 6)
orders = {axis: torch.from_numpy(rng.permutation(x.shape[axis])) for axis in (2, 3, 4)}
anywhere = torch.from_numpy(rng.permutation(x[0, 0].numel()))
changes = {
    "frames permuted": lambda x: x.index_select(2, orders[2]),
    "rows permuted": lambda x: x.index_select(3, orders[3]),
    "columns permuted": lambda x: x.index_select(4, orders[4]),
    "time reversed": lambda x: x.flip(2),
    "all three axes at once": lambda x: (
        x.index_select(2, orders[2])
        .index_select(3, orders[3])
        .index_select(4, orders[4])
    ),
    "positions permuted": lambda x: x.flatten(2)[..., anywhere].view_as(x),
}
makers = {
    f"RCCA, structure {s}": partial(RecurrentCrissCross3d, C, structure=s)
    for s in "abcd"
} | {"NL": partial(NonLocal, C)}
found = {}
for (name, make), (change, move) in product(makers.items(), changes.items()):
    found[change, name] = moved(random_block(make(), std=0.5).eval(), x, move)
    tears = change == "positions permuted" and name != "NL"
    assert found[change, name] > 1e-3 if tears else found[change, name] < 1e-12

fresh = RecurrentCrissCross3d(C).double()
assert fresh.gamma == 1 and error(fresh(x), x) > 0.01  # not the identity
given = {}
for name in "abcd":
    block = random_block(RecurrentCrissCross3d(C, structure=name))
    nn.init.zeros_(block.gamma)
    given[name] = []
    block.crisscross.register_forward_pre_hook(
        lambda _, inputs, seen=given[name]: seen.append(inputs[0])
    )
    assert torch.equal(block(x), x)  # the identity
    assert all(
        torch.equal(later, x if name != "d" else 0 * x) for later in given[name][1:]
    )

single = [RecurrentCrissCross3d(C, passes=1, structure=name).double() for name in "abd"]
for block in single:
    block.load_state_dict(single[0].state_dict())
    assert torch.equal(block(x), single[0](x))

i, everyone = 37, torch.arange(x[0, 0].numel())
asked = x.clone().flatten(2)
asked[..., i] = draw(2, C)
asked = asked.view_as(x)
off = ~lines(*x.shape[2:])[i]
for block in (random_block(RecurrentCrissCross3d(C)), random_block(NonLocal(C))):
    before, after = block.attention(x, everyone), block.attention(asked, everyone)
    assert torch.equal(before[:, off], after[:, off]) == isinstance(
        block, RecurrentCrissCross3d
    )
    assert error(before[:, i], after[:, i]) > 0.01
table = pd.Series(found).unstack().loc[[*changes], [*makers]]
table.style.format("{:.0e}").set_caption(
    "Changing the order first or last: relative difference."
)

# %% [markdown]
# ## Cost: what follows from the equations
#
# :::{admonition} The paper
# :class: paper
# "The complexity of RCCA-3D module is $\mathcal{O}((T \times H \times W \times C) \times (T + H + W - 2))$", that of the non-local module $\mathcal{O}((T \times H \times W \times C) \times (T \times H \times W \times C))$ (section I; the text at hand has a spurious "$- W$").
# :::
#
# A $1 \times 1 \times 1$ convolution from $a$ to $b$ channels is $abN$ multiply-adds (MACs). A pass has three, $2 C d N + C^2 N$, compares every position with $L$ others in $d$ channels, and sums as many in $C$ channels. The library's module compares a position with itself on all
# three lines and masks two of them, so it does $T + H + W = L + 2$ products where $L$ are needed; the count below gives exactly these. Three things to notice in the output:
#
# - NL's complexity has one $C$ too many: double the channels, and its products double.
# - RCCA's leaves out the convolutions, and they are nearly everything. $L$ was made small; $C$ was not.
# - The convolutions are paid $R$ times, once a pass. NL pays its four once. So which is cheaper is decided by $N$ beside $C$, and the inequality below says where: RCCA wins on large maps with few channels.

# %%
from vidattn.cost import count

C_s, d_s, N_s, L_s, R_s = sympy.symbols("C d N L R", positive=True)


def layer(a, b):
    return a * b * N_s


convs = 2 * layer(C_s, d_s) + layer(C_s, C_s)  # q, k, v
products = N_s * L_s * (d_s + C_s)  # (1), (3)
rcca = R_s * (convs + products)
reduced = R_s * (
    4 * layer(C_s, d_s) + 2 * N_s * L_s * d_s
)  # structure c: q, k, v, restore
nl = 4 * layer(C_s, C_s / 2) + 2 * N_s**2 * C_s / 2
pooled = (
    4 * layer(C_s, C_s / 2) + 2 * N_s * (N_s / 4) * C_s / 2
)  # keys and values pooled 2 x 2 after phi and g
quarter = {R_s: 3, d_s: C_s / 4}
for name, cost in {
    "RCCA": rcca,
    "structure c": reduced,
    "NL": nl,
    "NL, keys pooled": pooled,
}.items():
    say(f"{name}: ${sympy.latex(sympy.factor(cost))}$")

for structure_, R, reduction_, (c, *sides) in product(
    "abcd", (1, 3, 4), (2, 4, 16), [(32, 3, 5, 4), (64, 2, 7, 6), (512, 8, 28, 28)]
):
    make = partial(
        RecurrentCrissCross3d, c, passes=R, structure=structure_, reduction=reduction_
    )
    numbers = {C_s: c, d_s: c // reduction_, N_s: prod(sides), R_s: R}
    counted = count(make, (1, c, *sides))
    formula = reduced if structure_ == "c" else rcca
    assert counted.macs == formula.subs(
        {**numbers, L_s: sum(sides)}
    )  # what is done: L + 2
    e = c // reduction_  # biases: of q, k, v and perhaps restore; and gamma
    wanted = (
        4 * c * e + 3 * e + c + 1
        if structure_ == "c"
        else 2 * c * e + c * c + 2 * e + c + 1
    )
    assert counted.params == wanted
for c, *sides in [(32, 3, 6, 4), (64, 2, 8, 6), (512, 8, 28, 28)]:
    numbers = {C_s: c, N_s: prod(sides)}
    assert count(partial(NonLocal, c), (1, c, *sides)).macs == nl.subs(numbers)
    assert count(
        partial(NonLocal, c, pool_keys="after"), (1, c, *sides)
    ).macs == pooled.subs(numbers)

doubled = [
    count(partial(NonLocal, c), (1, c, 4, 8, 8)).by_kind["attention"] for c in (64, 128)
]
assert doubled[1] / doubled[0] == 2  # not 4, as (T H W C) (T H W C) has it
saving = sympy.expand((nl - rcca.subs(quarter)) / (C_s * N_s))
against_pooled = sympy.expand((pooled - rcca.subs(quarter)) / (C_s * N_s) * 4)
say(
    f"With $R = 3$ and $d = C/4$ RCCA is cheaper than NL where $N > {sympy.latex(N_s - saving)}$, and cheaper than NL with pooled keys where "
    f"$N > {sympy.latex(N_s - against_pooled)}$."
)

# %% tags=["hide-input"]
PLACES = {
    "res3, C = 512": (512, 8, 28, 28),
    "res4, C = 1024": (1024, 8, 14, 14),
    "res5, C = 2048": (2048, 8, 7, 7),
    "conv3 of MF-Net, C = 192": (192, 8, 28, 28),
    "conv4 of MF-Net, C = 384": (384, 8, 14, 14),
}
lines_, ratio, whole = [], {}, {}
for where, (c, *sides) in PLACES.items():
    n, l_ = prod(sides), on_lines(*sides)
    blocks = {"NL": (nl, n * n), "NL, keys pooled after": (pooled, n * n // 4)}
    blocks |= {
        f"RCCA, R = {R}": (rcca.subs({R_s: R, d_s: C_s / 4}), n * l_) for R in (1, 2, 3)
    }
    blocks |= {"RCCA, structure c": (reduced.subs(quarter), n * l_)}
    for name, (cost, weights) in blocks.items():
        numbers = {C_s: c, N_s: n, L_s: l_}
        macs = float(cost.subs(numbers))
        conv = float(
            cost.subs(numbers | {L_s: 0})
            if "RCCA" in name
            else 4 * layer(C_s, C_s / 2).subs(numbers)
        )
        whole.setdefault(where, macs)
        ratio[where, name] = macs / whole[where]
        lines_.append(
            [where, name, macs / 1e9, conv / macs, ratio[where, name], weights / 1e6]
        )
columns = [
    "place",
    "module",
    "GMAC",
    "convolutions' share",
    "NL = 100%",
    "weights of a pass, M",
]
costs = pd.DataFrame(lines_, columns=columns).set_index(["place", "module"])
assert (
    ratio["res3, C = 512", "RCCA, R = 3"] < 0.4
    and ratio["res4, C = 1024", "RCCA, R = 3"] > 1
)
for key, value in {
    "res3-ratio": ratio["res3, C = 512", "RCCA, R = 3"],
    "res4-ratio": ratio["res4, C = 1024", "RCCA, R = 3"],
    "conv-share": costs.loc[("res3, C = 512", "RCCA, R = 3"), "convolutions' share"],
}.items():
    glue(key, f"{value:.0%}", display=False)
formats = {
    "GMAC": "{:.2f}",
    "convolutions' share": "{:.0%}",
    "NL = 100%": "{:.0%}",
    "weights of a pass, M": "{:.2f}",
}
display(
    costs.style.format(formats).set_caption(
        "Multiply-adds by the formulas, 8 frames; L products a position, as many as are needed."
    )
)
bench = Path("book/results/rcca/bench.md")
if bench.is_file():
    say(
        "Measured by `make bench` on the machine that the first line names: time and memory as ratios to NL at the same place.\n\n"
        + bench.read_text()
    )
else:
    say("Times and memory have not been recorded yet.")

# %% [markdown]
# ## Cost: what the paper prints
#
# The printed totals mix two units: the backbone's 33 G are multiply-adds, what a module adds to them is counted *twice*, products included. Read so, nearly every row fits, and the next cell says how many; {doc}`rcca_cost` shows them one
# by one. It is why Table I has 149.4% beside one module, where one unit gives half of the surplus.
#
# The abstract's "25%" and "11%" stand in no table. The cell looks for them: in each pair of rows that Table VI has, how much less do the RCCA modules add than the NL blocks beside them? (The abstract of the journal's version says 25% and 30%.)

# %%
from notebooks.kit.printed import printed_accuracy, printed_efficiency
from notebooks.kit.printed.rcca import efficiency

printed = efficiency()
verdicts = pd.Series([figure.agreement for figure in printed]).value_counts()
agreeing, fitted, unexplained = (
    int(verdicts.get(key, 0)) for key in ("agrees", "agrees, fitted", "not explained")
)
recount = f"Of {len(printed)} printed cost figures {agreeing} follow from the model that the text describes, {fitted} more only under readings chosen to fit."
share = next(f for f in printed if (f.table, f.row, f.metric) == ("I", "a", "FLOPs %"))
say(
    f"{recount} {unexplained} remain unexplained. One module, Table I: {share.printed}% of the bare network as printed, {share.all_counted:.1f}% with everything counted in one unit."
)
assert abs((share.all_counted - 100) / (float(share.printed) - 100) - 0.5) < 0.05
glue("recount", recount, display=False)

cells = {
    (c["table"], c["row"], c["metric"]): float(c["printed"])
    for c in printed_efficiency("RCCA-3D")
}
pairs = {
    "one module in TSM": ("TSM", "TSM+{}*1"),
    "five in TSM, NL with pooled keys": ("TSM", "TSM+{}*5"),
    "five in MF-Net": ("MF-Net", "MF-Net+{}*5"),
}
rows = {}
for name, (bare, other) in pairs.items():
    extra = {
        (kind, metric): cells["VI", other.format(kind), metric]
        - cells["VI", bare, metric]
        for kind, metric in product(("NL", "RCCA"), ("params M", "FLOPs G"))
    }
    rows[name] = [
        1 - extra["RCCA", metric] / extra["NL", metric]
        for metric in ("params M", "FLOPs G")
    ]
saved = pd.DataFrame(rows, index=["parameters saved", "FLOPs saved"]).T
assert (
    f"{saved.loc['five in MF-Net', 'parameters saved']:.0%}" == "25%"
    and 0.11 < saved.loc["five in MF-Net", "FLOPs saved"] < 0.12
)
assert (
    saved.drop("five in MF-Net")["FLOPs saved"] < -0.4
).all()  # in TSM the modules cost more, not less
saved.style.format("{:+.1%}").set_caption(
    "What RCCA modules add, less than the NL blocks beside them in Table VI (printed cells). One module in TSM: NL stands at conv4_5, RCCA at conv3_3."
)

# %% [markdown]
# ## What the paper's accuracies can bear
#
# Before we train anything: Tables I to V vary one thing at a time around *one* network, structure $a$, $R = 3$, $d = C/4$, $\gamma = 1$, in `res3`. All five share its 86.81%, and in all five it is best. The cell collects the other modules: less attention or more, narrower or wider
# queries, a pass less or a pass more. On average they lie closer to the bare network than to the chosen one, some of them below it; the four widths of Table V follow no order at all. So is the chosen one a better network, or the best of fourteen runs of networks that are about equal? The cell asks
# how often the best of fourteen draws from one normal distribution sticks out as far from the rest: read that share before you believe the ranking. For Table VI it is said that "the models with the highest accuracies" were picked out; after which epoch a network was tested
# is not said.

# %%
accuracies = [c for c in printed_accuracy("RCCA-3D") if c["metric"] == "top1"]
top1 = {(c["table"], c["row"], c["dataset"]): c["printed"] for c in accuracies}
ablation = {
    (t, row): float(v)
    for (t, row, _), v in top1.items()
    if t in ("I", "II", "III", "IV", "V")
}
best, bare = max(ablation.values()), ablation["I", "TSM"]
for table in ("I", "II", "III", "IV", "V"):
    assert max(v for (name, _), v in ablation.items() if name == table) == best
values = np.array([v for (_, row), v in ablation.items() if row != "TSM" and v < best])
assert len(values) == 13 and abs(values.mean() - bare) < abs(values.mean() - best)


def sticks_out(best, others):
    return (best - others.mean(axis=-1)) / others.std(axis=-1, ddof=1)


draws = np.sort(np.random.default_rng(0).standard_normal((100_000, len(values) + 1)))
as_far = (sticks_out(draws[:, -1], draws[:, :-1]) >= sticks_out(best, values)).mean()
least = 100 * np.sqrt(
    best / 100 * (1 - best / 100) / 13320
)  # the paper: 13320 videos, training and test
say(
    f"{len(values)} other modules: {values.mean():.2f}% ± {values.std(ddof=1):.2f} (mean and standard deviation), from {values.min():.2f}% to {values.max():.2f}%, {(values < bare).sum()} of them below the bare network's {bare:.2f}%. "
    f"The chosen one, {best:.2f}%, lies {sticks_out(best, values):.1f} standard deviations above their mean; the best of {len(values) + 1} equal networks would in {as_far:.0%} of cases. "
    f"And one accuracy by itself has a standard error of more than {least:.2f} points: that is what all 13,320 videos of UCF101 would give, and a test split has fewer."
)
# Table XI: "the average accuracy on the three splits". Its NL row equals, rounded, split 1 of Table VI, of two different networks.
assert (
    f"{float(top1['VI', 'TSM+NL*5', 'ucf101']):.1f}"
    == top1["XI", "TSM + NL [12]", "ucf101"]
)
assert (
    f"{float(top1['VI', 'TSM+NL*1', 'hmdb51']):.1f}"
    == top1["XI", "TSM + NL [12]", "hmdb51"]
)

# %% [markdown]
# ## Experiment
#
# What would be run, what was claimed and how large an effect was predicted was committed before the runs; the seeds follow from that commit's hash ({doc}`ledgers/rcca`). All networks start from one backbone, pre-trained on clips of single objects.
#
# First the recorded runs. *Reproduced*: the whole 95% interval of the paired difference lies above the tolerance; *not reproduced*: none of it does; *undecided*: it
# holds the tolerance. *Needs more seeds*: it holds the tolerance and is too wide to have seen the predicted effect. Such a verdict speaks of these clips and of {glue:text}`steps` steps of training, not of UCF101; the seeds are training seeds, and all runs share their clips and the backbone they start from.
# {doc}`rcca_evidence` has every run.

# %% tags=["hide-input"]
from notebooks.kit.claims import evidence

study, card, records = evidence.open_records(Path("."), "rcca")
judged = evidence.judge(study, records, card)
say(
    evidence.claims_table(study, judged, card)
    if judged
    else "**No verdict yet**: the ledger's seeds are not all recorded."
)
accuracy = evidence.accuracies(study, records)
shared = card.seeds[: study.seeds]  # the seeds that all primary variants have
means = {
    name: 100
    * np.mean(
        [
            value
            for seed, value in evidence.values(records, name).items()
            if seed in shared
        ]
    )
    for name in accuracy
}
listed = [name for name in study.primary if name in means]
if listed:
    say(
        f"Mean top-1 accuracy over the ledger's {len(shared)} seeds: "
        + ", ".join(f"{name} {means[name]:.1f}%" for name in listed)
        + (f"; oracle {means['oracle']:.1f}%." if "oracle" in means else ".")
    )
if (
    judged
):  # three of four cases at most without a relation, see above; 78% of these clips
    learned = {
        name: [value for value in found if value > 78]
        for name, found in accuracy.items()
    }
    assert not learned["baseline"] and not learned["RCCA R=1"]
    rest = max(value for value in accuracy["RCCA"] if value not in learned["RCCA"])
    counted = {
        name: f"{len(learned[name])} of {len(accuracy[name])}" for name in learned
    }
    one, three = "aligned RCCA R=1", "aligned RCCA"
    say(
        f"**To reach is not to learn.** {counted['RCCA']} runs of three passes ended above what three of the four cases give (the best with {max(accuracy['RCCA']):.1f}%); of the others the best had {rest:.1f}%, "
        f"the best bare run {max(accuracy['baseline']):.1f}%. Of those that start from γ = 0 {counted['RCCA gamma=0']} did. NL, for which ring and object are one step apart, did in {counted['NL']}. "
        f"Where ring and object share lines, one pass did in {counted[one]} ({means[one]:.1f}% in the mean), and three passes in {counted[three]} ({means[three]:.1f}%; exploratory)."
    )
    structures = [
        f"{of} in {counted[f'RCCA {of}']}" for of in "bcd" if f"RCCA {of}" in counted
    ]
    if structures:
        say(
            f"Of the other structures of Table I, which the paper ranks below $a$ ({counted['RCCA']}), some runs ended above it, too: {', '.join(structures)} (exploratory)."
        )
none = "(not yet recorded)"
for key, value in {
    "bare": f"{means['baseline']:.0f}%" if "baseline" in means else none,
    "oracle": f"{means['oracle']:.0f}%" if "oracle" in means else none,
    "steps": records[0].steps if records else none,
    "clips": study.base["data"]["train"]["clips"],
    "verdicts": "; ".join(
        f"{c.id.replace('-', ' ')}: {judged[c.id].verdict}"
        for c in study.claims
        if c.id in judged
    )
    or none,
}.items():
    glue(key, value, display=False)
drawings.run_card(
    [row for row in records if row.variant in study.primary],
    versions=card.versions,
)

# %% [markdown]
# ## Which epoch, which run?
#
# The paper tests after an epoch that it does not name. Does that matter? Our recorded runs were tested after every epoch. The first table takes from each run its best epoch, its last one, and the mean of the last two, averages over seeds and ranks the networks by each rule. The best epoch is chosen
# with the test clips in hand, so it is never below the last; what matters is whether it lifts all networks alike.
#
# The second table asks what a reader of a paper sees: one run of each network. Over all pairs of one recorded run of a network and one of the bare backbone, how often does the run of the network win, by each rule? And if each side may show the best of three runs, each after its best epoch? (That is not what the paper says it did: for Table VI it "pick[s] out the models with the highest accuracies" among places, one run each.)
#
# Then live, on this machine: the networks that this page's parameters ask for, trained on video files that were just written and decoded. At the reduced scale they take two thirds of the steps of the ledger's
# runs; one seed is enough to see what happens, and not enough to judge by. *RCCA* is the module that this page's parameters describe, the others are the ledger's. One recorded run is replayed for its first steps, too: other losses than the recorded ones would mark the records as stale. Notice $\gamma$ in the last column.


# %% tags=["hide-input"]
def by_rule(curve):
    curve = 100 * np.array(curve)
    return {
        "best epoch": curve.max(),
        "last epoch": curve[-1],
        "last two": curve[-2:].mean(),
    }


curves = [row for row in records if len(row.epoch_top1) > 1]
RULES = [*by_rule([0.0, 0.0])]
tested = pd.DataFrame(
    [
        {"network": row.variant, "seed": row.seed, **by_rule(row.epoch_top1)}
        for row in curves
        if row.variant in study.primary and row.seed in shared
    ],
    columns=["network", "seed", *RULES],
)
average = tested.groupby("network", sort=False)[RULES].mean()
lift = (average["best epoch"] - average["last epoch"]).rename("best less last")
ranks = (
    average.rank(ascending=False).astype(int).add_prefix("rank, ")
    if len(average)
    else average
)
display(
    pd.concat([average, lift, ranks], axis=1)
    .style.format(precision=1)
    .set_caption(
        f"Top-1 accuracy in percent by the epoch that is reported, mean over the ledger's {len(shared)} seeds, and the ranks that follow."
    )
)
lines_ = {}
for name in [name for name in average.index if name != "baseline"]:
    ours, bare_ = (tested[tested.network == each] for each in (name, "baseline"))
    wins = {
        rule: np.mean(ours[rule].to_numpy()[:, None] > bare_[rule].to_numpy())
        for rule in RULES
    }
    trios = [
        [max(three) for three in combinations(each["best epoch"], 3)]
        for each in (ours, bare_)
    ]
    if all(trios):
        wins["best epoch, best of three runs"] = np.mean(
            np.array(trios[0])[:, None] > np.array(trios[1])
        )
    lines_[name] = wins
pd.DataFrame(lines_).T.style.format("{:.0%}").set_caption(
    "How often one run of a network beats one of the bare backbone, by the number that is reported."
)

# %% tags=["hide-input"]
from vidattn.training import Placed, load_trained

live = load_ledger("book/ledgers/rcca_full.yaml") if parameters.data else study
block = Placed(
    kind="recurrent_crisscross", options=parameters.options, places=parameters.places
)
live = live.model_copy(update={"variants": {**live.variants, "RCCA": (block,)}})
changes = {
    "optim": {"epochs": parameters.epochs},
    "model": {"backbone": parameters.backbone},
}
if parameters.backbone != live.base["model"]["backbone"]:
    changes["model"]["pretrained"] = (
        None  # the recorded weights fit the ledger's backbone
    )
if parameters.data:
    changes["data"] = {"root": parameters.data}
elif parameters.scale == "smoke":
    changes["data"] = {"train": {"clips": 32}, "test": {"clips": 16}}
seed = card.seeds[0]
jobs = [
    (name, s) for s in card.seeds[: parameters.seeds] for name in parameters.variants
]
experiments = {job: live.experiment(*job, **changes) for job in jobs}
before_runs = time.perf_counter()
results = dict(
    zip(
        jobs,
        run_all([*experiments.values()], jobs=1 if parameters.data else 2),
        strict=True,
    )
)
recorded = next((row for row in records if row.variant == "RCCA"), None)
if parameters.scale == "reduced" and recorded:
    say(evidence.replayed(study, recorded))
display(drawings.run_card([*results.values()]))
trained = {
    name: load_trained(results[name, seed].folder) for name in parameters.variants
}
live_seconds = time.perf_counter() - before_runs
glue("live-seconds", f"{live_seconds:.0f}", display=False)
lines_ = []
for (name, s), result in results.items():
    gammas = [
        w.item()
        for key, w in load_trained(result.folder).named_parameters()
        if key.endswith("gamma")
    ]
    lines_.append(
        [
            name,
            s,
            result.steps,
            f"{100 * result.top1:.0f}",
            f"{result.seconds:.0f}",
            ", ".join(f"{g:.2f}" for g in gammas),
        ]
    )
columns = ["network", "seed", "steps", "top-1, %", "seconds", "γ"]
pd.DataFrame(lines_, columns=columns).style.hide(axis="index")

# %% [markdown]
# ## Figures 6 and 7, remade
#
# Figure 6 shows feature maps before and after the module, of a basketball clip, and says that "more points in the output feature maps are brighter". {numref}`fig-rcca-6` shows the three channels that vary most in the input of a live module, each with one grey scale for both rows. Brightness can be counted, so the line above
# it does, over 16 clips and all channels: how many points lie in the upper half of a channel's range, before and after.
#
# Figure 7 shows class activation maps {cite}`zhou2016cam`, extended to videos. Our networks end in a mean over positions and a linear layer, so the score of class $k$ is
#
# $$
# s_k = \mathbf{w}_k^\top \Big( \frac{1}{N} \sum_i \mathbf{f}_i \Big) + b_k = \frac{1}{N} \sum_i \mathbf{w}_k^\top \mathbf{f}_i + b_k :
# $$
#
# a linear layer passes a mean. The map $\mathbf{w}_k^\top \mathbf{f}_i$ *is* the score, position by position, over the whole clip, no approximation; the cell asserts that its mean plus the bias is what the network says. `activation_maps` does it for any such network and clip.
#
# The paper picks two clips in which the module's map covers the mop and the violin, too. Ours is the first test clip that the first live network with a module gets right and the bare network wrong. With two classes only the difference of their maps decides, so that is shown; behind a module a position may say what it has heard from elsewhere. And since we know where ring and object are, the table counts over 16 clips: how much evidence for the true class, above the mean of the map and in
# units of its spread, lies on the object and on the ring.
#
# ```{glue} covered
# ```

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Figure 6, remade: three channels before (in) and after (out) the module of the first live network that has one (by this page's parameters one pass, on aligned clips) on one test clip, time to the right. One grey scale a channel.", "name": "fig-rcca-6"}, "image": {"alt": "Six rows of small grey maps, three channels before and after the module; columns are the frames of the clip."}}
from vidattn.video import augment

ours = next((name for name in trained if live.variants[name]), None)
if ours and parameters.data is None:
    seen_by = {name: live.experiment(name, seed).data.test for name in trained}
    spec = SyntheticSpec(**{**ledger.base["data"]["test"], "task": seen_by[ours].task})
    shown = [
        name for name in trained if seen_by[name] == seen_by[ours]
    ]  # the same test clips
    bare = next((name for name in shown if not live.variants[name]), None)
    assert bare or not {"aligned RCCA R=1", "aligned baseline"} <= {*trained}


def look(index):
    """A test clip as the network sees it: pictures, tensor, and masks of ring and
    object.
    """
    scene = render(spec, index)
    seen_ = [
        each[times][:, edge : edge + clip_shape[1], edge : edge + clip_shape[2]]
        for each in (scene.frames, scene.ring, scene.target)
    ]
    return seen_[0], augment.normalise(torch.from_numpy(seen_[0]))[None], seen_[1:]


if ours and parameters.data is None:
    module = insertion(trained[ours], stage, number)
    bright = []
    for index in range(16):
        before_, after = (
            maps.flatten(2)[0]
            for maps in figures.in_and_out(trained[ours], module, look(index)[1])
        )
        both = torch.cat([before_, after], dim=1)
        middle = (both.amin(1, keepdim=True) + both.amax(1, keepdim=True)) / 2
        bright.append(
            [(part > middle).double().mean().item() for part in (before_, after)]
        )
    before_, after = np.mean(bright, axis=0)
    print(
        f"Points in the upper half of their channel's range: {before_:.1%} before the module, {after:.1%} after it."
    )
    x_in, z_out = (
        maps[0] for maps in figures.in_and_out(trained[ours], module, look(0)[1])
    )
    widest = x_in.flatten(1).std(dim=1).argsort(descending=True)[:3].tolist()
    display(figures.show_channels(x_in, z_out, widest))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Figure 7, remade: what each position of the live networks' last features says for the true class, less what it says for the other, on the first test clip that the module's network gets right and the bare one wrong (or the first clip, if there is none). Red speaks for the true class, blue for the other; the pictures are grey for the tint's sake.", "name": "fig-rcca-7"}, "image": {"alt": "A row of small frames for each network, tinted red where the network finds evidence for the true direction and blue where against it."}}
if ours and parameters.data is None:
    right = {
        name: results[name, seed].logits().argmax(1) == results[name, seed].labels()
        for name in shown
    }
    wins = np.flatnonzero(right[ours] & ~right[bare]) if bare else []
    index = int(wins[0]) if len(wins) else 0
    pictures, clip, _ = look(index)
    label = render(spec, index).label

    def evidence_for(model, clip, label):
        """What every position says for a class, less what it says for the other one."""
        this, other = (
            figures.activation_maps(model, clip, k) for k in (label, 1 - label)
        )
        with torch.no_grad():
            score = model.eval()(clip)[0, label]
        assert torch.isclose(this.mean() + model.fc.bias[label], score, atol=1e-4)
        return this - other

    maps = {name: evidence_for(trained[name], clip, label) for name in shown}
    lines_ = []
    for name in shown:
        evidence_ = []
        for number_ in range(16):
            _, clip_, masks = look(number_)
            map_ = evidence_for(trained[name], clip_, render(spec, number_).label)
            scaled = (map_ - map_.mean()) / map_.std()
            masks = [torch.from_numpy(mask)[None].float() for mask in masks]
            covers = [
                nn.functional.adaptive_avg_pool3d(mask, map_.shape)[0] for mask in masks
            ]
            found_ = [
                (scaled * cover).sum().item() / cover.sum().item() for cover in covers
            ]
            evidence_.append(found_)
        lines_.append([name, *np.mean(evidence_, axis=0)[::-1]])
    table = pd.DataFrame(lines_, columns=["network", "on the object", "on the ring"])
    caption = "Evidence for the true class above the map's mean, in standard deviations of the map; 16 clips."
    style = table.style.hide(axis="index").format(precision=2).set_caption(caption)
    glue("covered", style, display=False)
    grey = pictures.mean(axis=-1, keepdims=True).repeat(3, axis=-1).astype("uint8")
    print(f"Test clip {index}: {spec.classes[label]}")
    display(
        figures.show_activation(
            grey, [*maps.values()], [name.replace(" ", "\n", 1) for name in maps]
        )
    )

# %% [markdown]
# ## What the paper leaves open, and what we chose
#
# | Where | What the paper says | What we chose | Why |
# | --- | --- | --- | --- |
# | Eq. (2) | garbled in the text at hand | a softmax over $\mathcal{L}_i$ | "a softmax layer is applied" |
# | Section III-A | "the same coordinates in one dimension" | in two of three | $T + H + W - 2$ positions; one would give planes |
# | Section III-A | $T + H + W - 2$ elements | the position itself once, though it lies on three lines | the number |
# | Eq. (5) | two $\mathcal{F}$ | three | section III-B, Fig. 2, Table IV; shown above |
# | Section III-B | "the same plane" after two passes | the three planes | the Jacobian |
# | Eqs. (1) to (3) | nothing on biases | biases in $q$, $k$, $v$ | torch's default |
# | Eq. (1) | nothing on a scale | none | as printed |
# | Eq. (4) | "a learnable weight scalar" | one for all passes | "all CCA-3D modules share weights" |
# | Eq. (4) | nothing on normalisation | none | as printed; with $\gamma = 1$ the module disturbs a pre-trained network at once |
# | Section III-C | structure $c$ "a convolutional layer [...] to restore" | one more 1×1×1 convolution, with bias, in every pass | its printed cost fits something else ({doc}`rcca_cost`) |
# | Section IV-A | "inserted into the $i$th residual block" | after block $i$ | "before the last residual unit" for conv3_3, conv4_5, conv5_2 |
# | Section I | complexity $(THWC)^2$ and $THWC(T+H+W-2)$ | $C N (2C + N)$; $R N (C^2 + 2Cd + L(C + d))$ | derived and counted above |
# | Abstract | 25%, 11% | five modules in MF-Net, the second cut off and not rounded | the nearest pair of Table VI |
# | Table XI | TSM + NL as "average on the three splits" | probably split 1, two networks | equal, rounded, to cells of Table VI (asserted above) |
# | Fig. 7 | CAM extended, "instead of applying the original CAM to each single frame" | one map over the clip | the score is a mean over all its positions |
#
# ## Exercises
#
# Think first; each solution was executed, and asserts what it says.
#
# 1. Let each of three passes take *one* axis: rows, then columns, then time, each with a softmax of its own. Does that reach every position? How do equal weights lie now? What does it save?
# 2. Show that $\gamma$ adds nothing to what a module can compute: for every module with $\gamma \neq 0$ there is one with $\gamma = 1$ that is the same function. Why may its *start* matter all the same? Which weights get a gradient in the
#    first step when it starts at 0, in structure $a$ and in structure $d$?
# 3. A network ends in a mean over positions and a linear layer; a second one in a *maximum* over positions and a linear layer. For which is the mean of the class activation map, plus the bias, the score?
# 4. After three passes the far end of a walk was not asked. After how many can it be?
#
# ```{dropdown} Solutions
# **1.** Yes, and along exactly one walk: first to my column, then to my row, then to my frame. With equal weights the product of the three means is the mean over *all* positions, which is what NL does; three criss-cross passes are far from it. Saved are two thirds of the products. The convolutions stay, so at
# `res3` that is six hundredths of the cost.
#
# **2.** $\gamma \mathcal{F}$ is $\mathcal{F}$ with $\gamma \mathbf{W}_v$ and $\gamma \mathbf{b}_v$ for values ($c$: the restoring convolution), since the weights $w_{ij}$ do not depend on $\mathbf{v}$. So $\gamma$ is a start and a step size, not a freedom. At $\gamma = 0$ all other gradients are zero in the first step, and that of $\gamma$
# asks whether $\mathcal{F}(\mathbf{x})$ would help, in $a$. In $d$ it asks that of $\mathcal{F}(0)$, which is $\mathbf{b}_v$ everywhere: the step knows nothing of the clip's features.
#
# **3.** For the first. Both maps are $\mathbf{w}^\top \mathbf{f}_i$; a linear layer passes a mean, but no maximum.
#
# **4.** After five. To ask, $\mathbf{q}$ at the place $l$ that is two lines away must know $\mathbf{x}_i$, and that takes two passes; the answer needs three. In the first two passes the choice between two far positions is the same whatever stands at $i$.
# ```


# %% tags=["hide-input", "solution"]
sides = (3, 5, 4)  # exercise 1
where = torch.cartesian_prod(*map(torch.arange, sides))
same = where[:, None] == where
along = [
    same[..., [b for b in range(3) if b != a]].all(dim=-1).double() / sides[a]
    for a in range(3)
]
assert (
    (along[2] @ along[1] @ along[0]) - 1 / prod(sides)
).abs().max() < 1e-12  # one walk to everywhere, even weights
per_axis = 3 * convs + products.subs(L_s, L_s + 2)
numbers = {C_s: 512, d_s: 128, N_s: 6272, L_s: 62, R_s: 3}
assert 0.05 < 1 - (per_axis / rcca).subs(numbers) < 0.07
print(
    f"Exercise 1: one axis a pass reaches all {prod(sides)} positions with weight 1/{prod(sides)}; it saves {float(1 - (per_axis / rcca).subs(numbers)):.1%} at res3"
)

x = draw(2, C, 3, 5, 4)  # exercise 2
for structure_ in "abcd":
    one_, other = (
        RecurrentCrissCross3d(C, structure=structure_).double() for _ in range(2)
    )
    random_block(one_)
    other.load_state_dict(one_.state_dict())
    last = other.crisscross.out if structure_ == "c" else other.crisscross.v
    for weight in last.parameters():
        weight.data *= one_.gamma
    nn.init.ones_(other.gamma)
    assert one_.gamma.item() != 1 and error(other(x), one_(x)) < 1e-12
    start = random_block(RecurrentCrissCross3d(C, structure=structure_))
    nn.init.zeros_(start.gamma)
    cotangent = draw(*x.shape)
    (start(x) * cotangent).sum().backward()
    moved_ = {
        name
        for name, weight in start.named_parameters()
        if weight.grad is not None and weight.grad.any()
    }
    assert moved_ == {"gamma"}
    context = start.crisscross(x if structure_ != "d" else 0 * x) * (
        3 if structure_ == "b" else 1
    )
    assert error(start.gamma.grad, (context * cotangent).sum()) < 1e-12
bias = start.crisscross.v.bias.view(-1, 1, 1, 1)
assert structure_ == "d" and error(context, bias.expand_as(context)) < 1e-12
print(
    "Exercise 2: gamma can be folded into the values; started at 0, only gamma moves at first, in d by the bias alone"
)

features, fc = draw(1, 6, 3, 4, 5), nn.Linear(6, 2).double()  # exercise 3
cam = (
    einsum(fc.weight, features[0], "k c, c t h w -> k t h w").mean(dim=(1, 2, 3))
    + fc.bias
)
assert error(cam, fc(features.mean(dim=(2, 3, 4)))[0]) < 1e-12
assert error(cam, fc(features.amax(dim=(2, 3, 4)))[0]) > 0.05
print(
    "Exercise 3: a mean can be taken before or after a linear layer, a maximum cannot"
)

block = random_block(RecurrentCrissCross3d(C, passes=5), std=0.4)  # exercise 4
x = draw(1, C, 3, 5, 4)
i, two_off, far = (
    (0, 0, 0),
    (1, 2, 0),
    [(1, 2, 2), (1, 2, 3)],
)  # two lines from i; on a line of that, off the planes of i
flat_at = [int(np.ravel_multi_index(place_, (3, 5, 4))) for place_ in (two_off, *far)]


def choices(x):
    """In every pass: how the position two lines off weighs the one far position against
    the other.
    """
    seen_ = []
    hook = block.crisscross.register_forward_pre_hook(
        lambda _, given: seen_.append(given[0])
    )
    block(x)
    hook.remove()
    weights = [
        block.crisscross.attention(z, torch.tensor(flat_at[:1]))[0, 0] for z in seen_
    ]
    return torch.stack([w[flat_at[1]] / w[flat_at[2]] for w in weights])


changed = x.clone()
changed[:, :, *i] = draw(1, C)
difference = (choices(changed) / choices(x) - 1).abs()
assert difference[:2].max() < 1e-12 and difference[2:].min() > 1e-9
print(
    "Exercise 4: x_i changes the choice at l in passes "
    + ", ".join(str(1 + r) for r in range(5) if difference[r] > 1e-9)
)
glue("seconds", f"{time.perf_counter() - started - live_seconds:.0f}", display=False)
threads = torch.get_num_threads()
glue("threads", "one thread" if threads == 1 else f"{threads} threads", display=False)

# %% [markdown]
# ## Run it at scale
#
# ```bash
# make notebook NB=rcca SCALE=smoke                                       # seconds
# make notebook NB=rcca PARAMS='-p structure b -p passes 2 -p seeds 2'     # another module, two seeds
# make notebook NB=rcca SCALE=full PARAMS='-p data /data/ucf101'           # the paper's network, on your clips
# make evidence LEDGER=rcca                                               # the recorded runs again
# ```
#
# A parameter that cannot work is refused before anything starts, in one line.
