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
# Figures 3, 5 to 7, 9 and 11 to 14 of {cite:t}`he2021gta` compare attentions, paths, heads, places
# and numbers of regions by their accuracy on Something-Something. We ask the same on the clips of
# {numref}`fig-gta-task`, where it is known which networks can tell a clip from its reversal at all.
# What would be run, what was claimed and how large an effect was predicted was committed first
# ({doc}`ledgers/gta`, which also tells how the task was calibrated); the seeds follow from the hash
# of that commit. It is the ledger's second version; what had been seen before it stands in it. All
# networks start from one backbone of single frames, pre-trained to name colours, and differ in
# nothing but the block (the oracle, GTA on TSM, mirrored and colours: in what their names say).
#
# Nothing is trained on this page. `make evidence LEDGER=gta` runs what the ledger lists and is not
# yet recorded.

# %% tags=["hide-input"]
import numpy as np
from IPython.display import display
from scipy.stats import binomtest

from notebooks.kit.claims import mean_interval
from notebooks.kit.drawings import dot_plot, say
from notebooks.kit.order import predicted
from notebooks.kit.printed import printed_top1
from notebooks.kit.printed.choices import DATA
from notebooks.kit.recorded import Evidence, plain
from vidattn.yamlfile import read_yaml

page = Evidence("gta")
accuracy = page.accuracies
within = {name: [*page.values(name, "within pairs").values()] for name in accuracy}
within = {name: found for name, found in within.items() if found}
page.say_recorded()

# %% [markdown]
# ## The four primary claims
#
# How a verdict comes about, and what it can and cannot say, stands in {ref}`rnl-evidence`:
# *reproduced* means that the whole 95% interval of the paired difference lies above the tolerance,
# *not reproduced* that none of it does, *undecided* that it holds the tolerance. *Needs more
# seeds*: the interval holds the tolerance and is too wide to have seen the predicted effect, which
# is no verdict. The intervals are over training seeds; all runs share {glue:text}`gta-train-clips`
# training clips, {glue:text}`gta-test-clips` test clips and one backbone. With two classes, each
# the other's reversal, accuracy is accuracy within pairs.

# %% tags=["hide-input"]
page.claims_table()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims: mean paired difference in the claimed direction and its 95% interval over the seeds (0.01 is one point). Open diamonds: the effect predicted beforehand.", "name": "fig-gta-claims"}, "image": {"alt": "Horizontal intervals, one a claim, beside a line at zero and open diamonds for the predicted effects."}}
page.claims_plot("difference", "temporal")

# %% [markdown]
# ## Who tells a clip from its reversal
#
# {numref}`fig-gta-within` has every variant. The blocks that commute with reversal ({ref}`gta`
# proves which) leave a network of single frames blind, and the cell asserts it of every recorded
# run: over the test clips and the same clips played backwards they have 50%, up to rounding. On the
# test clips alone they stray from it by chance, and would stray further if the files betrayed the
# direction in any single frame.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Accuracy within pairs on the test clips: how often the right one of a class and its reversal scores higher. Faint dots are seeds, strong ones means, with 95% intervals where there are three seeds or more. Rows below GTA multi-head are exploratory. The line: chance.", "name": "fig-gta-within"}, "image": {"alt": "A row of dots for each variant against the accuracy within pairs. The networks that are blind to order lie near fifty percent."}}
blind = [
    name
    for name, blocks in page.ledger.variants.items()
    if all(predicted(b.kind, b.options) == "every permutation" for b in blocks)
    and name != "oracle"  # whose backbone looks along time
]
told = [
    share for name in blind for share in page.values(name, "within reversals").values()
]
assert len(told) == sum(len(within[name]) for name in blind) > len(blind)
assert max(abs(share - 0.5) for share in told) < 0.005
dot_plot(
    {name: [100 * value for value in found] for name, found in within.items()},
    "accuracy within pairs (%)",
    kinds=dict.fromkeys(within, "temporal")
    | dict.fromkeys(blind, "baseline")
    | {"oracle": "oracle"},
    reference=50,
)

# %% tags=["hide-input"]
shares = 100 * np.array([value for name in blind for value in within[name]])
clips = page.clips_described["test"]["clips"]
say(
    f"{len(shares)} recorded runs are blind. Their accuracy within pairs has a mean of "
    f"{shares.mean():.1f}%, from {shares.min():.1f} to {shares.max():.1f}%; one run on "
    f"{clips} clips that says nothing of the direction has a standard deviation of "
    f"{100 * (0.25 / clips) ** 0.5:.1f} points. (The runs share their clips, so they do "
    "not stray independently.)"
)

# %% [markdown]
# The next table has the accuracy within pairs: how often the class scores higher than its reversal.
# Chance is 50%. On the test clips as they are, a network that is blind to order strays from it by
# chance alone, and would stray by more if the video files betrayed the direction by anything but
# the order of their frames. *With reversals* counts the same clips and each one played backwards:
# by the argument of {ref}`gta` such a network then has 50% exactly, up to rounding, which the cell
# above asserts of all recorded runs of blind networks.

# %% tags=["hide-input"]
METRICS = {
    "top-1, %": "top1",
    "within pairs, %": "within pairs",
    "with reversals, %": "within reversals",
}
lines = []
for name in ("baseline", *page.ledger.primary, "oracle"):
    found = [[*page.values(name, metric).values()] for metric in METRICS.values()]
    (seeds,) = {len(one) for one in found}
    lines.append((name, seeds, *(100 * np.mean(one) for one in found)))
