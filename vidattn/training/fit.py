"""Training: one loop, which finds a finished run again and takes up a killed one at its
last checkpoint.
"""

import hashlib
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from tqdm import tqdm

from vidattn.errors import UserError
from vidattn.training import checkpoint
from vidattn.training.build import build_data, build_model, build_optimizer, check
from vidattn.training.distributed import from_first, joined, launch, position, shared
from vidattn.training.evaluate import Evaluation, evaluate, loader, score
from vidattn.training.experiment import (
    Experiment,
    Optim,
    Sampling,
    dump,
    load_experiment,
)
from vidattn.training.key import digest
from vidattn.training.lock import locked
from vidattn.training.order import micro_batches
from vidattn.training.result import Result, commit, device_name, read_result, versions
from vidattn.training.schedule import cosine, step_decay
from vidattn.video.datasets import VideoDataset

REPLAYED = 20  # losses kept for the check whether a recorded result is stale


def run(
    experiment: Experiment,
    root: str | Path = "runs",
    progress: bool = True,
    stop_after: int | None = None,
    *,
    checkpoint_seconds: float = 30.0,
    workers: int = 0,
    processes: int = 1,
) -> Result:
    """Train and test what a description says, unless that has been done.

    A run that was killed, at any moment, goes on from its last checkpoint and ends in
    the same weights, bit for bit on the CPU of one machine kind, with one version of
    torch. Global random states, the number of threads and the determinism switch are as
    before when the function returns. Several processes, started here or by torchrun,
    share the micro-batches of each step, and the test; see `training.distributed`.

    Args:
        experiment: The description.
        root: Folder of the run folders.
        progress: Show step, loss, learning rate and seconds left on stderr.
        stop_after: Stop after this many steps, with a checkpoint, as if killed.
        checkpoint_seconds: Seconds between two checkpoints; 0 for one after each step.
        workers: Processes that decode video; the result does not depend on it. They are
            spawned, so a script needs its `if __name__ == "__main__":`.
        processes: Processes to start for this run, a GPU each; they divide
            `optim.accumulate`.

    Returns:
        The result, with its folder.

    Raises:
        UserError: The description cannot be run, another process runs it, or the loss
            is no longer finite.
    """
    folder = run_folder(experiment, root)
    found = from_first(read_result(folder))
    if found is not None:
        return found
    check(experiment)
    folder.mkdir(parents=True, exist_ok=True)
    if processes > 1:
        settings = {"checkpoint_seconds": checkpoint_seconds, "workers": workers}
        return launch(
            processes, run, experiment, root, progress, stop_after, **settings
        )
    with joined(experiment.device), _alone(folder), _reproducible(experiment):
        found = from_first(
            read_result(folder)
        )  # another may have finished it while this one was checking
        if found is not None:
            return found
        if position()[0] == 0:
            dump(experiment, folder / "experiment.yaml")
        # Before the data: a checkpoint that does not fit shows at once.
        training = Training(experiment, folder)
        train, test = build_data(experiment)
        test_all = partial(
            evaluate,
            dataset=test,
            batch=experiment.optim.batch // experiment.optim.accumulate,
            device=experiment.device,
            workers=workers,
        )
        training.fit(
            train,
            test_all,
            progress=progress,
            stop_after=stop_after,
            every=checkpoint_seconds,
            workers=workers,
        )
        if training.step < training.total_steps(len(train)):
            return training.result(None)
        return training.finish(test_all(training.model))


def run_folder(experiment: Experiment, root: str | Path = "runs") -> Path:
    """Return where a run lies: `<root>/<name>-<key>`."""
    return Path(root) / f"{experiment.name}-{experiment.key()}"


