"""Runs: trained unless that has been done, taken up again, and replayed."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from vidattn.errors import UserError
from vidattn.training import checkpoint
from vidattn.training.build import build_data, build_model, check
from vidattn.training.distributed import from_first, joined, launch, position
from vidattn.training.evaluate import Evaluation, evaluate, score
from vidattn.training.experiment import Experiment, dump, load_experiment
from vidattn.training.key import digest
from vidattn.training.loop import Training
from vidattn.training.result import Result, read_result
from vidattn.training.store import REPLAYED, Store, locked, write_array
from vidattn.video.datasets import VideoDataset
from vidattn.video.sample import Sampling


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
    with joined(experiment.device), locked(folder), _reproducible(experiment):
        # Another process may have finished the run while this one was checking.
        found = from_first(read_result(folder))
        if found is not None:
            return found
        if position()[0] == 0:
            dump(experiment, folder / "experiment.yaml")
        # Before the data: a checkpoint that does not fit shows at once.
        store, training = Store(experiment, folder), Training(experiment)
        store.resume(training)
        train, test = build_data(experiment)
        test_all = partial(_test, experiment, test, workers)
        per_epoch = len(train) // experiment.optim.batch
        total = experiment.optim.epochs * per_epoch
        last = total if stop_after is None else min(total, stop_after)
        shown = _progress(experiment.name, training.step, total, progress)
        saved = time.monotonic()
        for line in training.steps(train, last, workers=workers):
            if experiment.test_every_epoch and training.step % per_epoch == 0:
                line["top1"] = test_all(training.model).top1
            store.add(line)
            refresh = training.step == total
            shown.set_postfix(loss=line["loss"], lr=line["lr"], refresh=refresh)
            shown.update()
            if time.monotonic() - saved >= checkpoint_seconds and training.step < last:
                store.save(training)
                saved = time.monotonic()
        store.save(training)
        shown.close()
        if training.step < total:
            return store.result(training, None)
        return store.finish(training, test_all(training.model))


def run_folder(experiment: Experiment, root: str | Path = "runs") -> Path:
    """Return where a run lies: `<root>/<name>-<key>`."""
    return Path(root) / f"{experiment.name}-{experiment.key()}"


def replay(experiment: Experiment, steps: int = REPLAYED) -> list[float]:
    """Return the losses of the first steps, trained anew in a folder that is deleted.

    A recorded result is stale when these are not its `first_losses`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        result = run(experiment, scratch, progress=False, stop_after=steps)
        return result.first_losses[:steps]


def load_trained(folder: str | Path) -> nn.Module:
    """Return the network of a finished run, in evaluation mode, on the CPU.

    Raises:
        UserError: The folder holds no finished run.
    """
    weights = Path(folder) / "final.pt"
    if not weights.is_file():
        raise UserError(f"{folder}: holds no finished run (no final.pt)")
    experiment = load_experiment(Path(folder) / "experiment.yaml")
    # The weights of a pre-trained network are in final.pt.
    bare = experiment.model.model_copy(update={"pretrained": None})
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
    key = digest(sampling.model_dump(mode="json"))[:16]
    name = "logits" if sampling == experiment.sampling else f"logits-{key}"
    file = folder / f"{name}.npy"
    if from_first(file.is_file()):
        return score(np.load(file), np.load(folder / "labels.npy"))
    if processes > 1:
        return launch(processes, retest, folder, sampling, workers=workers)
    with joined(experiment.device), locked(folder):
        _, test = build_data(experiment.model_copy(update={"sampling": sampling}))
        model = load_trained(folder).to(experiment.device)
        scores = _test(experiment, test, workers, model)
        if position()[0] == 0:
            write_array(file, scores.logits)
        return scores


def _test(
    experiment: Experiment, test: VideoDataset, workers: int, model: nn.Module
) -> Evaluation:
    batch = experiment.optim.batch // experiment.optim.accumulate
    return evaluate(model, test, batch=batch, device=experiment.device, workers=workers)


def _progress(name: str, done: int, total: int, wanted: bool) -> "tqdm[None]":
    pause = 0.2 if sys.stderr.isatty() else 20.0  # seconds: a terminal or a log
    return tqdm(
        desc=name,
        total=total,
        initial=done,
        unit=" steps",
        disable=not (wanted and position()[0] == 0),
        mininterval=pause,
        maxinterval=pause,
    )


@contextmanager
def _reproducible(experiment: Experiment) -> Iterator[None]:
    """Fix threads and algorithms for a run; afterwards all is as it was before."""
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
