from pathlib import Path
from typing import Any

import pytest
import yaml
from notebooks.kit.claims.claim import Claim

from notebooks.kit.claims.ledger import load_study
from vidattn.errors import UserError

CLAIM: dict[str, Any] = {
    "id": "rnl-over-nl",
    "paper": "rnl",
    "statement": "A region's similarity beats a position's.",
    "better": "rnl",
    "worse": "nl",
    "effect": 0.02,
    "tolerance": 0.01,
}


def ledger(path: Path, *claims: dict[str, Any]) -> Path:
    study = {
        "paper": "x",
        "backbone": "b",
        "pretrain": {},
        "base": {},
        "variants": {"rnl": [], "nl": []},
        "primary": ["rnl", "nl"],
        "claims": list(claims),
    }
    path.write_text(yaml.safe_dump(study))
    return path


def load_claims(path: Path) -> tuple[Claim, ...]:
    return load_study(path).claims


def test_a_ledger_is_read_and_its_claims_judged(tmp_path: Path) -> None:
    lower = {**CLAIM, "id": "maps", "metric": "similarity", "direction": "lower"}
    first, second = load_claims(ledger(tmp_path / "c.yaml", CLAIM, lower))
    high, low = [0.53, 0.54] * 5, [0.50, 0.51] * 5
    assert first.judge(high, low).verdict == "reproduced"
    assert first.judge(low, high).verdict == "not reproduced"
    assert second.judge(low, high).verdict == "reproduced"
    assert second.judge(low, high).interval.mean == pytest.approx(0.03)
    assert first.judge([0.50, 0.53] * 5, low).verdict == "undecided"
    with pytest.raises(UserError, match="promises 10 paired seeds, 9 are given"):
        first.judge(high[:9], low[:9])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tolerance": 0.02},
            "claims[0]: tolerance 0.02 must be below the effect 0.02",
        ),
        ({"seeds": 9}, "claims[0].seeds: must be greater than or equal to 10, not 9"),
        ({"effect": -1.0}, "effect: must be greater than 0, not -1.0"),
        ({"direction": "up"}, "direction: must be 'higher' or 'lower', not 'up'"),
        ({"better": "nl"}, "compares two runs"),
        ({"size": 1}, "size: unknown; allowed are id, paper, statement"),
    ],
)
def test_malformed_claims_are_one_clear_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_claims(ledger(tmp_path / "c.yaml", {**CLAIM, **change}))
    assert message in str(caught.value)


def test_tolerance_must_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tolerance: missing"):
        rest = {key: value for key, value in CLAIM.items() if key != "tolerance"}
        load_claims(ledger(tmp_path / "c.yaml", rest))


def test_a_ledger_holds_four_claims_at_most_and_no_id_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 4"):
        load_claims(
            ledger(tmp_path / "c.yaml", *({**CLAIM, "id": str(i)} for i in range(5)))
        )
    with pytest.raises(UserError, match="share an id"):
        load_claims(ledger(tmp_path / "c.yaml", CLAIM, CLAIM))
    with pytest.raises(UserError, match="no such file"):
        load_claims(tmp_path / "none.yaml")


def test_claim_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Claim(**CLAIM).effect = 1.0  # type: ignore[misc]
