"""A ledger, and records that its runs might have left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from notebooks.kit.claims import Card, Ledger, Record, load_ledger

ROOT = Path(__file__).parents[3]
Make = Callable[..., list[Record]]


@pytest.fixture
def ledger() -> Ledger:
    return load_ledger(ROOT / "book/ledgers/rnl.yaml")


@pytest.fixture
def ten() -> Card:
    return Card(seeds=tuple(range(10)))


@pytest.fixture
def record() -> Callable[..., Record]:
    """Makes a record, with values for the fields that a test does not name."""

    def make(variant: str = "RNL", seed: int = 3, **fields: Any) -> Record:
        usual: dict[str, Any] = {"metrics": {"top1": 0.5}, "key": "", "loss": 1.0}
        usual |= {"confusion": [[1]], "first_losses": [2.0, 1.0], "steps": 2}
        usual |= {"seconds": 1.0, "parameters": 1, "threads": 1, "device": "cpu"}
        return Record(variant=variant, seed=seed, **usual | fields)

    return make


@pytest.fixture
def records(ledger: Ledger, record: Callable[..., Record]) -> Make:
    """Makes records in which a variant has 0.5 plus its difference, with a spread that
    all variants share.
    """

    def make(seeds: int, first: int = 0, **differences: float) -> list[Record]:
        made = []
        for seed in range(seeds):
            shared = 0.5 + 0.02 * (seed % 3) + 0.001 * (seed % 2)
            for name in ledger.primary:
                own = shared + differences.get(name, 0.0)
                names = ("top1", "noise 0.2", "maps alike without self")
                metrics = dict.fromkeys(names, own)
                made.append(record(name, first + seed, metrics=metrics))
        return made

    return make
