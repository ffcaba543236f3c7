import pytest

from notebooks.kit.printed.explain import (
    TEXT,
    Figure,
    Reading,
    judge,
    letters,
    table,
    ways_of_counting,
)

ROW = {
    "paper": "RNL",
    "table": "t",
    "row": "r",
    "metric": "params M",
    "printed": "1.00",
}


def test_a_figure_that_nothing_gives_is_not_explained_and_shows_the_nearest() -> None:
    figure = judge(ROW, 1.5, 1.6, [("far", 2.0), ("near", 1.2)])
    assert (figure.verdict, figure.computed, figure.reading) == (
        "not explained",
        1.2,
        "near",
    )
    assert figure.others == ((TEXT, 1.5), ("far", 2.0))
    assert (figure.text, figure.all_counted) == (1.5, 1.6)


def test_the_text_comes_first_then_the_likeliest_reading() -> None:
    assert judge(ROW, 1.001, 1.5, [("also", 1.0)]).verdict == "agrees"
    figure = judge(ROW, 1.5, 1.5, [("first", 1.001), ("nearer", 1.0)])
    assert (figure.verdict, figure.reading) == ("agrees, fitted", "first")


@pytest.mark.parametrize(
    ("metric", "unit", "convention"),
    [
        ("params M saved", "M", "parameters"),
        ("FLOPs G", "GMAC", "modules"),
        ("param increase % (<)", "%", "parameters"),
    ],
)
def test_units(metric: str, unit: str, convention: str) -> None:
    figure = judge(ROW | {"metric": metric}, 1.0, 1.0, [])
    assert (figure.unit, figure.convention) == (unit, convention)


def test_the_likeliest_reading_is_the_first_of_the_others() -> None:
    assert Reading(1).likeliest == 1
    assert Reading(1, {"b": 2, "a": 3}).likeliest == 2


def test_every_subset_of_the_parts_is_tried() -> None:
    rows = [("1.2", 1.0, {"a": 0.2, "b": 0.5}), ("2.5", 2.0, {"a": 0.0, "b": 0.5})]
    fits = {
        tuple(f.choices.items()): (f.agreeing, f.rows) for f in ways_of_counting(rows)
    }
    assert fits == {
        (("a", False), ("b", False)): (0, 2),
        (("a", False), ("b", True)): (1, 2),
        (("a", True), ("b", False)): (1, 2),
        (("a", True), ("b", True)): (1, 2),
    }


def test_the_table_of_a_page() -> None:
    figures: list[Figure] = [
        judge(ROW, 1.001, 2.0, []),
        judge(ROW, 1.5, 2.0, [("a guess: it fits", 1.0)]),
        judge(ROW, 1.5, 2.0, [("counted otherwise", 1.0)]),
        judge(ROW, 1.5, 2.0, [("near", 1.2)]),
    ]
    assert letters(figures) == {"a guess: it fits": "A*", "counted otherwise": "B"}
    shown = [
        (r["text's model"], r["nearest"], r["verdict"], r["everything"])
        for r in table(figures)
    ]
    assert shown == [
        ("1.001", "", "✓", "2.000"),
        ("1.500", "1.000", "fitted, A*", "2.000"),
        ("1.500", "1.000", "fitted, B", "2.000"),
        ("1.500", "1.200", "✗", "2.000"),
    ]
    assert {(r["table: row"], r["figure"], r["printed"]) for r in table(figures)} == {
        ("t: r", "params M", "1.00")
    }
