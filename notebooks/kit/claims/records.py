"""Records: what a ledger's runs gave, read as they were written, and checked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError

from notebooks.kit.claims.ledger import (
    Card,
    Ledger,
    Metric,
    known_metric,
    load_ledger,
    plan,
)
from vidattn.errors import UserError
from vidattn.training.experiment import make_experiment
from vidattn.training.key import file_key
from vidattn.training.validation import Part, explain
from vidattn.yamlfile import read_yaml


class Record(Part):
    """One run of a ledger.

    Its line in `runs.jsonl` has the fields and the metrics side by side.

    Args:
        variant: The ledger's variant.
        seed: Seed of the run.
        description: The run's `Experiment` as plain values. A record is matched by what
            it means to today's code: a field that came later has its default.
        described: In records without a description: a hash of it, which only tests can
            still read. The card's hash of the ledger vouches for them.
        metrics: What was measured, by the names of `ledger.METRICS`.
        key: As in `vidattn.training.result.Result`, and so are all other fields.
    """

    variant: str
    seed: int
    description: dict[str, JsonValue] = Field(default_factory=dict)
    described: str = ""
    metrics: dict[Metric, float]
    key: str
    confusion: list[list[int]]
    loss: float
    first_losses: list[float]
    epoch_top1: list[float] = Field(default_factory=list)
    steps: int
    seconds: float
    parameters: int
    threads: int
    device: str
    commit: str | None = None

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def committed(self) -> bool:
        """Whether the code was that of its commit."""
        return self.commit is not None and "+" not in self.commit

    def value(self, metric: str) -> float:
        """Return one metric; `noise 0.2` names the accuracy at that noise.

        Raises:
            UserError: The metric is unknown, or the record does not have it.
        """
        if known_metric(metric) not in self.metrics:
            have = ", ".join(self.metrics)
            raise UserError(f"the record of {self} has no {metric!r}; it has {have}")
        return self.metrics[metric]

    def line(self) -> str:
        """Return the record as a line of `runs.jsonl`."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        metrics = values.pop("metrics")
        return json.dumps(values | metrics) + "\n"


def read_records(results: Path) -> list[Record]:
    """Return the records of a folder, empty if there are none.

    Raises:
        UserError: A line is not a record, for example for a metric that is unknown.
    """
    path, records = results / "runs.jsonl", []
    lines = path.read_text().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        values, known = json.loads(line), Record.model_fields
        fields = {name: values.pop(name) for name in known if name in values}
        try:
            records.append(Record.model_validate({"metrics": values} | fields))
        except ValidationError as error:
            raise UserError(f"{path}, line {number}: {explain(error)}") from None
    return records


def read_card(ledger: Path, results: Path) -> Card | None:
    """Return the card of a ledger's runs, None before the first of them.

    Raises:
        UserError: The ledger has changed since its runs began.
    """
    path = results / "card.yaml"
    if not path.is_file():
        return None
    card = Card.model_validate(read_yaml(path))
    if card.ledger != file_key(ledger):
        raise UserError(
            f"{ledger} has changed since its runs began: restore it, or remove "
            f"{results}"
        )
    return card


def open_records(root: Path, name: str) -> tuple[Ledger, Card, list[Record]]:
    """Open a ledger, its card and its records.

    Before the first run nothing is recorded, and the card has the seeds 0, 1, ...

    Args:
        root: The project's folder.
        name: Name of the ledger, mostly that of its chapter.

    Raises:
        UserError: The ledger has changed since its runs began, or a record is not one
            of its runs.
    """
    path, results = places(root, name)
    ledger, records = load_ledger(path), read_records(results)
    card = read_card(path, results) or Card(seeds=tuple(range(ledger.seeds)))
    planned = set(plan(ledger, card))
    for record in records:
        if (record.variant, record.seed) not in planned or not _means(record, ledger):
            raise UserError(f"{results}: the record of {record}, is not in {path}")
    return ledger, card, records


def places(root: Path, name: str) -> tuple[Path, Path]:
    """Return a ledger's file and the folder of its records."""
    return root / "book" / "ledgers" / f"{name}.yaml", root / "book" / "results" / name


def values(
    records: Sequence[Record], variant: str, metric: str = "top1"
) -> dict[int, float]:
    """Return one metric of a variant by seed.

    It is empty for a variant that is not recorded, or that lacks this metric where
    other variants have it.

    Raises:
        UserError: The metric is unknown, or none of the records has it.
    """
    recorded = {name for one in records for name in one.metrics}
    if known_metric(metric) not in recorded and records:
        have = ", ".join(sorted(recorded))
        raise UserError(f"none of the records has {metric!r}; they have {have}")
    return {
        one.seed: one.metrics[metric]
        for one in records
        if one.variant == variant and metric in one.metrics
    }


def _means(record: Record, ledger: Ledger) -> bool:
    """Say whether a record's description, if it has one, is that of its ledger."""
    if not record.description:
        return True
    recorded = make_experiment(record.description)
    planned = ledger.experiment(record.variant, record.seed)
    # Without names and places: what decides the result.
    left_out: Any = {"name": True, "data": {"root", "cache"}}
    return recorded.model_dump(exclude=left_out) == planned.model_dump(exclude=left_out)
