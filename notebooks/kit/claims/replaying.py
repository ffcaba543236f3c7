"""Replaying: whether the records are those of today's code."""

from collections.abc import Sequence

import numpy as np

from notebooks.kit.claims.ledger import Ledger
from notebooks.kit.claims.records import Record
from vidattn.training import replay

STALE = 1e-2  # relative: a loss that is farther off, replayed, is not of today's code


def largest_deviation(
    ledger: Ledger, record: Record, steps: int | None = None
) -> float:
    """Replay a record's first steps and return the largest relative difference.

    Above 0 the record is stale. On another kind of machine, torch version or thread
    count the last bits differ, more from step to step.

    Args:
        ledger: The record's ledger.
        record: It has the losses of its first 20 steps.
        steps: How many of them are compared; all by default.
    """
    recorded = np.array(record.first_losses[:steps])
    experiment = ledger.experiment(record.variant, record.seed)
    again = np.array(replay(experiment, len(recorded)))
    return float(np.abs(again / recorded - 1).max())


def still_true(ledger: Ledger, records: Sequence[Record], steps: int = 5) -> str:
    """Say whether the records are those of today's code.

    Their keys are compared, and one run of each primary variant is replayed.
    """
    same = sum(
        one.key == ledger.experiment(one.variant, one.seed).key() for one in records
    )
    shown = ledger.primary or tuple(ledger.variants)
    first = {one.variant: one for one in records[::-1] if one.variant in shown}
    worst = max(largest_deviation(ledger, one, steps) for one in first.values())
    names = ", ".join(name for name in shown if name in first)
    return (
        f"{same} of {len(records)} recorded keys are those of today's code. Replayed "
        f"now, the first {steps} steps of {names}, one run each, give the recorded "
        f"losses {_outcome(worst)}."
    )


def replayed(ledger: Ledger, record: Record) -> str:
    """Say whether a record's first losses come out again, replayed now."""
    outcome = _outcome(largest_deviation(ledger, record))
    return f"The replayed losses of {record}, equal the recorded ones {outcome}."


def _outcome(deviation: float) -> str:
    if deviation == 0:
        return "bit for bit"
    if deviation < STALE:
        return (
            f"to within {deviation:.0e}, as another processor, or clips encoded anew, "
            "give them"
        )
    return f"only to within {deviation:.1%}: **the records are stale**"
