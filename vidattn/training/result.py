"""What a finished run leaves behind, and the circumstances that a run card names."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from vidattn.errors import UserError
from vidattn.training.key import PACKAGE

PACKAGES = ("torch", "numpy", "decord", "av", "einops", "pydantic")


class Result(BaseModel):
    """A run's outcome and run card, as `result.json` holds it.

    Args:
        name: The run's name.
        key: Hash of description, code and data.
        finished: False for a run that was told to stop early; it has no scores.
        top1: Share of test videos classified rightly, 0 to 1.
        top5: Share with the true class among the five best.
        confusion: Row the true class, column the predicted one.
        loss: Training loss of the last step.
        first_losses: Training losses of the first 20 steps; a replay that gives others
            shows the result to be stale.
        epoch_top1: Top-1 accuracy after every epoch, where every epoch is tested.
        steps: Optimiser steps.
        seconds: Seconds of training, over all processes that took part in turn.
        parameters: Number of parameters.
        seed: Seed of the run.
        threads: CPU threads.
        device: `"cpu"` or the GPU's name.
        data: Hash of the data.
        versions: Versions of Python and of the packages that matter.
        commit: Commit of the library's code, with `+dirty` after it if files differed;
            None outside a git tree.
        folder: Where the run lies; not stored, so that a folder can be moved.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    key: str
    finished: bool
    top1: float | None
    top5: float | None
    confusion: list[list[int]]
    loss: float
    first_losses: list[float]
    epoch_top1: list[float] = []
    steps: int
    seconds: float
    parameters: int
    seed: int
    threads: int
    device: str
    data: str
    versions: dict[str, str]
    commit: str | None
    folder: Path | None = None

    def logits(self) -> np.ndarray:
        """Return the test videos' logits, float32 `(n, K)`."""
        return np.load(self._file("logits.npy"))

    def labels(self) -> np.ndarray:
        """Return the test videos' labels, int64 `(n,)`."""
        return np.load(self._file("labels.npy"))

    def _file(self, name: str) -> Path:
        if self.folder is None or not self.finished:
            raise UserError(
                f"run {self.name!r} has no {name}: it is not finished, or its folder "
                "is unknown"
            )
        return self.folder / name


def read_result(folder: str | Path) -> Result | None:
    """Return the result of a finished run, or None if the folder holds none.

    Raises:
        UserError: The file is not one of ours.
    """
    path = Path(folder) / "result.json"
    if not path.is_file():
        return None
    try:
        return Result.model_validate_json(path.read_text()).model_copy(
            update={"folder": Path(folder)}
        )
    except ValidationError:
        raise UserError(
            f"{path}: not a result of this version; delete the folder to run again"
        ) from None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result may depend on."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def device_name(device: str) -> str:
    """Return `"cpu"`, or what the GPU calls itself."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def commit() -> str | None:
    """Return the commit of the library's files; `+dirty` says that the tree differs."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # a copy inside some other project's tree is not its commit
        return git("rev-parse", "HEAD") + (
            "+dirty" if git("status", "--porcelain", "--", ".") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
