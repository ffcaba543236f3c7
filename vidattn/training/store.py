"""A run's folder: one process works in it, a killed run goes on, a result stays."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from vidattn.errors import UserError
from vidattn.training import checkpoint
from vidattn.training.distributed import position
from vidattn.training.evaluate import Evaluation
from vidattn.training.experiment import Experiment
from vidattn.training.loop import Training
from vidattn.training.result import Result, commit, device_name, versions

REPLAYED = 20  # losses kept for the check whether a recorded result is stale


class Store:
    """The folder of one run, `<root>/<name>-<key>`.

    It holds the description (`experiment.yaml`), a line for each step (`log.jsonl`),
    while the run lasts a checkpoint (`last.pt`), and afterwards the weights
    (`final.pt`), what the test gave (`logits.npy`, `labels.npy`) and `result.json`. In
    a group of processes the first one alone locks and writes.

    Args:
        experiment: The run's description.
        folder: The run's folder, which exists.
    """

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.experiment, self.folder = experiment, folder
        self.log, self.last = folder / "log.jsonl", folder / "last.pt"
        # Now, before anything could change on disk.
        self.key, self.data_key = experiment.key(), experiment.data.key()

    def resume(self, training: Training) -> None:
        """Let a training go on from the checkpoint, if there is one.

        What the log says of later steps is forgotten.

        Raises:
            UserError: The checkpoint cannot be read, or is another torch's.
        """
        if self.last.is_file():
            state = checkpoint.load(self.last, self.experiment.device)
            if state["torch"] != torch.__version__:
                raise UserError(
                    f"{self.last} was written by torch {state['torch']}, this is "
                    f"{torch.__version__}: go on with that version, or delete the file "
                    "to start afresh"
                )
            training.load_state(state)
        if _writes():
            lines = self._lines()[: training.step]
            checkpoint.write_atomically(self.log, lambda file: file.writelines(lines))

    def add(self, line: dict[str, float]) -> None:
        """Add a step's line to the log."""
        if _writes():
            with open(self.log, "a") as file:
                file.write(json.dumps(line) + "\n")

    def save(self, training: Training) -> None:
        """Write a checkpoint."""
        if not _writes():
            return
        with open(self.log, "a") as file:
            # The checkpoint must not know of steps that the log could lose.
            os.fsync(file.fileno())
        # A plain text: the version's own type would not load with weights_only=True.
        state = {"torch": str(torch.__version__), **training.state()}
        checkpoint.save(self.last, state)

    def result(self, training: Training, scores: Evaluation | None) -> Result:
        """Return the run card, with scores if there are any."""
        experiment = self.experiment
        lines = [json.loads(line) for line in self._lines()] if _writes() else []
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
            steps=training.step,
            seconds=training.seconds,
            threads=experiment.threads,
            parameters=sum(weight.numel() for weight in training.model.parameters()),
            device=device_name(experiment.device),
            versions=versions(),
            commit=commit(),
            folder=self.folder,
        )

    def finish(self, training: Training, scores: Evaluation) -> Result:
        """Write what a finished run leaves.

        `result.json` comes last: it says that all the rest is there.
        """
        result = self.result(training, scores)
        if not _writes():
            return result
        weights = training.model.state_dict()
        final = {name: tensor.cpu() for name, tensor in weights.items()}
        checkpoint.save(self.folder / "final.pt", final)
        write_array(self.folder / "logits.npy", scores.logits)
        write_array(self.folder / "labels.npy", scores.labels)
        text = result.model_dump_json(indent=1, exclude={"folder"}) + "\n"
        checkpoint.write_atomically(
            self.folder / "result.json", lambda file: file.write(text.encode())
        )
        self.last.unlink(missing_ok=True)
        return result

    def _lines(self) -> list[bytes]:
        return self.log.read_bytes().splitlines(True) if self.log.is_file() else []


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder: only one process at a time may work in it.

    The operating system drops the lock when the process ends, however it ends: a killed
    run leaves no stale lock. In a group the first process holds it for all.

    Raises:
        UserError: Another process holds the folder.
    """
    if not _writes():
        yield
        return
    file = folder / "lock"
    try:
        with FileLock(file, timeout=0):
            file.write_text(f"process {os.getpid()} on {os.uname().nodename}\n")
            yield
    except Timeout:
        owner = file.read_text().strip() or "unknown"
        raise UserError(
            f"{folder} is being trained by another process ({owner}): wait for it, or "
            "end it"
        ) from None


def write_array(path: Path, array: "np.ndarray[Any, Any]") -> None:
    """Write an array atomically, as numpy's own file."""
    checkpoint.write_atomically(path, lambda file: np.save(file, array))


def _writes() -> bool:
    return position()[0] == 0