def replay(experiment: Experiment, steps: int = REPLAYED) -> list[float]:
    """Return the losses of the first steps, trained anew in a folder that is deleted
    afterwards.

    A recorded result is stale when these are not its `first_losses`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return run(experiment, scratch, progress=False, stop_after=steps).first_losses[
            :steps
        ]


def load_trained(folder: str | Path) -> nn.Module:
    """Return the network of a finished run, in evaluation mode, on the CPU.

    Raises:
        UserError: The folder holds no finished run.
    """
    weights = Path(folder) / "final.pt"
    if not weights.is_file():
        raise UserError(f"{folder}: holds no finished run (no final.pt)")
    experiment = load_experiment(Path(folder) / "experiment.yaml")
    bare = experiment.model.model_copy(
        update={"pretrained": None}
    )  # its weights are in final.pt
    with torch.random.fork_rng(devices=[]):
        model = build_model(experiment.model_copy(update={"model": bare}))
    model.load_state_dict(checkpoint.load(weights))
    return model.eval()


def retest(
    folder: str | Path, sampling: Sampling, *, workers: int = 0, processes: int = 1
) -> Evaluation:
    """Test a finished run on other views of its clips, unless that has been done.

    Args:
        folder: The run's folder.
        sampling: How the views are taken; the run's own sampling gives its own test
            again.
        workers: As in `run`.
        processes: As in `run`; they share the videos.

    Raises:
        UserError: The folder holds no finished run.
    """
    folder = Path(folder)
    experiment = load_experiment(folder / "experiment.yaml")
    other = (
        ""
        if sampling == experiment.sampling
        else "-" + digest(sampling.model_dump(mode="json"))[:16]
    )
    file = folder / f"logits{other}.npy"
    if from_first(file.is_file()):
        return score(np.load(file), np.load(folder / "labels.npy"))
    if processes > 1:
        return launch(processes, retest, folder, sampling, workers=workers)
    with joined(experiment.device), _alone(folder):
        _, test = build_data(experiment.model_copy(update={"sampling": sampling}))
        model = load_trained(folder).to(experiment.device)
        batch = experiment.optim.batch // experiment.optim.accumulate
        scores = evaluate(
            model, test, batch=batch, device=experiment.device, workers=workers
        )
        if position()[0] == 0:
            checkpoint.write_atomically(file, partial(_save_array, scores.logits))
        return scores


def learning_rate(optim: Optim, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of the step after `step` steps are done."""
    warmup = optim.warmup_epochs * steps_per_epoch
    if optim.schedule == "cosine":
        return optim.lr * cosine(step, optim.epochs * steps_per_epoch, warmup)
    return optim.lr * step_decay(
        step, [m * steps_per_epoch for m in optim.milestones], optim.gamma, warmup
    )


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
    """Take one step of the optimiser on equal micro-batches, whose mean loss is the
    loss of all their clips.

    In a group of processes each has its own micro-batches, as many as the others.

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
        hold = (
            nullcontext
            if number == len(parts)
            else getattr(model, "no_sync", nullcontext)
        )
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
    """A run in progress: network, optimiser and position, and their way to disk and
    back.

    Args:
        experiment: The description.
        folder: The run's folder; a checkpoint in it is taken up.
    """

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.experiment, self.folder = experiment, folder
        # Now, before anything could change on disk.
        self.key, self.data_key = experiment.key(), experiment.data.key()
        _seed(experiment.seed, "weights")
        self.model = build_model(experiment).to(experiment.device)
        # From here on the stream is dropout's, however many numbers the blocks' weights
        # took.
        _seed(experiment.seed, "dropout")
        self.optimizer = build_optimizer(experiment, self.model)
        self.half = _half() if experiment.optim.amp else None
        self.scaler = torch.amp.GradScaler(
            experiment.device, enabled=self.half is torch.float16
        )
        self.step = 0
        self.seconds = 0.0
        self.rank, self.world = position()
        if experiment.optim.accumulate % self.world:
            parts = f"the {experiment.optim.accumulate} micro-batches of a step (optim.accumulate)"
            raise UserError(f"{self.world} processes cannot share {parts}")
        self._resume()
        self.shared = shared(self.model)

    def total_steps(self, clips: int) -> int:
        """Return the number of steps of the whole run."""
        return self.experiment.optim.epochs * (clips // self.experiment.optim.batch)

    def fit(
        self,
        train: VideoDataset,
        score: Callable[[nn.Module], Evaluation],
        *,
        progress: bool,
        stop_after: int | None,
        every: float,
        workers: int,
    ) -> None:
        """Train to the end or to `stop_after` steps; checkpoint each `every` seconds
        and at the end.

        The log has a line a step; an epoch's last line has the test's accuracy, if
        every epoch is tested.
        """
        experiment, optim = self.experiment, self.experiment.optim
        per_epoch = len(train) // optim.batch
        total = self.total_steps(len(train))
        last = total if stop_after is None else min(total, stop_after)
        first = self.rank == 0
        pause = 0.2 if sys.stderr.isatty() else 20.0  # seconds: a terminal or a log
        shown = tqdm(
            desc=experiment.name,
            total=total,
            initial=self.step,
            unit=" steps",
            disable=not (progress and first),
            mininterval=pause,
            maxinterval=pause,
        )
        before, started, saved = self.seconds, time.monotonic(), time.monotonic()
        self.model.train()
        with open(self.folder / "log.jsonl" if first else os.devnull, "a") as log:

            def save() -> None:
                if not first:
                    return
                self.seconds = before + time.monotonic() - started
                log.flush()
                os.fsync(
                    log.fileno()
                )  # the checkpoint must not know of steps that the log has lost
                self._save()

            while self.step < last:
                epoch, first_step = divmod(self.step, per_epoch)
                train.set_epoch(epoch)
                plan = list(
                    micro_batches(
                        len(train),
                        optim.batch,
                        optim.accumulate,
                        seed=experiment.seed,
                        epoch=epoch,
                        first_step=first_step,
                        rank=self.rank,
                        world=self.world,
                    )
                )
                batches = iter(loader(train, workers=workers, batch_sampler=plan))
                for _ in range(min(per_epoch - first_step, last - self.step)):
                    lr = learning_rate(optim, self.step, per_epoch)
                    for group in self.optimizer.param_groups:
                        group["lr"] = lr * group["scale"]
                    if (
                        not first
                    ):  # the checkpoint keeps the random states of process 0 alone
                        _seed(experiment.seed, f"dropout {self.rank} {self.step}")
                    parts = islice(batches, optim.accumulate // self.world)
                    loss = train_step(
                        self.shared,
                        self.optimizer,
                        self.scaler,
                        parts,
                        device=experiment.device,
                        half=self.half,
                        clip_grad=optim.clip_grad,
                    )
                    self.step += 1
                    if not math.isfinite(loss):
                        where = f"step {self.step} (learning rate {lr:g})"
                        raise UserError(
                            f"the loss is {loss} at {where}: lower optim.lr"
                        )
                    line = {"step": self.step, "loss": loss, "lr": lr}
                    if experiment.test_every_epoch and self.step % per_epoch == 0:
                        line["top1"] = score(self.model).top1
                    log.write(json.dumps(line) + "\n")
                    log.flush()
                    shown.set_postfix(loss=loss, lr=lr, refresh=self.step == total)
                    shown.update()
                    if time.monotonic() - saved >= every and self.step < last:
                        save()
                        saved = time.monotonic()
            save()
            shown.close()

    def result(self, scores: Evaluation | None) -> Result:
        """Return the run card, with scores if there are any."""
        experiment = self.experiment
        text = (self.folder / "log.jsonl").read_text() if self.rank == 0 else ""
        lines = [json.loads(line) for line in text.splitlines()]
        losses = [line["loss"] for line in lines]
        return Result(
            name=experiment.name,
            key=self.key,
            data=self.data_key,
            seed=experiment.seed,
            finished=scores is not None,
            top1=scores.top1 if scores else None,
            top5=scores.top5 if scores else None,
            confusion=scores.confusion.tolist() if scores else [],
            loss=losses[-1] if losses else math.nan,
            first_losses=losses[:REPLAYED],
            epoch_top1=[line["top1"] for line in lines if "top1" in line],
            steps=self.step,
            seconds=self.seconds,
            threads=experiment.threads,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            device=device_name(experiment.device),
            versions=versions(),
            commit=commit(),
            folder=self.folder,
        )

    def finish(self, scores: Evaluation) -> Result:
        """Write what a finished run leaves; `result.json` comes last: it says that all
        the rest is there.
        """
        result = self.result(scores)
        if self.rank:
            return result
        weights = {
            name: tensor.cpu() for name, tensor in self.model.state_dict().items()
        }
        checkpoint.save(self.folder / "final.pt", weights)
        for name, array in (("logits", scores.logits), ("labels", scores.labels)):
            checkpoint.write_atomically(
                self.folder / f"{name}.npy", partial(_save_array, array)
            )
        text = result.model_dump_json(indent=1, exclude={"folder"}) + "\n"
        checkpoint.write_atomically(
            self.folder / "result.json", lambda file: file.write(text.encode())
        )
        (self.folder / "last.pt").unlink(missing_ok=True)
        return result

    def _save(self) -> None:
        checkpoint.save(
            self.folder / "last.pt",
            {
                "step": self.step,
                "seconds": self.seconds,
                # A plain text: the version's own type would not load with
                # weights_only=True.
                "torch": str(torch.__version__),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "random": checkpoint.random_states(),
            },
        )

    def _resume(self) -> None:
        """Go on from the last checkpoint, if there is one, and forget what the log says
        of later steps.
        """
        last = self.folder / "last.pt"
        if last.is_file():
            state = checkpoint.load(last, self.experiment.device)
            if state["torch"] != torch.__version__:
                raise UserError(
                    f"{last} was written by torch {state['torch']}, this is {torch.__version__}: "
                    "go on with that version, or delete the file to start afresh"
                )
            self.step, self.seconds = state["step"], state["seconds"]
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            checkpoint.restore_random_states(state["random"])
        if self.rank:
            return
        log = self.folder / "log.jsonl"
        lines = (
            log.read_bytes().splitlines(keepends=True)[: self.step]
            if log.is_file()
            else []
        )
        checkpoint.write_atomically(log, lambda file: file.writelines(lines))


def _save_array(array: np.ndarray, file: IO[bytes]) -> None:
    np.save(file, array)


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Lock the run's folder, in process 0 alone."""
    return locked(folder) if position()[0] == 0 else nullcontext()


def _seed(seed: int, purpose: str) -> None:
    """Seed all global generators for one purpose, apart from the other purposes of the
    same seed.
    """
    value = int(hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()[:8], 16)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def _half() -> torch.dtype:
    """Return bfloat16 where the GPU computes in it, else float16, which needs the loss
    scaled.
    """
    return (
        torch.bfloat16
        if torch.cuda.is_bf16_supported(including_emulation=False)
        else torch.float16
    )


@contextmanager
def _reproducible(experiment: Experiment) -> Iterator[None]:
    """Fix threads and algorithms for a run, and put them and the random states back
    afterwards.
    """
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    states = checkpoint.random_states()
    torch.set_num_threads(experiment.threads)
    # On a GPU some pooling gradients have no deterministic form: a warning there, an
    # error on the CPU.
    torch.use_deterministic_algorithms(True, warn_only=experiment.device == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_num_threads(threads)
        checkpoint.restore_random_states(states)
