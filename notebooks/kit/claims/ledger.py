"""Ledgers: what a chapter claims and runs, written down before anything is run.

`book/ledgers/<name>.yaml` says beforehand what is run and claimed. Its last commit
fixes the seeds, which keeps them from being picked by result. `book/results/<name>/`
keeps what came of it:

- `card.yaml`: the commit of the ledger, the seeds, the versions;
- `backbone.pt`: the shared pre-trained backbone, in half precision to stay small (every
  run starts from these very numbers);
- `runs.jsonl`: a line for each run, see `records.Record`.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, ValidationError, model_validator

from vidattn.errors import UserError
from vidattn.training.experiment import Experiment, Placed, Synthetic, make_experiment
from vidattn.training.validation import FrozenList, Part, explain
from vidattn.yamlfile import read_yaml

METRICS = {  # '#' stands for a number
    "top1": "share of the test clips that are classified rightly",
    "noise #": "the same of test clips with this pixel noise",
    "within pairs": "see `probes.order`",
    "within reversals": "see `probes.order`",
    "maps alike": "mean cosine of the attention maps of two queries",
    "maps alike without self": "the same without both queries' own positions",
    "own weight": "share of its weight that a query gives to itself",
    "relation": "see `probes.relation`; mean over the scales",
    "relation #": "the same at this scale of a pyramid",
    "ring overlap": "see `probes.overlap`",
    "ring overlap, untrained": "the same under weights drawn anew",
    "object overlap": "see `probes.overlap`",
    "object overlap, untrained": "the same under weights drawn anew",
}


def known_metric(name: str) -> str:
    """Return the name of a metric, if it is one.

    Raises:
        UserError: It is none of `METRICS`.
    """
    if re.sub(r" \d+(\.\d+)?$", " #", name) not in METRICS:
        raise UserError(
            f"unknown metric {name!r}: allowed are {'; '.join(METRICS)} (#: a number)"
        )
    return name


Metric = Annotated[str, AfterValidator(known_metric)]


class Claim(Part):
    """One comparison that a paper makes, as it will be judged.

    Args:
        id: Short name, unique in its ledger.
        paper: Short name of the paper.
        statement: The claim in one sentence.
        better: Name of the variant that is claimed to be better.
        worse: Name of the variant that it is compared with.
        metric: What is compared.
        effect: Predicted size of the difference, above 0, in the metric's unit.
        direction: Whether the metric of `better` is predicted to be higher or lower.
        tolerance: Largest difference that would not count as the claimed effect; see
            `judging.verdict`.
        seeds: Number of paired seeds.
    """

    id: Annotated[str, Field(min_length=1)]
    paper: str
    statement: str
    better: str
    worse: str
    metric: Metric = "top1"
    effect: Annotated[float, Field(gt=0)]
    direction: Literal["higher", "lower"] = "higher"
    tolerance: Annotated[float, Field(ge=0)]
    seeds: Annotated[int, Field(ge=10)] = 10

    @model_validator(mode="after")
    def _tolerance_below_effect(self) -> "Claim":
        if self.tolerance >= self.effect:
            raise ValueError(
                f"tolerance {self.tolerance} must be below the effect {self.effect}"
            )
        if self.better == self.worse:
            raise ValueError(
                f"better and worse are both {self.better!r}: a claim compares two runs"
            )
        return self


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


class Ledger(Part):
    """What a chapter runs and claims, as its file in `book/ledgers` says beforehand.

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
    def _names_exist(self) -> "Ledger":
        compared = [name for one in self.claims for name in (one.better, one.worse)]
        for name in [*self.primary, *self.changes, *compared]:
            if name not in self.variants:
                known = ", ".join(self.variants)
                raise ValueError(
                    f"variant {name!r} is not described; there are {known}"
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
        """Number of seeds of a primary variant; of all where nothing is claimed."""
        return max([self.exploratory_seeds, *(claim.seeds for claim in self.claims)])

    def experiment(self, variant: str, seed: int, **replace: Any) -> Experiment:
        """Describe one run.

        Args:
            variant: One of the ledger's variants.
            seed: Its seed.
            **replace: Fields of the base to replace, at any depth: `optim={"epochs":
                1}` keeps the rest of `optim`.

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


class Card(Part):
    """What was fixed before a ledger's first run, as `card.yaml` holds it.

    Args:
        ledger_commit: Commit of the ledger, from which the seeds follow.
        ledger: Hash of the ledger's file.
        seeds: The seeds, as many as the claim with the most of them has.
        versions: Versions of Python and of the packages that matter.
        commit: Commit of the code at that time.
        more: Claims that got more seeds than the ledger promises, and how many.
    """

    ledger_commit: str = ""
    ledger: str = ""
    seeds: FrozenList[int]
    versions: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None
    more: dict[str, int] = Field(default_factory=dict)

    def seeds_of(self, claim: Claim) -> tuple[int, ...]:
        """Return the seeds that judge a claim."""
        return self.seeds[: self.more.get(claim.id, claim.seeds)]


def plan(ledger: Ledger, card: Card) -> list[tuple[str, int]]:
    """Return (variant, seed) in the order of their runs.

    The claims' pairs come first, seed by seed, then the other variants.
    """
    wanted = dict.fromkeys(ledger.primary, ledger.seeds)
    for claim in ledger.claims:
        for name in (claim.better, claim.worse):
            wanted[name] = max(wanted[name], len(card.seeds_of(claim)))
    others = [variant for variant in ledger.variants if variant not in ledger.primary]
    few, every = card.seeds[: ledger.exploratory_seeds], enumerate(card.seeds)
    pairs = [(name, n, seed) for n, seed in every for name in ledger.primary]
    first = [(name, seed) for name, n, seed in pairs if n < wanted[name]]
    return first + [(name, seed) for seed in few for name in others]


def at_noise(experiment: Experiment, noise: float) -> Experiment:
    """Return the description with its test clips rendered at another noise level.

    Raises:
        UserError: The clips are not synthetic.
    """
    if not isinstance(experiment.data, Synthetic):
        raise UserError("only synthetic clips can be rendered at another noise level")
    test = experiment.data.test.model_copy(update={"noise": noise})
    data = experiment.data.model_copy(update={"test": test})
    return experiment.model_copy(update={"data": data})


def ledgers(root: Path) -> list[str]:
    """Return the names of the ledgers in the project's folder."""
    return sorted(path.stem for path in (root / "book" / "ledgers").glob("*.yaml"))


def load_ledger(path: str | Path) -> Ledger:
    """Read a ledger.

    Raises:
        UserError: The file is missing or one of its fields is wrong; one line a fault.
    """
    try:
        return Ledger.model_validate(read_yaml(path))
    except ValidationError as error:
        lines = explain(error).splitlines()
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None


def seeds_from_commit(sha: str, n: int) -> list[int]:
    """Return `n` seeds below 2**31 that nobody chose.

    They follow from the hash of the commit that fixed the claims.

    Args:
        sha: The commit, 40 hexadecimal digits.
        n: Number of seeds; the first seeds do not depend on it.

    Raises:
        UserError: `sha` is not a full commit hash.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise UserError(f"a commit is named by 40 hexadecimal digits, not {sha!r}")
    hashes = (hashlib.sha256(f"{sha}:{i}".encode()).hexdigest() for i in range(n))
    return [int(found, 16) % 2**31 for found in hashes]


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value) if both else value
    return merged
