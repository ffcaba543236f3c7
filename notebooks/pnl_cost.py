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
# (pnl-cost)=
# # Every printed cost of PNL, recounted
#
# The paper prints parameters and "FLOPs" in Tables 3, 5 and 6 and six differences in its text {cite}`xu2021pnl`. It does not say how it counts.
# This page recomputes each figure, says under which reading it comes out, and keeps two kinds of agreement apart: those of the model that the
# *text* describes, and those of a model that was chosen *because* it fits. More figures than in {doc}`rnl_cost` fit no reading that was
# tried. A companion of {doc}`pnl`.

# %% tags=["hide-input"]
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import product

import matplotlib.pyplot as plt
import pandas as pd
from torch import nn

from notebooks.kit.drawings import say
from notebooks.kit.printed import agrees, printed_efficiency
from notebooks.kit.printed.explain import letters, table
from notebooks.kit.printed.pnl import (
    IMAGENET,
    NARROW,
    ROWS,
    conventions,
    efficiency,
    narrow_pyramid,
)
from notebooks.kit.printed.thop import count
from vidattn import figures

figures.use_style()


# %% [markdown]
# ## All of them
#
# **printed** is the paper's figure; **text's model** what the block of the text gives, counted as Table 3's baseline seems to be; **nearest** what the best
# reading gives, its letter explained below the table. The last column is what the text's model costs when every convolution and every product is
# counted: no figure of the paper is meant to equal it. The three rows Res50 in Table 5 are quoted from other papers.

# %% tags=["hide-input"]
printed = efficiency()
shown = pd.DataFrame(table(printed))
small = shown.style.hide(axis="index")
small.set_properties(
    **{"text-align": "right"}, subset=shown.columns[2:]
).set_table_attributes('style="font-size: 0.85em"').format(escape="html")

# %% tags=["hide-input"]
say("Readings:\n\n" + "\n".join(f"- **{a}** {r}" for r, a in letters(printed).items()))

# %% [markdown]
# ## How many choices explain how many figures
#
# Each reading makes choices that the text does not make, or contradicts it. A choice that explains one figure explains nothing: there is always one
# that does. The first choice below contradicts section 3.2, which shares the convolutions; it carries most.

# %% tags=["hide-input"]
verdicts = Counter(f.verdict for f in printed)
say(
    f"{verdicts['agrees']} of {len(printed)} figures agree with the model that the text describes, {verdicts['agrees, fitted']} "
    f"under a fitted reading, {verdicts['not explained']} not at all."
)
choices = {
    "convolutions of its own for each scale, linear layers from C' to C'/8": NARROW,
    "UCF101 with a classifier for 200 classes (it has 101)": "with 200 classes",
    "16 frames for Table 6 (the text: 32)": "16 frames",
    "quoted networks with a classifier for 1000 classes": "1000 classes",
    "a figure cut off, not rounded": "cut off",
    "a decimal point one place off": "decimal point",
}
fitted = [f for f in printed if f.verdict == "agrees, fitted"]
assert all(any(mark in f.reading for mark in choices.values()) for f in fitted)
lines = [
    (what, sum(mark in f.reading for f in fitted)) for what, mark in choices.items()
]
pd.DataFrame(lines, columns=["choice", "figures that need it"]).style.hide(axis="index")

# %% [markdown]
# ## Which way of counting
#
# Sixteen ways were tried on the FLOPs of MFNet's seven rows, with the text's models. Batch normalisation is counted, at two operations an
# element, and a linear layer once: only so does the bare network come to its five printed digits. Whether biases are counted cannot be told: the
# bare network has none, and the blocks' are too few. That is again the default of the counter thop (pytorch-OpCounter), in a version later than the one
# that fits {doc}`rnl_cost`, where a linear layer counts twice.

# %%
ways = conventions()
best = [w.choices for w in ways if w.agreeing == max(w.agreeing for w in ways)]
assert len(best) == 2 and all(
    w["batch normalisation"] and not w["linear layers twice"] and not w["products"]
    for w in best
)
tried = pd.DataFrame([way.choices for way in ways]).replace(
    {True: "counted", False: "–"}
)
tried["FLOPs of MFNet's rows that agree"] = [
    f"{way.agreeing} of {way.rows}" for way in ways
]
tried.style.hide(axis="index")

# %% [markdown]
# ## Which way of building
#
# Parameters do not depend on a way of counting. Twenty-four ways to build the block were tried on the five rows that have it: one set of convolutions for
# all scales (the text) or one for each; linear layers from $C'$ to a half, a quarter or an eighth of it; with and without biases and batch
# normalisation. No way gives all five, and the text's gives none.

