"""One step: accumulation, clipping, rates; and the stream that dropout draws from."""

from typing import Any

import pytest
import torch
from torch import nn

from vidattn.training.build import build_data
from vidattn.training.experiment import make_experiment
from vidattn.training.loop import Training, train_step


def test_two_models_of_a_seed_share_dropouts_stream(
    description: dict[str, Any],
) -> None:
    draws = []
    for blocks in (description["blocks"], []):
        Training(make_experiment({**description, "blocks": blocks}))
        draws.append(torch.rand(3))
    assert torch.equal(*draws)


def test_the_rate_of_a_block_is_scaled_in_the_step(
    description: dict[str, Any],
) -> None:
    description["optim"].update(block_lr=3.0, warmup_epochs=0)
    experiment = make_experiment(description)
    training = Training(experiment)
    train, _ = build_data(experiment)
    (line,) = training.steps(train, 1)
    assert line["step"] == training.step == 1 and line["lr"] == 0.05
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
            loss = train_step(model, optimizer, scaler, batches, clip_grad=clip_grad)
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
    train_step(
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
