"""All printed parameters and FLOPs, each recomputed."""

from typing import TextIO

import pandas as pd

from notebooks.kit.printed import gta, pnl, rcca, rnl
from notebooks.kit.printed.tables import csv_row
from notebooks.kit.printed.verdict import PrintedCost
from vidattn.errors import UserError

EXPLAINED = {"RNL": rnl, "PNL": pnl, "RCCA-3D": rcca, "GTA": gta}


def efficiency(paper: str | None = None) -> list[PrintedCost]:
    """Return every printed cost of one paper, or of all, recomputed, in the order of
    the printed ones.

    Raises:
        UserError: The paper is unknown.
    """
    if paper not in (None, *EXPLAINED):
        raise UserError(
            f"paper={paper!r} is not recomputed: allowed are {', '.join(EXPLAINED)}"
        )
    papers = EXPLAINED if paper is None else (paper,)
    return [cost for name in papers for cost in EXPLAINED[name].efficiency()]


def write_csv(file: TextIO, paper: str | None = None) -> None:
    """Write every printed cost beside the recomputed one."""
    table = pd.DataFrame([csv_row(cost) for cost in efficiency(paper)])
    table.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