# %% tags=["hide-input"]
value = {(f.table, f.row, f.metric): f for f in printed}
with_block = {
    ("3", "concatenation"): [384],
    ("3", "self-attention"): [384],
    ("5", "MFNet-PNL(x1)"): [384],
    ("5", "MFNet-PNL(x5)"): [192, 192, 384, 384, 384],
    ("6", "R-50+PNL(x1)"): [1024],
}
bare = {"3": value["3", "MFNet baseline", "params M"].computed}
bare |= {"5": bare["3"], "6": value["6", "R-50", "params M"].computed}


def parameters_of(channels, row, shared, divisor, biases, norm):
    """The block's parameters in millions, without those that this way of building it
    lacks.
    """
    kept = 0
    for name, parameter in narrow_pyramid(
        channels, divisor, shared=shared
    ).named_parameters():
        no_bias = name.startswith("operations") and name.endswith("bias") and not biases
        no_linear = name.startswith("linear") and row == "concatenation"
        kept += (
            0
            if no_bias or no_linear or (name.startswith("bn") and not norm)
            else parameter.numel()
        )
    return kept / 1e6


rows = []
for way in product((True, False), (2, 4, 8), (True, False), (True, False)):
    totals = {
        key: bare[key[0]] + sum(parameters_of(c, key[1], *way) for c in widths)
        for key, widths in with_block.items()
    }
    hits = [
        agrees(value[*key, "params M"].printed, total) for key, total in totals.items()
    ]
    rows.append((*way, *totals.values(), sum(hits)))
names = [
    "one set",
    "C' over",
    "biases",
    "norm",
    *(row for _, row in with_block),
    "agreeing",
]
built = pd.DataFrame(rows, columns=names)
text = value["3", "self-attention", "params M"].text
assert (
    abs(built.loc[0, "self-attention"] - text) < 1e-9 and built.loc[0, "agreeing"] == 0
)
assert built["agreeing"].max() == 4 and (built["agreeing"] == 4).sum() == 1
best_way = built.loc[built["agreeing"].idxmax()]
assert list(best_way.iloc[:4]) == [False, 8, True, True]
most = built.sort_values("agreeing", ascending=False, kind="stable").head(6)
target = pd.DataFrame(
    [
        [
            "printed",
            "",
            "",
            "",
            *(float(value[*k, "params M"].printed) for k in with_block),
            "",
        ]
    ],
    columns=names,
)
pd.concat([target, most]).replace({True: "yes", False: "no"}).style.hide(
    axis="index"
).format(precision=4)

# %% [markdown]
# Four rows agree with one way alone. The printed step from concatenation to attention contradicts it: such narrow linear layers add much less than Table 3's two
# rows differ by, while layers to $C'/2$ add just that (and are what the library has).

# %% tags=["hide-input"]
pair = [
    value["3", row, "params M"].printed for row in ("concatenation", "self-attention")
]
step = float(pair[1]) - float(pair[0])
narrow_step = best_way["self-attention"] - best_way["concatenation"]
half_step = value["text", "self-attn vs concat", "params M"].text
assert round(half_step, 3) == round(step, 3) and narrow_step < step / 3
say(
    f"Printed: {pair[1]} − {pair[0]} = {step:.3f} M (the text says {value['text', 'self-attn vs concat', 'params M'].printed} M, ten times that). "
    f"Linear layers to C'/2: {half_step:.4f} M; to C'/8: {narrow_step:.4f} M."
)

# %% [markdown]
# ## Three findings in the figures
#
# **The paper's text knows other figures for NL than its Table 5.** The table's row is not explained. Subtract the differences that the text gives from
# it, and PNL's row does not come out; add them to PNL's row, and what comes out is the recount.

# %% tags=["hide-input"]
for metric, unit in (("params M", "M"), ("FLOPs G", "G")):
    nl, pnl = value["5", "MFNet-NL", metric], value["5", "MFNet-PNL(x1)", metric]
    difference = value["text", "NL - PNL (MFNet)", metric]
    total = float(pnl.printed) + float(difference.printed)
    assert agrees(f"{total:.2f}", nl.text) and not agrees(nl.printed, nl.text)
    assert f"{float(nl.printed) - float(difference.printed):.2f}" != pnl.printed
    say(
        f"PNL {pnl.printed} + difference {difference.printed} = {total:.2f} {unit}; NL recounted {nl.text:.2f}, NL printed {nl.printed}."
    )

# %% [markdown]
# **Table 6 seems to mix networks.** The figures of its bare network come out with 200 classes, though UCF101 has 101, and with 16 frames, not 32; PNL's parameters agree with that. Nothing else in
# its other rows does. What they add to the bare network is out of proportion: one NL block would have to be at work on thousands of
# positions, and the text's two differences are only those of the printed rows.

# %% tags=["hide-input"]
six = {
    (row["row"], row["metric"]): float(row["printed"])
    for row in printed_efficiency("PNL")
    if row["table"] == "6"
}
for metric in ("params M", "FLOPs G"):
    left = six["R-50+NL", metric] - six["R-50+PNL(x1)", metric]
    assert f"{left:.2f}" == value["text", "NL - PNL (R-50)", metric].printed
