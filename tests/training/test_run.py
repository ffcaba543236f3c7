import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidattn.errors import UserError
from vidattn.training import (
    evaluate,
    load_trained,
    read_result,
    replay,
    run,
    run_folder,
)
from vidattn.training.build import build_data, build_model, build_optimizer
from vidattn.training.experiment import Experiment, make_experiment
from vidattn.training.loop import Training
from vidattn.training.store import locked
from vidattn.video.datasets import VideoDataset


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def experiment(description: dict[str, Any]) -> Experiment:
    return make_experiment(description)


def weights(folder: Path | None) -> dict[str, torch.Tensor]:
    assert folder is not None
    return torch.load(folder / "final.pt", weights_only=True)


def test_a_run_leaves_all_that_a_run_card_needs(
    experiment: Experiment, runs: Path
) -> None:
    result = run(experiment, runs, progress=False)
    folder = runs / f"tiny-{experiment.key()}"
    left = {
        "experiment.yaml",
        "log.jsonl",
        "final.pt",
        "logits.npy",
        "labels.npy",
        "result.json",
        "lock",
    }
    assert {path.name for path in folder.iterdir()} == left
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 11))
    assert [line["lr"] for line in log[:2]] == pytest.approx([0.025, 0.05])
    assert (
        result.first_losses == [line["loss"] for line in log]
        and result.loss == log[-1]["loss"]
    )
    assert read_result(folder) == result and result.finished and result.steps == 10
    logits, labels = result.logits(), result.labels()
    assert logits.shape == (8, 4) and labels.tolist() == [0, 1, 2, 3] * 2
    assert result.top1 == (logits.argmax(1) == labels).mean()
    assert (
        np.trace(result.confusion) == round(result.top1 * 8)
        and np.sum(result.confusion) == 8
    )
    assert torch.__version__.startswith(result.versions["torch"])
    assert result.device == "cpu" and result.seed == 7
    model = load_trained(folder)
    assert (
        sum(parameter.numel() for parameter in model.parameters()) == result.parameters
    )
    assert all(
        torch.equal(model.state_dict()[name], tensor)
        for name, tensor in weights(folder).items()
    )


