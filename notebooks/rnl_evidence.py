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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from notebooks.kit.claims import mean_interval, paired_interval
from notebooks.kit.drawings import dot_plot, say
from notebooks.kit.recorded import Evidence
from vidattn import figures

page = Evidence("rnl")
say(
    f"{len(page.records)} runs are recorded: {page.seeds} seeds of each primary "
    f"variant, {page.exploratory} exploratory runs.{page.not_run}"
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
# - The intervals are over training seeds. All runs share {glue:text}`rnl-train-clips` training
#   clips, {glue:text}`rnl-test-clips` test clips and one backbone; each claim has its own 95%,
#   uncorrected for there being four.
# - The bare backbone can see the whole clip from its last stage, so it can learn the relation
#   without a block, and partly does. Whether *any* block is worth something within this budget is
#   seen in the row of NL, not assumed. {ref}`pnl-evidence` found later, on its own clips and
#   backbone, that with three times the steps NL can solve its task, or not, depending on the seed.
#   These runs, too, may have ended too early for any block.
# - The ledger's calibration was done with other training seeds and the same training clips, and
#   with another set of test clips (seed 12, not 13). Its percentages come from runs that were not
#   kept.

# %% tags=["hide-input"]
page.claims_table()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The primary claims: mean paired difference in the claimed direction and its 95% interval over ten seeds. Open diamonds: the effect predicted beforehand. The first three are differences of accuracies (0.1 is ten points), the last a difference of cosines.", "name": "fig-rnl-claims"}, "image": {"alt": "Four horizontal intervals, one a claim, beside a line at zero and open diamonds for the predicted effects."}}
short = {
    "over-baseline": "RNL over baseline",
    "over-non-local": "RNL over NL",
    "regions-against-noise": "RNL over RNL 1x1x1, noise 0.2",
    "query-specific-maps": "NL's maps more alike than RNL's",
}
page.claims_plot("difference", "region", short)

# %% [markdown]
# ## All variants
#
# The first four rows are the claims' pairs. **Every row below them is exploratory**: two seeds at
# most, no verdict, differences of a few points mean nothing. They cover what Tables II and III
# compare: kernels, forms of $f$ and of $F_\theta$, one block and two, and the rivals. The oracle is
# the bare backbone on clips without a distractor: the answer lies open, and what the other rows
# lack to it is the relation.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top-1 accuracy on the test clips. Faint dots are seeds, strong ones means, with 95% intervals where there are three seeds or more. Rows below RNL 1x1x1 are exploratory. The line: guessing between the directions of the two objects.", "name": "fig-rnl-variants"}, "image": {"alt": "A row of dots for each variant. The oracle lies alone at the right end, CBAM alone at the left; all others overlap."}}
dot_plot(page.accuracies, "top-1 accuracy (%)", kinds=page.kinds, reference=50)

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
page.table("kinetics400", "{} ({})")

# %% [markdown]
# ## At growing noise
#
# The paper's argument for regions is robustness to noise (section III-B). All networks were trained
# at pixel noise 0.1. Here they are tested at other levels, without further training.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy at growing test noise: mean and pointwise 95% band over ten seeds. The networks were trained at 0.1.", "name": "fig-rnl-noise"}, "image": {"alt": "Four lines of accuracy against pixel noise with overlapping bands."}}
TRAINED_AT = page.ledger.experiment("RNL", 0).data.test.noise
metrics = {level: f"noise {level:g}" for level in page.ledger.measures.noise} | {
    TRAINED_AT: "top1"
}
noise, top1 = (
    "pixel noise (standard deviation, 1 is the full range)",
    "top-1 accuracy (%)",
)
tested = pd.DataFrame(
    {"network": name, noise: level, top1: 100 * share}
    for name in page.ledger.primary
    for level, metric in metrics.items()
    for share in page.values(name, metric).values()
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
    palette={name: figures.COLOURS[page.kinds[name]] for name in page.ledger.primary},
    errorbar=lambda seeds: mean_interval(list(seeds))[1:],
    err_kws={"alpha": 0.16, "linewidth": 0},
    ax=axis,
)
axis.grid(axis="y")
axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
plt.show()


# %% tags=["hide-input"]
def lost(name):  # accuracy that doubling the noise costs, by seed, in points
    before, after = (page.values(name, metric) for metric in ("top1", "noise 0.2"))
    return [100 * (before[seed] - after[seed]) for seed in before]


saved = paired_interval(lost("RNL 1x1x1"), lost("RNL"))
rnl, single, nl, bare = (
    np.mean(lost(name)) for name in ("RNL", "RNL 1x1x1", "NL", "baseline")
)
say(
    "The claim compares accuracies at noise 0.2. Robustness in the narrower sense is "
    f"what doubling the noise costs: {rnl:.1f} points for RNL, {single:.1f} for RNL "
    f"1x1x1, {nl:.1f} for NL, {bare:.1f} for the bare network. Regions save "
    f"{saved.mean:+.1f} points ({saved.low:+.1f} to {saved.high:+.1f}, paired)."
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
METRICS = {
    "maps alike": "maps alike",
    "maps alike without self": "own positions left out",
    "own weight": "weight on own position",
}
page.intervals(("NL", "RNL", "RNL 1x1x1"), METRICS)

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
page.still_true()

# %% tags=["hide-input"]
page.run_card("RNL", "oracle: its own")
