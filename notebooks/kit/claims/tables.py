"""Tables: claims, verdicts and accuracies, as pages show them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from notebooks.kit.claims.judging import Judgement, mean_interval
from notebooks.kit.claims.ledger import Card, Ledger
from notebooks.kit.claims.records import Record, values


def claims_table(
    ledger: Ledger,
    judged: Mapping[str, Judgement],
    card: Card,
    records: Sequence[Record] = (),
) -> str:
    """Return the claims that could be judged, as a Markdown table.

    Below it stands which claims got more seeds, and which records are of uncommitted
    code.
    """
    lines = [
        "| claim | predicted | tolerance | seeds | measured, 95% interval | verdict |",
        "|---" * 6 + "|",
    ]
    for claim in ledger.claims:
        if claim.id in judged:
            (mean, low, high), verdict = judged[claim.id]
            lines.append(
                f"| {claim.statement} | {claim.effect:+g} | {claim.tolerance:g} "
                f"| {len(card.seeds_of(claim))} "
                f"| {mean:+.3f} ({low:+.3f} to {high:+.3f}) | **{verdict}** |"
            )
    for name, seeds in card.more.items():
        lines.append(
            f"\nThe ledger promised {ledger.seeds} seeds. *{name}* was given {seeds}, "
            "after its interval had been seen to be too wide; its 95% does not account "
            "for that. The other claims are judged by the ledger's seeds alone."
        )
    if said := uncommitted(records):
        lines.append(f"\n{said}")
    return "\n".join(lines)


def uncommitted(records: Sequence[Record]) -> str:
    """Say which records were made from code that differed from the commit they name."""
    dirty = [one for one in records if not one.committed]
    clean = [one for one in records if one.committed]
    if not dirty:
        return ""
    which = "; ".join(map(str, dirty if len(dirty) <= len(clean) else clean))
    if len(clean) < len(dirty):
        which = f"all but {which}" if clean else "all of them"
    return (
        f"{len(dirty)} of {len(records)} records are of uncommitted code: files "
        f"of the project differed from the commit that they name ({which})."
    )


def accuracies(ledger: Ledger, records: Sequence[Record]) -> dict[str, list[float]]:
    """Return the top-1 accuracies in percent of every variant that has records.

    The variants stand in the ledger's order.
    """
    found = {
        name: [100 * value for value in values(records, name).values()]
        for name in ledger.variants
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def accuracy_table(
    ledger: Ledger, records: Sequence[Record], printed: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each variant that has records, its accuracy and the paper's.

    Args:
        ledger: The ledger.
        records: Its records.
        printed: The paper's figures by variant.
    """
    lines = []
    for name, numbers in accuracies(ledger, records).items():
        shown = " and ".join(f"{number:.1f}" for number in numbers)
        if len(numbers) > 2:  # the interval of two would be wider than the scale
            shown = "{1:.1f} to {2:.1f}".format(*mean_interval(numbers))
        lines.append(
            {
                "variant": name,
                "seeds": len(numbers),
                "mean top-1, %": np.mean(numbers),
                "95% interval, or each seed": shown,
                "printed": printed.get(name, ""),
                "": "primary" if name in ledger.primary else "exploratory",
            }
        )
    return pd.DataFrame(lines)
