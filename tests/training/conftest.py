"""A run of seconds, with all that resuming could get wrong: dropout, a block, batch
norm, accumulation.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from vidattn.video.synthetic import SyntheticSpec, write_clips


@pytest.fixture(scope="session")
def clips_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    for seed in (0, 1):
        write_clips(
            SyntheticSpec(task="cue", clips=8, seed=seed, size=32, frames=8), root
        )
    return root


@pytest.fixture
def description(clips_root: Path) -> dict[str, Any]:
    clips = {"task": "cue", "clips": 8, "size": 32, "frames": 8}
    return {
        "name": "tiny",
        "data": {
            "kind": "synthetic",
            "root": str(clips_root),
            "train": {**clips, "seed": 0},
            "test": {**clips, "seed": 1},
        },
        "sampling": {"frames": 4, "size": 24, "resize": 28, "flip": True},
        "model": {"backbone": "resnet_mini", "num_classes": 4, "dropout": 0.5},
        "blocks": [
            {
                "kind": "region",
                "options": {"kernel": [3, 3, 3]},
                "places": {"res3": [1]},
            }
        ],
        "optim": {
            "epochs": 5,
            "batch": 4,
            "accumulate": 2,
            "lr": 0.05,
            "warmup_epochs": 1,
        },
        "seed": 7,
    }


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
