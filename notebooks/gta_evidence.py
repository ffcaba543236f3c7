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
# (gta-evidence)=
# # The recorded runs of GTA
#
# Figures 3, 5 to 7, 9 and 11 to 14 of {cite:t}`he2021gta` compare attentions, paths, heads, places and numbers of regions by their accuracy on Something-Something. We ask the same on the clips of {numref}`fig-gta-task`, where it is known which networks can tell a clip
# from its reversal at all. What would be run, what was claimed and how large an effect was predicted was committed first ({doc}`ledgers/gta`, which also tells how the task was calibrated); the seeds follow from the hash of that commit. It is the ledger's second version; what had been seen before it stands in it. All networks
# start from one backbone of single frames, pre-trained to name colours, and differ in nothing but the block (the oracle, GTA on TSM, mirrored and colours: in what their names say).
#
# Nothing is trained on this page. `make evidence LEDGER=gta` runs what the ledger lists and is not yet recorded.

# %% tags=["hide-input"]
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from myst_nb import glue

from notebooks.kit import claims, drawings
from notebooks.kit.claims import mean_interval
from notebooks.kit.drawings import say
from notebooks.kit.printed import printed_accuracy
from vidattn import figures

figures.use_style()
study, card, rows = claims.open_records(Path("."), "gta")
judged = claims.judge(study, rows, card)
accuracy = claims.accuracies(study, rows)
within = {
    name: [*claims.values(rows, name, "within pairs").values()] for name in accuracy
}
within = {name: found for name, found in within.items() if found}
for part in ("train", "test"):
    glue(f"gta-{part}-clips", study.base["data"][part]["clips"], display=False)
missing = [name for name in study.variants if name not in accuracy]
seeds = [len(accuracy.get(name, ())) for name in study.primary]
Markdown(
    f"{len(rows)} runs are recorded: {min(seeds)} seeds or more of each primary variant, and {len(rows) - sum(seeds)} exploratory runs."
    + (f" Not run: {', '.join(missing)}." if missing else "")
)

# %% [markdown]
# ## The four primary claims
#
# How a verdict comes about, and what it can and cannot say, stands in {ref}`rnl-evidence`: *reproduced* means that the whole 95% interval of the paired difference lies
# above the tolerance, *not reproduced* that none of it does, *undecided* that it holds the tolerance. *Needs more seeds*: the interval holds the tolerance and is too wide to have seen the predicted effect, which is no verdict. The intervals are over training seeds; all runs share
# {glue:text}`gta-train-clips` training clips, {glue:text}`gta-test-clips` test clips and one backbone. With two classes, each the other's reversal, accuracy is accuracy within pairs.

