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
#     parameters: notebooks.kit.parameters:OwnBlockParameters
# ---

# %% [markdown]
# (own-block)=
# # A block of your own
#
# You have an idea for a block. This page takes one, which is in none of the four papers, all the
# way: the equation, the code, a proof against a loop, the cost, a place in a network, a short run
# and a look inside. Then come the three steps that make it a part of the library. Change the idea,
# run the page again (`make notebook NB=own_block`), and you have yours.
#
# The idea: *attention in a window over time that can tell past from future*. A position looks at
# the positions at its own place in the frames just before and after. Attention itself is blind to
# order ({doc}`gta` shows it for most blocks of this book): shuffle the frames, and the output is
# shuffled alike. So each offset in time gets a learned bias, one number: "two frames ago counts
# more than two frames ahead".
#
# Reading takes ten minutes; the page ran for {glue:text}`seconds` seconds on
# {glue:text}`threads`, {glue:text}`live-seconds` of them in training.

# %% tags=["parameters", "hide-input"]
window = 2  # w: frames on either side
epochs = 2  # passes over the training clips, as in the ledger of the GTA chapter
clips = 1600  # training clips; a quarter as many are tested

# %% tags=["hide-input"]
import math
import time
from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy
import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn

from notebooks.kit import claims
from notebooks.kit.chapter import Chapter
from notebooks.kit.claims.probes import order
from notebooks.kit.drawings import run_card, say
from notebooks.kit.drawings.clips import Seen
from notebooks.kit.parameters import ROOT
from notebooks.kit.proof import draw, error, prove, randomise
from vidattn import figures
from vidattn.backbones import insertion, place, resnet_mini
from vidattn.blocks import BLOCKS, TemporalAttention, make_block
from vidattn.blocks._parts import batch_norm, check_whole, inner_width
from vidattn.cost import count
from vidattn.errors import UserError
from vidattn.training import Placed, load_trained, run

page = Chapter("own_block", globals())

# %% [markdown]
# ## The equation, and the code that is the equation
#
# The letters are the book's ({doc}`notation`): $\mathbf{q}$, $\mathbf{k}$ and $\mathbf{v}$ are
# projections of $\mathbf{x}$ to $d$ channels; $T$ frames; $s$ runs over the $S = 2w + 1$ offsets
# $-w \dots w$ for which the frame $t + s$ exists. All at one place, which is left out:
#
# $$
# a_{ts} = \operatorname{softmax}_s \left( \frac{\mathbf{q}_t^\top \mathbf{k}_{t+s}}{\sqrt{d}} + b_s \right), \qquad
# \mathbf{y}_t = \sum_s a_{ts}\, \mathbf{v}_{t+s}, \qquad
# \mathbf{z}_t = \mathbf{x}_t + \mathrm{BN}(\mathbf{W}_o \mathbf{y}_t).
# $$ (own-eq-1)
#
# `unfold` shows every position its window, as one more axis. Outside the clip it shows zeros, which
# must not take part: their scores are set to minus infinity.


# %% tags=["equation"]
def windows(z: Tensor, w: int) -> Tensor:
    """Return what every position sees at its own place in the frames t - w .. t + w.

    Outside the clip that is zero.
    """
    return F.pad(z, (0, 0, 0, 0, w, w)).unfold(2, 2 * w + 1, 1)  # (B, d, T, H, W, S)


def window_weights(q: Tensor, k: Tensor, b: Tensor) -> Tensor:
    """Return the weights that every position gives to its window, (B, T, H, W, S)."""
    w = len(b) // 2
    scores = einsum(q, windows(k, w), "b d t h w, b d t h w s -> b t h w s")
    scores = scores * q.shape[1] ** -0.5 + b
    outside = windows(torch.ones_like(q[:1, :1]), w)[0] == 0  # (1, T, H, W, S)
    return scores.masked_fill(outside, -torch.inf).softmax(dim=-1)


