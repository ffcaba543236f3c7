"""Claims written before their runs, the records of these runs, and verdicts.

What trains (`running`, and `probes`, which look into trained networks) is imported by
its own name.
"""

from notebooks.kit.claims.judging import (
    Interval,
    Judgement,
    judge,
    mean_interval,
    paired_interval,
)
from notebooks.kit.claims.ledger import (
    Card,
    Claim,
    Ledger,
    at_noise,
    load_ledger,
    plan,
)
from notebooks.kit.claims.records import Record, open_records, values
from notebooks.kit.claims.replaying import replayed, still_true
from notebooks.kit.claims.tables import (
    accuracies,
    accuracy_table,
    claims_table,
    uncommitted,
)

__all__ = [
    "Card",
    "Claim",
    "Interval",
    "Judgement",
    "Ledger",
    "Record",
    "accuracies",
    "accuracy_table",
    "at_noise",
    "claims_table",
    "judge",
    "load_ledger",
    "mean_interval",
    "open_records",
    "paired_interval",
    "plan",
    "replayed",
    "still_true",
    "uncommitted",
    "values",
]
