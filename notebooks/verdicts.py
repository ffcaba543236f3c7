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
# (verdicts)=
# # All claims, and what became of them
#
# Each chapter took up to four sentences of its paper, said how large an effect would show on its
# own clips, and committed that before the runs ({doc}`ledgers`). Here they stand side by side. What
# a verdict means is told in {doc}`how-to`; what the clips were, how long the networks were trained,
# and what the budget did not let them learn, in the chapters.

# %% tags=["hide-input"]
from collections import Counter

from notebooks.kit.drawings import interval_plot, say
from notebooks.kit.recorded import Recorded
from vidattn import figures

figures.use_style()
PAPERS = {"rnl": "region", "pnl": "pyramid", "rcca": "crisscross", "gta": "temporal"}
opened = {paper: Recorded(paper) for paper in PAPERS}
verdicts = Counter(
    judged.verdict for of in opened.values() for judged in of.judged.values()
)
total = sum(len(of.ledger.claims) for of in opened.values())
assert total == verdicts.total()  # none is left out
runs = sum(len(of.records) for of in opened.values())
listed = ", ".join(f"**{number} {name}**" for name, number in verdicts.most_common())
say(
    f"{total} claims: {listed}. {runs} recorded runs stand behind them and behind the "
    "exploratory rows."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Each claim's measured difference and its 95% interval over the paired seeds, in units of the effect that was predicted. Open diamonds: the prediction. An interval that lies wholly above the tolerance, half of the prediction everywhere (thin line), is reproduced; one wholly below it is not.", "name": "fig-verdicts"}, "image": {"alt": "A row for each claim, coloured by paper, with its interval beside zero, the thin line at one half, and open diamonds at one."}}
scaled, kinds = {}, {}
for paper, of in opened.items():
    for claim in of.ledger.claims:
        assert abs(claim.tolerance - claim.effect / 2) < 1e-12
        metric = "" if claim.metric == "top1" else f", {claim.metric}"
        name = f"{of.ledger.paper}: {claim.better} over {claim.worse}{metric}"
        interval = of.judged[claim.id].interval
        scaled[name] = [value / claim.effect for value in interval]
        kinds[name] = PAPERS[paper]
figure = interval_plot(
    scaled,
    "measured difference / predicted effect",
    kinds=kinds,
    predicted=dict.fromkeys(scaled, 1),
)
figure.axes[0].axvline(0.5, color=figures.INK, linewidth=0.5, linestyle=":")
figure

# %% [markdown]
# Not reproduced is a statement about these clips and this budget of training, not about the paper's
# data: where nothing learned the task, nothing could be better than anything. Each table says less
# than its chapter.
#
# ## RNL
#
# {doc}`rnl`; its runs are on {doc}`rnl_evidence`.

# %% tags=["hide-input"]
opened["rnl"].claims_table()

# %% [markdown]
# ## PNL
#
# {doc}`pnl`; its runs are on {doc}`pnl_evidence`.

# %% tags=["hide-input"]
opened["pnl"].claims_table()

# %% [markdown]
# ## RCCA-3D
#
# {doc}`rcca`; its runs are on {doc}`rcca_evidence`.

# %% tags=["hide-input"]
opened["rcca"].claims_table()

# %% [markdown]
# ## GTA
#
# {doc}`gta`; its runs are on {doc}`gta_evidence`.

# %% tags=["hide-input"]
opened["gta"].claims_table()
