"""Tables of claims and accuracies."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from notebooks.kit.claims import (
    Card,
    Ledger,
    Record,
    accuracies,
    accuracy_table,
    claims_table,
    judge,
)
from notebooks.kit.claims.tables import uncommitted

ROOT = Path(__file__).parents[3]


def test_the_tables_have_what_was_recorded(
    ledger: Ledger,
    records: Callable[..., list[Record]],
    record: Callable[..., Record],
    ten: Card,
) -> None:
    found = records(10, RNL=0.1)
    judged = judge(ledger, found, ten)
    lines = claims_table(ledger, judged, ten).splitlines()
    assert len(lines) == 2 + 4
    row = "| +0.06 | 0.03 | 10 | +0.100 (+0.100 to +0.100) | **reproduced** |"
    assert row in lines[2]
    more = ten.model_copy(update={"more": {"over-baseline": 14}})
    said = claims_table(ledger, judged, more).partition("\n\n")[2]
    promised = "The ledger promised 10 seeds. *over-baseline* was given 14, after its"
    assert said.startswith(promised + " interval")
    one = [*found, record("SE", 0, metrics={"top1": 0.25})]
    assert list(accuracies(ledger, one)) == [*ledger.primary, "SE"]
    table = accuracy_table(ledger, one, {"RNL": "74.68 (III)"}).set_index("variant")
    assert table["seeds"].tolist() == [10, 10, 10, 10, 1]
    means = table["mean top-1, %"]
    assert means["RNL"] - means["NL"] == pytest.approx(10)
    assert table["printed"].tolist() == ["", "", "74.68 (III)", "", ""]
    shown = table["95% interval, or each seed"]
    assert shown["SE"] == "25.0" and " to " in shown["RNL"]
    assert table[""].tolist() == [*["primary"] * 4, "exploratory"]


def test_records_of_uncommitted_code_are_named(
    ledger: Ledger, record: Callable[..., Record], ten: Card
) -> None:
    clean = [record(seed=seed, commit="ab12") for seed in range(3)]
    dirty = [record("NL", seed, commit="ab12+dirty") for seed in range(3)]
    assert uncommitted([]) == uncommitted(clean) == ""
    start = "records are of uncommitted code: "
    assert f"1 of 4 {start}" in uncommitted([*clean, dirty[2]])
    assert "(NL, seed 2)" in uncommitted([*clean, dirty[2]])
    assert "(all but RNL, seed 0; RNL, seed 1)" in uncommitted([*clean[:2], *dirty])
    assert f"3 of 3 {start}" in uncommitted(dirty)
    assert uncommitted(dirty).endswith("(all of them).")
    table = claims_table(ledger, {}, ten)
    said = claims_table(ledger, {}, ten, dirty)
    assert said == f"{table}\n\n{uncommitted(dirty)}"
    assert claims_table(ledger, {}, ten, clean) == table


def test_a_page_that_shows_a_table_loads_nothing_that_runs() -> None:
    code = "import sys, notebooks.kit.claims; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    loaded = subprocess.check_output(words, text=True, cwd=ROOT).split()
    assert "notebooks.kit.claims.tables" in loaded
    assert not {"notebooks.kit.claims.running", "notebooks.kit.claims.probes"} & {
        *loaded
    }
