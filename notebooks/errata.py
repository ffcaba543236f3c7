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
# (errata)=
# # Errata of the four papers
#
# Misprints, units that are not what they seem, counts and claims that the papers' own figures contradict {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`. The list has what is printed; each entry below it says what we
# found, with the cell that shows it, and each cell is a test of the book. What is merely left open is not here but in the chapters' own sections. The papers' texts are those at hand; a misprint may be gone in another
# version.
#
# How each is known differs. **Arithmetic**: what the paper prints contradicts itself. **Recount**: we counted a network or a block. **Fit**: the text's reading does not give the figure, and another one does; that it is what the authors did is a guess, a better one where public code has it. Where a second
# explanation is at hand, the cell computes it, and the entry says whether it is excluded.

# %% tags=["hide-input"]
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product
from math import floor, prod

import sympy
import torch

from notebooks.kit.drawings import say
from notebooks.kit.printed import agrees, printed_accuracy, rcca
from notebooks.kit.printed.efficiency import efficiency
from notebooks.kit.printed.explain import decimals
from notebooks.kit.printed.models import (
    DATA,
    channel_wise_region,
    coded_region,
    readings,
    says,
)
from vidattn.blocks import (
    AdditiveSqueezeExcite,
    NonLocal,
    RecurrentCrissCross3d,
    RegionNonLocal,
)
from vidattn.cost import count
from vidattn.yamlfile import read_yaml

torch.manual_seed(0)
ERRATA = read_yaml(DATA / "errata.yaml")
FIELD = re.compile(r"\{([a-z0-9_]{2,})\}")  # no braces of the formulas are like these
FIGURES = {(f.paper, f.table, f.row, f.metric): f for f in efficiency()}
ACCURACY = printed_accuracy()
SIDE = 224  # pixels of a frame in PNL and RCCA-3D
NL_BLOCKS = readings("RNL")[
    "III K400", "+5 NL"
].text  # RNL's network with five NL blocks


# %% tags=["hide-input"]
def figure(*key):
    """A printed cost, recomputed, by paper, table, row and metric."""
    return FIGURES[key]


def top1(paper, table):
    """A table's accuracies, %, as printed, by row and dataset."""
    return {
        (r["row"], r["dataset"]): r["printed"]
        for r in ACCURACY
        if (r["paper"], r["table"], r["metric"]) == (paper, table, "top1")
    }


def quoted(erratum):
    """The percentages that an erratum quotes."""
    return re.findall(r"[\d.]+(?=%)", ERRATA[erratum]["printed"])


def bounds(printed):
    """The least and the most that a rounded figure stands for."""
    half = 0.5 / 10 ** decimals(printed)
    return float(printed) - half, float(printed) + half


def less(first, second):
    """The least and the most that a rounded figure less another stands for."""
    (low, high), (least, most) = bounds(first), bounds(second)
    return low - most, high - least


def params(make, channels):
    """A block's parameters."""
    return sum(p.numel() for p in make(channels).parameters())


def rnl_params(res3, res4, copies):
    """RNL's network in 10^6 parameters: weights of a kernel in each stage, how often a
    kernel is held.
    """
    added = 2 * params(channel_wise_region, 512) + 2 * 256 * (copies * res3 - 147)
    added += 3 * params(channel_wise_region, 1024) + 3 * 512 * (copies * res4 - 27)
    return replace(NL_BLOCKS, make=None).value("params M") + added / 1e6


def shows(erratum, evidence, **computed):
    """Show an erratum, its fields filled, and the evidence that its cell computed."""
    e = ERRATA[erratum]
    assert set(FIELD.findall(e["is"])) == set(computed)
    found = ("The figures " if e["by"] == "fit" else "It is: ") + FIELD.sub(
        lambda name: computed[name[1]], e["is"]
    )
    say(
        f'<span id="{erratum}"></span>**{e["paper"]}, {e["where"]}** ({e["kind"]}, by {e["by"]}). Printed: {e["printed"]}. {found}.\n\n{evidence}'
    )


# %% [markdown]
# ## All of them

# %% tags=["hide-input"]
lines = [
    "| paper | where | kind | known by | printed |",
    "| --- | --- | --- | --- | --- |",
]
lines += [
    f'| {e["paper"]} | <a href="#{name}">{e["where"]}</a> | {e["kind"]} | {e["by"]} | {e["printed"]} |'
    for name, e in ERRATA.items()
]
say("\n".join(lines))
ways = Counter(e["by"] for e in ERRATA.values())
say(
    f"{len(ERRATA)} in all: "
    + ", ".join(f"{number} by {by}" for by, number in ways.items())
    + "."
)

