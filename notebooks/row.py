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
#     parameters: notebooks.full.rows:Row
# ---

# %% [markdown]
# (row)=
# # One row of a table
#
# This notebook trains and tests one network as its paper did, or averages the scores of several.
# Every row of every table is the same notebook with other parameters ({doc}`full-scale`). The page
# that you read was run with the parameters below, which belong to no paper: a tiny network on tiny
# synthetic clips, to show what a runner sees.

# %% tags=["parameters"]
row = "example"  # its name, and that of its folder
paper = "none"  # RNL | PNL | RCCA-3D | GTA
cells = []  # printed cells that it would give: "table: row"
dataset = "synthetic"  # synthetic | folder | ucf101 | hmdb51 | kinetics400 | mini_kinetics200 | something_v1 | something_v2
data = {
    "train": {"task": "cue", "clips": 16, "seed": 0, "size": 32, "frames": 8},
    "test": {"task": "cue", "clips": 16, "seed": 1, "size": 32, "frames": 8},
}  # the data folder, or the other fields of that kind of data
leave_out = None  # report of `python -m notebooks data`: clips to leave out
splits = [1]  # trained in turn; accuracies are averaged
weights = None  # a file to start from, or the row whose network it starts from
epochs = 4  # passes over the training clips
seed = 0
tests = {
    "1x1": {"clips": 1, "crops": 1, "size": 24},
    "3x2": {"clips": 2, "crops": 3, "size": 28},
}  # what is tested, by name; the first belongs to the run itself
sampling = {"mode": "uniform", "frames": 4, "size": 24, "resize": 28}
model = {"backbone": "resnet_mini", "num_classes": 4}
blocks = [{"kind": "nonlocal", "options": {}, "places": {"res3": [1]}}]
optim = {"batch": 8, "accumulate": 2, "lr": 0.05}
test_every_epoch = True
members = []  # rows whose scores are averaged; then nothing is trained
runs = "runs/rows"  # folder of all rows' runs
workers = (
    None  # processes that decode, for each that trains; None: 8 beside a GPU, else none
)
checkpoint_seconds = 30.0  # seconds between two checkpoints

# %%
import json

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import display

from notebooks.full import rows as full
from notebooks.full.measure import measure
from notebooks.kit import drawings
from notebooks.kit.printed.cells import printed_accuracy
from vidattn import figures
from vidattn.cost import count

parameters = full.Row(**{field: globals()[field] for field in full.Row.model_fields})
parameters.check()
figures.use_style()

# %% [markdown]
# ## The network
#
# It is built once without memory, and a clip is passed through it to count what it costs:
# multiply-adds of all convolutions and products (`vidattn.cost`, convention `all`). Where the paper
# prints a cost in another unit, the chapter's page of costs says which.

# %%
described = parameters.described()
clip = described.sampling
if members:
    for member in members:
        print("the mean score of", member)
else:
    cost = count(parameters.network, (1, 3, clip.frames, clip.size, clip.size))
    gmac, millions = cost.macs / 1e9, cost.params / 1e6
    print(f"{row}: {gmac:.3f} GMAC a clip, {millions:.3f} M parameters")
    placed = [f"{block.kind} at {dict(block.places)}" for block in described.blocks]
    print("blocks:", placed or "none")

# %% [markdown]
# ## Training and testing
#
# All GPUs of the machine train together, if they can share the micro-batches of a step; without a
# GPU it is one process. A finished run is found again, a killed one goes on from its last
# checkpoint. A folder with fewer clips than a batch has gets smaller batches, and says so.

# %%
asked = described.optim
gpus = torch.cuda.device_count()
processes = max(n for n in range(1, max(gpus, 1) + 1) if asked.accumulate % n == 0)
if not members:
    batch = parameters.experiment(splits[0]).optim.batch
    print(
        f"{processes} process(es), {described.device}; a step has {batch} clips", end=""
    )
    print("" if batch == asked.batch else f", not {asked.batch}: the data has no more")
measured = measure(parameters, processes)

# %% [markdown]
# ## What came of it
#
# Accuracies in percent: one line a test and split. They also lie in `measured.json` in the row's
# folder, from where `make full-record` takes those of the papers' rows into the book.

# %%
scores = [
    {"test": test, "split": split, "top-1": top1, "top-5": top5}
    for test, by_split in measured["scores"].items()
    for split, (top1, top5) in by_split.items()
]
display(pd.DataFrame(scores).style.format(precision=2).hide(axis="index"))

# %% [markdown]
# What the paper prints, and what this run gives for it. A printed figure is one run or the best of
# several, of unknown seed: a difference of some tenths is no finding.

# %%
printed = [figure for figure in printed_accuracy() if full.owner(figure) == row]
beside = [
    {
        "cell": f"{figure['table']}: {figure['row']}",
        "of": f"{figure['split']} {figure['views']} {figure['metric']}",
        "printed": figure["printed"],
        "measured": full.measured(figure, row, {row: measured}),
    }
    for figure in printed
]
if beside:
    display(
        pd.DataFrame(beside).style.format(precision=2, na_rep="").hide(axis="index")
    )
else:
    print("no cell of a paper")

# %% mystnb={"figure": {"caption": "Training loss of each split, a line a step.", "name": "fig-row-loss"}, "image": {"alt": "A line plot of the training loss over the steps of the run."}}
fig, axis = plt.subplots(figsize=(figures.WIDTH, 2.4))
for card in measured["runs"]:
    log = parameters.folder / f"{card['name']}-{card['key']}" / "log.jsonl"
    steps = pd.DataFrame(json.loads(line) for line in log.read_text().splitlines())
    axis.plot(steps["step"], steps["loss"], label=f"split {card['split']}")
axis.set(xlabel="step", ylabel="loss")
axis.legend(*([[], []] if not measured["runs"] else []))
fig.tight_layout()

# %%
drawings.run_card(
    measured["runs"], parameters={"row": row, "epochs": epochs, "data": dataset}
)
