import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vidattn.errors import UserError
from vidattn.training import fit
from vidattn.training.build import build_data, build_model, build_optimizer
from vidattn.training.experiment import Experiment, make_experiment
from vidattn.training.lock import locked
from vidattn.training.result import read_result
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
    result = fit.run(experiment, runs, progress=False)
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
    model = fit.load_trained(folder)
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
    plain = fit.run(experiment, runs, progress=False)
    watched = experiment.model_copy(update={"test_every_epoch": True})
    fit.run(
        watched, tmp_path, progress=False, stop_after=3
    )  # in the middle of the second epoch
    result = fit.run(watched, tmp_path, progress=False)
    assert plain.epoch_top1 == [] and len(result.epoch_top1) == 5
    assert result.epoch_top1[-1] == result.top1 == plain.top1
    # Each is the accuracy of that epoch's weights: those of a run that was stopped
    # there.
    stopped = fit.run(experiment, tmp_path, progress=False, stop_after=2)
    assert stopped.folder is not None
    model = build_model(experiment)
    model.load_state_dict(
        torch.load(stopped.folder / "last.pt", weights_only=True)["model"]
    )
    assert (
        result.epoch_top1[0]
        == fit.evaluate(model.eval(), build_data(experiment)[1], batch=2).top1
    )
    ours, theirs = weights(result.folder), weights(plain.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    # Descriptions that do not ask for it read as they did before it could be asked for.
    assert (
        "test_every_epoch" not in experiment.model_dump()
        and watched.model_dump()["test_every_epoch"]
    )
    assert "test_every_epoch" not in experiment.model_dump_json()
    assert watched.key() != experiment.key()


def test_a_finished_run_is_found_again(
    experiment: Experiment, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fit.run(experiment, runs, progress=False)

    def spy(*arguments: object, **options: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(fit.Training, "fit", spy)
    monkeypatch.setattr(fit, "build_data", spy)
    assert fit.run(experiment, runs, progress=False) == first


def test_stopping_anywhere_changes_nothing(
    experiment: Experiment, runs: Path, tmp_path: Path
) -> None:
    whole = fit.run(experiment, runs, progress=False)
    for steps in (1, 4, 7):  # inside an epoch, at the end of one
        stopped = fit.run(experiment, tmp_path, progress=False, stop_after=steps)
        assert not stopped.finished and stopped.top1 is None and stopped.steps == steps
        assert stopped.first_losses == whole.first_losses[:steps]
    resumed = fit.run(experiment, tmp_path, progress=False)
    assert resumed.first_losses == whole.first_losses
    ours, theirs = weights(resumed.folder), weights(whole.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (resumed.logits() == whole.logits()).all()


def test_a_replay_gives_the_recorded_losses(experiment: Experiment, runs: Path) -> None:
    torch.manual_seed(99)  # what the caller drew before has no influence
    assert (
        fit.replay(experiment, 3)
        == fit.run(experiment, runs, progress=False).first_losses[:3]
    )
    other = experiment.model_copy(update={"seed": 8})
    assert fit.replay(other, 3) != fit.replay(experiment, 3)


def test_each_epoch_has_its_own_augmentation(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(
        VideoDataset, "set_epoch", lambda self, epoch: epochs.append(epoch)
    )
    fit.run(experiment, tmp_path, progress=False, stop_after=3)  # 2 steps an epoch
    assert epochs == [0, 1]
    fit.run(experiment, tmp_path, progress=False)
    assert epochs == [0, 1, 1, 2, 3, 4]


def test_the_callers_state_is_untouched(experiment: Experiment, tmp_path: Path) -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = (random.random(), np.random.rand(), torch.rand(1).item())
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    torch.set_num_threads(2)
    fit.run(experiment, tmp_path, progress=False, stop_after=1)
    assert (
        torch.get_num_threads() == 2
        and not torch.are_deterministic_algorithms_enabled()
    )
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_a_log_that_ran_ahead_of_the_checkpoint_is_cut(
    experiment: Experiment, tmp_path: Path
) -> None:
    fit.run(experiment, tmp_path, progress=False, stop_after=2)
    log = fit.run_folder(experiment, tmp_path) / "log.jsonl"
    log.write_text(
        log.read_text() + '{"step": 3, "loss": 0.0, "lr": 0.0}\n{"step": 4, "lo'
    )
    fit.run(experiment, tmp_path, progress=False, stop_after=4)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and lines[2]["loss"] > 0


def test_a_checkpoint_of_another_torch_is_refused(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.0.0")
        fit.run(experiment, tmp_path, progress=False, stop_after=1)
    with pytest.raises(UserError, match=r"was written by torch 2\.0\.0"):
        fit.run(experiment, tmp_path, progress=False)


def test_a_second_process_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    folder = fit.run_folder(experiment, tmp_path)
    folder.mkdir()
    with (
        locked(folder),
        pytest.raises(UserError, match="is being trained by another process") as caught,
    ):
        fit.run(experiment, tmp_path, progress=False, stop_after=1)
    assert "\n" not in str(caught.value)
    fit.run(experiment, tmp_path, progress=False, stop_after=1)


def test_a_loss_that_is_not_finite_ends_the_run(
    description: dict[str, Any], tmp_path: Path
) -> None:
    description["optim"]["lr"] = 1e30
    description["optim"]["warmup_epochs"] = 0
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) at step .* lower optim\.lr"
    ):
        fit.run(make_experiment(description), tmp_path, progress=False)


def test_two_models_of_a_seed_share_dropouts_stream(
    description: dict[str, Any], tmp_path: Path
) -> None:
    draws = []
    for blocks in (description["blocks"], []):
        folder = tmp_path / str(len(blocks))
        folder.mkdir()
        fit.Training(make_experiment({**description, "blocks": blocks}), folder)
        draws.append(torch.rand(3))
    assert torch.equal(*draws)


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
    donor = weights(fit.run(experiment, runs, progress=False).folder)
    path = str(fit.run_folder(experiment, runs) / "final.pt")
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


def test_the_rate_of_a_block_is_scaled_in_the_step(
    description: dict[str, Any], tmp_path: Path
) -> None:
    description["optim"].update(block_lr=3.0, warmup_epochs=0)
    experiment = make_experiment(description)
    training = fit.Training(experiment, tmp_path)
    train, _ = build_data(experiment)
    training.fit(train, pytest.fail, progress=False, stop_after=1, every=100, workers=0)
    rates = {group["scale"]: group["lr"] for group in training.optimizer.param_groups}
    assert rates == pytest.approx({1: 0.05, 3: 0.15})


@pytest.mark.parametrize("clip_grad", [None, 0.01])
def test_accumulation_equals_the_big_batch(clip_grad: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(8, 3, 2, 4, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (8,), generator=generator)

    def trained(parts: int) -> tuple[float, torch.Tensor]:
        torch.manual_seed(1)
        layers = (
            nn.Conv3d(3, 4, 3, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(128, 5),
        )
        model = nn.Sequential(*layers).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        for _ in range(3):
            batches = zip(clips.chunk(parts), labels.chunk(parts), strict=True)
            loss = fit.train_step(
                model, optimizer, scaler, batches, clip_grad=clip_grad
            )
        return loss, torch.cat(
            [parameter.detach().ravel() for parameter in model.parameters()]
        )

    (loss, whole), (parted_loss, parted) = trained(1), trained(4)
    assert parted_loss == pytest.approx(loss, abs=1e-12)
    torch.testing.assert_close(parted, whole, rtol=0, atol=1e-12)


def test_a_clipped_gradient_has_the_norm_that_is_allowed() -> None:
    model = nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    batches = [(torch.full((4, 3), 100.0), torch.tensor([0, 1, 1, 1]))]
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    fit.train_step(
        model,
        torch.optim.SGD(model.parameters(), lr=1.0),
        scaler,
        batches,
        clip_grad=0.5,
    )
    moved = [
        parameter.detach() - old
        for parameter, old in zip(model.parameters(), before, strict=True)
    ]
    assert torch.cat([change.ravel() for change in moved]).norm() == pytest.approx(
        0.5, rel=1e-4
    )


def test_an_unfinished_run_has_no_scores_to_hand_out(
    experiment: Experiment, tmp_path: Path
) -> None:
    result = fit.run(experiment, tmp_path, progress=False, stop_after=1)
    with pytest.raises(UserError, match=r"has no logits\.npy"):
        result.logits()
    with pytest.raises(UserError, match=r"no final\.pt"):
        fit.load_trained(fit.run_folder(experiment, tmp_path))


def test_progress_is_shown_or_not(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit.run(experiment, tmp_path / "quiet", progress=False)
    assert capsys.readouterr() == ("", "")
    fit.run(experiment, tmp_path / "shown")
    shown = capsys.readouterr().err
    assert "tiny: 100%" in shown and " 10/10 " in shown and "loss=" in shown