# %% [markdown]
# ## RNL

# %% tags=["hide-input"]
# erratum: rnl_eq_4
block = RegionNonLocal(64)
takes, gives = block.out.in_channels, block.v.out_channels
assert takes == gives != block.v.in_channels
shows(
    "rnl_eq_4",
    f"Of {block.v.in_channels} channels $\\mathbf{{W}}_g$ gives {gives}, and $\\mathbf{{W}}_z$ takes {takes}.",
)

# %% tags=["hide-input"]
# erratum: rnl_eq_12
gate, x = AdditiveSqueezeExcite(64).eval(), torch.randn(1, 64, 2, 3, 3)
torch.nn.init.normal_(gate.w_2.weight)
s = gate(x) - x
assert torch.allclose(s, s.mean(dim=(2, 3, 4), keepdim=True).expand_as(s), atol=1e-5)
shows(
    "rnl_eq_12",
    f"$\\mathbf{{x}}$ has {x[0].numel()} numbers here, $\\mathbf{{s}}$ {s.shape[1]}: what is added is the same at every position.",
)

# %% tags=["hide-input"]
# erratum: rnl_flops
nl = figure("RNL", "III K400", "+5 NL", "FLOPs G")
products = replace(NL_BLOCKS, convention="all").by_kind()["attention"] / 1e9
assert agrees(nl.printed, nl.text) and not agrees(nl.printed, nl.all_counted)
shows(
    "rnl_flops",
    f"ResNet-50 with five NL blocks: printed {nl.printed}, its modules {nl.text:.2f}; everything counted, {nl.all_counted:.2f} GMAC, of which {products:.2f} are the products of attention.",
    everything=f"{nl.all_counted:.2f}",
)

# %% tags=["hide-input"]
# erratum: rnl_more_than_nl
ours, nl = (
    figure("RNL", "III K400", f"+5 {name}", "params M") for name in ("RNL", "NL")
)
held = {copies: rnl_params(147, 27, copies) for copies in (1, 32, 64)}
assert float(ours.printed) > float(nl.printed) > ours.text > held[1]
assert [copies for copies, value in held.items() if agrees(ours.printed, value)] == [64]
shows(
    "rnl_more_than_nl",
    f"Printed: RNL {ours.printed} M, NL {nl.printed} M. Channel-wise kernels make it {ours.text:.2f} M with 3 × 7 × 7 everywhere, and with 3 × 3 × 3 in res4 {held[1]:.2f} M; 32 times as wide {held[32]:.2f} M; with a mask as wide {held[64]:.2f} M.",
    text=f"{ours.text:.2f}",
    unmasked=f"{held[32]:.2f}",
)

# %% tags=["hide-input"]
# erratum: rnl_kernel
ours = figure("RNL", "III K400", "+5 RNL", "params M")
tried = {of: rnl_params(*of) for of in product((27, 147), (27, 147), (1, 32, 64))}
assert [of for of, value in tried.items() if agrees(ours.printed, value)] == [
    (147, 27, 64)
]
shows(
    "rnl_kernel",
    f"Of {len(tried)} networks, with 3 × 3 × 3 or 3 × 7 × 7 in either stage, each kernel held once, 32 times or with a mask, this one alone has {ours.printed} M.",
    everywhere=f"{tried[147, 147, 64]:.2f}",
)

# %% tags=["hide-input"]
# erratum: rnl_reduction
size, work = (
    figure("RNL", "III K400", "+5 [SE+RNL]", metric)
    for metric in ("params M", "FLOPs G")
)
wide = (
    rnl_params(147, 27, 64)
    + sum(n * params(AdditiveSqueezeExcite, c) for n, c in ((2, 512), (3, 1024))) / 1e6
)
own = [dict(f.others)["Eqs. 10-12 with reduction 16"] for f in (size, work)]
assert not agrees(size.printed, wide) and agrees(size.printed, own[0])
assert not agrees(work.printed, own[1])
assert all(
    f.reading == says("coded", "gate") and agrees(f.printed, f.computed)
    for f in (size, work)
)
shows(
    "rnl_reduction",
    f"Printed {size.printed} M and {work.printed} G. Eqs. (10) to (12) with 2: {wide:.2f} M; with 16: {own[0]:.3f} M and {own[1]:.3f} G. The public code's gate: {size.computed:.3f} M and {work.computed:.3f} G.",
    two=f"{wide:.2f}",
    flops=f"{own[1]:.2f}",
)

