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
# (gta-figures)=
# # GTA: its figures before any training, and its sentences
#
# Three things that {ref}`gta` leaves to this page: what swapping the projections of DNL does
# (Figure 17), how the learned matrices look before they have learned anything (Figure 15), and
# whether the sentences of {cite:t}`he2021gta` fit its tables. Nothing is trained here.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from myst_nb import glue
from torch import nn

from notebooks.kit.drawings import gta as drawings
from notebooks.kit.drawings import say
from notebooks.kit.printed import printed_top1
from notebooks.kit.proof import error, randomise
from vidattn import figures
from vidattn.backbones import BACKBONES, insertion, place
from vidattn.blocks import (
    DecoupledNonLocal,
    GlobalTemporalAttention,
    NonLocal,
    SpatialAttention,
)
from vidattn.video import augment
from vidattn.video.sample import sample
from vidattn.video.synthetic import SyntheticSpec, render

torch.manual_seed(0)
figures.use_style()

# %% [markdown]
# ## Swapped attention: Figure 17
#
# The appendix swaps the projections $W_Q, W_K, W_V$ of the two parts of a trained DNL and finds
# that temporal maps then follow "similar objects" instead of moments that matter. The library has
# the swap: `DecoupledNonLocal.swap()`. $W_O$ and the normalisations stay where they are; the paper
# does not say. {numref}`fig-gta-17-untrained` draws the five rows of Figure 17 for *untrained*
# blocks, which shows what is swapped and what a map without any learning looks like; the same five
# rows of trained ones are in {numref}`fig-gta-1`. The second cell asserts three things: swapping
# twice undoes it; after a swap the spatial part relates places by what were the temporal part's
# projections; and the temporal part does not see the same input as before, because the spatial part
# in front of it has changed, too. So the last row shows a change of two things, not of one.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figure 17, with untrained blocks: what one query (dot) attends to in NL, in the spatial and in the temporal part of DNL, and in the two after their projections have been swapped. Logarithmic heat, each row with its own range.", "name": "fig-gta-17-untrained"}, "image": {"alt": "Five rows of eight frames of a clip. In the first row heat lies over all frames; in the second and fourth over the frame of the query; in the third and fifth over one cell in every frame, at the query's place."}}
spec = SyntheticSpec(task="ways", clips=24, seed=5, size=40, noise=0.02, distractors=0)
scene, times = render(spec, 0), sample("uniform", spec.frames, 8)[0]
clip = augment.normalise(torch.from_numpy(scene.frames[times]))[None].double()
network = BACKBONES["resnet_mini"](num_classes=4)
network = place(network, {"res3": (1,)}, lambda c: nn.Identity()).double().eval()
x = figures.capture(network, insertion(network, "res3", 1), clip)
x = x / x.std()
nl = randomise(NonLocal(x.shape[1], scaled=True), std=0.2).eval()
dnl = randomise(DecoupledNonLocal(x.shape[1]), std=0.2).eval()
query = drawings.query_on(scene.target[times], x.shape[2:])  # on the object
maps = drawings.five_rows(nl, dnl, x, x, query)
display(figures.show_maps(scene.frames[times], maps, [query] * 5, drawings.FIVE_ROWS))


# %%
def in_space(weights):
    """The map of a spatial part with these weights."""
    part = SpatialAttention(x.shape[1]).double().eval()
    part.load_state_dict(weights)
    return part.attention(x, flat).view(x.shape[2:])


flat = torch.tensor([np.ravel_multi_index(query, x.shape[2:])])
space, time = ({n: w.clone() for n, w in part.state_dict().items()} for part in dnl)
with torch.no_grad():
    assert torch.equal(in_space(space), maps[1])
    assert torch.equal(in_space(time), maps[3])  # in space, by what was made for time
    plain, y_s = dnl(x), dnl[0](x)
    dnl.swap()
    assert not torch.allclose(dnl(x), plain)
    assert error(dnl[0](x), y_s) > 0.01  # the temporal part is given something else
    dnl.swap()
    assert torch.equal(dnl(x), plain)
t, i, j = query
outside = torch.ones(x.shape[2:], dtype=torch.bool)
outside[t] = False
assert (maps[[1, 3]][:, outside] == 0).all()  # in space: the query's frame alone
outside[:] = True
outside[:, i, j] = False
assert (maps[[2, 4]][:, outside] == 0).all()  # in time: the query's place alone
assert (maps.flatten(1).sum(dim=1) - 1).abs().max() < 1e-12

