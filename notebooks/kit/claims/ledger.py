"""A chapter's experiment, whole: one base run, its variants, and the claims that they
are to judge.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue, ValidationError, model_validator

from notebooks.kit.claims.claim import Claim
from vidattn.errors import UserError
from vidattn.training.experiment import Experiment, Placed, Synthetic, make_experiment
from vidattn.training.run import run
from vidattn.training.result import Result
from vidattn.training.validation import FrozenList, Part, explain
from vidattn.yamlfile import read_yaml


class Measures(Part):
    """What is read off every trained network besides its accuracy.

    Args:
        noise: Pixel noise levels; the test clips are rendered and tested at each of
            them.
        map_clips: Test clips whose attention maps are compared; 0: none.
        map_queries: Query positions a clip.
        relation_clips: Test clips on which attention to the ring is compared; 0: none.
        region_clips: Clips on which the regions of region GTA are compared with what is
            seen; 0: none.
        reversals: Whether all variants are asked to tell clips from their reversals.
    """

    noise: FrozenList[float] = ()
    map_clips: Annotated[int, Field(ge=0)] = 16
    map_queries: Annotated[int, Field(ge=2)] = 16
    relation_clips: Annotated[int, Field(ge=0)] = 0
    region_clips: Annotated[int, Field(ge=0)] = 0
    reversals: bool = False


class Study(Part):
    """What a chapter runs, as its ledger in `book/ledgers` says before anything is run.

    Args:
        paper: Short name of the paper.
        backbone: File that holds the pre-trained backbone from which all variants
            start.
        pretrain: The run that makes it: an `Experiment` as plain values.
        base: What all variants share: an `Experiment` without name, blocks and seed.
        variants: Blocks by variant.
        changes: Fields of the base that a variant replaces, such as the oracle's data.
        primary: Variants that the claims compare; they get a run for every seed.
        exploratory_seeds: Number of seeds of all other variants.
        measures: What else is measured.
        claims: At most four primary claims.
    """

    paper: str
    backbone: str
    pretrain: dict[str, JsonValue]
    base: dict[str, JsonValue]
    variants: dict[str, FrozenList[Placed]]
    changes: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    primary: FrozenList[str]
    exploratory_seeds: Annotated[int, Field(ge=1)] = 2
    measures: Measures = Measures()
    claims: Annotated[FrozenList[Claim], Field(max_length=4)] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        named = [*self.primary, *self.changes]
        named += [name for claim in self.claims for name in (claim.better, claim.worse)]
        for name in named:
            if name not in self.variants:
                raise ValueError(
                    f"variant {name!r} is not described; there are {', '.join(self.variants)}"
                )
        for claim in self.claims:
            if not {claim.better, claim.worse} <= set(self.primary):
                raise ValueError(
                    f"claim {claim.id!r} compares variants that are not all primary"
                )
        if len({claim.id for claim in self.claims}) < len(self.claims):
            raise ValueError("two claims share an id")
        return self

    @property
    def seeds(self) -> int:
        """Number of seeds: those of a primary variant, or of the others where nothing
        is claimed.
        """
        return max([self.exploratory_seeds, *(claim.seeds for claim in self.claims)])

    def experiment(self, variant: str, seed: int, **replace: Any) -> Experiment:
        """Describe one run.

        Args:
            variant: One of the study's variants.
            seed: Its seed.
            **replace: Fields of the base to replace, at any depth: `optim={"epochs":
                1}` keeps the rest of
            `optim`.

        Raises:
            UserError: There is no such variant, or the run is not a valid one.
        """
        if variant not in self.variants:
            raise UserError(
                f"no variant {variant!r}; allowed are {', '.join(self.variants)}"
            )
        values = _merge(_merge(self.base, self.changes.get(variant, {})), replace)
        values["model"] = {"pretrained": self.backbone, **values["model"]}
        blocks = [placed.model_dump(mode="json") for placed in self.variants[variant]]
        name = re.sub(r"[^a-z0-9.]+", "-", f"{self.paper}-{variant}".lower())
        return make_experiment({**values, "name": name, "seed": seed, "blocks": blocks})

    def pretraining(self) -> Experiment:
        """Describe the run that makes the shared backbone."""
        return make_experiment(self.pretrain)


def at_noise(experiment: Experiment, noise: float) -> Experiment:
    """Return the description with its test clips, and nothing else, rendered at another
    noise level.
    """
    if not isinstance(experiment.data, Synthetic):
        raise UserError("only synthetic clips can be rendered at another noise level")
    test = experiment.data.test.model_copy(update={"noise": noise})
    return experiment.model_copy(
        update={"data": experiment.data.model_copy(update={"test": test})}
    )


def run_all(
    experiments: Sequence[Experiment], root: str | Path = "runs", jobs: int = 2
) -> list[Result]:
    """Train several networks side by side, a process each, or find them again.

    On a few cores two processes of one thread are faster than one process of two
    threads.

    Args:
        experiments: What to run.
        root: Folder of the run folders.
        jobs: Processes at a time; on a GPU take 1.

    Returns:
        The results, in the order of the experiments.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(run, experiment, root, False) for experiment in experiments
        ]
        results = []
        for number, future in enumerate(waiting, start=1):
            results.append(future.result())
            print(
                f"{number} of {len(waiting)} runs: {results[-1].name}, {results[-1].seconds:.0f} s",
                flush=True,
            )
        return results


def load_study(path: str | Path) -> Study:
    """Read a study from its ledger.

    Raises:
        UserError: The file is missing or one of its fields is wrong; one line a fault.
    """
    try:
        return Study.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(
            "\n".join(f"{path}: {line}" for line in explain(error).splitlines())
        ) from None


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value) if both else value
    return merged
