"""The recorded runs of a ledger, and what pages show of them."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from myst_nb import glue
from pandas.io.formats.style import Styler

from notebooks.kit import claims
from notebooks.kit.claims import Card, Interval, Judgement, Ledger, Record
from notebooks.kit.drawings import interval_plot, run_card, say
from notebooks.kit.drawings.card import Html
from notebooks.kit.parameters import ROOT
from notebooks.kit.printed import PAPERS, printed_top1
from notebooks.kit.printed.choices import DATA
from vidattn import figures
from vidattn.video.synthetic import SyntheticSpec
from vidattn.yamlfile import read_yaml


class Recorded:
    """A ledger, its card and its records, read when they are first asked for.

    Args:
        name: The ledger's name: `book/ledgers/<name>.yaml`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _opened(self) -> tuple[Ledger, Card, list[Record]]:
        return claims.open_records(ROOT, self.name)

    @property
    def ledger(self) -> Ledger:
        """What was claimed, and what is run to judge it."""
        return self._opened[0]

    @property
    def clips_described(self) -> dict[str, Any]:
        """Descriptions of the ledger's clips, by `train` and `test`."""
        base: Any = self.ledger.base
        described: dict[str, Any] = base["data"]
        return described

    @property
    def test_clips(self) -> SyntheticSpec:
        """Description of the ledger's test clips."""
        return SyntheticSpec(**self.clips_described["test"])

    @property
    def card(self) -> Card:
        """The records' card: the ledger's commit, seeds, machine and versions."""
        return self._opened[1]

    @property
    def records(self) -> list[Record]:
        """The recorded runs."""
        return self._opened[2]

    @cached_property
    def judged(self) -> dict[str, Judgement]:
        """The claims that could be judged, by their ids."""
        return claims.judge(self.ledger, self.records, self.card)

    def values(self, variant: str, metric: str = "top1") -> dict[int, float]:
        """Return one metric of a variant's recorded runs, by seed."""
        return claims.values(self.records, variant, metric)

    def mean(self, variant: str, seeds: Collection[int] | None = None) -> float | None:
        """Return the mean top-1 accuracy of a variant's recorded runs, None if there
        are none.

        Args:
            variant: A variant of the ledger.
            seeds: Only these seeds.
        """
        found = self.values(variant)
        kept = [x for seed, x in found.items() if seeds is None or seed in seeds]
        return float(np.mean(kept)) if kept else None

    def interval(self, variant: str, metric: str) -> Interval:
        """Return the mean of a metric over seeds and its 95% interval."""
        return claims.mean_interval([*self.values(variant, metric).values()])

    def intervals(
        self, variants: Collection[str], metrics: Mapping[str, str]
    ) -> Styler:
        """Return a table of metrics of recorded runs: means and 95% intervals.

        Args:
            variants: Variants of the ledger, a row each.
            metrics: What a column is called, by its metric.
        """
        rows = []
        for name in variants:
            found = (self.interval(name, metric) for metric in metrics)
            spreads = (f"{x.mean:.3f} ({x.low:.3f} to {x.high:.3f})" for x in found)
            rows.append([name, *spreads])
        return plain(rows, ["block", *metrics.values()])

    def claims_table(self, records: Sequence[Record] | None = None) -> None:
        """Show the claims with their verdicts, or say that nothing is recorded.

        Args:
            records: Those of which it is said whether their code was committed;
                default: the ledger's own.
        """
        shown = self.records if records is None else records
        say(
            claims.claims_table(self.ledger, self.judged, self.card, shown)
            if self.records
            else "No runs are recorded yet: `make evidence` makes them, once the ledger "
            "is committed."
        )


