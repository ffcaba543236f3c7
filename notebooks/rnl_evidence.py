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
# (rnl-evidence)=
# # The recorded runs: what judges the claims
#
# Tables II and III of {cite:t}`huang2021rnl` rank blocks by their accuracy on Kinetics-400. We ask
# the same questions where they can be asked on two cores: on the clips of {numref}`fig-rnl-task`,
# with the small sibling of the backbone. This page shows every run that was recorded. What would be
# run, what was claimed and how large an effect was predicted was committed first
# ({doc}`ledgers/rnl`); the seeds follow from the hash of that commit. All networks start from one
# backbone, pre-trained on clips of single objects, and differ in nothing but the block (the oracle:
# in nothing but the clips).
#
# Nothing is trained on this page; `make evidence` runs what the ledger lists and is not yet
# recorded.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from myst_nb import glue

from notebooks.kit import claims, drawings
from notebooks.kit.claims import mean_interval, paired_interval
from notebooks.kit.printed import printed_accuracy
from vidattn import figures

figures.use_style()
study, card, rows = claims.open_records(Path("."), "rnl")
judged = claims.judge(study, rows, card)
KINDS = {
    "NL": "nonlocal",
    "NL twice": "nonlocal",
    "SE": "squeeze_excite",
    "CBAM": "cbam",
    "GC": "global_context",
    "SE+RNL": "chain",
    "oracle": "oracle",
    "baseline": "baseline",
}
KINDS |= {name: "region" for name in study.variants if name.startswith("RNL")}
for part in ("train", "test"):
    glue(f"{part}-clips", study.base["data"][part]["clips"], display=False)
counts = pd.Series([row.variant for row in rows]).value_counts()
missing = [name for name in study.variants if name not in counts]
note = f" Not run: {', '.join(missing)}." if missing else ""
Markdown(
    f"{len(rows)} runs are recorded: {counts.get('RNL', 0)} seeds of each primary variant, "
    f"{counts.drop(list(study.primary), errors='ignore').sum()} exploratory runs.{note}"
)

# %% [markdown]
# ## The four primary claims
#
# A verdict comes from the 95% interval of the paired difference over ten seeds: *reproduced* if the
# whole interval lies above the tolerance, *not reproduced* if the whole interval lies at or below
# it, *undecided* if it holds the tolerance (and the interval is narrower than the prediction; else
# more seeds are needed).
#
# What this can and cannot say:
#
# - *Not reproduced* excludes an effect above the tolerance, here. The paper's differences, 0.3 to
#   1.9 points after 50 epochs on Kinetics, are below it; about effects of that size only the
#   intervals speak, and only for these clips. Nothing here confirms or refutes a number on
#   Kinetics.
# - The intervals are over training seeds. All runs share {glue:text}`train-clips` training clips,
#   {glue:text}`test-clips` test clips and one backbone; each claim has its own 95%, uncorrected for
#   there being four.
# - The bare backbone can see the whole clip from its last stage, so it can learn the relation
#   without a block, and partly does. Whether *any* block is worth something within this budget is
#   seen in the row of NL, not assumed. {ref}`pnl-evidence` found later, on its own clips and
#   backbone, that with three times the steps NL can solve its task, or not, depending on the seed.
#   These runs, too, may have ended too early for any block.
# - The ledger's calibration was done with other training seeds and the same training clips, and
#   with another set of test clips (seed 12, not 13). Its percentages come from runs that were not
#   kept.

# %% tags=["hide-input"]
Markdown(claims.claims_table(study, judged, card, rows))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The primary claims: mean paired difference in the claimed direction and its 95% interval over ten seeds. Open diamonds: the effect predicted beforehand. The first three are differences of accuracies (0.1 is ten points), the last a difference of cosines.", "name": "fig-rnl-claims"}, "image": {"alt": "Four horizontal intervals, one a claim, beside a line at zero and open diamonds for the predicted effects."}}
short = {
    "over-baseline": "RNL over baseline",
    "over-non-local": "RNL over NL",
    "regions-against-noise": "RNL over RNL 1x1x1, noise 0.2",
    "query-specific-maps": "NL's maps more alike than RNL's",
}
shown = [claim for claim in study.claims if claim.id in judged]
drawings.interval_plot(
    {short[claim.id]: judged[claim.id].interval for claim in shown},
    "difference, positive as claimed",
    kinds={name: "region" for name in short.values()},
    predicted={short[claim.id]: claim.effect for claim in shown},
)

# %% [markdown]
# ## All variants
#
# The first four rows are the claims' pairs. **Every row below them is exploratory**: two seeds at
# most, no verdict, differences of a few points mean nothing. They cover what Tables II and III
# compare: kernels, forms of $f$ and of $F_\theta$, one block and two, and the rivals. The oracle is
# the bare backbone on clips without a distractor: the answer lies open, and what the other rows
# lack to it is the relation.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top-1 accuracy on the test clips. Faint dots are seeds, strong ones means, with 95% intervals where there are three seeds or more. Rows below RNL 1x1x1 are exploratory. The line: guessing between the directions of the two objects.", "name": "fig-rnl-variants"}, "image": {"alt": "A row of dots for each variant. The oracle lies alone at the right end, CBAM alone at the left; all others overlap."}}
accuracy = claims.accuracies(study, rows)
drawings.dot_plot(accuracy, "top-1 accuracy (%)", kinds=KINDS, reference=50)

# %% [markdown]
# The same numbers, with the paper's beside them. Its networks are far larger, its data are real and
# its blocks stand in other places and numbers (five in Table III, one in Table II): only the
# *order* within a column could ever agree.
#
# SE and CBAM multiply the features by gates between 0 and 1 from the first step; they are the only
# variants that do not start as the identity, and so the only ones that disturb the pre-trained
# backbone. Where such a row lies far below the others, we suspect that start, and not the
# mechanism; it was not tested.