# %% [markdown]
# ## Figure 15 before any training
#
# Figure 15 averages the learned matrices over groups and heads and shows absolute values. For one
# data set they are larger for late frames, for the other for those in the middle; and "the global
# temporal attention weights are not flat across different timestamps, which verifies the
# effectiveness". Are they flat before they have learned anything? An average of independent normal
# numbers is a normal number, and the absolute value of one has a spread of $\sqrt{\pi/2 - 1}$ of
# its mean, however many are averaged. {numref}`fig-gta-15-untrained` shows five fresh blocks, and
# the line below it their spread: *a matrix that is not flat verifies nothing.* It must be compared
# with this.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figure 15, for five blocks that have learned nothing: pixel (above) and region matrices (below), averaged over groups and heads, absolute values. Rows are frames of the output, columns frames of the input; darker is larger, each square with its own scale.", "name": "fig-gta-15-untrained"}, "image": {"alt": "Ten squares of eight by eight cells in irregular shades of grey without any visible pattern."}}
torch.manual_seed(0)
places = {"res3, 1": 512, "res3, 3": 512, "res4, 1": 1024, "res4, 3": 1024}
squares = {
    name: drawings.averaged(GlobalTemporalAttention(c))
    for name, c in (places | {"res4, 5": 1024}).items()
}
display(drawings.show_matrices(squares))
entries = torch.stack([one for found in squares.values() for one in found.values()])
spread = (entries.std(dim=(1, 2)) / entries.mean(dim=(1, 2))).mean().item()
chance = (np.pi / 2 - 1) ** 0.5
assert len(entries) == 10 and abs(spread - chance) < 0.08
glue("spread-fresh", f"{spread:.2f}", display=False)
glue("spread-chance", f"{chance:.2f}", display=False)

# %% [markdown]
# The spread of the entries above, over their mean, is {glue:text}`spread-fresh`, where chance gives
# {glue:text}`spread-chance` and a flat matrix 0.
#
# ## What the printed numbers can bear
#
# **Do the sentences fit the tables?** The cell recomputes from the printed cells the differences
# that the text states. ("More than 1%" for both paths over the better one is 1.0 in the cells, and
# is counted as agreeing.) The check marks of Figure 5 are lost in the text at hand; rows are named
# by the sentences that quote them, Region GTA alone by elimination.
#
# **How large is chance?** Validation has 11,522 clips {cite}`goyal2017something`. If two networks
# give right answers on shares $p$ and $q$, and disagree in correctness on a share $D$ of the clips,
# the difference $p - q$ has a standard error of $\sqrt{(D - (p - q)^2)/n}$. $D$ is not printed; the
# line gives it for 10% and for independent answers, $p(1-q) + q(1-p)$. That is testing alone, for
# two *given* networks. Training again with another seed, of which the paper says nothing, comes on
# top.

# %%
top1 = {
    data: {(table.split()[0], row): of for (table, row), of in printed.items()}
    for data in ("ssv1", "ssv2")
    for printed in [printed_top1("GTA", data)]
}


def gain(a, b, table="Fig3", data="ssv1"):
    """Points that one row of a table is above another."""
    return float(top1[data][table, a]) - float(top1[data][table, b])


nl, dnl, ours = (f"R2D-50 + {name}" for name in ("NL", "DNL", "GTA"))
heads = "cross-channel multi-head", "multi-head"
# Of Figure 5, rows 2 and 5 are the pixel path, 3 and 6 the region path.
said = {
    "DNL over NL, SSv1": (7.6, gain(dnl, nl)),
    "DNL over NL, SSv2": (4.8, gain(dnl, nl, data="ssv2")),
    "GTA over DNL, SSv1": (11.8, gain(ours, dnl)),
    "GTA over DNL, SSv2": (8.0, gain(ours, dnl, data="ssv2")),
    "TA alone": (20.6, gain("+TA", "R2D-50", "Fig7")),
    "positions": (9.6, gain("+SA+TAPE", "+SA+TA", "Fig7")),
    "GTA over TAPE": (2.2, gain("+SA+GTA", "+SA+TAPE", "Fig7")),
    "CCMH, pixel": (0.5, gain("row2", "row5", "Fig5")),
    "CCMH, region": (1.0, gain("row3", "row6", "Fig5")),
    "SA alone": (0.9, gain("+SA", "R2D-50", "Fig7")),
    "both paths, with CCMH": (1.0, gain("row1", "row2", "Fig5")),
    "both paths, without": (0.3, gain("row4", "row5", "Fig5")),
    "CCMH over plain heads": (0.5, gain(*heads, "Fig14")),
}
columns = ["the text says of", "points", "from the cells"]
table = pd.DataFrame([(n, *both) for n, both in said.items()], columns=columns)
agrees = (table["points"] - table["from the cells"]).abs() < 0.05
assert [*table[~agrees]["the text says of"]] == ["CCMH, region"]
table["agrees"] = np.where(agrees, "yes", "no")
table.style.hide(axis="index").format(precision=1)


# %%
CLIPS, BEST = 11_522, float(top1["ssv1"]["Fig7", "+SA+GTA"])


def standard_error(points, disagree=None):
    """Of a difference in points; independent answers unless they are said to disagree."""
    p, q = BEST / 100, (BEST - points) / 100
    disagree = p * (1 - q) + q * (1 - p) if disagree is None else disagree
    return 100 * np.sqrt((disagree - (p - q) ** 2) / CLIPS)


small = table["from the cells"][table["from the cells"] < 2]
low, high = standard_error(0.5, disagree=0.1), standard_error(0.5)
cells = top1["ssv1"].items()
regions = [float(v) for (t, row), v in cells if t == "Fig13" and row.startswith("K=")]
assert len(regions) == 6
say(
    f"A difference of half a point has a standard error of {low:.2f} points if the two "
    f"networks disagree on a tenth of the clips, of {high:.2f} if their answers are "
    f"independent. {(small < 1.96 * high).sum()} of {len(small)} differences below 2 "
    f"points are within 1.96 of the larger, {(small < 1.96 * low).sum()} of the smaller. "
    f"The six numbers of regions of Figure 13 span {max(regions) - min(regions):.1f} points."
)
