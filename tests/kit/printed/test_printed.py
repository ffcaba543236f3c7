import pytest

from notebooks.kit.printed import PAPERS, agrees, printed_accuracy, printed_efficiency
from vidattn.errors import UserError


def test_every_printed_figure_has_a_key_of_its_own() -> None:
    rows = printed_efficiency()
    numbers = [sum(row["paper"] == paper for row in rows) for paper in PAPERS]
    assert numbers == [30, 34, 121, 40] and sum(numbers) == 225
    assert len({(r["paper"], r["table"], r["row"], r["metric"]) for r in rows}) == len(
        rows
    )
    assert all(float(r["printed"]) > 0 for r in rows)


def test_accuracies() -> None:
    keys = ("paper", "table", "row", "dataset", "split", "metric", "views")
    rows = printed_accuracy()
    assert {r["paper"] for r in rows} == set(PAPERS)
    assert len({tuple(r[k] for k in keys) for r in rows}) == len(rows)
    best = [
        r
        for r in printed_accuracy("RNL")
        if r["table"] == "III" and r["row"] == "+ 5 RNL"
    ]
    assert [r["printed"] for r in best] == ["74.68", "49.24"]


def test_agreement_is_to_the_printed_digit() -> None:
    assert agrees("24.33", 24.3276) and not agrees("24.33", 24.3249)
    assert agrees("32.90", 32.8951) and not agrees("32.9", 33.0)
    assert agrees("16", 16.4) and not agrees("16", 16.6)


def test_unknown_paper() -> None:
    with pytest.raises(UserError, match="allowed are RNL, PNL, RCCA-3D, GTA"):
        printed_efficiency("NL")
