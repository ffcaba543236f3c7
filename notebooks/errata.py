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
# Misprints, units that are not what they seem, counts and claims that the papers' own figures
# contradict {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`. The list has what is printed;
# each entry below it says what we found, with the cell that shows it, and each cell is a test of
# the book. What is merely left open is not here but in the chapters' own sections. The papers'
# texts are those at hand; a misprint may be gone in another version.
#
# How each is known differs. **Arithmetic**: what the paper prints contradicts itself. **Recount**:
# we counted a network or a block. **Fit**: the text's reading does not give the figure, and another
# one does; that it is what the authors did is a guess, a better one where public code has it. Where
# a second explanation is at hand, the cell computes it, and the entry says whether it is excluded.

# %% tags=["hide-input"]
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product
from math import floor, prod

import sympy
import torch
from torch.nn import Conv3d

from notebooks.kit.drawings import say
from notebooks.kit.printed import (
    Verdict,
    agrees,
    decimals,
    efficiency,
    printed_accuracy,
    rcca,
)
from notebooks.kit.printed.choices import DATA
from notebooks.kit.printed.networks import channel_wise_region, coded_region
from notebooks.kit.printed.readings import readings
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
FIELD = re.compile(r"\{([a-z]\w+[^{}]*)\}")  # no braces of the formulas are like these
COSTS = {(c.paper, c.table, c.row, c.metric): c for c in efficiency()}
ACCURACY = printed_accuracy()
SIDE = 224  # pixels of a frame in PNL and RCCA-3D
# RNL's network with five NL blocks
NL_BLOCKS = readings("RNL")["III K400", "+5 NL"].text


# %% tags=["hide-input"]
def costs(paper, metric, *rows):
    """Printed costs, recomputed, by "table: row"."""
    return [COSTS[paper, *row.split(": "), metric] for row in rows]


def both(paper, row):
    """A row's parameters and FLOPs."""
    return [*costs(paper, "params M", row), *costs(paper, "FLOPs G", row)]