# %% tags=["hide-input"]
PRINTED = {
    "baseline": ("III", "baseline"),
    "NL": ("III", "+ 5 NL"),
    "RNL": ("III", "+ 5 RNL"),
    "SE": ("III", "+ 5 SE"),
    "CBAM": ("III", "+ 5 CBAM"),
    "GC": ("III", "+ 5 GC"),
    "SE+RNL": ("III", "+ 5 [SE+RNL]"),
    "RNL dot product": ("II(b)", "1 dot-product"),
    "RNL cosine": ("II(b)", "1 cosine"),
    "RNL average": ("II(c)", "average pooling"),
    "RNL max": ("II(c)", "max pooling"),
}
PRINTED |= {
    f"RNL {k}": ("II(a)", f"kernel {k}") for k in ("1x1x1", "3x1x1", "1x3x3", "3x5x5")
}
cells = {
    (cell["table"], cell["row"]): cell["printed"]
    for cell in printed_accuracy("RNL")
    if cell["dataset"] == "kinetics400" and cell["metric"] == "top1"
}
beside = {name: f"{cells[place]} ({place[0]})" for name, place in PRINTED.items()}
claims.accuracy_table(study, rows, beside).style.hide(axis="index").format(precision=1)

# %% [markdown]
# ## At growing noise
#
# The paper's argument for regions is robustness to noise (section III-B). All networks were trained
# at pixel noise 0.1. Here they are tested at other levels, without further training.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy at growing test noise: mean and pointwise 95% band over ten seeds. The networks were trained at 0.1.", "name": "fig-rnl-noise"}, "image": {"alt": "Four lines of accuracy against pixel noise with overlapping bands."}}
TRAINED_AT = study.experiment("RNL", 0).data.test.noise
metrics = {level: f"noise {level:g}" for level in study.measures.noise} | {
    TRAINED_AT: "top1"
}
noise, top1 = (
    "pixel noise (standard deviation, 1 is the full range)",
    "top-1 accuracy (%)",
)
tested = pd.DataFrame(
    {"network": name, noise: level, top1: 100 * share}
    for name in study.primary
    for level, metric in metrics.items()
    for share in claims.values(rows, name, metric).values()
)
fig, axis = plt.subplots(figsize=(figures.WIDTH, 3.4), layout="constrained")
sns.lineplot(
    tested,
    x=noise,
    y=top1,
    hue="network",
    style="network",
    dashes=False,
    markers=True,
    palette={name: figures.COLOURS[KINDS[name]] for name in study.primary},
    errorbar=lambda seeds: mean_interval(list(seeds))[1:],
    err_kws={"alpha": 0.16, "linewidth": 0},
    ax=axis,
)
axis.grid(axis="y")
axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
plt.show()


# %% tags=["hide-input"]
def lost(name):  # accuracy that doubling the noise costs, by seed
    before, after = (
        claims.values(rows, name, metric) for metric in ("top1", "noise 0.2")
    )
    return [before[seed] - after[seed] for seed in before]


difference = paired_interval(lost("RNL 1x1x1"), lost("RNL"))
Markdown(
    "The claim compares accuracies at noise 0.2. Robustness in the narrower sense is what doubling the noise costs: "
    f"{100 * np.mean(lost('RNL')):.1f} points for RNL, {100 * np.mean(lost('RNL 1x1x1')):.1f} for RNL 1x1x1, "
    f"{100 * np.mean(lost('NL')):.1f} for NL, {100 * np.mean(lost('baseline')):.1f} for the bare network. Regions save "
    f"{100 * difference.mean:+.1f} points ({100 * difference.low:+.1f} to {100 * difference.high:+.1f}, paired)."
)

# %% [markdown]
# ## How alike are the maps of different queries?
#
# For every recorded network with a block, 16 test clips and 16 random queries each: the mean cosine
# between the maps of two queries (1: all maps are the same), the same with both queries' own
# positions left out, and the share of its weight that a query gives to its own position. RNL's
# query and key are equal, which favours the query by construction ({ref}`rnl`, Properties); RNL
# with a 1x1x1 kernel has the equal query and key but no region.

# %% tags=["hide-input"]
columns = ("maps alike", "maps alike without self", "own weight")
lines = [
    "| block | maps alike | own positions left out | weight on own position |",
    "| --- | --- | --- | --- |",
]
for name in ("NL", "RNL", "RNL 1x1x1"):
    cells = [
        mean_interval(list(claims.values(rows, name, column).values()))
        for column in columns
    ]
    lines.append(
        f"| {name} | "
        + " | ".join(f"{c.mean:.3f} ({c.low:.3f} to {c.high:.3f})" for c in cells)
        + " |"
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## Are these the runs of this code?
#
# A run is named by a key: the hash of its description, its data, and the library code that it
# imports. If today's code gives the same keys, it is the code that ran. Other keys say only that
# some such file has changed since; the replay says whether that changed what is computed (for small
# differences: another processor, or clips encoded anew: the encoder does not always write the same
# bytes). (Another minor version of Python writes syntax trees differently, and gives other keys.)
# The commit on the card is the one that was checked out when a run *ended*: pages and tests were
# still being written meanwhile.

# %% tags=["hide-input"]
Markdown(claims.still_true(study, rows))

# %% tags=["hide-input"]
data = study.experiment("RNL", 0).data.key()
drawings.run_card(
    rows,
    data=f"synthetic, key {data[:12]} (oracle: its own)",
    versions=card.versions,
    parameters={"ledger": card.ledger_commit[:12]},
)
