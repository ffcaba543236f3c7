"""Ledgers: claims, variants and the plan of their runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from notebooks.kit.claims import Card, Claim, Ledger, load_ledger, plan
from notebooks.kit.claims.ledger import at_noise, seeds_from_commit
from vidattn.errors import UserError

ROOT = Path(__file__).parents[3]
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def written() -> dict:
    return yaml.safe_load((ROOT / "book/ledgers/rnl.yaml").read_text())


def test_a_variant_is_the_base_with_its_blocks_on_the_shared_backbone(
    ledger: Ledger,
) -> None:
    bare, region = ledger.experiment("baseline", 3), ledger.experiment("RNL", 3)
    assert bare.blocks == () and region.blocks[0].kind == "region"
    assert region.blocks[0].options == {"kernel": [3, 3, 3]} and region.blocks[
        0
    ].places == {"res3": (2,)}
    assert (
        bare.model == region.model
        and bare.data == region.data
        and bare.optim == region.optim
    )
    assert bare.model.pretrained == "book/results/rnl/backbone.pt"
    assert (bare.seed, bare.name, ledger.experiment("SE+RNL", 3).name) == (
        3,
        "rnl-baseline",
        "rnl-se-rnl",
    )


def test_changes_reach_one_variant_alone(ledger: Ledger) -> None:
    assert ledger.experiment("oracle", 0).data.train.distractors == 0
    assert (
        ledger.experiment("oracle", 0).data.train.clips
        == ledger.experiment("NL", 0).data.train.clips
    )
    assert ledger.experiment("NL", 0).data.train.distractors == 1


def test_a_run_can_be_shortened_and_the_rest_stays(ledger: Ledger) -> None:
    short = ledger.experiment("RNL", 0, optim={"epochs": 1})
    assert (
        short.optim.epochs == 1
        and short.optim.lr == ledger.experiment("RNL", 0).optim.lr
    )


def test_another_noise_changes_the_test_clips_alone(ledger: Ledger) -> None:
    run = ledger.experiment("RNL", 0)
    noisy = at_noise(run, 0.3)
    assert noisy.data.test.noise == 0.3 and noisy.data.train == run.data.train
    assert noisy.data.test.seed == run.data.test.seed


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"primary": ["baseline", "nobody"]},
            "variant 'nobody' is not described; there are baseline, NL",
        ),
        ({"primary": ["baseline", "NL"]}, "compares variants that are not all primary"),
        ({"spare": 1}, "spare: unknown"),
        ({"exploratory_seeds": 0}, "exploratory_seeds"),
    ],
)
def test_a_faulty_ledger_is_refused_in_one_line(
    written: dict, tmp_path: Path, change: dict, words: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**written, **change}, sort_keys=False))
    with pytest.raises(UserError, match=words) as caught:
        load_ledger(path)
    assert len(str(caught.value).splitlines()) == 1


def test_more_than_four_claims_are_refused(written: dict, tmp_path: Path) -> None:
    written["claims"].append({**written["claims"][0], "id": "fifth"})
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(written))
    with pytest.raises(UserError, match="claims"):
        load_ledger(tmp_path / "x.yaml")


def test_an_unknown_variant_is_refused(ledger: Ledger) -> None:
    with pytest.raises(
        UserError, match="no variant 'RNN'; allowed are baseline, NL, RNL"
    ):
        ledger.experiment("RNN", 0)


def test_seeds_follow_from_the_commit_alone() -> None:
    seeds = seeds_from_commit(SHA, 10)
    # int(sha256("0123456789abcdef0123456789abcdef01234567:0").hexdigest(), 16) % 2**31,
    # by sha256sum
    assert seeds[0] == 1758151719
    assert seeds_from_commit(SHA, 3) == seeds[:3]
    assert len(set(seeds)) == 10 and all(0 <= seed < 2**31 for seed in seeds)
    assert not set(seeds) & set(seeds_from_commit(SHA[::-1], 10))
    with pytest.raises(UserError, match="40 hexadecimal digits"):
        seeds_from_commit("0123abc", 3)


def test_the_plan_runs_the_claims_pairs_first_seed_by_seed(
    ledger: Ledger, ten: Card
) -> None:
    planned = plan(ledger, ten)
    first = ["baseline", "NL", "RNL", "RNL 1x1x1"]
    assert planned[:5] == [*((name, 0) for name in first), ("baseline", 1)]
    assert planned[40][0] == "oracle" and {seed for _, seed in planned[40:]} == {0, 1}
    assert len(planned) == len(set(planned)) == 40 + 2 * (len(ledger.variants) - 4)


def test_a_claim_that_needs_more_seeds_gets_them_for_its_two_variants(
    ledger: Ledger, ten: Card
) -> None:
    card = Card(seeds=tuple(range(12)), more={"over-non-local": 12})
    planned, usual = plan(ledger, card), plan(ledger, ten)
    assert planned[:40] == usual[:40]
    assert planned[40:44] == [("NL", 10), ("RNL", 10), ("NL", 11), ("RNL", 11)]
    assert planned[44:] == usual[40:]


CLAIM: dict[str, Any] = {
    "id": "rnl-over-nl",
    "paper": "rnl",
    "statement": "A region's similarity beats a position's.",
    "better": "rnl",
    "worse": "nl",
    "effect": 0.02,
    "tolerance": 0.01,
}


def write(path: Path, *claims: dict[str, Any]) -> Path:
    values = {
        "paper": "x",
        "backbone": "b",
        "pretrain": {},
        "base": {},
        "variants": {"rnl": [], "nl": []},
        "primary": ["rnl", "nl"],
        "claims": list(claims),
    }
    path.write_text(yaml.safe_dump(values))
    return path


def load_claims(path: Path) -> tuple[Claim, ...]:
    return load_ledger(path).claims


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
        ({"metric": "similarity"}, "metric: unknown metric 'similarity': allowed are"),
    ],
)
def test_malformed_claims_are_one_clear_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_claims(write(tmp_path / "c.yaml", {**CLAIM, **change}))
    assert message in str(caught.value)


def test_tolerance_must_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tolerance: missing"):
        rest = {key: value for key, value in CLAIM.items() if key != "tolerance"}
        load_claims(write(tmp_path / "c.yaml", rest))


def test_a_ledger_holds_four_claims_at_most_and_no_id_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 4"):
        load_claims(
            write(tmp_path / "c.yaml", *({**CLAIM, "id": str(i)} for i in range(5)))
        )
    with pytest.raises(UserError, match="share an id"):
        load_claims(write(tmp_path / "c.yaml", CLAIM, CLAIM))
    with pytest.raises(UserError, match="no such file"):
        load_claims(tmp_path / "none.yaml")


def test_claim_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Claim(**CLAIM).effect = 1.0  # type: ignore[misc]
