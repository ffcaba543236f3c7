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
# (rcca-evidence)=
# # The recorded runs of RCCA-3D
#
# Tables I to VI of {cite:t}`cao2023rcca3d` compare structures, starts of $\gamma$, places, numbers of passes, inner widths and blocks by their accuracy on UCF101 and HMDB51. We ask the same on the clips of {numref}`fig-rcca-task`, where it is known which
# numbers of passes can carry the answer at all. What would be run, what was claimed and how large an effect was predicted was committed first ({doc}`ledgers/rcca`, which also tells how the task was calibrated); the seeds follow from the hash of that commit. All networks
# start from one backbone, pre-trained on clips of single objects, and differ in nothing but the block (the oracle and the rows called *aligned*: in their clips, too).
#
# Nothing is trained on this page. `make evidence LEDGER=rcca` runs what the ledger lists and is not yet recorded.

# %% tags=["hide-input"]
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from myst_nb import glue

from notebooks.kit import claims, drawings
from notebooks.kit.drawings import say, show_table
from notebooks.kit.printed import printed_accuracy
from vidattn import figures

figures.use_style()
study, card, rows = claims.open_records(Path("."), "rcca")
judged = claims.judge(study, rows, card)
accuracy = claims.accuracies(study, rows)
KINDS = {
    name: placed[0].kind.removeprefix("recurrent_")
    if placed
    else "oracle"
    if name == "oracle"
    else "baseline"
    for name, placed in study.variants.items()
}
for part in ("train", "test"):
    glue(f"rcca-{part}-clips", study.base["data"][part]["clips"], display=False)
missing = [name for name in study.variants if name not in accuracy]
seeds = [len(accuracy.get(name, ())) for name in study.primary]
primary = sum(seeds)
Markdown(
    f"{len(rows)} runs are recorded: {min(seeds)} seeds or more of each primary variant, and {len(rows) - primary} exploratory runs."
    + (f" Not run: {', '.join(missing)}." if missing else "")
)

# %% [markdown]
# ## The three primary claims
#
# How a verdict comes about, and what it can and cannot say, stands in {ref}`rnl-evidence`: *reproduced* means that the whole 95% interval of the paired difference lies
# above the tolerance, *not reproduced* that none of it does, *undecided* that it holds the tolerance. *Needs more seeds*: the interval holds the tolerance and is too wide to have seen the predicted effect, which is no verdict. The intervals are over training seeds; all runs share
# {glue:text}`rcca-train-clips` training clips, {glue:text}`rcca-test-clips` test clips and one backbone.

