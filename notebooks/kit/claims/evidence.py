"""The old name of what pages use, for pages that have not moved yet."""

from notebooks.kit.claims import (  # noqa: F401
    accuracies,
    accuracy_table,
    claims_table,
    judge,
    open_records,
    replayed,
    still_true,
    values,
)
