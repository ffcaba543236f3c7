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
# Misprints, units that are not what they seem, counts and claims that the papers' own figures contradict {cite}`huang2021rnl,xu2021pnl,cao2023rcca3d,he2021gta`. Each is followed by the cell that
# shows it, and each cell is a test of the book. What is merely left open is not here but in the chapters' own sections. The papers' texts are those at hand; a misprint may be gone in another
# version.

# %% tags=["hide-input"]
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod

import pandas as pd
import sympy
import torch
from IPython.display import Markdown, display

from vidattn.blocks import (
    AdditiveSqueezeExcite,
    NonLocal,
    PyramidNonLocal,
    RecurrentCrissCross3d,
    RegionNonLocal,
)
from vidattn.cost import count
from vidattn.papers import agrees, printed_accuracy, rcca
from vidattn.papers.efficiency import efficiency
from vidattn.papers.models import DATA, channel_wise_region, coded_region, readings, says
from vidattn.yamlfile import read_yaml

torch.manual_seed(0)
ERRATA = read_yaml(DATA / "errata.yaml")
FIGURES = {(f.paper, f.table, f.row, f.metric): f for f in efficiency()}
TOP1 = {(r["paper"], r["table"], r["row"], r["dataset"]): r["printed"] for r in printed_accuracy() if r["metric"] == "top1"}  # fmt: skip


def figure(*key):
    """A printed cost, recomputed, by paper, table, row and metric."""
    return FIGURES[key]


def top1(*key):
    """A printed accuracy, %, by paper, table, row and dataset."""
    return float(TOP1[key])


def params(make, channels):
    """A block's parameters."""
    return sum(p.numel() for p in make(channels).parameters())


def shows(erratum, evidence):
    """Show an erratum and the evidence that its cell computed."""
    e = ERRATA[erratum]
    display(Markdown(f"**{e['paper']}, {e['where']}** ({e['kind']}). Printed: {e['printed']}. It is: {e['is']}.\n\n{evidence}"))  # fmt: skip


# %% [markdown]
# ## All of them

# %% tags=["hide-input"]
lines = ["| paper | where | kind | printed | what it is |", "| --- | --- | --- | --- | --- |"]
lines += [
    f"| {e['paper']} | {e['where']} | {e['kind']} | {e['printed']} | {e['is']} |"
    for e in ERRATA.values()
]
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## RNL

# %% tags=["hide-input"]
# erratum: rnl_eq_4
block = RegionNonLocal(64)
x = torch.randn(1, 64, 2, 3, 3)
try:
    block.w_z(x)  # what a sum over x_j would be handed to
except RuntimeError as refusal:
    said = str(refusal).partition(", weight")[0]
