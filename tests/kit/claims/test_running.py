"""Running what a ledger lists and is not yet recorded."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from notebooks.kit.claims import (
    Card,
    Ledger,
    load_ledger,
    open_records,
    plan,
    running,
)
from notebooks.kit.claims.records import read_records
from vidattn.errors import UserError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Any) -> Path:
    """A repository with a ledger and a backbone, whose runs need no training."""
    for file in ("ledgers/rnl.yaml", "results/rnl/backbone.pt"):
        (tmp_path / "book" / file).parent.mkdir(parents=True)
        shutil.copy(ROOT / "book" / file, tmp_path / "book" / file)

    def side_by_side(work: object, tasks: list[Any], jobs: int) -> Any:
        assert work is running._measured
        return (record(variant, seed) for _, variant, seed, _ in tasks)

    monkeypatch.setattr(running, "side_by_side", side_by_side)
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_ledger_is_committed_before_its_runs(project: Path) -> None:
    with pytest.raises(UserError, match="must be committed before its runs"):
        running.record(project, "rnl")
    with pytest.raises(UserError, match="no ledger 'nl' to record: allowed are rnl"):
        running.record(project, "nl")


def test_what_is_planned_is_recorded_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(project, "add", "book/ledgers")
    git(project, "commit", "--quiet", "-m", "ledger")
    running.record(project, "rnl")
    ledger, card, records = open_records(project, "rnl")
    assert card.ledger_commit == git(project, "rev-parse", "HEAD")
    assert [(one.variant, one.seed) for one in records] == plan(ledger, card)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"rnl: {len(records)} runs, 0 of them recorded"
    assert said[1] == f"1 of {len(records)}, 0 min: {records[0]}: top-1 50.0%"
    path = project / "book/results/rnl/runs.jsonl"
    kept = path.read_text()
    running.record(project, "rnl")
    assert path.read_text() == kept
    running.record(project, "rnl", more={"over-non-local": 11})
    assert path.read_text().startswith(kept)
    *_, card, more = open_records(project, "rnl")
    assert card.more == {"over-non-local": 11}
    eleventh = [(name, card.seeds[10]) for name in ("NL", "RNL")]
    assert [(one.variant, one.seed) for one in more[len(records) :]] == eleventh


def test_lines_of_old_records_stay_as_they_are(tmp_path: Path, record: Any) -> None:
    shutil.copy(ROOT / "book/results/rnl/runs.jsonl", tmp_path)
    before = (tmp_path / "runs.jsonl").read_text()
    one = record(description={"seed": 3})
    running._keep(tmp_path, one)
    assert (tmp_path / "runs.jsonl").read_text() == before + one.line()
    assert read_records(tmp_path)[-1] == one


def test_more_seeds_go_on_where_the_ledgers_end(ledger: Ledger) -> None:
    path = ROOT / "book/results/rnl/card.yaml"
    card = Card.model_validate(yaml.safe_load(path.read_text()))
    longer = running._extended(card, ledger, {"over-baseline": 13})
    assert longer.more == {"over-baseline": 13}
    assert longer.seeds[:10] == card.seeds and len(set(longer.seeds)) == 13
    for wrong in ({"over-all": 20}, {"over-baseline": 10}):
        with pytest.raises(UserError, match="allowed are over-baseline, over-non-loc"):
            running._extended(card, ledger, wrong)


def test_work_is_done_side_by_side_and_comes_back_in_order() -> None:
    tasks = [(2, 3), (3, 2), (5, 1)]
    assert list(running.side_by_side(pow, tasks)) == [8, 9, 5]
    assert list(running.side_by_side(pow, [])) == []


def test_a_run_is_recorded_with_its_whole_description(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    short = {"optim": {"epochs": 1}, "data": {"train": {"clips": 32}}}
    short["data"] |= {"test": {"clips": 8}, "root": str(tmp_path / "data")}
    base = ledger.experiment("NL", 0, **short).model_dump(mode="json")
    measures = {"noise": [0.3], "map_clips": 1, "map_queries": 2, "reversals": True}
    for gone in ("name", "blocks", "seed"):
        base.pop(gone)
    small = load_ledger(ROOT / "book/ledgers/rnl.yaml").model_copy(
        update={
            "base": base,
            "measures": type(ledger.measures).model_validate(measures),
        }
    )
    one = running._measured(small, "NL", 5, tmp_path)
    assert one.description == small.experiment("NL", 5).model_dump(mode="json")
    maps = ["maps alike", "maps alike without self", "own weight"]
    order = ["within pairs", "within reversals"]
    assert list(one.metrics) == ["top1", "noise 0.3", *order, *maps]
    assert (one.variant, one.seed, len(one.first_losses)) == ("NL", 5, one.steps)
    bare = running._measured(small, "baseline", 5, tmp_path)
    assert list(bare.metrics) == ["top1", "noise 0.3", *order]
