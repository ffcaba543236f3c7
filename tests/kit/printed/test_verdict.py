from dataclasses import replace

import pytest

from notebooks.kit.printed import Verdict
from notebooks.kit.printed.readings import Row
from notebooks.kit.printed.recount import Backbone, RowNetwork
from notebooks.kit.printed.report import named, show_choices, show_costs
from notebooks.kit.printed.tables import letters
from notebooks.kit.printed.verdict import PrintedCost, Recounted, judge
from notebooks.kit.printed.ways import ways_of_counting

ROW = {
    "paper": "RNL",
    "table": "t",
    "row": "r",
    "metric": "params M",
    "printed": "1.00",
}


def judged(text: float, all_counted: float = 2.0, **others: float) -> PrintedCost:
    readings = [Recounted((choice,), value) for choice, value in others.items()]
    return judge(ROW, Recounted((), text), all_counted, readings)


def test_a_figure_that_nothing_gives_is_not_explained_and_shows_the_nearest() -> None:
    cost = judged(1.5, 1.6, wide=2.0, narrow=1.2)
    assert (cost.verdict, cost.computed, cost.reading) == (
        "not explained",
        1.2,
        ("narrow",),
    )
    assert cost.others == {(): 1.5, ("wide",): 2.0}
    assert next(iter(cost.tried.items())) == (("narrow",), 1.2) and len(cost.tried) == 3
    assert (cost.text, cost.all_counted) == (1.5, 1.6)


def test_the_text_comes_first_then_the_likeliest_reading() -> None:
    assert judged(1.001, after=1.0).verdict is Verdict.AGREES
    cost = judged(1.5, narrow=1.001, after=1.0)
    assert (cost.verdict, cost.reading) == ("agrees, fitted", ("narrow",))


def test_what_is_given_says_so_and_agrees_all_the_same() -> None:
    cost = judged(1.5, quoted=1.0)
    assert (cost.verdict, cost.agreement) == (Verdict.GIVEN, Verdict.FITTED)
    hundred = judge(ROW, Recounted(("definition",), 1.0), 1.0, [])
    assert (hundred.verdict, hundred.agreement) == (Verdict.GIVEN, Verdict.AGREES)
    assert hundred.text == 1.0


@pytest.mark.parametrize(
    ("metric", "unit", "convention"),
    [
        ("params M saved", "M", "parameters"),
        ("FLOPs G", "GMAC", "modules"),
        ("param increase % (<)", "%", "parameters"),
        ("FLOPs %", "%", "modules"),
        ("ratio", "ratio", "modules"),
    ],
)
def test_units(metric: str, unit: str, convention: str) -> None:
    cost = judge(ROW | {"metric": metric}, Recounted((), 1.0), 1.0, [])
    assert (cost.unit, cost.convention) == (unit, convention)


def test_the_convention_is_that_of_the_reading_that_agrees() -> None:
    row = ROW | {"metric": "FLOPs G"}
    others = [Recounted(("seen",), 1.0, "all")]
    assert judge(row, Recounted((), 1.5), 1.0, others).convention == "all"
    assert judge(row, Recounted((), 1.0), 1.0, others).convention == "modules"


def test_the_likeliest_reading_is_the_first_of_the_others() -> None:
    one, two, three = (RowNetwork(Backbone("resnet50"), classes=n) for n in (1, 2, 3))
    assert Row(one).likeliest is one
    assert Row(one, {("narrow",): two, ("after",): three}).likeliest is two


def test_every_subset_of_the_parts_is_tried() -> None:
    rows = [("1.2", 10, {"a": 2, "b": 5}), ("2.5", 20, {"a": 0, "b": 5})]
    rows = [
        (printed, always * 1e8, {name: part * 1e8 for name, part in parts.items()})
        for printed, always, parts in rows
    ]
    fits = {
        tuple(f.choices.items()): (f.agreeing, f.rows) for f in ways_of_counting(rows)
    }
    assert fits == {
        (("a", False), ("b", False)): (0, 2),
        (("a", False), ("b", True)): (1, 2),
        (("a", True), ("b", False)): (1, 2),
        (("a", True), ("b", True)): (1, 2),
    }


def test_the_table_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = [
        judged(1.001),
        judged(1.5, guess=1.0),
        judged(1.5, seen=1.0),
        judged(1.5, narrow=1.2),
    ]
    assert letters(costs) == {("guess",): "A*", ("seen",): "B"}
    tables, said = [], []
    monkeypatch.setitem(show_costs.__globals__, "show_table", tables.append)
    monkeypatch.setitem(show_costs.__globals__, "say", said.append)
    show_costs(costs)
    (table,) = tables
    columns = ["text's model", "nearest", "verdict", "everything"]
    assert table[columns].to_numpy().tolist() == [
        ["1.001", "", "✓", "2.000"],
        ["1.500", "1.000", "fitted, A*", "2.000"],
        ["1.500", "1.000", "fitted, B", "2.000"],
        ["1.500", "1.200", "✗", "2.000"],
    ]
    key = ["table: row", "figure", "printed"]
    assert set(map(tuple, table[key].to_numpy())) == {("t: r", "params M", "1.00")}
    assert said == [
        "Readings:\n\n- **A\\*** GTA with a bottleneck and 4 groups (a guess)\n"
        "- **B** counted as RNL's tables are"
    ]


def test_every_fitted_cost_needs_one_of_the_choices_that_a_page_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs, shown = [judged(1.5, guess=1.0), judged(1.0), judged(1.5, seen=1.0)], []
    monkeypatch.setitem(
        show_choices.__globals__, "show_rows", lambda rows, columns: shown.append(rows)
    )
    show_choices(costs, {"guess": "a guess", "seen": "RNL's way"})
    assert shown == [[("a guess", 1), ("RNL's way", 1)]]
    with pytest.raises(AssertionError):
        show_choices(costs, {"guess": "a guess"})


def test_costs_by_name_agree_with_the_text_as_their_verdicts_say() -> None:
    cost = judged(1.0)
    assert named([cost]) == {("t", "r", "params M"): cost}
    with pytest.raises(AssertionError):
        named([replace(cost, text=1.5)])
