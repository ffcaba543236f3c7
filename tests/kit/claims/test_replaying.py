"""Whether records are those of today's code."""

from collections.abc import Callable

import pytest

from notebooks.kit.claims import Ledger, Record, replayed, replaying, still_true

Make = Callable[..., Record]


@pytest.mark.parametrize(
    ("deviation", "said"),
    [
        (0.0, "bit for bit"),
        (4e-4, "to within 4e-04"),
        (0.02, "only to within 2.0%: **the records are stale**"),
    ],
)
def test_a_record_that_does_not_come_out_again_is_called_stale(
    ledger: Ledger,
    record: Make,
    monkeypatch: pytest.MonkeyPatch,
    deviation: float,
    said: str,
) -> None:
    monkeypatch.setattr(replaying, "largest_deviation", lambda *_: deviation)
    start = "The replayed losses of RNL, seed 3, equal the recorded ones "
    assert replayed(ledger, record()).startswith(start + said)
    assert f"give the recorded losses {said}" in still_true(ledger, [record()])


def test_records_are_compared_with_todays_code(
    ledger: Ledger, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [
        record(name, seed, key=ledger.experiment(name, seed).key())
        for name in ledger.primary
        for seed in (0, 1)
    ]
    records[0] = records[0].model_copy(update={"key": "of other code"})
    losses = [2.0, 1.0]
    monkeypatch.setattr(replaying, "replay", lambda run, steps: losses[:steps])
    text = still_true(ledger, records)
    assert "7 of 8 recorded keys" in text and "bit for bit" in text
    assert "first 5 steps of baseline, NL, RNL, RNL 1x1x1," in text
    losses[1] = 1.001
    assert "to within 1e-03" in still_true(ledger, records)
    assert replaying.largest_deviation(ledger, records[0], 1) == 0