added = {m: six["R-50+NL", m] - six["R-50", m] for m in ("params M", "FLOPs G")}
positions = 1000 * added["FLOPs G"] / added["params M"]
there = 16 // 8 * 14 * 14
assert positions > 5 * there
say(
    f"NL adds {added['params M']:.2f} M and {added['FLOPs G']:.2f} G as printed: {positions:.0f} operations a parameter. "
    f"A 1×1×1 convolution does one for each position, and res4 has {there} at 16 frames, {2 * there} at 32."
)

# %% [markdown]
# **The quoted rows fit networks for 1000 classes.** Their parameters come out so. Their FLOPs do not; the nearest found, after
# a search over where time might be shortened, halves it in the first convolution and quarters it in `pool1`. It gives one of the three to the digit, so it
# is no more than a guess.

# %% tags=["hide-input"]
lines = []
for row in ("Res50-NL", "Res50-CGD", "Res50-CGNL"):
    network = replace(ROWS["5", row].text, classes=IMAGENET)
    with_all = network.build(IMAGENET)
    with_all.pool1, with_all.pool2 = nn.MaxPool3d(3, (4, 2, 2), 1), nn.Identity()
    cost = count(with_all, (1, 3, 32, 224, 224), "modules")
    once = (cost.macs - cost.by_kind["linear"] / 2) / 1e9
    figure = value["5", row, "FLOPs G"]
    lines.append((row, figure.printed, figure.text, once, agrees(figure.printed, once)))
assert [hit for *_, hit in lines] == [False, False, True]
guess = pd.DataFrame(
    lines,
    columns=[
        "row",
        "printed, G",
        "PNL's ResNet-50",
        "T quartered in pool1, 1000 classes",
        "hit",
    ],
)
guess.replace({True: "✓", False: "✗"}).style.hide(axis="index").format(precision=3)

# %% [markdown]
# ## Everything counted
#
# The products of attention are absent from the printed figures. For one module at `conv4` that changes little in the order: PNL stays well below NL. For five it
# turns the claim around. The paper concludes from Table 5 that even five modules cost less than one NL block; but two of the five stand at `conv3`, where the first scale alone
# relates four times as many positions.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Where the multiply-adds go (16 frames of 224 x 224), everything counted. Five PNL modules do more than one NL block: nearly all of it attention, most of that in the two modules at conv3.", "name": "fig-pnl-cost"}, "image": {"alt": "Four horizontal stacked bars. MFNet has about 11 GMAC of convolutions. One NL block adds about half a GMAC of convolutions and one of attention; one PNL module adds a thin slice; five PNL modules add nearly five GMAC of attention."}}
rows = {
    "MFNet": "MFNet",
    "+1 NL": "MFNet-NL",
    "+1 PNL": "MFNet-PNL(x1)",
    "+5 PNL": "MFNet-PNL(x5)",
}
kinds = {}
for name, row in rows.items():
    network = ROWS["5", row].text
    kinds[name] = count(
        lambda n=network: n.build(n.classes), (1, 3, network.frames, 224, 224)
    ).by_kind
base = kinds["MFNet"]["conv"]
at_conv3 = kinds["+5 PNL"]["attention"] - 3 * kinds["+1 PNL"]["attention"]
assert at_conv3 > 0.8 * kinds["+5 PNL"]["attention"]
fig, axis = plt.subplots(figsize=(figures.WIDTH, 2.2), layout="constrained")
left = defaultdict(float)
parts = {
    "backbone": (figures.COLOURS["baseline"], lambda k: base),
    "blocks' convolutions": (figures.COLOURS["pyramid"], lambda k: k["conv"] - base),
    "blocks' products": (
        figures.COLOURS["nonlocal"],
        lambda k: k["attention"] + k["matmul"] - kinds["MFNet"]["matmul"],
    ),
}
for part, (colour, take) in parts.items():
    widths = [take(k) / 1e9 for k in kinds.values()]
    axis.barh(
        list(kinds), widths, left=[left[n] for n in kinds], color=colour, label=part
    )
    for name, width in zip(kinds, widths, strict=True):
        left[name] += width
axis.set(xlabel="multiply-adds, GMAC")
axis.invert_yaxis()
axis.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
plt.show()

# %% tags=["hide-input"]
flops = {name: value["5", row, "FLOPs G"] for name, row in rows.items()}
assert (
    flops["+1 PNL"].all_counted
    < flops["+1 NL"].all_counted
    < flops["+5 PNL"].all_counted
)
assert float(flops["+5 PNL"].printed) < float(flops["+1 NL"].printed)
say(
    f"Printed: five PNL modules {flops['+5 PNL'].printed} G, one NL block {flops['+1 NL'].printed} G. "
    f"Everything counted: {flops['+5 PNL'].all_counted:.2f} and {flops['+1 NL'].all_counted:.2f} GMAC; one PNL module {flops['+1 PNL'].all_counted:.2f}."
)