def test_testing_every_epoch_records_accuracies_and_changes_nothing_else(
    experiment: Experiment, runs: Path, tmp_path: Path
) -> None:
    plain = run(experiment, runs, progress=False)
    watched = experiment.model_copy(update={"test_every_epoch": True})
    run(
        watched, tmp_path, progress=False, stop_after=3
    )  # in the middle of the second epoch
    result = run(watched, tmp_path, progress=False)
    assert plain.epoch_top1 == [] and len(result.epoch_top1) == 5
    assert result.epoch_top1[-1] == result.top1 == plain.top1
    # Each is the accuracy of that epoch's weights: those of a run that was stopped
    # there.
    stopped = run(experiment, tmp_path, progress=False, stop_after=2)
    assert stopped.folder is not None
    model = build_model(experiment)
    model.load_state_dict(
        torch.load(stopped.folder / "last.pt", weights_only=True)["model"]
    )
    assert (
        result.epoch_top1[0]
        == evaluate(model.eval(), build_data(experiment)[1], batch=2).top1
    )
    ours, theirs = weights(result.folder), weights(plain.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert watched.key() != experiment.key()


def test_a_finished_run_is_found_again(
    experiment: Experiment, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(experiment, runs, progress=False)

    def spy(*arguments: object, **options: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Training, "steps", spy)
    monkeypatch.setitem(run.__globals__, "build_data", spy)
    assert run(experiment, runs, progress=False) == first


def test_stopping_anywhere_changes_nothing(
    experiment: Experiment, runs: Path, tmp_path: Path
) -> None:
    whole = run(experiment, runs, progress=False)
    for steps in (1, 4, 7):  # inside an epoch, at the end of one
        stopped = run(experiment, tmp_path, progress=False, stop_after=steps)
        assert not stopped.finished and stopped.top1 is None and stopped.steps == steps
        assert stopped.first_losses == whole.first_losses[:steps]
    resumed = run(experiment, tmp_path, progress=False)
    assert resumed.first_losses == whole.first_losses
    ours, theirs = weights(resumed.folder), weights(whole.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (resumed.logits() == whole.logits()).all()


def test_a_replay_gives_the_recorded_losses(experiment: Experiment, runs: Path) -> None:
    torch.manual_seed(99)  # what the caller drew before has no influence
    assert (
        replay(experiment, 3) == run(experiment, runs, progress=False).first_losses[:3]
    )
    other = experiment.model_copy(update={"seed": 8})
    assert replay(other, 3) != replay(experiment, 3)


def test_each_epoch_has_its_own_augmentation(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(
        VideoDataset, "set_epoch", lambda self, epoch: epochs.append(epoch)
    )
    run(experiment, tmp_path, progress=False, stop_after=3)  # 2 steps an epoch
    assert epochs == [0, 1]
    run(experiment, tmp_path, progress=False)
    assert epochs == [0, 1, 1, 2, 3, 4]


def test_the_callers_state_is_untouched(experiment: Experiment, tmp_path: Path) -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = (random.random(), np.random.rand(), torch.rand(1).item())
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    torch.set_num_threads(2)
    run(experiment, tmp_path, progress=False, stop_after=1)
    assert (
        torch.get_num_threads() == 2
        and not torch.are_deterministic_algorithms_enabled()
    )
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_a_log_that_ran_ahead_of_the_checkpoint_is_cut(
    experiment: Experiment, tmp_path: Path
) -> None:
    run(experiment, tmp_path, progress=False, stop_after=2)
    log = run_folder(experiment, tmp_path) / "log.jsonl"
    log.write_text(
        log.read_text() + '{"step": 3, "loss": 0.0, "lr": 0.0}\n{"step": 4, "lo'
    )
    run(experiment, tmp_path, progress=False, stop_after=4)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and lines[2]["loss"] > 0


def test_a_checkpoint_of_another_torch_is_refused(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.0.0")
        run(experiment, tmp_path, progress=False, stop_after=1)
    with pytest.raises(UserError, match=r"was written by torch 2\.0\.0"):
        run(experiment, tmp_path, progress=False)


def test_a_second_process_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    folder = run_folder(experiment, tmp_path)
    folder.mkdir()
    holder = rf"is being trained by another process \(process {os.getpid()} on "
    with (
        locked(folder),
        pytest.raises(UserError, match=holder) as caught,
    ):
        run(experiment, tmp_path, progress=False, stop_after=1)
    assert "\n" not in str(caught.value)
    run(experiment, tmp_path, progress=False, stop_after=1)


def test_a_loss_that_is_not_finite_ends_the_run(
    description: dict[str, Any], tmp_path: Path
) -> None:
    description["optim"]["lr"] = 1e30
    description["optim"]["warmup_epochs"] = 0
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) at step .* lower optim\.lr"
    ):
        run(make_experiment(description), tmp_path, progress=False)


def test_two_models_of_a_seed_share_their_backbone(description: dict[str, Any]) -> None:
    with_block = make_experiment(description)
    without = make_experiment({**description, "blocks": []})
    models = []
    for experiment in (with_block, without):
        torch.manual_seed(3)
        models.append(build_model(experiment).state_dict())
    assert any(".placed." in name for name in models[0])
    assert all(
        torch.equal(models[0][name], tensor) for name, tensor in models[1].items()
    )


def test_a_pretrained_run_hands_on_its_backbone_and_not_its_classifier(
    description: dict[str, Any], experiment: Experiment, runs: Path
) -> None:
    donor = weights(run(experiment, runs, progress=False).folder)
    path = str(run_folder(experiment, runs) / "final.pt")
    description["model"].update(num_classes=9, pretrained=path)
    heir = make_experiment(description)
    state = build_model(heir).state_dict()
    assert state["fc.weight"].shape[0] == 9
    assert all(
        torch.equal(state[name], donor[name])
        for name in donor
        if not name.startswith("fc.")
    )


def test_rates_and_decay_of_the_groups(description: dict[str, Any]) -> None:
    description["optim"].update(block_lr=2.0, decay_norm=False, weight_decay=0.1)
    experiment = make_experiment(description)
    model = build_model(experiment)
    group_of = {
        parameter: group
        for group in build_optimizer(experiment, model).param_groups
        for parameter in group["params"]
    }
    assert len(group_of) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        group = group_of[parameter]
        assert group["scale"] == (2.0 if "placed" in name else 1.0)
        assert group["weight_decay"] == (0.1 if parameter.dim() > 1 else 0.0)
    description["optim"].update(block_lr=1.0, decay_norm=True)
    (group,) = build_optimizer(make_experiment(description), model).param_groups
    assert group["weight_decay"] == 0.1 and group["momentum"] == 0.9


def test_an_unfinished_run_has_no_scores_to_hand_out(
    experiment: Experiment, tmp_path: Path
) -> None:
    result = run(experiment, tmp_path, progress=False, stop_after=1)
    with pytest.raises(UserError, match=r"has no logits\.npy"):
        result.logits()
    with pytest.raises(UserError, match=r"no final\.pt"):
        load_trained(run_folder(experiment, tmp_path))


def test_progress_is_shown_or_not(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(experiment, tmp_path / "quiet", progress=False)
    assert capsys.readouterr() == ("", "")
    run(experiment, tmp_path / "shown")
    shown = capsys.readouterr().err
    assert "tiny: 100%" in shown and " 10/10 " in shown and "loss=" in shown