def top1(paper, table, dataset):
    """A table's accuracies on a dataset, %, as printed, by row."""
    wanted = (paper, table, dataset, "top1")
    return {
        r["row"]: r["printed"]
        for r in ACCURACY
        if (r["paper"], r["table"], r["dataset"], r["metric"]) == wanted
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
    return replace(NL_BLOCKS, make=None).amount().params + added / 1e6


def shows(erratum, **computed):
    """Show an erratum and its evidence, their fields filled with what its cell
    computed.
    """
    of = ERRATA[erratum]
    wanted = FIELD.findall(of["is"]) + FIELD.findall(of["shows"])
    assert {re.match(r"\w+", field)[0] for field in wanted} == set(computed)
    found, evidence = (
        FIELD.sub(lambda field: field[0].format(**computed), of[part])
        for part in ("is", "shows")
    )
    where = f"**{of['paper']}, {of['where']}** ({of['kind']}, by {of['by']})."
    introduced = "The figures" if of["by"] == "fit" else "It is:"
    say(
        f'<span id="{erratum}"></span>{where} Printed: {of["printed"]}. '
        f"{introduced} {found}.\n\n{evidence}"
    )


# %% [markdown]
# ## All of them

# %% tags=["hide-input"]
lines = [("paper", "where", "kind", "known by", "printed"), ["---"] * 5]
for name, of in ERRATA.items():
    link = f'<a href="#{name}">{of["where"]}</a>'
    lines.append((of["paper"], link, of["kind"], of["by"], of["printed"]))
say("\n".join(f"| {' | '.join(line)} |" for line in lines))
ways = Counter(of["by"] for of in ERRATA.values())
by_way = ", ".join(f"{number} by {way}" for way, number in ways.items())
say(f"{len(ERRATA)} in all: {by_way}.")

# %% [markdown]
# ## RNL

# %% tags=["hide-input"]
# erratum: rnl_eq_4
block = RegionNonLocal(64)
gets, gives, takes = block.v.in_channels, block.v.out_channels, block.out.in_channels
assert takes == gives != gets
shows("rnl_eq_4", gets=gets, gives=gives, takes=takes)

# %% tags=["hide-input"]
# erratum: rnl_eq_12
gate, x = AdditiveSqueezeExcite(64).eval(), torch.randn(1, 64, 2, 3, 3)
torch.nn.init.normal_(gate.w_2.weight)
s = gate(x) - x
assert torch.allclose(s, s.mean(dim=(2, 3, 4), keepdim=True).expand_as(s), atol=1e-5)
shows("rnl_eq_12", numbers=x[0].numel(), channels=s.shape[1])

# %% tags=["hide-input"]
# erratum: rnl_flops
(nl,) = costs("RNL", "FLOPs G", "III K400: +5 NL")
products = replace(NL_BLOCKS, convention="all").by_kind()["attention"] / 1e9
assert agrees(nl.printed, nl.text) and not agrees(nl.printed, nl.all_counted)
shows("rnl_flops", nl=nl, products=products)

# %% tags=["hide-input"]
# erratum: rnl_more_than_nl
ours, nl = costs("RNL", "params M", "III K400: +5 RNL", "III K400: +5 NL")
held = {copies: rnl_params(147, 27, copies) for copies in (1, 32, 64)}
assert float(ours.printed) > float(nl.printed) > ours.text > held[1]
assert [copies for copies, value in held.items() if agrees(ours.printed, value)] == [64]
shows("rnl_more_than_nl", ours=ours, nl=nl, held=held)

# %% tags=["hide-input"]
# erratum: rnl_kernel
(ours,) = costs("RNL", "params M", "III K400: +5 RNL")
tried = {of: rnl_params(*of) for of in product((27, 147), (27, 147), (1, 32, 64))}
hits = [of for of, value in tried.items() if agrees(ours.printed, value)]
assert hits == [(147, 27, 64)]
shows("rnl_kernel", ours=ours, tried=len(tried), everywhere=tried[147, 147, 64])

# %% tags=["hide-input"]
# erratum: rnl_reduction
size, work = both("RNL", "III K400: +5 [SE+RNL]")
gates = sum(n * params(AdditiveSqueezeExcite, c) for n, c in ((2, 512), (3, 1024)))
wide = rnl_params(147, 27, 64) + gates / 1e6
own = [of.others["reduction_16",] for of in (size, work)]
assert not agrees(size.printed, wide) and agrees(size.printed, own[0])
assert not agrees(work.printed, own[1])
for of in (size, work):
    assert of.reading == ("coded", "gate") and agrees(of.printed, of.computed)
shows("rnl_reduction", size=size, work=work, wide=wide, own=own)

# %% tags=["hide-input"]
# erratum: rnl_classes
base, something = costs("RNL", "params M", "III K400: baseline", "III SSv1: baseline")
nl, nl_something = costs("RNL", "params M", "III K400: +5 NL", "III SSv1: +5 NL")
assert base.printed == something.printed and nl.printed == nl_something.printed
assert not agrees(something.printed, something.text)
fewer = base.text - something.text
shows("rnl_classes", base=base, something=something, fewer=fewer)

# %% tags=["hide-input"]
# erratum: rnl_165
names = "channel-wise conv", "average pooling", "max pooling"
rows = costs("RNL", "GFLOPs", *(f"II(c): {name}" for name in names))
one = replace(NL_BLOCKS, make=coded_region, at={"res3": (1,)}).amount().macs
zero = replace(NL_BLOCKS, make=None).amount().macs
block = one - zero
rounded, cut = round(one, 2) - round(zero, 2), floor(100 * block) / 100
for row in rows:
    assert not agrees(row.printed, block) and not agrees(row.printed, row.text)
    assert agrees(row.printed, cut) and agrees(row.printed, rounded)
own = {"region": rows[0].text, "one": one, "zero": zero, "block": block}
shows("rnl_165", **own, cut=cut, rounded=rounded)

# %% tags=["hide-input"]
# erratum: rnl_kernels
printed = top1("RNL", "II(a)", "kinetics400").items()
kernels = {row.removeprefix("kernel "): float(of) for row, of in printed}
below = sorted(k for k, v in kernels.items() if v < kernels["1x1x1"])
assert len(below) == 3
lower = ", ".join(f"{k} ({kernels[k]})" for k in below)
names = ", ".join(below)
shows("rnl_kernels", kernels=kernels, lower=lower, number=len(below), below=names)

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
printed_two, two = (
    sympy.nsimplify(sum(f.subs({n: 2, k: j}) for j in (0, 1)) / g)
    for f, g in ((printed_8, printed_4), (ours_8, ours_4))
)
sizes = {"size": size, "convolutions": convolutions}
shows("pnl_cubes", **sizes, two=two, printed_two=printed_two)

# %% tags=["hide-input"]
# erratum: pnl_conv_g
names = [name for name, of in NonLocal(8).named_children() if isinstance(of, Conv3d)]
assert names == ["q", "k", "v", "out"]
papers = "theta, phi, g, w_z"  # as the paper has them
shows("pnl_conv_g", number=len(names), names=papers)

# %% tags=["hide-input"]
# erratum: pnl_sizes
conv4, conv5 = (
    [f"{side}/{2**j}" for j in range(scales) if side % 2**j]
    for side, scales in ((SIDE // 16, 4), (SIDE // 32, 2))
)
rests = [512 % 3, 1024 % 3]
assert conv4 and conv5 and all(rests)
shows("pnl_sizes", conv4=", ".join(conv4), conv5=", ".join(conv5), rests=rests)

# %% tags=["hide-input"]
# erratum: pnl_tenth
full, bare = costs("PNL", "params M", "3: self-attention", "3: concatenation")
step = "text: self-attn vs concat"
(said,), (limit,) = (
    costs("PNL", metric, step) for metric in ("params M", "param increase % (<)")
)
low, high = less(full.printed, bare.printed)
share = 100 * float(said.printed) / float(bare.printed)
assert low < said.text < high < bounds(said.printed)[0] and share > float(limit.printed)
step = float(full.printed) - float(bare.printed)
rows = {"full": full, "bare": bare, "said": said, "limit": limit.printed}
shows("pnl_tenth", **rows, low=low, high=high, share=share, step=step)

# %% tags=["hide-input"]
# erratum: pnl_gain
rows = top1("PNL", "3", "mini-kinetics")
attention, concat = rows["self-attention mechanism"], rows["vanilla concatenation"]
low, high = less(attention, concat)
(said,) = quoted("pnl_gain")
assert high < bounds(said)[0]
pair = {"attention": attention, "concat": concat}
shows("pnl_gain", **pair, low=low, high=high, gain=float(attention) - float(concat))

# %% tags=["hide-input"]
# erratum: pnl_baseline
rows = top1("PNL", "5", "mini-kinetics")
five, one, bare = (rows[n] for n in ("MFNet-PNL(x5)", "MFNet-NL [26]", "MFNet [38]"))
nl, baseline = (f"{float(five) - float(other):.2f}" for other in (one, bare))
assert quoted("pnl_baseline") == [nl] != [baseline]
shows("pnl_baseline", five=five, one=one, bare=bare, nl=nl, baseline=baseline)

# %% tags=["hide-input"]
# erratum: pnl_caption
pnl = [r for r in ACCURACY if r["paper"] == "PNL"]
five, six = (sorted({r["metric"] for r in pnl if r["table"] == t}) for t in "56")
assert (five, six) == (["top1"], ["top1", "top5"])
metrics = five[0].replace("top", "top-")
shows("pnl_caption", five=five[0], six=" and ".join(six), metrics=metrics)

# %% tags=["hide-input"]
# erratum: pnl_nl_row
apart, lines = [], []
for metric in ("params M", "FLOPs G"):
    names = "5: MFNet-NL", "5: MFNet-PNL(x1)", "text: NL - PNL (MFNet)"
    nl, ours, said = (of.printed for of in costs("PNL", metric, *names))
    (low, high), (least, most) = less(nl, ours), bounds(said)
    if high <= least or most <= low:
        apart.append(metric)
    lines.append(
        f"{metric}: {nl} − {ours} is {low:.3f} to {high:.3f}, and {said} stands for "
        f"{least:.3f} to {most:.3f}"
    )
assert apart == ["FLOPs G"]
shows("pnl_nl_row", lines="; ".join(lines), low=low, high=high)

# %% tags=["hide-input"]
# erratum: pnl_cut
three, five = costs("PNL", "FLOPs G", "3: MFNet baseline", "5: MFNet")
rounded = f"{float(three.printed):.2f}"
assert five.printed != rounded and three.printed.startswith(five.printed)
shows("pnl_cut", three=three, five=five, rounded=rounded)

# %% tags=["hide-input"]
# erratum: pnl_table_6
size, work = both("PNL", "6: R-50")
assert size.reading == ("classes_200_101",)
assert work.reading == ("classes_200_101", "frames_16")
assert agrees(size.printed, size.computed) and not agrees(size.printed, size.text)
assert agrees(work.printed, work.text / 2) and not agrees(work.printed, work.text)
others = costs("PNL", "FLOPs G", "6: R-50+NL", "6: R-50+CGNL", "6: R-50+PNL(x1)")
assert all(of.verdict is Verdict.UNEXPLAINED for of in others)
rest = ", ".join(f"{of.row} {of.printed} G" for of in others)
shows("pnl_table_6", size=size, work=work, rest=rest)

# %% tags=["hide-input"]
# erratum: pnl_shared
names = "3: self-attention", "5: MFNet-PNL(x5)", "6: R-50+PNL(x1)"
rows = costs("PNL", "params M", *names)
# Table 6 with the classes that fit
rest = replace(readings("PNL")["6", "R-50+PNL(x1)"].text, classes=200).amount().params
shared = [rows[0].text, rows[1].text, rest]
short, lines = [], []
for row, value in zip(rows, shared, strict=True):
    short.append(bounds(row.printed)[0] - value)
    assert {"unshared", "narrow_linear"} <= set(row.reading)
    assert agrees(row.printed, row.computed)
    lines.append(
        f"{row.row}: {row.printed} M printed, {value:.3f} shared, {row.computed:.3f} "
        "not shared and to C'/8"
    )
half = [row.others["unshared",] for row in rows[:2]]
assert min(short) > 0
assert not any(agrees(row.printed, h) for row, h in zip(rows[:2], half, strict=True))
(bare,) = costs("PNL", "params M", "3: concatenation")
assert bounds(bare.printed)[0] > bare.text and not agrees(bare.printed, bare.computed)
ends = {"least": min(short), "most": max(short)}
shows("pnl_shared", lines="; ".join(lines), half=half, bare=bare, **ends)

# %% tags=["hide-input"]
# erratum: pnl_five
five, nl = costs("PNL", "FLOPs G", "5: MFNet-PNL(x5)", "5: MFNet-NL")
assert float(five.printed) < float(nl.printed) and five.all_counted > nl.all_counted
shows("pnl_five", five=five, nl=nl)

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
base = rcca.bare(rcca.TSM).macs
passes = costs("RCCA-3D", "FLOPs G", "IV: R=1", "IV: R=2", "IV: R=3")
each = [float(of.printed) - base for of in passes]
assert all(abs(total - r * each[0]) < 0.2 for r, total in enumerate(each, start=1))
two, three = sympy.latex(printed_5), sympy.latex(module(X))
shows("rcca_eq_5", two=two, three=three, each=each)

# %% tags=["hide-input"]
# erratum: rcca_one_dimension
sides, here = (5, 4, 3), (2, 1, 1)
same = [
    sum(a == b for a, b in zip(there, here, strict=True))
    for there in product(*map(range, sides))
]
lines, planes = (sum(number >= least for number in same) for least in (2, 1))
assert lines == sum(sides) - 2 < planes
module = RecurrentCrissCross3d(8)
torch.nn.init.normal_(module.crisscross.q.weight)
query = torch.tensor([2 * 12 + 1 * 3 + 1])
weights = int((module.attention(torch.randn(1, 8, *sides), query) > 0).sum())
assert weights == lines
size = " × ".join(map(str, sides))
shows("rcca_one_dimension", size=size, lines=lines, planes=planes, weights=weights)

# %% tags=["hide-input"]
# erratum: rcca_nl_complexity
narrow, wide = (count(partial(NonLocal, c), (1, c, 4, 8, 8)) for c in (64, 128))
few, many = (of.by_kind["attention"] for of in (narrow, wide))
assert [few, many] == [c * (4 * 8 * 8) ** 2 for c in (64, 128)]
products, whole = many / few, wide.macs / narrow.macs
assert products < whole < 4
pair = {"few": few, "many": many, "narrow": narrow, "wide": wide}
shows("rcca_nl_complexity", **pair, products=products, whole=whole)

# %% tags=["hide-input"]
# erratum: rcca_complexity
shares = {}
for where, stage in (("conv3_3", 3), ("conv4_5", 4), ("conv5_2", 5)):
    channels, side = 64 << stage, SIDE >> stage
    of = count(RecurrentCrissCross3d(channels), (1, channels, 8, side, side))
    shares[where] = of.by_kind["conv"] / of.macs
least, most = min(shares.values()), max(shares.values())
assert least > 0.5
lines = "; ".join(
    f"at {where} {share:.1%} of the module's multiply-adds are convolutions"
    for where, share in shares.items()
)
shows("rcca_complexity", lines=lines, least=least, most=most)

# %% tags=["hide-input"]
# erratum: rcca_units
rows = costs("RCCA-3D", "FLOPs G", "VI: TSM+RCCA*1", "VI: TSM")
three, base = (of.printed for of in rows)
own, macs = rcca.added(rcca.ROWS["R=3"]).macs, rcca.bare(rcca.TSM, rcca.UCF101).macs
totals = {(a, b): a * float(base) + b * own for a, b in product((1, 2), repeat=2)}
assert [units for units, total in totals.items() if agrees(three, total)] == [(1, 2)]
assert abs(macs - float(base)) < 0.5
units = {"one": totals[1, 1], "mixed": totals[1, 2], "two": totals[2, 2]}
shows("rcca_units", three=three, base=base, own=own, macs=macs, **units)

# %% tags=["hide-input"]
# erratum: rcca_backbone
size, work = (of.printed for of in both("RCCA-3D", "VI: TSM"))
macs, ucf101 = rcca.bare(rcca.TSM, rcca.UCF101)
kinetics = rcca.bare(rcca.TSM, rcca.KINETICS).params
giga, millions = work.removesuffix(".0"), size.removesuffix("0")  # as the text has them
assert not agrees(work, macs) and agrees(giga, macs)
assert not agrees(size, kinetics) and agrees(millions, kinetics)
assert not agrees(millions, ucf101)
counted = {"macs": macs, "ucf101": ucf101, "kinetics": kinetics}
shows("rcca_backbone", work=work, size=size, giga=giga, millions=millions, **counted)

# %% tags=["hide-input"]
# erratum: rcca_two_percentages
rows = "I: a", "III: conv3_3", "IV: R=3", "V: C_d=0.25", "VI: TSM+RCCA*1"
shares = costs("RCCA-3D", "FLOPs %", *rows)
(total,) = {of.printed for of in costs("RCCA-3D", "FLOPs G", *rows)}
base = both("RCCA-3D", "VI: TSM")[1].printed
assert len({of.printed for of in shares}) == 2
lines = "; ".join(f"Table {of.table}: {total} G, {of.printed}%" for of in shares)
ratio = 100 * float(total) / float(base)
shows("rcca_two_percentages", lines=lines, total=total, base=base, ratio=ratio)

# %% tags=["hide-input"]
# erratum: rcca_structure_c
described = {name: rcca.added(rcca.ROWS[name]) for name in "ac"}
base = rcca.bare(rcca.TSM).macs
rows = costs("RCCA-3D", "FLOPs G", "I: a", "I: c")
printed = {of.row: float(of.printed) - base for of in rows}
work, weights = (
    1 - ours / other for ours, other in zip(described["c"], described["a"], strict=True)
)
assert 1 - printed["c"] / printed["a"] < 0.03 < 0.3 < min(work, weights)
(same,) = {of.printed for of in costs("RCCA-3D", "params M", "I: a", "I: c")}
sizes = {"printed": printed, "described": described, "same": same}
shows("rcca_structure_c", **sizes, work=work, weights=weights)


# %% tags=["hide-input"]
# erratum: rcca_abstract
def extra(row, base):
    """What a row adds to another one's parameters and FLOPs, as printed."""
    rows = zip(both("RCCA-3D", row), both("RCCA-3D", base), strict=True)
    return [float(whole.printed) - float(bare.printed) for whole, bare in rows]


five = (extra(f"VI: MF-Net+{name}*5", "VI: MF-Net") for name in ("RCCA", "NL"))
weights, work = (1 - ours / nl for ours, nl in zip(*five, strict=True))
rows = "VI: TSM+NL*1", "III: conv4_5", "VI: TSM+RCCA*1"
nl, there, ours = (extra(row, "VI: TSM")[1] for row in rows)
same, best = there / nl - 1, ours / nl - 1
assert f"{weights:.0%}" == "25%" and 0.11 < work < 0.12 and min(same, best) > 0.1
added = {"nl": nl, "there": there, "ours": ours}
shows("rcca_abstract", weights=weights, work=work, **added, same=same, best=best)

# %% tags=["hide-input"]
# erratum: rcca_splits
average, split = (
    {data: top1("RCCA-3D", table, data) for data in ("ucf101", "hmdb51")}
    for table in ("XI", "VI")
)
pairs = {
    data: (average[data]["TSM + NL [12]"], split[data][f"TSM+NL*{blocks}"])
    for data, blocks in (("ucf101", 5), ("hmdb51", 1))
}
assert all(agrees(mean, float(first)) for mean, first in pairs.values())
bare = average["ucf101"]["TSM [11]"], split["ucf101"]["TSM"]
assert not agrees(bare[0], float(bare[1]))
shows("rcca_splits", **pairs, bare=bare)

# %% [markdown]
# ## GTA

# %% tags=["hide-input"]
# erratum: gta_widths
names = "Fig3: R2D+NL", "Fig7: +SA", "Fig7: +TA", "Fig3: R2D+DNL"
rows = costs("GTA", "params M", *names)
for of in rows:
    assert of.reading[0] == "narrow" and agrees(of.printed, of.computed)
    assert not agrees(of.printed, of.text)
lines = "; ".join(
    f"{of.row}: {of.printed} M printed, {of.computed:.2f} narrow, {of.text:.2f} with C "
    "× C"
    for of in rows
)
shows("gta_widths", lines=lines, wide=rows[0].text)

# %% tags=["hide-input"]
# erratum: gta_two_nl
lines = []
orders = ("R2D+NL", "after", "before"), ("SlowFast+NL", "before", "after")
for row, right, wrong in orders:
    (of,) = costs("GTA", "FLOPs G", f"Fig3: {row}")
    other = of.others["narrow", wrong]
    assert of.reading == ("narrow", right) and agrees(of.printed, of.computed)
    assert not agrees(of.printed, other)
    lines.append(
        f"{row}: {of.printed} G printed, {of.computed:.1f} with keys pooled {right} "
        f"their projections, {other:.1f} {wrong}"
    )
shows("gta_two_nl", lines="; ".join(lines))

# %% tags=["hide-input"]
# erratum: gta_three_blocks
(of,) = costs("GTA", "GFLOPs", "Fig4: SlowFast-R101+NL")
five = of.others["narrow", "before"]
assert of.reading == ("narrow", "before", "three") and agrees(of.printed, of.computed)
assert not agrees(of.printed, five)
shows("gta_three_blocks", three=of, five=five)

# %% tags=["hide-input"]
# erratum: gta_ccmh
cells = [*top1("GTA", "Fig5 components", "ssv1").values()]
pixels = "49.6", "49.1"  # named in section 4.3, with and without cross-channel heads
gains = 1.0, 0.3  # there, too: of both paths over the pixels
paths = [f"{float(cell) + gain:.1f}" for cell, gain in zip(pixels, gains, strict=True)]
full, bare = sorted(set(cells).difference(pixels, paths), reverse=True)
low, high = less(full, bare)
(said,) = quoted("gta_ccmh")
assert low > bounds(said)[1] - 1e-9
pair = {"full": full, "bare": bare, "low": low, "high": high}
named = {"pixels": pixels, "gains": gains, "both": paths}
shows("gta_ccmh", **named, **pair, gain=float(full) - float(bare))

# %% [markdown]
# ## What is no erratum
#
# Figures that are not explained are not called wrong: {doc}`counting_table` lists them. Networks
# that the papers quote are others' to correct. Nor is damage of the texts at hand an erratum, such
# as RCCA-3D's Eq. (2), which has come apart in ours, and the "$- W$" in its complexity.
