"""Claims written before their runs, the records of these runs, and verdicts.

What trains or looks into a network (`running`, `probes`) is imported by its own name.
"""

# ruff: noqa: F401
from notebooks.kit.claims.judging import (
    Interval,
    Judgement,
    judge,
    mean_interval,
    paired_interval,
)
from notebooks.kit.claims.ledger import Card, Claim, Ledger, load_ledger, plan
from notebooks.kit.claims.records import Record, open_records, values
from notebooks.kit.claims.replaying import replayed, still_true
from notebooks.kit.claims.tables import accuracies, accuracy_table, claims_table