assert block.w_z.in_channels == block.w_g.out_channels == 32 != x.shape[1]
assert block.w_z(block.w_g(x)).shape == x.shape
shows("rnl_eq_4", f"$\\mathbf{{W}}_z$ takes {block.w_z.in_channels} of {x.shape[1]} channels, as many as $\\mathbf{{W}}_g$ gives. Handed {x.shape[1]}, it refuses.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_eq_12
gate = AdditiveSqueezeExcite(64).eval()
torch.nn.init.normal_(gate.w_2.weight)
s = gate(x) - x
assert torch.allclose(s, s.mean(dim=(2, 3, 4), keepdim=True).expand_as(s), atol=1e-5)
shows("rnl_eq_12", f"$\\mathbf{{x}}$ has {x[0].numel()} numbers here, $\\mathbf{{s}}$ {s.shape[1]}: what is added is the same at every position.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_flops
nl = figure("RNL", "III K400", "+5 NL", "FLOPs G")
modules = readings("RNL")["III K400", "+5 NL"].text
products = replace(modules, convention="all").by_kind()["attention"] / 1e9
assert nl.verdict == "agrees" and nl.all_counted > 1.9 * float(nl.printed)
shows("rnl_flops", f"ResNet-50 with five NL blocks: printed {nl.printed}, which is what its modules do; everything counted, {nl.all_counted:.2f} GMAC, of which {products:.2f} are the products of attention.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_more_than_nl
ours, nl = (figure("RNL", "III K400", f"+5 {name}", "params M") for name in ("RNL", "NL"))
true = replace(modules, make=channel_wise_region).value("params M")
assert float(ours.printed) > float(nl.printed) > ours.text > true
shows("rnl_more_than_nl", f"Printed: RNL {ours.printed} M, NL {nl.printed} M. A channel-wise $F_\\theta$ makes it {true:.2f} M, or {ours.text:.2f} M with 3 × 7 × 7 everywhere; with 32 weights and 32 mask entries for each of them it is {ours.computed:.2f} M.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_kernel
large = partial(RegionNonLocal, kernel=(3, 7, 7))
bare = replace(modules, make=None).value("params M")
masked = {}
for kernel in (147, 27):  # weights of a kernel in res4: 3 x 7 x 7 or 3 x 3 x 3
    blocks = 2 * params(coded_region, 512) + 3 * (params(large, 1024) - 512 * 147 + 2 * 32 * 512 * kernel)  # fmt: skip
    masked[kernel] = bare + blocks / 1e6
assert agrees("35.48", masked[27]) and masked[147] > 40
shows("rnl_kernel", f"With the mask counted: {masked[147]:.2f} M with 3 × 7 × 7 everywhere, {masked[27]:.2f} M with 3 × 3 × 3 in res4; printed 35.48 M.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_reduction
chain = figure("RNL", "III K400", "+5 [SE+RNL]", "params M")
without = figure("RNL", "III K400", "+5 RNL", "params M")
gates = {r: sum(k * params(partial(AdditiveSqueezeExcite, reduction=r), c) for k, c in ((2, 512), (3, 1024))) / 1e6 for r in (2, 16)}  # fmt: skip
step = float(chain.printed) - float(without.printed)
assert abs(gates[16] - step) < 0.02 < 2 < gates[2]
shows("rnl_reduction", f"The five gates add {step:.2f} M as printed ({chain.printed} − {without.printed}); with reduction 2 they would add {gates[2]:.2f} M, with 16 {gates[16]:.2f} M.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_classes
pairs = [(figure("RNL", f"III {d}", row, "params M")) for row in ("baseline", "+5 NL") for d in ("K400", "SSv1")]  # fmt: skip
assert pairs[0].printed == pairs[1].printed and pairs[2].printed == pairs[3].printed
assert not agrees(pairs[1].printed, pairs[1].text)
shows("rnl_classes", f"The bare network: {pairs[0].printed} M printed for both; recounted {pairs[0].text:.2f} M with Kinetics' 400 classes and {pairs[1].text:.2f} M with Something-Something's 174.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_165
rows = [figure("RNL", "II(c)", row, "GFLOPs") for row in ("channel-wise conv", "average pooling", "max pooling")]  # fmt: skip
one = replace(modules, make=coded_region, at={"res3": (1,)}).value("FLOPs G")
zero = replace(modules, make=None).value("FLOPs G")
assert {row.printed for row in rows} == {"1.65"} == {f"{round(one, 2) - round(zero, 2):.2f}"}
assert not any(agrees(row.printed, row.text) for row in rows)
shows("rnl_165", f"A network with one block: {one:.4f} G, without: {zero:.4f} G; the difference of the rounded totals is {round(one, 2) - round(zero, 2):.2f}. The block itself costs {rows[2].text:.4f} G with max pooling, {rows[0].text:.4f} G with a channel-wise convolution.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rnl_kernels
kernels = {row.removeprefix("kernel "): float(p) for (paper, table, row, _), p in TOP1.items() if (paper, table) == ("RNL", "II(a)")}  # fmt: skip
below = sorted(k for k, v in kernels.items() if v < kernels["1x1x1"])
assert below == ["3x5x5", "7x1x1", "7x7x7"]
shows("rnl_kernels", f"Table II(a): 1x1x1 has {kernels['1x1x1']}; below it are " + ", ".join(f"{k} ({kernels[k]})" for k in below) + ".")  # fmt: skip

# %% [markdown]
# ## PNL

# %% tags=["hide-input"]
# erratum: pnl_cubes
C, N, n, k = sympy.symbols("C N n k", positive=True)
printed_4, ours_4 = 4 * C**2 * N * C / 2, 4 * C * (C / 2) * N
size = (256, 8, 16, 16)
positions = prod(size[1:])
convolutions = count(NonLocal(size[0]), (1, *size)).by_kind["conv"]
assert convolutions == ours_4.subs({C: size[0], N: positions}) != printed_4.subs({C: size[0], N: positions})  # fmt: skip
c = C / n  # a scale's channels, on N / 4^k positions
printed_8, ours_8 = (sympy.powsimp(f.subs({C: c, N: N / 4**k}, simultaneous=True)) for f in (printed_4, ours_4))  # fmt: skip
assert sympy.simplify(printed_8 - 2 * C**3 * N / (n**3 * 4**k)) == 0
assert sympy.simplify(ours_8 - 2 * C**2 * N / (n**2 * 4**k)) == 0
two = [sum(f.subs({n: 2, k: j}) for j in (0, 1)) / g for f, g in ((printed_8, printed_4), (ours_8, ours_4))]  # fmt: skip
assert [sympy.nsimplify(value) for value in two] == [sympy.Rational(5, 32), sympy.Rational(5, 16)]
shows("pnl_cubes", f"NL on a map of {size[1]} × {size[2]} × {size[3]} × {size[0]}: the counter finds {convolutions:,} multiply-adds of convolutions, which is $2C^2N$; $2C^3N$ is {size[0]} times as much. Two scales keep 5/16 of that, not 5/32.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_conv_g
names = [name for name, part in NonLocal(8).named_children() if isinstance(part, torch.nn.Conv3d)]
assert names == ["theta", "phi", "g", "w_z"]
shows("pnl_conv_g", f"The block has four convolutions: {', '.join(names)}. Fig. 2a of the paper names the last conv z.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_sizes
sides = {"14 × 14, n = 4 (Tables 1 and 4)": (14, 4), "7 × 7, n = 2 (Table 2)": (7, 2)}
broken = {what: [f"{side}/{2**j}" for j in range(scales) if side % 2**j] for what, (side, scales) in sides.items()}  # fmt: skip
assert all(broken.values()) and [512 % 3, 1024 % 3] == [2, 1]
assert (
    PyramidNonLocal(384, scales=4)(torch.randn(1, 384, 1, 14, 14)).shape[-1] == 14
)  # by rounding up
shows("pnl_sizes", "; ".join(f"{what}: {', '.join(parts)}" for what, parts in broken.items()) + ". And 512 and 1024 channels leave a rest of 2 and 1 when cut in three.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_tenth
cells = [figure("PNL", "3", row, "params M") for row in ("self-attention", "concatenation")]
step = float(cells[0].printed) - float(cells[1].printed)
share = 100 * step / float(cells[1].printed)
recount = figure("PNL", "text", "self-attn vs concat", "params M")
assert agrees("0.009", step) and share < 0.12 < 100 * 0.09 / float(cells[1].printed)
assert agrees("0.009", recount.text)
shows("pnl_tenth", f"Table 3: {cells[0].printed} − {cells[1].printed} = {step:.3f} M, {share:.2f}% (0.09 M would be {100 * 0.09 / float(cells[1].printed):.1f}%); recounted {recount.text:.4f} M.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_gain
pair = [top1("PNL", "3", row, "mini-kinetics") for row in ("self-attention mechanism", "vanilla concatenation")]  # fmt: skip
assert f"{pair[0] - pair[1]:.2f}" == "0.23"
shows("pnl_gain", f"Table 3: {pair[0]} − {pair[1]} = {pair[0] - pair[1]:.2f}.")

# %% tags=["hide-input"]
# erratum: pnl_baseline
five, nl, base = (top1("PNL", "5", row, "mini-kinetics") for row in ("MFNet-PNL(x5)", "MFNet-NL [26]", "MFNet [38]"))  # fmt: skip
assert f"{five - nl:.2f}" == "3.35" and f"{five - base:.2f}" == "4.74"
shows("pnl_baseline", f"Table 5: {five} − {base} = {five - base:.2f}; {five} − {nl} (MFNet-NL) = {five - nl:.2f}.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_nl_row
said = []
for metric in ("params M", "FLOPs G"):
    nl, ours = (figure("PNL", "5", row, metric) for row in ("MFNet-NL", "MFNet-PNL(x1)"))
    difference = figure("PNL", "text", "NL - PNL (MFNet)", metric)
    by_text = f"{float(ours.printed) + float(difference.printed):.2f}"
    assert agrees(by_text, nl.text) and by_text != nl.printed
    said.append(f"{ours.printed} + {difference.printed} = {by_text}, recounted {nl.text:.2f}, printed {nl.printed}")  # fmt: skip
shows("pnl_nl_row", "PNL's row and the text's difference: " + "; ".join(said) + ".")

# %% tags=["hide-input"]
# erratum: pnl_cut
three, five = (figure("PNL", *key, "FLOPs G") for key in (("3", "MFNet baseline"), ("5", "MFNet")))
assert agrees(three.printed, three.text) and three.text == five.text
assert not agrees(five.printed, five.text) and three.printed.startswith(five.printed)
shows("pnl_cut", f"The same network: {three.printed} in Table 3, {five.printed} in Table 5, recounted {five.text:.4f}.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_table_6
size, work = (figure("PNL", "6", "R-50", metric) for metric in ("params M", "FLOPs G"))
assert size.reading == says("classes_200_101") and work.reading == says("classes_200_101", "frames_16")  # fmt: skip
assert agrees(work.printed, work.text / 2) and not agrees(size.printed, size.text)
shows("pnl_table_6", f"Printed {size.printed} M and {work.printed} G. With 101 classes and 32 frames: {size.text:.2f} M and {work.text:.2f} G; with 200 and 16: {size.computed:.2f} M and {work.computed:.2f} G.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: pnl_shared
rows = [figure("PNL", table, row, "params M") for table, row in (("3", "self-attention"), ("5", "MFNet-PNL(x5)"), ("6", "R-50+PNL(x1)"))]  # fmt: skip
lines = []
for row in rows:
    others = {**dict(row.others), row.reading: row.computed}
    apart = next(value for why, value in others.items() if says("unshared") in why)
    assert abs(apart - float(row.printed)) < abs(row.text - float(row.printed)) / 5
    lines.append(f"{row.row}: {row.printed} M printed, {row.text:.3f} shared, {apart:.3f} not shared")  # fmt: skip
shows("pnl_shared", "; ".join(lines) + ".")

# %% tags=["hide-input"]
# erratum: pnl_five
five, nl = (figure("PNL", "5", row, "FLOPs G") for row in ("MFNet-PNL(x5)", "MFNet-NL"))
assert float(five.printed) < float(nl.printed) and five.all_counted > 1.2 * nl.all_counted
shows("pnl_five", f"Printed {five.printed} against {nl.printed} G. Everything counted: {five.all_counted:.2f} against {nl.all_counted:.2f} GMAC.")  # fmt: skip

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
steps = [figure("RCCA-3D", "IV", f"R={r}", "FLOPs G") for r in (1, 2, 3)]
each = [float(step.printed) - 33.0 for step in steps]
assert all(abs(total - r * each[0]) < 0.2 for r, total in enumerate(each, start=1))
shows("rcca_eq_5", f"As printed: ${sympy.latex(printed_5)}$; what three passes are: ${sympy.latex(module(X))}$. Table IV prints {each[0]:.1f}, {each[1]:.1f} and {each[2]:.1f} G for one, two and three passes: the default has three.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_one_dimension
sides = (5, 4, 3)
here = (2, 1, 1)
same = [sum(a == b for a, b in zip(there, here, strict=True)) for there in product(*map(range, sides))]  # fmt: skip
on_lines, on_planes = (sum(number >= least for number in same) for least in (2, 1))
assert on_lines == sum(sides) - 2 < on_planes
module = RecurrentCrissCross3d(8)
torch.nn.init.normal_(module.crisscross.q.weight)
position = torch.tensor([2 * 12 + 1 * 3 + 1])
weights = module.attention(torch.randn(1, 8, *sides), position)
assert (weights > 0).sum() == on_lines
shows("rcca_one_dimension", f"On a map of {' × '.join(map(str, sides))} {on_lines} positions share two coordinates with a position, $T + H + W - 2$; {on_planes} share one. The module's attention has {int((weights > 0).sum())} weights.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_units
three = figure("RCCA-3D", "IV", "R=3", "FLOPs G")
own = rcca.added(rcca.ROWS["R=3"])[0]
backbone = rcca.bare(rcca.TSM, rcca.UCF101)[0]
assert agrees(three.printed, 33.0 + 2 * own) and not agrees(three.printed, 33.0 + own)
assert abs(backbone - 33.0) < 0.5 < abs(2 * backbone - 33.0)
shows("rcca_units", f"33.0 is TSM in multiply-adds (recounted {backbone:.2f}); the module does {own:.2f} G of them, and 33.0 + 2 × {own:.2f} = {33.0 + 2 * own:.2f}, printed {three.printed}.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_backbone
macs, millions = rcca.bare(rcca.TSM, rcca.UCF101)
kinetics = rcca.bare(rcca.TSM, rcca.KINETICS)
assert (f"{macs:.2f}", f"{millions:.2f}", f"{kinetics[1]:.2f}") == ("32.70", "23.71", "24.33")
assert not agrees("33.0", macs) and not agrees("24.30", kinetics[1])
shows("rcca_backbone", f"Recounted: {macs:.4f} GMAC and {millions:.4f} M with 101 classes, {kinetics[0]:.4f} and {kinetics[1]:.4f} with 400.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_two_percentages
places = {"I": "a", "III": "conv3_3", "IV": "R=3", "V": "C_d=0.25", "VI": "TSM+RCCA*1"}
same = {table: (figure("RCCA-3D", table, row, "FLOPs G").printed, figure("RCCA-3D", table, row, "FLOPs %").printed) for table, row in places.items()}  # fmt: skip
assert {total for total, _ in same.values()} == {"49.3"}
assert {share for _, share in same.values()} == {"149.3", "149.4"}
assert f"{100 * 49.3 / 33.0:.1f}" == "149.4"
shows("rcca_two_percentages", "; ".join(f"Table {table}: {total} G, {share}%" for table, (total, share) in same.items()) + f". 49.3 / 33.0 is {100 * 49.3 / 33.0:.2f}%.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_structure_c
a, c = (rcca.added(rcca.ROWS[name]) for name in "ac")
printed = [float(figure("RCCA-3D", "I", name, "FLOPs G").printed) - 33.0 for name in "ac"]
assert c[0] < 0.8 * a[0] and c[1] < 0.7 * a[1] and printed[1] > 0.97 * printed[0]
same = {figure("RCCA-3D", "I", name, "params M").printed for name in "ac"}
assert len(same) == 1
shows("rcca_structure_c", f"Printed: a adds {printed[0]:.1f} G, c {printed[1]:.1f} G, and both have {same.pop()} M. As described c does {1 - c[0] / a[0]:.0%} less than a and has {1 - c[1] / a[1]:.0%} fewer parameters in the module.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_abstract
in_mfnet = [rcca.added(rcca.ROWS[f"MF-Net+{name}*5"]) for name in ("RCCA", "NL")]
at_conv4 = [rcca.added(rcca.ROWS[name])[0] for name in ("conv4_5", "TSM+NL*1")]
saved = [1 - ours / nl for ours, nl in zip(*in_mfnet, strict=True)]
assert f"{saved[1]:.0%}" == "25%" and 0.11 < saved[0] < 0.12 and at_conv4[0] > at_conv4[1]
shows("rcca_abstract", f"Five modules in MF-Net: {saved[1]:.0%} fewer parameters, {saved[0]:.1%} fewer FLOPs than NL with pooled keys. One module at conv4_5 of TSM, where the paper's NL stands: {at_conv4[0]:.2f} against {at_conv4[1]:.2f} GMAC.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_complexity
shares = {}
for where, shape in {"conv3_3": (1, 512, 8, 28, 28), "conv4_5": (1, 1024, 8, 14, 14)}.items():
    cost = count(RecurrentCrissCross3d(shape[1]), shape)
    shares[where] = cost.by_kind["conv"] / cost.macs
assert min(shares.values()) > 0.9
shows("rcca_complexity", "; ".join(f"at {where} {share:.0%} of the module's multiply-adds are convolutions" for where, share in shares.items()) + ", which the expression leaves out.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: rcca_splits
average = {d: TOP1["RCCA-3D", "XI", "TSM + NL [12]", d] for d in ("ucf101", "hmdb51")}
split_1 = {"ucf101": TOP1["RCCA-3D", "VI", "TSM+NL*5", "ucf101"], "hmdb51": TOP1["RCCA-3D", "VI", "TSM+NL*1", "hmdb51"]}  # fmt: skip
assert all(f"{float(split_1[d]):.1f}" == average[d] for d in average)
shows("rcca_splits", f"UCF101: {average['ucf101']} in Table XI, {split_1['ucf101']} for five NL blocks in Table VI; HMDB51: {average['hmdb51']}, and {split_1['hmdb51']} for one.")  # fmt: skip

# %% [markdown]
# ## GTA

# %% tags=["hide-input"]
# erratum: gta_widths
lines = []
for table, row in (("Fig3", "R2D+NL"), ("Fig7", "+SA"), ("Fig7", "+TA"), ("Fig3", "R2D+DNL")):
    f = figure("GTA", table, row, "params M")
    assert f.reading.startswith(says("narrow")) and agrees(f.printed, f.computed)
    assert not agrees(f.printed, f.text)
    lines.append(f"{row}: {f.printed} M printed, {f.computed:.2f} narrow, {f.text:.2f} with C × C")
shows("gta_widths", "; ".join(lines) + ".")

# %% tags=["hide-input"]
# erratum: gta_two_nl
lines = []
for row, right, wrong in (("R2D+NL", "after", "before"), ("SlowFast+NL", "before", "after")):
    f = figure("GTA", "Fig3", row, "FLOPs G")
    other = dict(f.others)[says("narrow", wrong)]
    assert f.reading == says("narrow", right) and agrees(f.printed, f.computed)
    assert not agrees(f.printed, other)
    lines.append(f"{row}: {f.printed} G printed, {f.computed:.1f} with keys pooled {right} their projections, {other:.1f} {wrong}")  # fmt: skip
shows("gta_two_nl", "; ".join(lines) + ".")

# %% tags=["hide-input"]
# erratum: gta_three_blocks
f = figure("GTA", "Fig4", "SlowFast-R101+NL", "GFLOPs")
five = dict(f.others)[says("narrow", "before")]
assert f.reading == says("narrow", "before", "three") and not agrees(f.printed, five)
shows("gta_three_blocks", f"SlowFast-R101+NL: {f.printed} printed, {f.computed:.1f} with three blocks in res4, {five:.1f} with five blocks.")  # fmt: skip

# %% tags=["hide-input"]
# erratum: gta_saving
lines, whole, alone = [], [], []
for row, metric, pool in (("2D", "saving % (low)", "after"), ("3D", "saving % (high)", "before")):
    f = figure("GTA", "text", f"DNL vs NL {row}", metric)
    found = {f.reading: f.computed, **dict(f.others)}
    whole.append(found[says("narrow", pool)])
    alone.append(found[says("narrow", pool, "alone")])
    lines.append(f"{row}: {f.printed}% printed, {whole[-1]:.1f}% of the network, {alone[-1]:.1f}% of the blocks")  # fmt: skip
assert [round(value) for value in whole] == [18, 30] and [round(value) for value in alone] == [39, 65]  # fmt: skip
shows("gta_saving", "; ".join(lines) + ".")

# %% [markdown]
# ## What is no erratum
#
# Figures that are not explained are not called wrong: {doc}`counting_table` lists them. Networks that the papers quote are others' to correct.

# %% tags=["hide-input"]
kinds = pd.Series([e["kind"] for e in ERRATA.values()]).value_counts()
display(Markdown(f"{len(ERRATA)} in all: " + ", ".join(f"{number} of kind *{kind}*" for kind, number in kinds.items()) + "."))  # fmt: skip