# %% tags=["hide-input"]
# erratum: rnl_classes
pairs = [
    figure("RNL", f"III {d}", row, "params M")
    for row in ("baseline", "+5 NL")
    for d in ("K400", "SSv1")
]
assert pairs[0].printed == pairs[1].printed and pairs[2].printed == pairs[3].printed
assert not agrees(pairs[1].printed, pairs[1].text)
shows(
    "rnl_classes",
    f"The bare network: {pairs[0].printed} M printed for both; recounted {pairs[0].text:.2f} M with 400 classes and {pairs[1].text:.2f} M with 174.",
    fewer=f"{pairs[0].text - pairs[1].text:.2f}",
)

# %% tags=["hide-input"]
# erratum: rnl_165
rows = [
    figure("RNL", "II(c)", row, "GFLOPs")
    for row in ("channel-wise conv", "average pooling", "max pooling")
]
one = replace(NL_BLOCKS, make=coded_region, at={"res3": (1,)}).value("FLOPs G")
zero = replace(NL_BLOCKS, make=None).value("FLOPs G")
ways = {
    "rounded": one - zero,
    "cut off": floor(100 * (one - zero)) / 100,
    "a difference of rounded totals": round(one, 2) - round(zero, 2),
}
for row in rows:
    fitting = [why for why, value in ways.items() if agrees(row.printed, value)]
    assert fitting == ["cut off", "a difference of rounded totals"]
    assert not agrees(row.printed, row.text)
shows(
    "rnl_165",
    f"A network with one block: {one:.4f} G, without: {zero:.4f} G. Their difference is "
    + ", ".join(f"{value:.2f} {why}" for why, value in ways.items())
    + ".",
    block=f"{one - zero:.4f}",
    region=f"{rows[0].text:.2f}",
)

# %% tags=["hide-input"]
# erratum: rnl_kernels
kernels = {
    row.removeprefix("kernel "): float(p)
    for (row, _), p in top1("RNL", "II(a)").items()
}
below = sorted(k for k, v in kernels.items() if v < kernels["1x1x1"])
assert len(below) == 3
shows(
    "rnl_kernels",
    f"Table II(a): 1x1x1 has {kernels['1x1x1']}; below it are "
    + ", ".join(f"{k} ({kernels[k]})" for k in below)
    + ".",
    number=str(len(below)),
    below=", ".join(below),
)

# %% [markdown]
# ## PNL

# %% tags=["hide-input"]
# erratum: pnl_cubes
C, N, n, k = sympy.symbols("C N n k", positive=True)
printed_4, ours_4 = 4 * C**2 * N * C / 2, 4 * C * (C / 2) * N
size = (256, 8, 16, 16)
convolutions = count(NonLocal(size[0]), (1, *size)).by_kind["conv"]
here = {C: size[0], N: prod(size[1:])}
assert convolutions == ours_4.subs(here) != printed_4.subs(here)
scale = {C: C / n, N: N / 4**k}  # a scale's channels and positions
printed_8, ours_8 = (f.subs(scale, simultaneous=True) for f in (printed_4, ours_4))
assert sympy.simplify(printed_8 - 2 * C**3 * N / (n**3 * 4**k)) == 0
assert sympy.simplify(ours_8 - 2 * C**2 * N / (n**2 * 4**k)) == 0
two = [
    sympy.nsimplify(sum(f.subs({n: 2, k: j}) for j in (0, 1)) / g)
    for f, g in ((printed_8, printed_4), (ours_8, ours_4))
]
shows(
    "pnl_cubes",
    f"NL on a map of {size[1]} × {size[2]} × {size[3]} × {size[0]}: the counter finds {convolutions:,} multiply-adds of convolutions, which is $2C^2N$; $2C^3N$ is {size[0]} times as much. Two scales keep {two[1]} of that, not {two[0]}.",
)

