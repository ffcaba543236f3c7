"""All 225 printed figures together: the table of the command, and what is said beside
it.
"""

import csv
import io
from collections import Counter

import pytest

from notebooks.kit.printed import Figure, agrees, printed_efficiency
from notebooks.kit.printed.__main__ import main
from notebooks.kit.printed.efficiency import (
    CHOICES,
    ORIGINS,
    beside_tables,
    csv_row,
    efficiency,
    free_choices,
    reason,
)
from notebooks.kit.printed.explain import TEXT, judge

KEY = ("paper", "table", "row", "metric")


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    return efficiency()


def test_every_printed_figure_is_there_and_at_least_200_agree(
    figures: list[Figure],
) -> None:
    assert [
        {**{k: getattr(f, k) for k in KEY}, "printed": f.printed} for f in figures
    ] == printed_efficiency()
    verdicts = Counter(f.verdict for f in figures)
    assert verdicts == {"agrees": 109, "agrees, fitted": 91, "not explained": 25}
    for figure in figures:
        assert agrees(figure.printed, figure.computed) == (
            figure.verdict != "not explained"
        )


def test_every_choice_and_way_of_counting_says_where_it_comes_from(
    figures: list[Figure],
) -> None:
    used = {
        what for f in figures if f.verdict == "agrees, fitted" for what in f.choices
    }
    used |= {f.convention for f in figures}
    assert used <= set(CHOICES)
    assert {choice["from"] for choice in CHOICES.values()} == set(ORIGINS)
    for what in used:
        assert len(CHOICES[what].get("why", CHOICES[what].get("says", ""))) > 10


def test_a_choice_that_not_all_rows_of_a_table_share_says_why(
    figures: list[Figure],
) -> None:
    """Rows that the text's networks explain depart, too."""
    for paper, table in dict.fromkeys((f.paper, f.table) for f in figures):
        own = [
            f
            for f in figures
            if (f.paper, f.table) == (paper, table) and f.verdict != "not explained"
        ]
        for what in {what for f in own for what in f.choices}:
            if any(what not in f.choices for f in own):
                assert "departs" in CHOICES[what], (paper, table, what)


def test_beside_a_table_stands_how_many_free_choices_explain_how_many_figures(
    figures: list[Figure],
) -> None:
    beside = {(t.paper, t.table): t for t in beside_tables(figures)}
    assert sum(t.verdicts.total() for t in beside.values()) == len(figures) == 225
    one = beside["RNL", "II(c)"]
    assert one.verdicts == {"agrees": 2, "agrees, fitted": 4}
    assert (
        sorted(one.free.values()) == [3, 3] and one.distinct == 1
    )  # 1.65 three times; code explains 2.67
    passes = beside["RCCA-3D", "IV"]
    assert (
        passes.free["backbone from elsewhere + 2 x MACs of modules"] == 8
    )  # what is given needs no choice
    assert (
        passes.distinct == 4
    )  # FLOPs of one to four passes; percentages and equal rows are not
    assert (
        beside["GTA", "Fig7"].distinct == 8
    )  # SA and TA have equal parameters, and SA+TA, SA+TAPE equal all


def test_what_is_given_is_marked_and_nothing_else(figures: list[Figure]) -> None:
    given = [f for f in figures if f.given]
    quoted, hundred = (
        [f for f in given if ("%" in f.metric) == percent] for percent in (False, True)
    )
    assert {(f.row, f.printed) for f in quoted} == {
        ("TSM", "33.0"),
        ("TSM", "24.30"),
        ("MF-Net", "11.1"),
    }
    assert {f.printed for f in hundred} == {"100.0"} and (
        len(quoted),
        len(hundred),
    ) == (11, 12)
    assert all(f.computed == float(f.printed) for f in given)
    counted = Counter(f.verdict for f in figures if not f.given)
    assert counted == {"agrees": 97, "agrees, fitted": 80, "not explained": 25}


def test_some_choices_are_several_decisions(figures: list[Figure]) -> None:
    beside = {(t.paper, t.table): t for t in beside_tables(figures)}
    several = sorted(
        CHOICES[what].get("decisions", 1) for what in beside["GTA", "Fig7"].free
    )
    assert several == [1, 1, 2, 11]
    assert beside["GTA", "Fig7"].decisions == 15


def test_what_text_and_code_state_is_no_free_choice(figures: list[Figure]) -> None:
    by_key = {tuple(getattr(f, k) for k in KEY): f for f in figures}
    quoted = by_key["RCCA-3D", "I", "TSM", "params M"]
    assert quoted.verdict == "agrees, fitted" and free_choices(quoted) == []
    assert reason(quoted) == "nothing to count: taken from elsewhere, not counted"
    coded = by_key["RNL", "III K400", "+5 RNL", "params M"]
    assert free_choices(coded) == [] and reason(coded).startswith(
        "public code: F_theta"
    )
    assert free_choices(by_key["RNL", "III K400", "+5 NL", "FLOPs G"]) == ["modules"]


def test_reasons() -> None:
    row = dict(
        zip((*KEY, "printed"), ("RNL", "t", "r", "FLOPs G", "1.00"), strict=True)
    )
    assert reason(judge(row, 1.0, 1.0, [])) == TEXT
    far = judge(row, 1.5, 1.0, [("near", 1.2), ("far", 3.0)])
    assert reason(far) == f"nearest: near; also tried: {TEXT} = 1.5000 | far = 3.0000"
    assert (
        csv_row(far)["verdict"] == "not explained" and csv_row(far)["computed"] == 1.2
    )
    quoted = judge(row, float("nan"), 1.0, [])
    assert reason(quoted) == TEXT


def test_the_command(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    figures: list[Figure],
) -> None:
    asked = []
    monkeypatch.setitem(
        main.__globals__, "efficiency", lambda paper: asked.append(paper) or figures
    )
    assert main(["efficiency"]) == 0 and main(["efficiency", "--paper", "GTA"]) == 0
    assert asked == [None, "GTA"]
    text = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(text)))[:225]
    assert list(rows[0]) == [
        *KEY,
        "printed",
        "computed",
        "unit",
        "convention",
        "verdict",
        "reason",
    ]
    assert [
        {k: row[k] for k in (*KEY, "printed")} for row in rows
    ] == printed_efficiency()
    assert rows[1]["computed"] == "2.6724" and all(row["reason"] for row in rows)
    words = {
        "agrees to the printed digit",
        "agrees under a stated reading",
        "not explained",
    }
    assert {row["verdict"] for row in rows} == words
    assert [row["row"] for row in rows if not row["computed"]] == [
        "bLVNet-TAM",
        "MSNet",
        "S3D-G",
        "I3D+NL",
        "CorrNet-R101",
    ]


def test_an_unknown_paper_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["efficiency", "--paper", "XYZ"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "allowed are RNL, PNL, RCCA-3D, GTA" in error
