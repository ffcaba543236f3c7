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
from pathlib import Path

from notebooks.kit import claims, drawings
from notebooks.kit.drawings import say
from vidattn import figures

figures.use_style()
PAPERS = {"rnl": "region", "pnl": "pyramid", "rcca": "crisscross", "gta": "temporal"}
opened = {paper: claims.open_records(Path("."), paper) for paper in PAPERS}
judged = {
    paper: claims.judge(study, rows, card)
    for paper, (study, card, rows) in opened.items()
}
verdicts = Counter(of.verdict for all_of in judged.values() for of in all_of.values())
total = sum(len(study.claims) for study, *_ in opened.values())
assert total == verdicts.total()  # none is left out
runs = sum(len(rows) for *_, rows in opened.values())


def table_of(paper):
    """The claims of a paper, with a line on records of uncommitted code."""
    ledger, card, records = opened[paper]
    return claims.claims_table(ledger, judged[paper], card, records)


say(
    f"{total} claims: "
    + ", ".join(f"**{number} {verdict}**" for verdict, number in verdicts.most_common())
    + f". {runs} recorded runs stand behind them and behind the exploratory rows."
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Each claim's measured difference and its 95% interval over the paired seeds, in units of the effect that was predicted. Open diamonds: the prediction. An interval that lies wholly above the tolerance, half of the prediction everywhere (thin line), is reproduced; one wholly below it is not.", "name": "fig-verdicts"}, "image": {"alt": "A row for each claim, coloured by paper, with its interval beside zero, the thin line at one half, and open diamonds at one."}}
scaled, kinds = {}, {}
for paper, (study, *_) in opened.items():
    for claim in study.claims:
        assert abs(claim.tolerance - claim.effect / 2) < 1e-12
        name = f"{study.paper}: {claim.better} over {claim.worse}, {claim.metric}".removesuffix(
            ", top1"
        )
        scaled[name] = [
            value / claim.effect for value in judged[paper][claim.id].interval
        ]
        kinds[name] = PAPERS[paper]
figure = drawings.interval_plot(
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
say(table_of("rnl"))

# %% [markdown]
# ## PNL
#
# {doc}`pnl`; its runs are on {doc}`pnl_evidence`.

# %% tags=["hide-input"]
say(table_of("pnl"))

# %% [markdown]
# ## RCCA-3D
#
# {doc}`rcca`; its runs are on {doc}`rcca_evidence`.

# %% tags=["hide-input"]
say(table_of("rcca"))

# %% [markdown]
# ## GTA
#
# {doc}`gta`; its runs are on {doc}`gta_evidence`.

# %% tags=["hide-input"]
say(table_of("gta"))