class Evidence(Recorded):
    """The page of a ledger's recorded runs. Drawings get the book's style.

    Args:
        name: The ledger's name.
        promised_only: Accuracies are those of the seeds that the ledger promised,
            without those that one claim got on top.
    """

    def __init__(self, name: str, promised_only: bool = False) -> None:
        super().__init__(name)
        figures.use_style()
        self.promised = self.card.seeds[: self.ledger.seeds]
        self.compared = [
            one
            for one in self.records
            if one.seed in self.promised or not promised_only
        ]
        self.accuracies = claims.accuracies(self.ledger, self.compared)  # percent
        for part in ("train", "test"):
            glue(
                f"{name}-{part}-clips",
                self.clips_described[part]["clips"],
                display=False,
            )

    @property
    def seeds(self) -> int:
        """How many seeds every primary variant has at least."""
        return min(len(self.accuracies.get(name, ())) for name in self.ledger.primary)

    @property
    def exploratory(self) -> int:
        """How many of the compared runs are exploratory."""
        return sum(one.variant not in self.ledger.primary for one in self.compared)

    @property
    def not_run(self) -> str:
        """The sentence that says which variants were not run, if there are any."""
        missing = [name for name in self.ledger.variants if name not in self.accuracies]
        return f" Not run: {', '.join(missing)}." if missing else ""

    def say_recorded(self) -> None:
        """Say how many runs are recorded."""
        say(
            f"{len(self.records)} runs are recorded: {self.seeds} seeds or more of each "
            f"primary variant, and {self.exploratory} exploratory runs.{self.not_run}"
        )

    @property
    def kinds(self) -> dict[str, str]:
        """The mechanism of every variant's first block, whose colour it has."""
        return {
            name: placed[0].kind.removeprefix("recurrent_")
            if placed
            else ("oracle" if name == "oracle" else "baseline")
            for name, placed in self.ledger.variants.items()
        }

    def claims_plot(
        self, label: str, kind: str, names: Mapping[str, str] | None = None
    ) -> Figure:
        """Draw the claims' intervals and what was predicted.

        Args:
            label: What the differences are.
            kind: The mechanism whose colour they have.
            names: What the claims are called, by their ids; others are not drawn.
                Default: which variant is better than which.
        """
        judged = [of for of in self.ledger.claims if of.id in self.judged]
        names = names or {of.id: f"{of.better} over {of.worse}" for of in judged}
        shown = [of for of in judged if of.id in names]
        return interval_plot(
            {names[of.id]: self.judged[of.id].interval for of in shown},
            f"{label}, positive as claimed",
            kinds=dict.fromkeys(names.values(), kind),
            predicted={names[of.id]: of.effect for of in shown},
        )

    def table(self, dataset: str | None = None, words: str = "{} (Table {})") -> Styler:
        """Return the accuracies of all variants, the paper's beside them.

        Args:
            dataset: Of the printed accuracies, where a table has several.
            words: How the printed figure and its table are given.
        """
        paper = next(of for of in PAPERS if self.ledger.paper.startswith(of))
        printed = printed_top1(paper, dataset)
        rows = read_yaml(DATA / "variants.yaml")[self.name]
        beside = {
            name: words.format(printed[table, row], table)
            for name, (table, row) in rows.items()
        }
        table = claims.accuracy_table(self.ledger, self.compared, beside)
        return table.style.hide(axis="index").format(precision=1)

    def still_true(self) -> None:
        """Say whether the records are those of today's code."""
        say(claims.still_true(self.ledger, self.records))

    def run_card(self, variant: str, own: str, *further: "Evidence") -> Html:
        """Return the card of the recorded runs.

        Args:
            variant: The variant whose data the card names.
            own: Which variants have other data.
            *further: Ledgers of the page whose runs the card has, too.
        """
        opened = [self, *further]
        commits = ", ".join(str(one.card.ledger_commit)[:12] for one in opened)
        key = self.ledger.experiment(variant, 0).data.key()
        return run_card(
            [record for one in opened for record in one.records],
            data=f"synthetic, key {key[:12]} ({own})",
            versions=self.card.versions,
            parameters={"ledgers" if further else "ledger": commits},
        )


def plain(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> Styler:
    """Return rows as a table without an index, numbers with one digit."""
    table = pd.DataFrame(rows, columns=columns)
    return table.style.hide(axis="index").format(precision=1)
