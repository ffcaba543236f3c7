from pathlib import Path

import pytest
import yaml

from notebooks.kit.claims.ledger import Study, at_noise, load_study
from vidattn.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger() -> dict:
    return yaml.safe_load((ROOT / "book/ledgers/rnl.yaml").read_text())


@pytest.fixture
def study() -> Study:
    return load_study(ROOT / "book/ledgers/rnl.yaml")


def test_a_variant_is_the_base_with_its_blocks_on_the_shared_backbone(
    study: Study,
) -> None:
    bare, region = study.experiment("baseline", 3), study.experiment("RNL", 3)
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
    assert (bare.seed, bare.name, study.experiment("SE+RNL", 3).name) == (
        3,
        "rnl-baseline",
        "rnl-se-rnl",
    )


def test_changes_reach_one_variant_alone(study: Study) -> None:
    assert study.experiment("oracle", 0).data.train.distractors == 0
    assert (
        study.experiment("oracle", 0).data.train.clips
        == study.experiment("NL", 0).data.train.clips
    )
    assert study.experiment("NL", 0).data.train.distractors == 1


def test_a_run_can_be_shortened_and_the_rest_stays(study: Study) -> None:
    short = study.experiment("RNL", 0, optim={"epochs": 1})
    assert (
        short.optim.epochs == 1
        and short.optim.lr == study.experiment("RNL", 0).optim.lr
    )


def test_another_noise_changes_the_test_clips_alone(study: Study) -> None:
    run = study.experiment("RNL", 0)
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
    ledger: dict, tmp_path: Path, change: dict, words: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**ledger, **change}, sort_keys=False))
    with pytest.raises(UserError, match=words) as caught:
        load_study(path)
    assert len(str(caught.value).splitlines()) == 1


def test_more_than_four_claims_are_refused(ledger: dict, tmp_path: Path) -> None:
    ledger["claims"].append({**ledger["claims"][0], "id": "fifth"})
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(ledger))
    with pytest.raises(UserError, match="claims"):
        load_study(tmp_path / "x.yaml")


def test_an_unknown_variant_is_refused(study: Study) -> None:
    with pytest.raises(
        UserError, match="no variant 'RNN'; allowed are baseline, NL, RNL"
    ):
        study.experiment("RNN", 0)
