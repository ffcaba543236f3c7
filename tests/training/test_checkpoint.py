import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from vidattn.errors import UserError
from vidattn.training import checkpoint


def draw() -> list[float]:
    return [
        random.gauss(0, 1),
        random.random(),
        np.random.normal(),
        np.random.rand(),
        torch.rand(1).item(),
    ]


def test_random_states_survive_the_disk(tmp_path: Path) -> None:
    np.random.normal()  # leaves half of a pair in numpy's generator
    checkpoint.save(tmp_path / "c.pt", {"random": checkpoint.random_states()})
    first = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    checkpoint.restore_random_states(checkpoint.load(tmp_path / "c.pt")["random"])
    assert draw() == first


@pytest.mark.parametrize("killed_in", ["replace", "fsync"])
def test_killed_before_the_rename_the_old_file_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"step": 1})

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, killed_in, killed)
        checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path) == {"step": 1}
    checkpoint.save(path, {"step": 3})  # what the killed one left is no obstacle
    assert checkpoint.load(path) == {"step": 3}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="not a readable checkpoint") as caught:
        checkpoint.load(tmp_path / "last.pt")
    assert "\n" not in str(caught.value)
