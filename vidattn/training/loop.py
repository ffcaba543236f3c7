"""The training loop: from a description to a network that learns, step by step.

It knows no folder: `store` keeps what it gives, and `run` ties the two together.
"""

import hashlib
import math
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from vidattn.errors import UserError
from vidattn.training import checkpoint
from vidattn.training.build import build_model, build_optimizer
from vidattn.training.distributed import position, shared
from vidattn.training.evaluate import loader
from vidattn.training.experiment import Experiment, Optim
from vidattn.training.order import micro_batches
from vidattn.training.schedule import cosine, step_decay
from vidattn.video.datasets import VideoDataset


def learning_rate(optim: Optim, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of the step after `step` steps are done."""
    warmup = optim.warmup_epochs * steps_per_epoch
    if optim.schedule == "cosine":
        return optim.lr * cosine(step, optim.epochs * steps_per_epoch, warmup)
    milestones = [epoch * steps_per_epoch for epoch in optim.milestones]
    return optim.lr * step_decay(step, milestones, optim.gamma, warmup)


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    scaler: "torch.amp.GradScaler",
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: str = "cpu",
    half: torch.dtype | None = None,
    clip_grad: float | None = None,
) -> float:
    """Take one step of the optimiser on equal micro-batches.

    Their mean loss is the loss of all their clips. In a group of processes each has its
    own micro-batches, as many as the others.

    Args:
        model: `(B, 3, T, H, W)` -> `(B, K)`; in a group as `distributed.shared` returns
            it.
        optimizer: With its learning rates set.
        scaler: Scales the loss under float16; disabled otherwise.
        batches: Micro-batches of clips `(B, 3, T, H, W)` and labels `(B,)`.
        device: Where the model is.
        half: Type of mixed precision, if any.
        clip_grad: Largest norm of the gradient, if any.

    Returns:
        The mean loss. If it is not finite, the weights are left as they are.
    """
    optimizer.zero_grad(set_to_none=True)
    parts = list(batches)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for number, (clips, labels) in enumerate(parts, start=1):
        # Gradients meet those of the other processes once a step.
        last = number == len(parts)
        hold = nullcontext if last else getattr(model, "no_sync", nullcontext)
        with hold():
            with torch.autocast(device, dtype=half, enabled=half is not None):
                logits = model(clips.to(device))
                loss = functional.cross_entropy(logits, labels.to(device)) / len(parts)
            scaler.scale(loss).backward()
        total += loss.detach()
    if dist.is_initialized():
        dist.all_reduce(total)
    value = float(total) / position()[1]
    if math.isfinite(value):
        if clip_grad is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip_grad)
        scaler.step(optimizer)
        scaler.update()
    return value


class Training:
    """A network that is being trained: its weights, its optimiser, and its position.

    Args:
        experiment: The description.

    Attributes:
        model: The network.
        step: Number of steps that are done.
        seconds: Time that they took, in all processes that worked in turn.

    Raises:
        UserError: The processes of the group cannot share a step's micro-batches.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, optim = experiment, experiment.optim
        self.rank, self.world = position()
        if optim.accumulate % self.world:
            raise UserError(
                f"{self.world} processes cannot share the {optim.accumulate} "
                "micro-batches of a step (optim.accumulate)"
            )
        _seed(experiment.seed, "weights")
        self.model = build_model(experiment).to(experiment.device)
        # From here on the stream is dropout's, however many numbers the blocks' weights
        # took.
        _seed(experiment.seed, "dropout")
        self.optimizer = build_optimizer(experiment, self.model)
        self.half = _half() if optim.amp else None
        self.scaler = torch.amp.GradScaler(
            experiment.device, enabled=self.half is torch.float16
        )
        self.step, self.seconds = 0, 0.0

    def state(self) -> dict[str, Any]:
        """Return all that a process needs to go on from here."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": checkpoint.random_states(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        checkpoint.restore_random_states(state["random"])

    def steps(
        self, train: VideoDataset, last: int, *, workers: int = 0
    ) -> Iterator[dict[str, float]]:
        """Take step after step, from the position on, and yield what each says.

        Args:
            train: The training clips.
            last: Number of the last step to take, counted from the start of the run.
            workers: Processes that decode video.

        Yields:
            After each step its number, its loss and its learning rate.

        Raises:
            UserError: The loss is no longer finite.
        """
        experiment, optim = self.experiment, self.experiment.optim
        per_epoch = len(train) // optim.batch
        network = shared(self.model)
        before, started = self.seconds, time.monotonic()
        self.model.train()
        while self.step < last:
            epoch, done = divmod(self.step, per_epoch)
            train.set_epoch(epoch)
            plan = micro_batches(
                len(train),
                optim.batch,
                optim.accumulate,
                seed=experiment.seed,
                epoch=epoch,
                first_step=done,
                rank=self.rank,
                world=self.world,
            )
            batches = iter(loader(train, workers=workers, batch_sampler=list(plan)))
            for _ in range(min(per_epoch - done, last - self.step)):
                lr = learning_rate(optim, self.step, per_epoch)
                for group in self.optimizer.param_groups:
                    group["lr"] = lr * group["scale"]
                if self.rank:  # a checkpoint keeps the random states of process 0 alone
                    _seed(experiment.seed, f"dropout {self.rank} {self.step}")
                loss = train_step(
                    network,
                    self.optimizer,
                    self.scaler,
                    islice(batches, optim.accumulate // self.world),
                    device=experiment.device,
                    half=self.half,
                    clip_grad=optim.clip_grad,
                )
                self.step += 1
                if not math.isfinite(loss):
                    where = f"step {self.step} (learning rate {lr:g})"
                    raise UserError(f"the loss is {loss} at {where}: lower optim.lr")
                self.seconds = before + time.monotonic() - started
                yield {"step": self.step, "loss": loss, "lr": lr}


def _seed(seed: int, purpose: str) -> None:
    """Seed all global generators for one purpose, apart from the seed's other ones."""
    value = int(hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()[:8], 16)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def _half() -> torch.dtype:
    """Return bfloat16 where the GPU computes in it, else float16.

    Under float16 the loss must be scaled.
    """
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16
