"""Checkpoints that are whole or absent, and random states.

Together they make a resumed run the same run.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from vidattn.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name, force it to disk, then rename it.

    Args:
        path: The file's name; whatever it held before stays until the new content is
            complete.
        write: Called with the open binary file.
    """
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(
            folder
        )  # the rename itself survives a power cut only if the folder is on disk, too
    finally:
        os.close(folder)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    write_atomically(path, lambda file: torch.save(state, file))


def load(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint without running any code that it may carry.

    Raises:
        UserError: The file is not a checkpoint.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch reports a damaged file in half a dozen ways
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path}: not a readable checkpoint ({first}); delete it to start afresh"
        ) from error


def random_states() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's global generators.

    Dropout draws from torch's.
    """
    numpy = dict(np.random.get_state(legacy=False))
    # Plain integers instead of an array: a checkpoint is read back with
    # weights_only=True.
    numpy["state"] = {
        "key": numpy["state"]["key"].tolist(),
        "pos": int(numpy["state"]["pos"]),
    }
    return {
        "python": random.getstate(),
        "numpy": numpy,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the global generators back to what `random_states` returned."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = states["numpy"]
    inner = {**numpy["state"], "key": np.array(numpy["state"]["key"], dtype=np.uint32)}
    np.random.set_state({**numpy, "state": inner})
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
