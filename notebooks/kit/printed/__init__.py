"""The four papers' printed numbers as data, and what explains each printed cost:
`efficiency`.
"""

from notebooks.kit.printed.audit import efficiency
from notebooks.kit.printed.cells import (
    PAPERS,
    printed_accuracy,
    printed_efficiency,
    printed_top1,
)
from notebooks.kit.printed.choices import says
from notebooks.kit.printed.verdict import PrintedCost, Verdict, agrees, decimals

__all__ = [
    "PAPERS",
    "PrintedCost",
    "Verdict",
    "agrees",
    "decimals",
    "efficiency",
    "printed_accuracy",
    "printed_efficiency",
    "printed_top1",
    "says",
]