display(plain(lines, ["network", "seeds", *METRICS]))
named = ["GTA", "GTA multi-head", "SA+TAPE", "DNL", "pixel", "region"]
learned = [
    f"{name} {sum(value > 95 for value in accuracy[name])} of {len(accuracy[name])}"
    for name in (*named, "GTA start 0", "SA+TAPE start 0")
]
say(f"Runs above 95%: {', '.join(learned)}.")

# %% [markdown]
# ## Figure by figure
#
# Beside our figures stands the paper's accuracy on Something-Something V1. Its networks, data and
# places differ: only the *order* within a table could ever agree. **All rows but DNL, SA+TAPE, GTA
# and GTA multi-head are exploratory**: few seeds, no verdict, differences of a few points mean
# nothing. The interval is Student's over the seeds where there are three or more; else it is
# Wilson's over the clips, as if all seeds' clips were drawn independently, and says nothing about
# training again.

# %% tags=["hide-input"]
top1 = {
    (table.split()[0], row): printed
    for (table, row), printed in printed_top1("GTA", "ssv1").items()
}


def interval(found):
    """Over seeds where there are three or more, else over independent clips."""
    if len(found) > 2:
        return mean_interval(found)[1:]
    n = clips * len(found)
    right = round(np.mean(found) * n)
    return binomtest(right, n).proportion_ci(method="wilson")


def table(caption, variants):
    """A table of some variants; each with the paper's table and row, or without."""
    lines = []
    for name, row in variants.items():
        found, tested = within[name], np.mean(accuracy[name])
        low, high = (100 * end for end in interval(found))
        ends = f"{low:.1f} to {min(high, 100):.1f}"
        printed = top1[tuple(row)] if row else ""
        lines.append((name, len(found), 100 * np.mean(found), ends, tested, printed))
    columns = ["variant", "seeds", "within pairs, %", "95% interval", "top-1, %"]
    display(plain(lines, [*columns, "printed top-1, %"]).set_caption(caption))


for caption, variants in read_yaml(DATA / "gta_variants.yaml").items():
    table(caption, variants)

# %% [markdown]
# Has a network found the order, or not? The rows fall into three kinds.

# %% tags=["hide-input"]
always = [name for name, found in within.items() if min(found) > 0.9]
never = [name for name, found in within.items() if max(found) < 0.6]
neither = [name for name in within if name not in (*always, *never)]
runs = np.concatenate([*within.values()])
between = ((runs >= 0.6) & (runs <= 0.9)).sum()
say(
    f"- Above 90% with every seed: {', '.join(always)}.\n"
    f"- Below 60% with every seed: {', '.join(never)}.\n"
    f"- Neither: {', '.join(neither)}."
)
say(f"{between} of {len(runs)} runs lie between 60 and 90%.")
pixel, region = ({path, f"{path} w/o CCMH"} for path in ("pixel", "region"))
if pixel <= {*always} and region <= {*never}:
    say(
        "So the pixel path alone learns the order here, and the region path alone did "
        "not in these runs, with or without cross-channel heads. Then the rows of Figure "
        "13 say nothing of regions: whatever $K$ is, the pixel path beside it is enough. "
        "All this is exploratory."
    )

# %% [markdown]
# ## What mirroring does to left and right, and what clips are like whose order says nothing
#
# The paper does not mirror clips whose label names *left* or *right*. *GTA mirrored* was trained
# with half of all training clips mirrored and their labels kept: what is shown as `left` then goes
# right as often. *GTA colours* was trained on clips whose class is a colour, which one frame shows.

# %% tags=["hide-input"]
table(
    "Mirrored training clips; clips of colours, where a guess is right in one of seven "
    "(their classes have no reversal, so there is no accuracy within pairs).",
    {"GTA": None, "GTA mirrored": None},
)
colours = [f"GTA colours: {value:.1f}% top-1" for value in accuracy["GTA colours"]]
say("; ".join(colours))

# %% [markdown]
# ## What the regions cover
#
# The paper shows two regions each of a few clips, and names what they show. Here it is known where
# the object is. A region's weights $G_R$ are cut off at as many cells as the object fills in a
# training clip in the mean, and compared with the cells that it does fill: intersection over union.
# Which of the $K$ regions (and which sign) stands for the object is chosen on training clips, once
# for each network; the table has the mean over test clips. *Untrained*: the same features of the
# same trained network, under a $W_G$ drawn anew. A map that is right everywhere would have
# nearly 1.

# %% tags=["hide-input"]
found = {
    name: page.values("GTA", name)
    for name in ("object overlap", "object overlap, untrained")
}
trained, drawn = found.values()
found["difference"] = {seed: trained[seed] - drawn[seed] for seed in trained}
intervals = {name: mean_interval([*of.values()]) for name, of in found.items()}
lines = [(name, len(found[name]), *of) for name, of in intervals.items()]
columns = ["GTA", "seeds", "mean IoU", "low", "high"]
display(plain(lines, columns).format(precision=3))
_, low, high = intervals["difference"]
outcome = (
    "excludes zero"
    if low > 0 or high < 0
    else "holds zero: nothing says that training found the object as a region; what is "
    "found, the features had"
)
say(f"The interval of the difference {outcome}.")

# %% [markdown]
# ## Are these the runs of this code?
#
# A run is named by a key: the hash of its description, its data, and the library code that it
# imports. If today's code gives the same keys, it is the code that ran. Other keys say only that
# some such file has changed since; the replay says whether that changed what is computed (for small
# differences: another processor, or clips encoded anew: the encoder does not always write the same
# bytes). The commit on the card is the one that was checked out when a run *ended*.

# %% tags=["hide-input"]
page.still_true()

# %% tags=["hide-input"]
page.run_card("GTA", "GTA colours: its own")
