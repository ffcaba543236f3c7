"""One object gives a chapter its parameters, its records and its live networks."""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from IPython.display import display
from myst_nb import glue
from pandas.io.formats.style import Styler
from torch import nn

from notebooks.kit import claims
from notebooks.kit.claims import Judgement
from notebooks.kit.claims.ledger import at_noise
from notebooks.kit.claims.running import run_all
from notebooks.kit.drawings import run_card, say
from notebooks.kit.drawings.card import Html
from notebooks.kit.notebook import read_notebook
from notebooks.kit.parameters import ROOT
from notebooks.kit.printed import PrintedCost, efficiency
from notebooks.kit.printed.report import agreements
from notebooks.kit.recorded import Recorded
from vidattn import figures
from vidattn.errors import UserError
from vidattn.training import (
    Experiment,
    Placed,
    Result,
    build_data,
    evaluate,
    load_trained,
)

NOT_RECORDED = "(not yet recorded)"


class Chapter(Recorded):
    """A chapter while it runs.

    Its first lines check the page's parameters and take them out of the page's names,
    so that `scale` or `places` are free to mean something else there: from then on
    they are `page.scale`, `page.places`. Drawings get the book's style, random numbers
    a fixed seed, and files are found from the project's folder, whatever folder the
    notebook was opened in.

    Args:
        name: The notebook's name; its ledger is `book/ledgers/<name>.yaml`.
        names: The page's names, `globals()`.

    Raises:
        UserError: A parameter is wrong, or the parameters' cell has not run.
    """

    def __init__(self, name: str, names: dict[str, Any]) -> None:
        self._started, self._live_seconds = time.perf_counter(), 0.0
        notebook = read_notebook(ROOT / "notebooks" / f"{name}.py")
        if missing := [key for key in notebook.defaults if key not in names]:
            raise UserError(f"run the cell of the parameters first: no {missing[0]}")
        if shadowed := [key for key in notebook.defaults if hasattr(type(self), key)]:
            raise UserError(f"parameter {shadowed[0]!r}: a page has that name already")
        os.chdir(ROOT)
        given = {key: names.pop(key) for key in notebook.defaults}
        super().__init__(name)
        self.parameters = notebook.parameters(given)
        self.results: dict[tuple[str, int], Result] = {}
        self.experiments: dict[tuple[str, int], Experiment] = {}
        figures.use_style()
        torch.manual_seed(0)

    def __getattr__(self, name: str) -> Any:
        """A parameter of the page: `page.kernel`."""
        if name.startswith("_") or name == "parameters":
            raise AttributeError(name)
        return getattr(self.parameters, name)

    @property
    def synthetic(self) -> bool:
        """Whether the clips are ours, which know where their objects are."""
        return self.parameters.data is None

    @property
    def first_place(self) -> tuple[str, int]:
        """The first place of the paper's block: stage and number."""
        places = self.parameters.places.items()
        return next((stage, numbers[0]) for stage, numbers in places if numbers)

    @staticmethod
    def glue(**values: Any) -> None:
        """Hand numbers to the prose: `worst=...` is read as {glue:text}`worst`, and
        `nl_gain=...` as `nl-gain`.
        """
        for key, value in values.items():
            glue(key.replace("_", "-"), value, display=False)

    # The recorded runs

    def claims(
        self,
        words: Mapping[str, str] | Callable[[str, Judgement], str] | None = None,
        shown: Collection[str] | None = None,
        seeds: Collection[int] | None = None,
        further: Sequence[str] = (),
    ) -> None:
        """Show the claims with their verdicts and a line of mean accuracies, and glue
        `verdicts`, `bare`, `oracle`, `steps` and `clips`.

        Args:
            words: What a claim is called in `verdicts`, by its id (default: the id
                itself), or a function of id and judgement that says it all.
            shown: Variants of the line; default: the primary ones and the oracle.
            seeds: Seeds that the means are over; default: all.
            further: What `verdicts` says after the verdicts.
        """
        self.claims_table()
        shown = dict.fromkeys(shown or (*self.ledger.primary, "oracle"))
        means = {name: self.mean(name, seeds) for name in self.ledger.variants}
        known = (name for name in shown if means.get(name) is not None)
        line = [f"{name} {means[name]:.1%}" for name in known]
        if line:
            over = f" over {len(seeds)} seeds" if seeds else ""
            say(f"Mean top-1 accuracy{over}: {', '.join(line)}.")

        def told(id_: str, judgement: Judgement) -> str:
            if callable(words):
                return words(id_, judgement)
            called = (words or {}).get(id_, id_.replace("-", " "))
            return f"{called}: {judgement.verdict}"

        verdicts = [told(*each) for each in self.judged.items()] + [*further]
        bare, oracle = (
            NOT_RECORDED if means.get(name) is None else f"{means[name]:.0%}"
            for name in ("baseline", "oracle")
        )
        self.glue(
            verdicts="; ".join(verdicts) or NOT_RECORDED,
            bare=bare,
            oracle=oracle,
            steps=self.records[0].steps if self.records else NOT_RECORDED,
            clips=self.clips_described["train"]["clips"],
        )

    def printed_costs(self) -> list[PrintedCost]:
        """Show how many of the paper's printed costs agree with what is counted, and
        glue `cells`, `agreeing`, `fitted` and `unexplained`.
        """
        costs = efficiency(self.ledger.paper)
        agreeing, fitted, unexplained = agreements(costs)
        say(
            f"{agreeing} of {len(costs)} printed figures agree to the last digit with "
            f"the model that the text describes; {fitted} more agree under a reading "
            f"that was chosen because it fits; {unexplained} remain unexplained."
        )
        self.glue(cells=len(costs), agreeing=agreeing, fitted=fitted)
        self.glue(unexplained=unexplained)
        return costs

    def run_card(self) -> Html:
        """Return the card of the recorded runs that the claims compare."""
        rows = [row for row in self.records if row.variant in self.ledger.primary]
        return run_card(rows, versions=self.card.versions)

    # The live networks

    def train(
        self, *own: str, alike: Collection[str] = (), **changes: Any
    ) -> dict[str, nn.Module]:
        """Train the networks that the page's parameters ask for, or find them again.

        Shows their run card and, at the reduced scale, whether a recorded run's first
        losses come out again; glues `live-seconds`.

        Args:
            *own: Variants whose block is the page's: it has the page's options. The
                first one's record is replayed.
            alike: Options of the page's block that all variants with its kind take,
                such as the number of frames.
            **changes: Further fields of the experiment to replace.

        Returns:
            The networks of the first seed by variant, in evaluation mode.
        """
        seeds = self.card.seeds[: self.parameters.seeds]
        jobs = [(name, seed) for seed in seeds for name in self.parameters.variants]
        described = self._networks(own, alike)
        self.experiments = {
            job: self._experiment(described, *job, changes) for job in jobs
        }
        before = time.perf_counter()
        at_a_time = 2 if self.synthetic else 1
        done = run_all([*self.experiments.values()], jobs=at_a_time)
        self.results = dict(zip(jobs, done, strict=True))
        recorded = [row for row in self.records if row.variant == own[0]]
        if self.parameters.scale == "reduced" and recorded:
            say(claims.replayed(self.ledger, recorded[0]))
        display(run_card([*self.results.values()]))
        trained = {
            name: load_trained(str(self.results[name, seeds[0]].folder)).eval()
            for name in self.parameters.variants
        }
        self._live_seconds = time.perf_counter() - before
        self.glue(live_seconds=f"{self._live_seconds:.0f}")
        return trained

    def live_table(self, noise: Sequence[float] = ()) -> Styler:
        """Return a table of the live networks: steps, accuracy, seconds.

        Args:
            noise: Pixel noise levels at which they are tested, too; for synthetic
                clips.
        """
        levels = noise if self.synthetic else ()
        lines = []
        for (name, seed), result in self.results.items():
            network = load_trained(str(result.folder))
            run = self.experiments[name, seed]
            tests = [build_data(at_noise(run, level))[1] for level in levels]
            tested = [result.top1 or 0, *(evaluate(network, x).top1 for x in tests)]
            accuracies = [100 * accuracy for accuracy in tested]
            lines.append([name, seed, result.steps, *accuracies, result.seconds])
        noisy = [f"at noise {level:g}" for level in levels]
        columns = ["network", "seed", "steps", "top-1, %", *noisy, "seconds"]
        table = pd.DataFrame(lines, columns=columns).style
        return table.hide(axis="index").format(precision=0)

    def _networks(self, own: Collection[str], alike: Collection[str]) -> dict[str, Any]:
        """Return what the parameters make of the blocks of each network."""
        page, described = self.parameters, self.parameters.described()
        if not self.synthetic:
            blocks = {name: one.blocks for name, one in described.items()}
        else:
            blocks = dict(self.ledger.variants)
        first = blocks[next(iter(own))]
        usual = next((x.places for x in first if x.kind == page.block), None)

        def follow(name: str, placed: Placed) -> Placed:
            options = page.options if name in own and placed.kind == page.block else {}
            if placed.kind == page.block:
                options |= {key: page.options[key] for key in alike}
            places = page.places if placed.places == usual else placed.places
            options = {**placed.options, **options}
            return Placed(kind=placed.kind, options=options, places=places)

        return {
            name: (described[name], tuple(follow(name, each) for each in placed))
            for name, placed in blocks.items()
        }

    def _experiment(
        self, networks: dict[str, Any], name: str, seed: int, changes: dict[str, Any]
    ) -> Experiment:
        """Describe one live run."""
        page, (described, blocks) = self.parameters, networks[name]
        replaced: dict[str, Any] = {
            "optim": {"epochs": page.epochs},
            "model": {"backbone": page.backbone},
            **changes,
        }
        if not self.synthetic:
            parts = {
                part: getattr(described, part).model_copy(update=values)
                for part, values in replaced.items()
            }
            update = {"blocks": blocks, "seed": seed, **parts}
            copied: Experiment = described.model_copy(update=update)
            return copied
        study = self.ledger.model_copy(update={"variants": {name: blocks}})
        base: Any = study.base
        if page.backbone != base["model"]["backbone"]:
            # the recorded weights fit the ledger's backbone
            replaced["model"]["pretrained"] = None
        if page.scale == "smoke":
            replaced["data"] = {"train": {"clips": 32}, "test": {"clips": 16}}
        return study.experiment(name, seed, **replaced)

    def close(self) -> None:
        """Glue how long the page took without its live networks, and on how many
        threads: `seconds`, `threads`.
        """
        seconds = time.perf_counter() - self._started - self._live_seconds
        threads = torch.get_num_threads()
        said = "one thread" if threads == 1 else f"{threads} threads"
        self.glue(seconds=f"{seconds:.0f}", threads=said)
