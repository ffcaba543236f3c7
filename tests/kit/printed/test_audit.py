"""All printed costs together: the table of the command, and what is said beside it."""

import csv
import io
from collections import Counter

import pytest

from notebooks.__main__ import main
from notebooks.kit.printed import (
    PrintedCost,
    Verdict,
    agrees,
    audit,
    efficiency,
    printed_efficiency,
    says,
)
from notebooks.kit.printed.choices import CHOICES, ORIGINS, checked
from notebooks.kit.printed.tables import beside_tables, csv_row, free_choices, reason
from notebooks.kit.printed.verdict import Recounted, judge
from vidattn.errors import UserError

KEY = ("paper", "table", "row", "metric")


@pytest.fixture(scope="module")
def costs() -> list[PrintedCost]:
    return efficiency()


def test_every_printed_figure_is_there_and_at_least_200_agree(
    costs: list[PrintedCost],
) -> None:
    assert [
        {**{k: getattr(f, k) for k in KEY}, "printed": f.printed} for f in costs
    ] == printed_efficiency()
    verdicts = Counter(f.agreement for f in costs)
    assert verdicts == {"agrees": 109, "agrees, fitted": 91, "not explained": 25}
    assert verdicts.total() - verdicts["not explained"] >= 200
    for figure in costs:
        assert agrees(figure.printed, figure.computed) == (
            figure.agreement is not Verdict.UNEXPLAINED
        )


def test_every_choice_and_way_of_counting_says_where_it_comes_from(
    costs: list[PrintedCost],
) -> None:
    used = {what for f in costs if f.agreement is Verdict.FITTED for what in f.reading}
    used |= {f.convention for f in costs}
    assert {choice.origin for choice in CHOICES.values()} == set(ORIGINS)
    for what in used:
        assert len(CHOICES[what].why or CHOICES[what].says) > 7


def test_every_reading_takes_choices_that_are_known(costs: list[PrintedCost]) -> None:
    for figure in costs:
        for reading in figure.tried:
            assert checked(reading) == reading
            assert len(set(reading)) == len(reading) and says(reading)
    with pytest.raises(UserError, match="'wider' is unknown"):
        checked(["narrow", "wider"])


def test_a_choice_s_words_are_told_and_never_read() -> None:
    """Two choices have the words of one; no reading is found by its words."""
    assert says(("narrow", "after")) == (
        "NL at C/2, SA and TA at C/4; keys pooled after their projections"
    )
    assert says(()) == "as the text has it"
    assert len({choice.says for choice in CHOICES.values()}) == len(CHOICES)


def test_a_choice_that_not_all_rows_of_a_table_share_says_why(
    costs: list[PrintedCost],
) -> None:
    """Rows that the text's networks explain depart, too."""
    for paper, table in dict.fromkeys((f.paper, f.table) for f in costs):
        own = [
            f
            for f in costs
            if (f.paper, f.table) == (paper, table)
            and f.verdict is not Verdict.UNEXPLAINED
        ]
        for what in {what for f in own for what in f.reading}:
            if any(what not in f.reading for f in own):
                assert CHOICES[what].departs, (paper, table, what)


def test_beside_a_table_stands_how_many_free_choices_explain_how_many_figures(
    costs: list[PrintedCost],
) -> None:
    beside = {(t.paper, t.table): t for t in beside_tables(costs)}
    assert sum(t.verdicts.total() for t in beside.values()) == len(costs)
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


def test_what_is_given_is_marked_and_nothing_else(costs: list[PrintedCost]) -> None:
    given = [f for f in costs if f.verdict is Verdict.GIVEN]
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
    assert Counter(f.agreement for f in given) == {"agrees": 12, "agrees, fitted": 11}
    counted = Counter(f.verdict for f in costs if f.verdict is not Verdict.GIVEN)
    assert counted == {"agrees": 97, "agrees, fitted": 80, "not explained": 25}


def test_some_choices_are_several_decisions(costs: list[PrintedCost]) -> None:
    beside = {(t.paper, t.table): t for t in beside_tables(costs)}
    several = sorted(CHOICES[what].decisions for what in beside["GTA", "Fig7"].free)
    assert several == [1, 1, 2, 11]
    assert beside["GTA", "Fig7"].decisions == 15


def test_what_text_and_code_state_is_no_free_choice(costs: list[PrintedCost]) -> None:
    by_key = {tuple(getattr(f, k) for k in KEY): f for f in costs}
    quoted = by_key["RCCA-3D", "I", "TSM", "params M"]
    assert quoted.agreement is Verdict.FITTED and free_choices(quoted) == []
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
    text = says(())
    assert reason(judge(row, Recounted((), 1.0), 1.0, [])) == text
    others = [Recounted(("narrow",), 1.2), Recounted(("after",), 3.0)]
    far = judge(row, Recounted((), 1.5), 1.0, others)
    near, farther = (says([choice]) for choice in ("narrow", "after"))
    assert reason(far) == (
        f"nearest: {near}; also tried: {text} = 1.5000 | {farther} = 3.0000"
    )
    assert (
        csv_row(far)["verdict"] == "not explained" and csv_row(far)["computed"] == 1.2
    )
    quoted = judge(row, None, 1.0, [Recounted(("not_built",), float("nan"))])
    assert reason(quoted) == says(["not_built"])


def test_the_command(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    costs: list[PrintedCost],
) -> None:
    asked = []
    monkeypatch.setattr(audit, "efficiency", lambda paper: asked.append(paper) or costs)
    assert main(["costs"]) == 0 and main(["costs", "--paper", "GTA"]) == 0
    assert asked == [None, "GTA"]
    text = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(text)))[: len(costs)]
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
    assert main(["costs", "--paper", "XYZ"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "allowed are RNL, PNL, RCCA-3D, GTA" in error