# %% [markdown]
# ## The block
#
# Every block of the library keeps five habits. Keep them, and everything else of the library works
# with yours:
#
# - the channels come first, all options are named, and `(B, C, T, H, W)` goes to the same shape;
# - it starts as the identity, so that it can enter a trained network: the normalisation's weight
#   starts at zero, unless `start` says otherwise;
# - an option that cannot work is refused in one line;
# - where it weighs positions, `attention(x, queries)` writes the weights of a few of them out,
#   `(B, Q, N)`: maps come from it; a block without such weights goes without;
# - the docstring says the equation, the options, what is raised and where it comes from.


# %%
class WindowAttention(nn.Module):
    """Add to every position a weighted sum over its own place in the frames around.

        a_ts = softmax_s(q_t . k_{t+s} / sqrt(d) + b_s)    s = -w .. w, inside the clip
        z_t = x_t + BN(W_o sum_s a_ts v_{t+s})

    The learned b_s, 2w + 1 numbers, tell past from future. The products take
    2 N (2w + 1) d MACs.

    Args:
        channels: C of the input.
        window: w, the frames on either side.
        inner: d, the width of q, k and v; C // 2 by default.
        start: What the normalisation's weight starts at; 0: as the identity.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: An option is not one of those allowed.

    Source:
        None: an example of how a block is made.
    """

    def __init__(
        self,
        channels: int,
        *,
        window: int = 2,
        inner: int | None = None,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        check_whole("window", window)
        width = inner_width(channels, inner)
        self.q = nn.Conv3d(channels, width, 1, bias=False)
        self.k = nn.Conv3d(channels, width, 1, bias=False)
        self.v = nn.Conv3d(channels, width, 1, bias=False)
        self.b = nn.Parameter(torch.zeros(2 * window + 1))
        self.out = nn.Conv3d(width, channels, 1, bias=False)
        self.bn = batch_norm(channels, start)

    def forward(self, x: Tensor) -> Tensor:
        a = window_weights(self.q(x), self.k(x), self.b)  # (B, T, H, W, S)
        v = windows(self.v(x), len(self.b) // 2)  # (B, d, T, H, W, S)
        y = einsum(a, v, "b t h w s, b d t h w s -> b d t h w")
        return x + self.bn(self.out(y.contiguous()))  # (B, C, T, H, W)

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        """Return the weights (B, Q, N) of a few flat positions (Q,), zero outside."""
        positions = torch.arange(x[0, 0].numel(), device=x.device)
        at = windows(positions.reshape(x[:1, :1].shape), len(self.b) // 2)
        at = at.flatten(0, 4)[queries]  # whom they see, (Q, S)
        a = window_weights(self.q(x), self.k(x), self.b).flatten(1, 3)[:, queries]
        zeros = a.new_zeros(*a.shape[:2], len(positions))
        return zeros.scatter_add(2, at.expand_as(a), a)


# %% [markdown]
# ## Proof against a loop
#
# Code with `unfold`, a mask and two contractions is easily wrong. A loop over positions is hard to
# get wrong: it has no axis to swap and no border to forget. The cell below does what
# {eq}`own-eq-1` says, index by index. Then `prove` compares output, gradient of the input and
# gradients of all weights: in float64, with random weights (at its start the block is the identity,
# and any other block, too, would agree), on uneven shapes, one of them shorter than the window.


# %%
def loop(x: Tensor, p: dict[str, Tensor], w: int) -> Tensor:
    W_q, W_k, W_v, W_o = (
        p[f"{name}.weight"][..., 0, 0, 0] for name in ("q", "k", "v", "out")
    )
    B, _, T, H, W = x.shape
    out = []
    for clip, t, h, r in product(range(B), range(T), range(H), range(W)):
        vectors = x[clip, :, :, h, r].T  # of one place: (T, C)
        scores = {}
        for s in range(-w, w + 1):
            if 0 <= t + s < T:
                dot = (W_q @ vectors[t]) @ (W_k @ vectors[t + s])
                scores[s] = torch.exp(dot / math.sqrt(len(W_q)) + p["b"][w + s])
        total = sum(scores.values())
        y = sum(e / total * (W_v @ vectors[t + s]) for s, e in scores.items())
        out.append(W_o @ y)
    out = torch.stack(out)  # a row for each position of the batch
    z = (out - out.mean(0)) / (out.var(0, unbiased=False) + 1e-5).sqrt()
    z = z * p["bn.weight"] + p["bn.bias"]
    return x + rearrange(z, "(b t h w) c -> b c t h w", b=B, t=T, h=H)


# %%
cases = [
    (
        {"window": w, "inner": d},
        partial(loop, w=w),
        partial(WindowAttention, 6, window=w, inner=d),
    )
    for w, d in product((1, 2, 3), (None, 5))
]
table = prove(cases, shapes=[(2, 6, 4, 3, 2), (3, 6, 2, 1, 3)])
assert len(table) == 6
page.glue(worst=f"{table['error'].max():.0e}")
table.style.hide(axis="index").format(
    {"error": "{:.0e}", "inner": "{:.0f}"}, na_rep="C / 2"
)

# %% [markdown]
# ## What it should have, it has
#
# Three properties were the point; each is asserted. It starts as the identity, and refuses what
# cannot work. Temporal attention commutes with every permutation of the frames; this block with
# none but the reversal while $b_s = b_{-s}$, and with no permutation once $b$ is learned freely. So
# in a network of single frames that ends in a mean, it is what can tell a clip from its reversal.

# %%
x, C = draw(2, 8, 7, 3, 2), 8
assert torch.equal(WindowAttention(C).double()(x), x)  # the identity at the start
try:
    WindowAttention(C, window=1.5)
except UserError as refusal:
    print(refusal)


def moved(block: nn.Module, frames: Tensor) -> float:
    """How far a block is from commuting with an order of the frames."""
    return error(block(x[:, :, frames]), block(x)[:, :, frames])


free = randomise(WindowAttention(C)).eval()
even = randomise(WindowAttention(C)).eval()
even.b.data += even.b.data.flip(0)  # b_s = b_{-s}
blind = randomise(TemporalAttention(C)).eval()
known = {"temporal attention": blind, "b symmetric": even, "b free": free}
orders = {"reversed": torch.arange(6, -1, -1), "shuffled": torch.randperm(7)}
off = {
    name: {kind: moved(block, frames) for kind, frames in orders.items()}
    for name, block in known.items()
}
assert max(off["temporal attention"].values()) < 1e-12
assert off["b symmetric"]["reversed"] < 1e-12 < 1e-3 < off["b symmetric"]["shuffled"]
assert min(off["b free"].values()) > 1e-3
pd.DataFrame(off).T.style.format("{:.0e}").set_caption("How far from commuting.")

# %% [markdown]
# ## What it costs
#
# First the table of operations, for one clip of $N = THW$ positions, then the sum, then the
# counter's word on it. The counter ({doc}`counting`) runs the block on the meta device and knows
# nothing of the equation. There is no $N^2$: a window is what makes attention over time cheap.
#
# | operation | shape | MACs |
# | --- | --- | --- |
# | $\mathbf{q}, \mathbf{k}, \mathbf{v}$ and $\mathbf{W}_o$ | four times $C \times d$ | $4CdN$ |
# | $\mathbf{q}_t^\top \mathbf{k}_{t+s}$ | $N \times S$ pairs of width $d$ | $SdN$ |
# | $\sum_s a_{ts} \mathbf{v}_{t+s}$ | the same | $SdN$ |

# %%
C, N, d, S = sympy.symbols("C N d S", positive=True, integer=True)
macs = 4 * C * d * N + 2 * S * d * N
for c, e, w, (t, h, r) in product((6, 32), (3, 8), (1, 3), ((2, 5, 3), (8, 7, 4))):
    cost = count(
        lambda c=c, e=e, w=w: WindowAttention(c, inner=e, window=w), (1, c, t, h, r)
    )
    assert cost.macs == macs.subs({C: c, d: e, N: t * h * r, S: 2 * w + 1})
    assert cost.params == 4 * c * e + 2 * c + 2 * w + 1

res3 = {C: 512, d: 256, N: 8 * 28 * 28, S: 5}
ours = float(macs.subs(res3)) / 1e9
theirs = count(lambda: BLOCKS["nonlocal"](512), (1, 512, 8, 28, 28)).macs / 1e9
say(
    f"${sympy.latex(sympy.factor(macs))}$ MACs. Behind `res3` of a ResNet-50, on 8 frames of "
    f"224 × 224: {ours:.2f} GMAC; NL takes {theirs:.2f}."
)

# %% [markdown]
# ## A place in a network
#
# `place` puts any block behind any block of a backbone: it is called with the stage's channels.
# Entered in `BLOCKS`, the block has a name, and a description of a run can ask for it. The last
# lines see the arrow of time from outside: the network's scores for clips and their reversals.

# %%
BLOCKS["window_attention"] = WindowAttention
with_window = make_block("window_attention", window=page.window, start=1.0)
network = place(resnet_mini(num_classes=2), {"res3": [1]}, with_window).double().eval()
block, clip = insertion(network, "res3", 1), draw(2, 3, 8, 40, 40)
print("behind the first block of res3:", block.q)

with torch.no_grad():
    before = error(network(clip.flip(2)), network(clip))
    block.b += torch.linspace(-1, 1, len(block.b))  # the future counts more
    after = error(network(clip.flip(2)), network(clip))
assert before < 1e-12 < 1e-6 < after
print(
    f"Reversed clips: scores differ by {before:.0e} at the start, {after:.0e} with b."
)

# %% [markdown]
# ## A short run
#
# The task is that of {doc}`gta`: one object moves, and the class is *left* or *right*. A clip and
# its reversal belong to different classes, so a network of single frames is right in exactly half
# of such pairs, whatever it learns. Everything but the block is as the ledger of that chapter has
# it ({doc}`ledgers/gta`): backbone, clips, two epochs, the first of its seeds, one block behind the
# first of `res3`, its normalisation starting at 1. This one run was fixed before anybody saw its
# outcome; no rate, window or seed was tried.

# %%
ledger, card, records = claims.open_records(ROOT, "gta")
sizes = {"train": {"clips": page.clips}, "test": {"clips": page.clips // 4}}
optim = {"epochs": page.epochs}
bare = ledger.experiment("baseline", card.seeds[0], optim=optim, data=sizes)
options = {"window": page.window, "start": 1.0}
placed = Placed(kind="window_attention", options=options, places={"res3": (1,)})
experiment = bare.model_copy(update={"name": "own-block", "blocks": (placed,)})

started = time.perf_counter()
result = run(experiment, "runs", progress=False)  # a finished run is found again
trained = load_trained(result.folder)
page.glue(live_seconds=f"{time.perf_counter() - started:.0f}")
run_card([result])

# %% [markdown]
# Beside it stand the recorded runs of that chapter, with the same budget: the mean over their
# seeds. *Accuracy* is over the test clips; *within pairs* asks of each of them whether its class
# scores higher than the reversed one; *with reversals* asks it of all clips and all their
# reversals.

# %% tags=["hide-input"]
METRICS = {"accuracy": "top1", "within pairs": "within pairs"}
METRICS |= {"with reversals": "within reversals"}
names = {
    "baseline": "no block",
    "TA": "temporal attention",
    "SA+TAPE": "attention in space, then in time with positions",
    "GTA": "GTA",
    "oracle": "temporal shift everywhere (TSM)",
}
found = {"top1": result.top1, **order(trained, experiment)}
rows = {"window attention, here": [1, *(found[each] for each in METRICS.values())]}
for variant, name in names.items():
    values = [claims.values(records, variant, each) for each in METRICS.values()]
    rows[name] = [len(values[0]), *(np.mean([*each.values()]) for each in values)]
columns = ["seeds", *METRICS]
table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
assert table["seeds"].min() >= 1 and not table.isna().any(axis=None)
right = found["within reversals"]
told = "found the arrow of time" if right > 0.6 else "did not find the arrow of time"
page.glue(right=f"{right:.1%}", outcome=told)
table.style.format("{:.1%}", subset=[*METRICS])

# %% [markdown]
# ## What it looks at
#
# Two pictures. First the bias that was learned, and the weights that all positions of twelve test
# clips give to their windows in the mean: were both mirror images of themselves, the network could
# not tell past from future. Then one clip, from a position on the object and one on the background.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The learned bias of each offset (left), and the mean weight that positions give to it (right; frames near the ends of the clip, whose windows are cut, left out).", "name": "fig-own-bias"}, "image": {"alt": "Two bar charts over the offsets in time, from the past on the left to the future on the right: the learned bias, and the mean attention weight."}}
sampling, width = experiment.sampling, page.window
seen = [
    Seen(experiment.data.test, i, sampling.frames, sampling.size) for i in range(12)
]
block = insertion(trained, "res3", 1)
features = figures.capture(trained, block, torch.cat([each.clip for each in seen]))
with torch.no_grad():
    weights = window_weights(block.q(features), block.k(features), block.b)
    whole = weights[
        :, width : sampling.frames - width
    ]  # no frame of the window is missing
shown = {"bias b": block.b.detach(), "mean weight": whole.flatten(0, 3).mean(0)}
fig, axes = plt.subplots(1, 2, figsize=(figures.WIDTH, 2.0), layout="constrained")
for axis, (name, values) in zip(axes, shown.items(), strict=True):
    axis.bar(range(-width, width + 1), values, color=figures.COLOURS["temporal"])
    axis.set(xlabel="offset s, frames", ylabel=name)
plt.show()
tilt = (block.b - block.b.flip(0)).abs().max().item()
page.glue(tilt=f"{tilt:.2f}", numbers=len(block.b))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Where two positions (dots) look: one on the object, one on the background. Brighter is more weight; all of it lies at the position's own place, in the frames of its window.", "name": "fig-own-map"}, "image": {"alt": "Two rows of eight small frames with heat overlays: in each row only the cell at the dot's own place is bright, in the frames around the dot's frame."}}
target = seen[0].scene.target.copy()
target[: len(target) // 2] = False  # from the middle of the clip on
on_object = seen[0].position(target, features.shape[2:])
queries = {"object": on_object, "background": (4, 1, 1)}
maps = figures.attention_maps(trained, "res3", 1, seen[0].clip, queries.values())
figures.show_maps(seen[0].pictures, maps, [*queries.values()], [*queries])

# %% [markdown]
# In this budget the block {glue:text}`outcome`: it is right for {glue:text}`right` of clips and
# reversals, where a guess has 50%, and the biases of the offsets $s$ and $-s$ differ by
# {glue:text}`tilt` at most. A property says what a block *can* do; whether training finds it is
# another question. Here is why it is hard: while $b_s = b_{-s}$, a clip and its reversal get the
# same scores, so all that the projections learn about motion is lost in the mean, and nothing but
# these {glue:text}`numbers` numbers can break the tie. Positions that are added to the input had
# the same fate in the recorded runs; GTA's matrices start at random, which is no tie.
#
# One run of one seed is no evidence, whatever it says. What could be tried next (biases that start
# apart, a larger rate for them, more epochs) belongs into a ledger *before* it is run, with ten
# seeds: `make chapter` starts one ({doc}`how-to`).
#
# (own-block-three-steps)=
# ## Three steps into the library
#
# **1. The file.** Save as `vidattn/blocks/window.py` these lines, and below them the two cells of
# the sections *The equation, and the code that is the equation* and *The block*, as they stand:
#
# ```python
# """Window attention over time: a learned bias tells past from future."""
#
# import torch
# import torch.nn.functional as F
# from einops import einsum
# from torch import Tensor, nn
#
# from vidattn.blocks._parts import batch_norm, check_whole, inner_width
# ```
#
# **2. The name.** In `vidattn/blocks/__init__.py`, this import among the others, and this entry in
# `BLOCKS`:
#
# ```python
# from vidattn.blocks.window import WindowAttention
# ```
#
# ```python
#     "window_attention": WindowAttention,
# ```
#
# **3. The judge.** Save as `tests/blocks/test_window.py` a loop that uses the block's weights and
# none of its code. `oracle.worst_errors` compares with the first of what the loop returns, always a
# tuple: `(z,)` where there are no weights of positions. The helpers are those
# of the module `oracle` beside it:
#
# ```python
# """Window attention equals its loop, and writes out the weights that the loop gives."""
#
# import math
# from itertools import product
#
# import oracle
# import pytest
# import torch
#
# from vidattn.blocks import WindowAttention
# from vidattn.errors import UserError
#
#
# def window_oracle(block, x):
#     """Return the output and the weights (B, N, N), computed position by position."""
#     frames, w = x.shape[2], len(block.b) // 2
#     out, weights = [], x.new_zeros(len(x), *x.shape[2:], *x.shape[2:])
#     for i, t, h, r in product(*map(range, (len(x), *x.shape[2:]))):
#         q = oracle.pointwise(block.q, x[i, :, t, h, r])
#         e, y = {}, 0
#         for f in range(max(0, t - w), min(frames, t + w + 1)):
#             k = oracle.pointwise(block.k, x[i, :, f, h, r])
#             e[f] = torch.exp(q @ k / math.sqrt(len(q)) + block.b[f - t + w])
#         for f, one in e.items():
#             weights[i, t, h, r, f, h, r] = one / sum(e.values())
#             v = oracle.pointwise(block.v, x[i, :, f, h, r])
#             y = y + one / sum(e.values()) * v
#         out.append(oracle.pointwise(block.out, y))
#     rows = torch.stack(out).unflatten(0, (len(x), -1))  # (B, N, C)
#     z = oracle.normalise(block.bn, rows.transpose(1, 2)).reshape(x.shape)
#     return x + z, weights.flatten(4).flatten(1, 3)
#
#
# @pytest.mark.parametrize("training", [False, True])
# @pytest.mark.parametrize("window", [1, 2, 5])
# def test_window_attention_is_its_loop(window, training):
#     block = oracle.randomise(WindowAttention(6, window=window), 0).train(training)
#     x = oracle.clip_like(2, 6, 4, 3, 2, seed=1)
#     errors = oracle.worst_errors(block, x, window_oracle)
#     assert max(errors.values()) < 1e-9
#
#
# def test_attention_writes_out_the_weights_of_the_loop():
#     block = oracle.randomise(WindowAttention(6), 0).eval()
#     x, queries = oracle.clip_like(2, 6, 4, 3, 2, seed=1), torch.tensor([0, 7, 23])
#     got, want = block.attention(x, queries), window_oracle(block, x)[1][:, queries]
#     torch.testing.assert_close(got, want)
#
#
# def test_a_fresh_block_is_the_identity():
#     x = oracle.clip_like(2, 6, 4, 3, 2, seed=1)
#     assert torch.equal(WindowAttention(6).double()(x), x)
#
#
# @pytest.mark.parametrize("window", [0, 1.5, True])
# def test_a_window_is_a_whole_number(window):
#     with pytest.raises(UserError, match="allowed: a whole number of at least 1"):
#         WindowAttention(6, window=window)
# ```
#
# Then
#
# ```bash
# make setup                                               # once, for the environment
# .venv/bin/python -m pytest tests/blocks/test_window.py   # the loop: seconds
# .venv/bin/python -m pytest tests/blocks                  # and what holds for every block: minutes
# .venv/bin/python -m vidattn cost window_attention --shape 1 512 8 28 28
# ```
#
# The tests that ask every block ask yours, too: shape and layout, mixed precision, that a network
# sees the order of the frames as the block does, and that it needs torch and einops alone. (A block
# whose shape depends on the clip takes `frames`, as `GlobalTemporalAttention` does.) From here on
# every experiment can place it, `blocks: [{kind: window_attention, places: {res3: [1, 3]}}]`, and
# `make chapter NB=mine BLOCK=window_attention` starts a chapter about it.

# %% tags=["remove-cell"]
page.close()