# %% tags=["hide-input"]
Markdown(
    claims.claims_table(study, judged, card, rows)
    if judged
    else f"**No verdict yet**: {min(seeds)} of {study.seeds} seeds are recorded."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims: mean paired difference of accuracies in the claimed direction and its 95% interval over the seeds (0.01 is one point). Open diamonds: the effect predicted beforehand.", "name": "fig-rcca-claims"}, "image": {"alt": "Horizontal intervals, one a claim, beside a line at zero and open diamonds for the predicted effects."}}
shown = [claim for claim in study.claims if claim.id in judged]
named = {claim.id: f"{claim.better} over {claim.worse}" for claim in shown}
drawings.interval_plot(
    {named[claim.id]: judged[claim.id].interval for claim in shown},
    "difference of accuracies, positive as claimed",
    kinds={name: "crisscross" for name in named.values()},
    predicted={named[claim.id]: claim.effect for claim in shown},
)

# %% [markdown]
# ## What the number of passes may do, and does
#
# The ledger said beforehand what follows from the mathematics ({ref}`rcca` derives it): without a block, and in *apart* with a single pass, no feature knows both ring and objects. The scores are additive, and of the four cases (ring red or cyan, red object to the left or to the right) at most three can be right.
# The cell counts the cases in the test clips, and asserts the bound that follows on every recorded run that it holds for. Such a network's accuracy lies where its near-ties happen to fall, not necessarily at one half. The bound is one on average, and the runs lie far below it.

# %% tags=["hide-input"]
from vidattn.video.synthetic import SyntheticSpec, render


def largest_additive(task):
    """The share of the test clips outside the rarest of the four cases."""
    spec = SyntheticSpec(**{**study.base["data"]["test"], "task": task, "noise": 0.0})
    cases = []
    for index in range(spec.clips):
        scene = render(spec, index)
        red, _, blue = scene.frames[scene.ring].mean(axis=0)
        cases.append((bool(red > blue), scene.label))
    counts = pd.Series(cases).value_counts()
    assert len(counts) == 4
    return 100 * (1 - counts.min() / spec.clips)


bounds = {task: largest_additive(task) for task in ("apart", "aligned")}
bounded = [
    name
    for name, placed in study.variants.items()
    if name in accuracy and name != "oracle"
    if not placed or (placed[0].options.get("passes") == 1 and "aligned" not in name)
]
lines = []
for name in bounded:
    bound = bounds["aligned" if "aligned" in name else "apart"]
    assert max(accuracy[name]) < bound - 10
    lines.append(
        (name, len(accuracy[name]), min(accuracy[name]), max(accuracy[name]), bound)
    )
columns = ["variant", "seeds", "lowest, %", "highest, %", "additive at most, %"]
pd.DataFrame(lines, columns=columns).style.hide(axis="index").format(precision=1)

# %% [markdown]
# And the runs that are not bounded: is there a run above the bound? In *aligned* one pass lifts it.

# %% tags=["hide-input"]
lines = []
for name in accuracy:
    if name not in bounded and name != "oracle":
        task = "aligned" if "aligned" in name else "apart"
        over = sum(value > bounds[task] for value in accuracy[name])
        lines.append((task, name, len(accuracy[name]), over, max(accuracy[name])))
columns = ["clips", "variant", "seeds", "of them above the bound", "highest, %"]
frame = pd.DataFrame(lines, columns=columns).sort_values(
    ["clips", "variant"], kind="stable"
)
frame.style.hide(axis="index").format(precision=1)

# %% [markdown]
# ## All variants
#
# The first four rows are what the claims compare. **Every row below them is exploratory**: few seeds, no verdict, differences of a few points mean nothing. The oracle is the bare backbone on clips without a second object.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top-1 accuracy on the test clips after the last epoch. Faint dots are seeds, strong ones means, with 95% intervals where there are three seeds or more. Rows below RCCA gamma=0 are exploratory. The line: one half.", "name": "fig-rcca-variants"}, "image": {"alt": "A row of dots for each variant against top-1 accuracy."}}
drawings.dot_plot(accuracy, "top-1 accuracy (%)", kinds=KINDS, reference=50)

# %% [markdown]
# The same numbers, with the paper's beside them. Its networks, data and places differ: only the *order* within a table could ever agree.

# %% tags=["hide-input"]
PRINTED = {
    "baseline": ("VI", "TSM"),
    "NL": ("VI", "TSM+NL*1"),
    "RCCA": ("VI", "TSM+RCCA*1"),
    "RCCA R=1": ("IV", "R=1"),
    "RCCA R=2": ("IV", "R=2"),
    "RCCA R=4": ("IV", "R=4"),
    "RCCA b": ("I", "structure b"),
    "RCCA c": ("I", "structure c"),
    "RCCA d": ("I", "structure d"),
    "RCCA gamma=0": ("II", "gamma0=0"),
    "RCCA gamma=0.5": ("II", "gamma0=0.5"),
    "RCCA C_d=1/2": ("V", "Cd=1/2"),
    "RCCA C_d=1/8": ("V", "Cd=1/8"),
    "RCCA C_d=1/16": ("V", "Cd=1/16"),
    "RCCA res4": ("III", "conv4_5"),
}
top1 = {
    (cell["table"], cell["row"]): cell["printed"]
    for cell in printed_accuracy("RCCA-3D")
    if cell["metric"] == "top1" and cell["dataset"] == "ucf101"
}
beside = {name: f"{top1[place]} (Table {place[0]})" for name, place in PRINTED.items()}
claims.accuracy_table(study, rows, beside).style.hide(axis="index").format(precision=1)

# %% [markdown]
# ## The best epoch, the last, and the mean of the last
#
# The paper reports one number a network and does not say of which epoch. All runs here were tested after every epoch. Where a network learns late, these differ by much, and by more for one network than for another.

# %% tags=["hide-input"]
curves = {
    name: {
        row.seed: 100 * np.array(row.epoch_top1) for row in rows if row.variant == name
    }
    for name in accuracy
}
CHOSEN = {
    "last": lambda curve: curve[-1],
    "best epoch": lambda curve: curve.max(),
    "mean of the last two": lambda curve: curve[-2:].mean(),
}
epochs = [f"epoch {n}" for n in range(1, study.base["optim"]["epochs"] + 1)]
table = pd.DataFrame(
    {
        "seeds": len(of),
        **dict(zip(epochs, np.mean([*of.values()], axis=0), strict=True)),
        **{
            how: np.mean([choose(curve) for curve in of.values()])
            for how, choose in CHOSEN.items()
        },
    }
    for of in curves.values()
).drop(columns="last")  # it is the last epoch's column
table.insert(0, "variant", list(curves))
ranks = table[[epochs[-1], "best epoch", "mean of the last two"]].rank(
    ascending=False, method="min"
)
for how, rank in zip(CHOSEN, ranks, strict=True):
    table[f"rank: {how}"] = ranks[rank].astype(int)
show_table(table.map(lambda cell: f"{cell:.1f}" if isinstance(cell, float) else cell))

# %% tags=["hide-input"]
lines, moved = [], {how: (ranks[how] - ranks[epochs[-1]]).abs() for how in ranks}
for claim in study.claims:
    better, worse = curves[claim.better], curves[claim.worse]
    row = {"difference, points": f"{claim.better} over {claim.worse}"}
    for how, choose in CHOSEN.items():
        row[how] = (
            f"{np.mean([choose(better[seed]) - choose(worse[seed]) for seed in better if seed in worse]):+.1f}"
        )
    lines.append(row)
show_table(pd.DataFrame(lines))
farthest = moved["best epoch"].idxmax()
say(
    f"Judged by its best epoch instead of its last, a network of {table['variant'][farthest]!r} moves {moved['best epoch'][farthest]:.0f} ranks of {len(table)}, "
    f"and {(moved['best epoch'] > 0).sum()} variants move at all; by the mean of the last two epochs {(moved['mean of the last two'] > 0).sum()} do. "
    f"The best epoch is {np.mean(table['best epoch'] - table[epochs[-1]]):.1f} points above the last on average, chosen on the very clips that it is judged by. Ranks of variants with one or two seeds are mostly chance."
)

# %% [markdown]
# ## Are these the runs of this code?
#
# A run is named by a key: the hash of its description, its data, and the library code that it imports. If today's code gives the same keys, it is the code that ran. Other keys
# say only that some such file has changed since; the replay says whether that changed what is computed (for small differences: another processor, or clips encoded anew: the encoder does not always write the same bytes). The commit on the card is
# the one that was checked out when a run *ended*.

# %% tags=["hide-input"]
Markdown(claims.still_true(study, rows))

# %% tags=["hide-input"]
data = study.experiment("RCCA", 0).data.key()
drawings.run_card(
    rows,
    data=f"synthetic, key {data[:12]} (oracle, aligned: their own)",
    versions=card.versions,
    parameters={"ledger": card.ledger_commit[:12]},
)