# %% tags=["hide-input"]
# erratum: pnl_conv_g
names = [
    name
    for name, part in NonLocal(8).named_children()
    if isinstance(part, torch.nn.Conv3d)
]
assert names == ["q", "k", "v", "out"]
names = ["theta", "phi", "g", "w_z"]  # as the paper has them
shows(
    "pnl_conv_g",
    f'"The operation conv z as shown in Figure 2a [...] projects the computed dependencies back". The block has {len(names)} convolutions: {", ".join(names)}.',
)

# %% tags=["hide-input"]
# erratum: pnl_sizes
sides = {
    "n = 4 before the end of conv4 (Tables 1 and 4)": (SIDE // 16, 4),
    "n = 2 in conv5 (Table 2)": (SIDE // 32, 2),
}
broken = {
    what: [f"{side}/{2**j}" for j in range(scales) if side % 2**j]
    for what, (side, scales) in sides.items()
}
rests = [512 % 3, 1024 % 3]
assert all(broken.values()) and all(rests)
shows(
    "pnl_sizes",
    "; ".join(f"{what}: {', '.join(parts)}" for what, parts in broken.items())
    + f". And 512 and 1024 channels leave a rest of {rests[0]} and {rests[1]} when cut in three.",
)

# %% tags=["hide-input"]
# erratum: pnl_tenth
with_, without = (
    figure("PNL", "3", row, "params M") for row in ("self-attention", "concatenation")
)
said, limit = (
    figure("PNL", "text", "self-attn vs concat", m)
    for m in ("params M", "param increase % (<)")
)
low, high = less(with_.printed, without.printed)
share = 100 * float(said.printed) / float(without.printed)
assert low < said.text < high < bounds(said.printed)[0] and share > float(limit.printed)
shows(
    "pnl_tenth",
    f"Table 3: {with_.printed} − {without.printed} is {low:.4f} to {high:.4f} M, however they were rounded; recounted {said.text:.4f} M. {said.printed} M would be {share:.1f}%.",
    step=f"{float(with_.printed) - float(without.printed):.3f}",
    limit=limit.printed,
)

# %% tags=["hide-input"]
# erratum: pnl_gain
rows = top1("PNL", "3")
pair = [
    rows[row, "mini-kinetics"]
    for row in ("self-attention mechanism", "vanilla concatenation")
]
low, high = less(*pair)
(said,) = quoted("pnl_gain")
assert high < bounds(said)[0]
shows(
    "pnl_gain",
    f"Table 3: {pair[0]} − {pair[1]} is {low:.2f} to {high:.2f}, however they were rounded.",
    gain=f"{float(pair[0]) - float(pair[1]):.2f}",
)

# %% tags=["hide-input"]
# erratum: pnl_baseline
five, nl, base = (
    top1("PNL", "5")[row, "mini-kinetics"]
    for row in ("MFNet-PNL(x5)", "MFNet-NL [26]", "MFNet [38]")
)
gains = {
    row: f"{float(five) - float(other):.2f}"
    for row, other in (("nl", nl), ("baseline", base))
}
assert quoted("pnl_baseline") == [gains["nl"]] != [gains["baseline"]]
shows(
    "pnl_baseline",
    f"Table 5: {five} − {base} = {gains['baseline']}; {five} − {nl} (MFNet-NL) = {gains['nl']}.",
    **gains,
)

# %% tags=["hide-input"]
# erratum: pnl_caption
columns = {
    table: sorted(
        {r["metric"] for r in ACCURACY if (r["paper"], r["table"]) == ("PNL", table)}
    )
    for table in "56"
}
assert columns == {"5": ["top1"], "6": ["top1", "top5"]}
shows(
    "pnl_caption",
    "; ".join(
        f"Table {table} has {' and '.join(metrics)}"
        for table, metrics in columns.items()
    )
    + ", under the same words.",
    metrics=" and ".join(columns["5"]).replace("top", "top-"),
)

# %% tags=["hide-input"]
# erratum: pnl_nl_row
apart, lines = [], []
for metric in ("params M", "FLOPs G"):
    nl, ours = (
        figure("PNL", "5", row, metric).printed for row in ("MFNet-NL", "MFNet-PNL(x1)")
    )
    said = figure("PNL", "text", "NL - PNL (MFNet)", metric).printed
    low, high = less(nl, ours)
    if high <= bounds(said)[0] or bounds(said)[1] <= low:
        apart.append(metric)
    lines.append(
        f"{metric}: {nl} − {ours} is {low:.3f} to {high:.3f}, and {said} stands for {bounds(said)[0]:.3f} to {bounds(said)[1]:.3f}"
    )
assert apart == ["FLOPs G"]
shows(
    "pnl_nl_row",
    "; ".join(lines) + ". The parameters agree.",
    low=f"{low:.2f}",
    high=f"{high:.2f}",
)

# %% tags=["hide-input"]
# erratum: pnl_cut
three, five = (
    figure("PNL", *key, "FLOPs G") for key in (("3", "MFNet baseline"), ("5", "MFNet"))
)
rounded = f"{float(three.printed):.2f}"
assert five.printed != rounded and three.printed.startswith(five.printed)
shows(
    "pnl_cut",
    f"The same network: {three.printed} in Table 3, {five.printed} in Table 5, recounted {five.text:.4f}.",
    rounded=rounded,
    three=three.printed,
)

# %% tags=["hide-input"]
# erratum: pnl_table_6
size, work = (figure("PNL", "6", "R-50", metric) for metric in ("params M", "FLOPs G"))
assert size.reading == says("classes_200_101") and work.reading == says(
    "classes_200_101", "frames_16"
)
assert agrees(size.printed, size.computed) and not agrees(size.printed, size.text)
assert agrees(work.printed, work.text / 2) and not agrees(work.printed, work.text)
others = [
    figure("PNL", "6", f"R-50+{name}", "FLOPs G") for name in ("NL", "CGNL", "PNL(x1)")
]
assert all(f.verdict == "not explained" for f in others)
shows(
    "pnl_table_6",
    f"Printed {size.printed} M and {work.printed} G. With 101 classes and 32 frames: {size.text:.2f} M and {work.text:.2f} G; with 200 and 16: {size.computed:.2f} M and {work.computed:.2f} G. Not explained: "
    + ", ".join(f"{f.row} {f.printed} G" for f in others)
    + ".",
    own=f"{size.text:.2f}",
    frames=f"{work.text:.2f}",
)

# %% tags=["hide-input"]
# erratum: pnl_shared
rows = [
    figure("PNL", table, row, "params M")
    for table, row in (
        ("3", "self-attention"),
        ("5", "MFNet-PNL(x5)"),
        ("6", "R-50+PNL(x1)"),
    )
]
rest = replace(readings("PNL")["6", "R-50+PNL(x1)"].text, classes=200).value("params M")
shared = [rows[0].text, rows[1].text, rest]  # Table 6 with the classes that fit
short = [
    bounds(row.printed)[0] - value for row, value in zip(rows, shared, strict=True)
]
assert min(short) > 0 and all(
    says("unshared", "narrow_linear") in row.reading for row in rows
)
assert all(agrees(row.printed, row.computed) for row in rows)
half = [dict(row.others)[says("unshared")] for row in rows[:2]]
assert not any(
    agrees(row.printed, value) for row, value in zip(rows[:2], half, strict=True)
)
bare = figure("PNL", "3", "concatenation", "params M")
assert bounds(bare.printed)[0] > bare.text and not agrees(bare.printed, bare.computed)
shows(
    "pnl_shared",
    "; ".join(
        f"{row.row}: {row.printed} M printed, {value:.3f} shared, {row.computed:.3f} not shared and to C'/8"
        for row, value in zip(rows, shared, strict=True)
    )
    + f". Not shared and to C'/2: {half[0]:.3f} and {half[1]:.3f}. Concatenation, without linear layers: {bare.printed} printed, {bare.text:.3f} shared, {bare.computed:.3f} not shared.",
    least=f"{min(short):.2f}",
    most=f"{max(short):.2f}",
)

# %% tags=["hide-input"]
# erratum: pnl_five
five, nl = (figure("PNL", "5", row, "FLOPs G") for row in ("MFNet-PNL(x5)", "MFNet-NL"))
assert float(five.printed) < float(nl.printed) and five.all_counted > nl.all_counted
shows(
    "pnl_five",
    f"Printed {five.printed} against {nl.printed} G, whose count leaves the products out. Everything counted: {five.all_counted:.2f} against {nl.all_counted:.2f} GMAC.",
    five=f"{five.all_counted:.2f}",
    nl=f"{nl.all_counted:.2f}",
)

# %% [markdown]
# ## RCCA-3D

# %% tags=["hide-input"]
# erratum: rcca_eq_5
X, g, F = sympy.Symbol("X"), sympy.Symbol("gamma"), sympy.Function("F")
module = RecurrentCrissCross3d(8)
del module.gamma, module.crisscross
module.gamma, module.crisscross = g, F
printed_5 = g * F(g * F(X) + X) + X + X
assert (printed_5.count(F), module(X).count(F), module.passes) == (2, 3, 3)
each = [
    float(figure("RCCA-3D", "IV", f"R={r}", "FLOPs G").printed) - rcca.bare(rcca.TSM)[0]
    for r in (1, 2, 3)
]
assert all(abs(total - r * each[0]) < 0.2 for r, total in enumerate(each, start=1))
shows(
    "rcca_eq_5",
    f"As printed: ${sympy.latex(printed_5)}$; what three passes are: ${sympy.latex(module(X))}$. Table IV prints {each[0]:.1f}, {each[1]:.1f} and {each[2]:.1f} G for one, two and three passes, and the module has three.",
)

# %% tags=["hide-input"]
# erratum: rcca_one_dimension
sides, here = (5, 4, 3), (2, 1, 1)
same = [
    sum(a == b for a, b in zip(there, here, strict=True))
    for there in product(*map(range, sides))
]
on_lines, on_planes = (sum(number >= least for number in same) for least in (2, 1))
assert on_lines == sum(sides) - 2 < on_planes
module = RecurrentCrissCross3d(8)
torch.nn.init.normal_(module.crisscross.q.weight)
weights = module.attention(
    torch.randn(1, 8, *sides), torch.tensor([2 * 12 + 1 * 3 + 1])
)
assert (weights > 0).sum() == on_lines
shows(
    "rcca_one_dimension",
    f"On a map of {' × '.join(map(str, sides))} {on_lines} positions share two coordinates with a position, $T + H + W - 2$; {on_planes} share one. The module's attention has {int((weights > 0).sum())} weights.",
)

# %% tags=["hide-input"]
# erratum: rcca_nl_complexity
narrow, wide = (count(partial(NonLocal, c), (1, c, 4, 8, 8)) for c in (64, 128))
assert [cost.by_kind["attention"] for cost in (narrow, wide)] == [
    c * (4 * 8 * 8) ** 2 for c in (64, 128)
]
products, whole = (
    wide.by_kind["attention"] / narrow.by_kind["attention"],
    wide.macs / narrow.macs,
)
assert products < whole < 4
shows(
    "rcca_nl_complexity",
    f"A map of 4 × 8 × 8 with 64 and with 128 channels: {narrow.by_kind['attention']:,} and {wide.by_kind['attention']:,} multiply-adds of products, {narrow.macs:,} and {wide.macs:,} in all. $(THWC)^2$ would quadruple.",
    products=f"{products:g}",
    whole=f"{whole:.2f}",
)

# %% tags=["hide-input"]
# erratum: rcca_complexity
shares = {}
for where, (stage, channels) in {
    "conv3_3": (3, 512),
    "conv4_5": (4, 1024),
    "conv5_2": (5, 2048),
}.items():
    cost = count(
        RecurrentCrissCross3d(channels), (1, channels, 8, SIDE >> stage, SIDE >> stage)
    )
    shares[where] = cost.by_kind["conv"] / cost.macs
assert min(shares.values()) > 0.5
shows(
    "rcca_complexity",
    "; ".join(
        f"at {where} {share:.1%} of the module's multiply-adds are convolutions"
        for where, share in shares.items()
    )
    + ".",
    least=f"{min(shares.values()):.0%}",
    most=f"{max(shares.values()):.0%}",
)

# %% tags=["hide-input"]
# erratum: rcca_units
three, base = (
    figure("RCCA-3D", "VI", row, "FLOPs G").printed for row in ("TSM+RCCA*1", "TSM")
)
own = rcca.added(rcca.ROWS["R=3"])[0]
macs = rcca.bare(rcca.TSM, rcca.UCF101)[0]
totals = {(a, b): a * float(base) + b * own for a, b in product((1, 2), repeat=2)}
assert [units for units, total in totals.items() if agrees(three, total)] == [(1, 2)]
assert abs(macs - float(base)) < 0.5
shows(
    "rcca_units",
    f"{base} is TSM in multiply-adds (recounted {macs:.2f}); the module does {own:.2f} G of them, and {base} + 2 × {own:.2f} = {totals[1, 2]:.2f}, printed {three}.",
    one=f"{totals[1, 1]:.1f}",
    two=f"{totals[2, 2]:.1f}",
)

# %% tags=["hide-input"]
# erratum: rcca_backbone
work, size = (
    figure("RCCA-3D", "VI", "TSM", metric).printed for metric in ("FLOPs G", "params M")
)
macs, ucf101 = rcca.bare(rcca.TSM, rcca.UCF101)
kinetics = rcca.bare(rcca.TSM, rcca.KINETICS)[1]
short = work.removesuffix(".0"), size.removesuffix("0")  # as the text has them
assert not agrees(work, macs) and agrees(short[0], macs)
assert (
    not agrees(size, kinetics)
    and agrees(short[1], kinetics)
    and not agrees(short[1], ucf101)
)
shows(
    "rcca_backbone",
    f"Printed {work} G and {size} M. Recounted, {macs:.4f} GMAC; {ucf101:.4f} M with 101 classes, {kinetics:.4f} with 400. {short[0]} and {short[1]}, the text's, agree with {macs:.4f} and {kinetics:.4f}.",
    macs=f"{macs:.2f}",
    ucf101=f"{ucf101:.2f}",
    kinetics=f"{kinetics:.2f}",
)

# %% tags=["hide-input"]
# erratum: rcca_two_percentages
places = {"I": "a", "III": "conv3_3", "IV": "R=3", "V": "C_d=0.25", "VI": "TSM+RCCA*1"}
totals, shares = (
    {
        table: figure("RCCA-3D", table, row, metric).printed
        for table, row in places.items()
    }
    for metric in ("FLOPs G", "FLOPs %")
)
base = figure("RCCA-3D", "VI", "TSM", "FLOPs G").printed
(total,) = set(totals.values())
assert len(set(shares.values())) == 2
ratio = 100 * float(total) / float(base)
shows(
    "rcca_two_percentages",
    "; ".join(
        f"Table {table}: {totals[table]} G, {share}%" for table, share in shares.items()
    )
    + f". {total} / {base} is {ratio:.2f}%.",
    ratio=f"{ratio:.1f}",
)

# %% tags=["hide-input"]
# erratum: rcca_structure_c
a, c = (rcca.added(rcca.ROWS[name]) for name in "ac")
printed = [
    float(figure("RCCA-3D", "I", name, "FLOPs G").printed) - rcca.bare(rcca.TSM)[0]
    for name in "ac"
]
saved = [1 - ours / other for ours, other in zip(c, a, strict=True)]
assert 1 - printed[1] / printed[0] < 0.03 < 0.3 < min(saved)
(same,) = {figure("RCCA-3D", "I", name, "params M").printed for name in "ac"}
shows(
    "rcca_structure_c",
    f"Printed: a adds {printed[0]:.1f} G, c {printed[1]:.1f} G, and both have {same} M. As described a adds {a[0]:.2f} GMAC and {a[1]:.3f} M, c {c[0]:.2f} GMAC and {c[1]:.3f} M.",
    work=f"{saved[0]:.0%}",
    weights=f"{saved[1]:.0%}",
)

# %% tags=["hide-input"]
# erratum: rcca_abstract
extra = {}
for table, row, base in (
    ("VI", "MF-Net+NL*5", "MF-Net"),
    ("VI", "MF-Net+RCCA*5", "MF-Net"),
    ("VI", "TSM+NL*1", "TSM"),
    ("VI", "TSM+RCCA*1", "TSM"),
    ("III", "conv4_5", "TSM"),
):
    extra[row] = [
        float(figure("RCCA-3D", table, row, m).printed)
        - float(figure("RCCA-3D", "VI", base, m).printed)
        for m in ("params M", "FLOPs G")
    ]
saved = [
    1 - ours / nl
    for ours, nl in zip(extra["MF-Net+RCCA*5"], extra["MF-Net+NL*5"], strict=True)
]
same, best = (
    extra[row][1] / extra["TSM+NL*1"][1] - 1 for row in ("conv4_5", "TSM+RCCA*1")
)
assert f"{saved[0]:.0%}" == "25%" and 0.11 < saved[1] < 0.12 and min(same, best) > 0.1
shows(
    "rcca_abstract",
    f"Table VI: five modules in MF-Net add {saved[0]:.0%} fewer parameters and {saved[1]:.1%} fewer FLOPs than NL. In TSM NL adds {extra['TSM+NL*1'][1]:.1f} G at conv4_5, RCCA {extra['conv4_5'][1]:.1f} G there and {extra['TSM+RCCA*1'][1]:.1f} G at conv3_3.",
    same=f"{same:.0%}",
    best=f"{best:.0%}",
)

# %% tags=["hide-input"]
# erratum: rcca_splits
average, split_1 = top1("RCCA-3D", "XI"), top1("RCCA-3D", "VI")
pairs = [
    (average["TSM + NL [12]", d], split_1[f"TSM+NL*{blocks}", d])
    for d, blocks in (("ucf101", 5), ("hmdb51", 1))
]
assert all(agrees(mean, float(first)) for mean, first in pairs)
bare = average["TSM [11]", "ucf101"], split_1["TSM", "ucf101"]
assert not agrees(bare[0], float(bare[1]))
shows(
    "rcca_splits",
    f"UCF101: {pairs[0][0]} in Table XI, {pairs[0][1]} for five NL blocks in Table VI; HMDB51: {pairs[1][0]}, and {pairs[1][1]} for one. TSM alone, whose average is not its first split: {bare[0]} and {bare[1]}.",
)

# %% [markdown]
# ## GTA

# %% tags=["hide-input"]
# erratum: gta_widths
rows = [
    figure("GTA", *key, "params M")
    for key in (
        ("Fig3", "R2D+NL"),
        ("Fig7", "+SA"),
        ("Fig7", "+TA"),
        ("Fig3", "R2D+DNL"),
    )
]
for f in rows:
    assert f.reading.startswith(says("narrow")) and agrees(f.printed, f.computed)
    assert not agrees(f.printed, f.text)
shows(
    "gta_widths",
    "; ".join(
        f"{f.row}: {f.printed} M printed, {f.computed:.2f} narrow, {f.text:.2f} with C × C"
        for f in rows
    )
    + ".",
    wide=f"{rows[0].text:.1f}",
)

# %% tags=["hide-input"]
# erratum: gta_two_nl
lines = []
for row, right, wrong in (
    ("R2D+NL", "after", "before"),
    ("SlowFast+NL", "before", "after"),
):
    f = figure("GTA", "Fig3", row, "FLOPs G")
    other = dict(f.others)[says("narrow", wrong)]
    assert f.reading == says("narrow", right) and agrees(f.printed, f.computed)
    assert not agrees(f.printed, other)
    lines.append(
        f"{row}: {f.printed} G printed, {f.computed:.1f} with keys pooled {right} their projections, {other:.1f} {wrong}"
    )
shows("gta_two_nl", "; ".join(lines) + ".")

# %% tags=["hide-input"]
# erratum: gta_three_blocks
f = figure("GTA", "Fig4", "SlowFast-R101+NL", "GFLOPs")
five = dict(f.others)[says("narrow", "before")]
assert f.reading == says("narrow", "before", "three") and agrees(f.printed, f.computed)
assert not agrees(f.printed, five)
shows(
    "gta_three_blocks",
    f"SlowFast-R101+NL: {f.printed} printed, {f.computed:.1f} with three blocks in res4, {five:.1f} with five blocks.",
    five=f"{five:.0f}",
)

# %% tags=["hide-input"]
# erratum: gta_ccmh
cells = [*top1("GTA", "Fig5 components").values()]
pixels = "49.6", "49.1"  # named in section 4.3, with and without cross-channel heads
both = [
    f"{float(cell) + gain:.1f}" for cell, gain in zip(pixels, (1.0, 0.3), strict=True)
]
with_, without = sorted(set(cells).difference(pixels, both), reverse=True)
low, high = less(with_, without)
(said,) = quoted("gta_ccmh")
assert low > bounds(said)[1] - 1e-9
shows(
    "gta_ccmh",
    f"With and without cross-channel heads the text gives pixels {pixels[0]} and {pixels[1]}, and both paths 1.0 and 0.3 more, {both[0]} and {both[1]}. Left in Figure 5 are {with_} and {without}, {low:.1f} to {high:.1f} apart, however they were rounded.",
    gain=f"{float(with_) - float(without):.1f}",
)

# %% [markdown]
# ## What is no erratum
#
# Figures that are not explained are not called wrong: {doc}`counting_table` lists them. Networks that the papers quote are others' to correct. Nor is damage of the texts at hand an erratum, such as RCCA-3D's Eq. (2), which has come apart in ours, and the "$- W$" in its complexity.