# %% tags=["hide-input"]
Markdown(
    claims.claims_table(study, judged, card, rows)
    if judged
    else f"**No verdict yet**: {min(seeds)} of {study.seeds} seeds are recorded."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims: mean paired difference in the claimed direction and its 95% interval over the seeds (0.01 is one point). Open diamonds: the effect predicted beforehand.", "name": "fig-gta-claims"}, "image": {"alt": "Horizontal intervals, one a claim, beside a line at zero and open diamonds for the predicted effects."}}
shown = [claim for claim in study.claims if claim.id in judged]
named = {claim.id: f"{claim.better} over {claim.worse}" for claim in shown}
drawings.interval_plot(
    {named[claim.id]: judged[claim.id].interval for claim in shown},
    "difference, positive as claimed",
    kinds=dict.fromkeys(named.values(), "temporal"),
    predicted={named[claim.id]: claim.effect for claim in shown},
)

# %% [markdown]
# ## Who tells a clip from its reversal
#
# {numref}`fig-gta-within` has every variant. The blocks that commute with reversal ({ref}`gta` proves which) leave a network of single frames blind, and the cell asserts it of every recorded run: over the test clips and the same clips played backwards
# they have 50%, up to rounding. On the test clips alone they stray from it by chance, and would stray further if the files betrayed the direction in any single frame.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy within pairs on the test clips: how often the right one of a class and its reversal scores higher. Faint dots are seeds, strong ones means, with 95% intervals where there are three seeds or more. Rows below GTA multi-head are exploratory. The line: chance.", "name": "fig-gta-within"}, "image": {"alt": "A row of dots for each variant against the accuracy within pairs. The networks that are blind to order lie near fifty percent."}}
BLIND = (
    "baseline",
    "NL",
    "DNL",
    "SA",
    "TA",
    "CGNL",
    "GC",
    "GloRe",
    "decoupled CGNL",
    "decoupled GC",
    "decoupled GloRe",
)
told = [
    value
    for name in BLIND
    for value in claims.values(rows, name, "within reversals").values()
]
assert len(told) > 10 and max(abs(value - 0.5) for value in told) < 0.005
KINDS = {
    name: "oracle" if name == "oracle" else "baseline" if name in BLIND else "temporal"
    for name in study.variants
}
drawings.dot_plot(
    {name: [100 * value for value in found] for name, found in within.items()},
    "accuracy within pairs (%)",
    kinds=KINDS,
    reference=50,
)

# %% tags=["hide-input"]
blind = [value for name in BLIND for value in within.get(name, ())]
clips = study.base["data"]["test"]["clips"]
spread = 100 * (0.25 / clips) ** 0.5
Markdown(
    f"{len(blind)} recorded runs are blind. Their accuracy within pairs has a mean of {100 * np.mean(blind):.1f}%, from {100 * min(blind):.1f} to {100 * max(blind):.1f}%; "
    f"one run on {clips} clips that says nothing of the direction has a standard deviation of {spread:.1f} points. (The runs share their clips, so they do not stray independently.)"
)

# %% [markdown]
# ## Figure by figure
#
# Beside our figures stands the paper's accuracy on Something-Something V1. Its networks, data and places differ: only the *order* within a table could ever agree. **All rows but DNL, SA+TAPE, GTA and GTA multi-head are exploratory**: few seeds, no verdict, differences of a few points mean nothing.
# The interval is Student's over the seeds where there are three or more; else it is Wilson's over the clips, as if all seeds' clips were drawn independently, and says nothing about training again.

# %% tags=["hide-input"]
top1 = {
    (cell["table"].split()[0], cell["row"]): cell["printed"]
    for cell in printed_accuracy("GTA")
    if cell["metric"] == "top1" and cell["dataset"] == "ssv1"
}


def wilson(share, n, z=1.96):
    """The interval of a share of n independent clips."""
    middle, half = (
        share + z**2 / (2 * n),
        z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5,
    )
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def table(caption, variants):
    """A table of some variants; each with the paper's table and row, or without."""
    lines = []
    for name, place in variants.items():
        printed = top1[place] if place else ""
        if name in within:
            found, mean = within[name], np.mean(within[name])
            low, high = (
                mean_interval(found)[1:]
                if len(found) > 2
                else wilson(mean, clips * len(found))
            )
            interval = f"{100 * low:.1f} to {min(100 * high, 100):.1f}"
            lines.append(
                (
                    name,
                    len(found),
                    100 * mean,
                    interval,
                    np.mean(accuracy[name]),
                    printed,
                )
            )
    columns = [
        "variant",
        "seeds",
        "within pairs, %",
        "95% interval",
        "top-1, %",
        "printed top-1, %",
    ]
    shown = (
        pd.DataFrame(lines, columns=columns)
        .style.hide(axis="index")
        .format(precision=1)
    )
    display(shown.set_caption(caption))


table(
    "Figures 3 and 7: attention in space, in time, with positions, GTA.",
    {
        "baseline": ("Fig7", "R2D-50"),
        "NL": ("Fig3", "R2D-50 + NL"),
        "SA": ("Fig7", "+SA"),
        "TA": ("Fig7", "+TA"),
        "DNL": ("Fig7", "+SA+TA"),
        "SA+TAPE": ("Fig7", "+SA+TAPE"),
        "GTA": ("Fig7", "+SA+GTA"),
        "oracle": None,
        "GTA on TSM": ("Table1", "GTA R50+TSM 8f"),
    },
)
table(
    "Figure 5: paths, and heads that cross the groups (CCMH). The check marks of the paper's rows are lost in the text at hand; rows 3 and 6 are named by elimination.",
    {
        "GTA": ("Fig5", "row1"),
        "pixel": ("Fig5", "row2"),
        "region": ("Fig5", "row3"),
        "GTA w/o CCMH": ("Fig5", "row4"),
        "pixel w/o CCMH": ("Fig5", "row5"),
        "region w/o CCMH": ("Fig5", "row6"),
    },
)
table(
    "Figure 6: the rivals, and each within frames and then along time. The paper's table is lost in the text at hand; NL and DNL stand in its paragraph.",
    {
        "NL": ("Fig6", "NL"),
        "DNL": ("Fig6", "DNL"),
        "CGNL": ("Fig6", "CGNL"),
        "decoupled CGNL": ("Fig6", "decoupled CGNL"),
        "GC": ("Fig6", "GCNet"),
        "decoupled GC": ("Fig6", "decoupled GCNet"),
        "GloRe": ("Fig6", "GloRe"),
        "decoupled GloRe": ("Fig6", "decoupled GloRe"),
    },
)
table(
    "Figures 9 and 14: numbers of groups (8 for GTA), and plain heads. Figure 9's values are not in the text at hand.",
    {
        "GTA w/o CCMH": None,
        "GTA G=2": None,
        "GTA G=4": None,
        "GTA": ("Fig14", "cross-channel multi-head"),
        "GTA G=12": None,
        "GTA multi-head": ("Fig14", "multi-head"),
    },
)
table(
    "Figure 11: places. The paper's rows with one block do not say certainly which stage is which.",
    {
        "baseline": ("Fig11", "baseline"),
        "GTA": ("Fig11", "+1 (first)"),
        "GTA res4": ("Fig11", "+1 (second)"),
        "GTA res5": ("Fig11", "+1 (third)"),
        "GTA res3+res4": ("Fig11", "+1 +1"),
    },
)
table(
    "Figure 12: cross-channel heads for attention with positions, and the pixel path.",
    {
        "TAPE": ("Fig12", "+ TAPE w/o CCMH"),
        "TAPE CCMH": ("Fig12", "+ TAPE w/ CCMH"),
        "pixel w/o SA w/o CCMH": ("Fig12", "+ Pixel GTA w/o CCMH"),
        "pixel w/o SA": ("Fig12", "+ Pixel GTA w/ CCMH"),
        "SA+TAPE": ("Fig12", "+ SA + TAPE w/o CCMH"),
        "SA+TAPE CCMH": ("Fig12", "+ SA + TAPE w/ CCMH"),
        "SA+TAPE learned": None,
        "pixel w/o CCMH": ("Fig12", "+ SA + Pixel GTA w/o CCMH"),
        "pixel": ("Fig12", "+ SA + Pixel GTA w/ CCMH"),
    },
)
table(
    "Figure 13: the number K of regions (C/8 for GTA).",
    {
        "pixel": ("Fig13", "w/o RegionGTA"),
        "GTA K=C": ("Fig13", "K=C"),
        "GTA K=C/2": ("Fig13", "K=C/2"),
        "GTA K=C/4": ("Fig13", "K=C/4"),
        "GTA": ("Fig13", "K=C/8"),
        "GTA K=C/16": ("Fig13", "K=C/16"),
        "GTA K=C/32": ("Fig13", "K=C/32"),
    },
)

# %% [markdown]
# Has a network found the order, or not? The rows fall into three kinds.

# %% tags=["hide-input"]
kinds = {
    "Above 90% with every seed": [n for n, of in within.items() if 100 * min(of) > 90],
    "Below 60% with every seed": [n for n, of in within.items() if 100 * max(of) < 60],
}
kinds["Neither"] = [
    name for name in within if all(name not in of for of in kinds.values())
]
runs = [value for of in within.values() for value in of]
between = sum(0.6 <= value <= 0.9 for value in runs)
say("\n".join(f"- {kind}: {', '.join(of)}." for kind, of in kinds.items()))
say(f"{between} of {len(runs)} runs lie between 60 and 90%.")
always, never = kinds["Above 90% with every seed"], kinds["Below 60% with every seed"]
if {"pixel", "pixel w/o CCMH"} <= {*always} and {"region", "region w/o CCMH"} <= {
    *never
}:
    say(
        "So the pixel path alone learns the order here, and the region path alone did not in these runs, with or without cross-channel heads. "
        "Then the rows of Figure 13 say nothing of regions: whatever $K$ is, the pixel path beside it is enough. All this is exploratory."
    )

# %% [markdown]
# ## What mirroring does to left and right, and what clips are like whose order says nothing
#
# The paper does not mirror clips whose label names *left* or *right*. *GTA mirrored* was trained with half of all training clips mirrored and their labels kept: what is shown as `left` then goes right as often. *GTA colours* was trained on clips whose class is a colour, which one frame shows.

# %% tags=["hide-input"]
table(
    "Mirrored training clips; clips of colours, where a guess is right in one of seven (their classes have no reversal, so there is no accuracy within pairs).",
    {"GTA": None, "GTA mirrored": None},
)
Markdown(
    "; ".join(
        f"GTA colours: {value:.1f}% top-1" for value in accuracy.get("GTA colours", ())
    )
    or "GTA colours is not recorded."
)

# %% [markdown]
# ## What the regions cover
#
# The paper shows two regions each of a few clips, and names what they show. Here it is known where the object is. A region's weights $G_R$ are cut off at as many cells as the object fills in a training clip in the mean, and compared with the cells that it does fill: intersection over union. Which of the $K$ regions (and which sign) stands for the object is
# chosen on training clips, once for each network; the table has the mean over test clips. *Untrained*: the same features of the same trained network, under a $W_G$ drawn anew. A map that is right everywhere would have nearly 1.

# %% tags=["hide-input"]
lines = []
for name in ("object overlap", "object overlap, untrained"):
    found = [*claims.values(rows, "GTA", name).values()]
    if len(found) > 1:
        lines.append((name, len(found), *mean_interval(found)))
pairs = [
    claims.values(rows, "GTA", name)
    for name in ("object overlap", "object overlap, untrained")
]
gains = [pairs[0][seed] - pairs[1][seed] for seed in pairs[0]]
if len(gains) > 1:
    lines.append(("difference", len(gains), *mean_interval(gains)))
columns = ["GTA", "seeds", "mean IoU", "low", "high"]
display(
    pd.DataFrame(lines, columns=columns).style.hide(axis="index").format(precision=3)
)
if len(gains) > 1:
    _, low, high = mean_interval(gains)
    found = (
        "excludes zero"
        if low > 0 or high < 0
        else "holds zero: nothing says that training found the object as a region; what is found, the features had"
    )
    display(Markdown(f"The interval of the difference {found}."))

# %% [markdown]
# ## Are these the runs of this code?
#
# A run is named by a key: the hash of its description, its data, and the library code that it imports. If today's code gives the same keys, it is the code that ran. Other keys
# say only that some such file has changed since; the replay says whether that changed what is computed (for small differences: another processor, or clips encoded anew: the encoder does not always write the same bytes). The commit on the card is
# the one that was checked out when a run *ended*.

# %% tags=["hide-input"]
Markdown(claims.still_true(study, rows))

# %% tags=["hide-input"]
data = study.experiment("GTA", 0).data.key()
drawings.run_card(
    rows,
    data=f"synthetic, key {data[:12]} (GTA colours: its own)",
    versions=card.versions,
    parameters={"ledger": card.ledger_commit[:12]},
)
