"""What pages show of a ledger's recorded runs."""

import pytest
from matplotlib.figure import Figure

from notebooks.kit import recorded
from notebooks.kit.printed import printed_accuracy, printed_top1
from notebooks.kit.recorded import Evidence, Recorded


def test_seeds_that_one_claim_got_on_top_are_not_compared() -> None:
    every, promised = Evidence("pnl"), Evidence("pnl", promised_only=True)
    assert len(every.card.seeds) > every.ledger.seeds == promised.seeds == 10
    assert len(every.accuracies["NL"]) > len(promised.accuracies["NL"]) == 10
    on_top = {one.seed for one in every.records} - set(every.promised)
    assert on_top and {one.seed for one in promised.compared}.isdisjoint(on_top)
    assert promised.exploratory == len(promised.compared) - 4 * 10 > 0


def test_what_was_not_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    page, said = Evidence("rcca"), list[str]()
    monkeypatch.setattr(recorded, "say", said.append)
    page.say_recorded()
    assert not page.not_run and said[0].endswith("exploratory runs.")
    del page.accuracies["RCCA b"], page.accuracies["RCCA c"]
    page.say_recorded()
    assert said[1] == f"{said[0]} Not run: RCCA b, RCCA c."


@pytest.mark.parametrize(
    ("name", "dataset", "variant", "shown"),
    [
        ("rnl", "kinetics400", "RNL 1x1x1", "73.28 (Table II(a))"),
        ("pnl", None, "PNL n=2", "81.98 (Table 4)"),
        ("pnl_c2d_axes", None, "R-50 + NL", "82.88 (Table 6)"),
        ("rcca", "ucf101", "RCCA res4", "86.15 (Table III)"),
    ],
)
def test_the_papers_accuracies_stand_beside_ours(
    name: str, dataset: str | None, variant: str, shown: str
) -> None:
    page = Evidence(name)
    table = page.table(dataset).data.set_index("variant")
    assert list(table.index) == list(page.accuracies)
    assert table.loc[variant, "printed"] == shown
    assert table.loc["oracle", "printed"] == ""


def test_a_dataset_is_chosen_where_a_row_has_several() -> None:
    both = [printed_top1("RCCA-3D", name)["VI", "TSM"] for name in ("ucf101", "hmdb51")]
    cells = [
        cell["printed"]
        for cell in printed_accuracy("RCCA-3D")
        if (cell["table"], cell["row"], cell["metric"]) == ("VI", "TSM", "top1")
    ]
    assert both == cells and len(set(both)) == 2


def test_named_claims_alone_are_drawn_and_each_variant_has_its_blocks_colour() -> None:
    page = Evidence("pnl", promised_only=True)
    drawn = page.claims_plot("difference", "pyramid", {"over-baseline": "PNL"})
    assert isinstance(drawn, Figure)
    (axis,) = drawn.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["PNL"]
    kinds = {"baseline": "baseline", "oracle": "oracle", "NL": "nonlocal"}
    assert kinds.items() <= page.kinds.items()
    assert Evidence("rcca").kinds["RCCA"] == "crisscross"


def test_the_card_names_every_ledger_of_the_page() -> None:
    pages = [Evidence(name) for name in ("pnl", "pnl_c2d")]
    commits = [str(page.card.ledger_commit)[:12] for page in pages]
    card = pages[0].run_card("PNL", "oracle: its own", pages[1])
    assert f"ledgers = {', '.join(commits)}" in card
    assert f"Run card: {sum(len(page.records) for page in pages)} runs" in card


def test_a_chapters_ledger_is_read_without_its_page() -> None:
    opened = Recorded("rnl")
    assert opened.mean("no such variant") is None
    found = opened.values("RNL")
    assert opened.mean("RNL", [min(found)]) == found[min(found)]
    assert opened.test_clips.clips == opened.clips_described["test"]["clips"] == 400
