"""A run killed at any moment ends in the same weights, bit for bit, as one left
alone.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from vidattn.training.experiment import dump, make_experiment
from vidattn.training.run import run, run_folder

PROGRAM = """
import sys
from vidattn.training import load_experiment, run
run(load_experiment(sys.argv[1]), sys.argv[2], progress=False, checkpoint_seconds=0)
"""


@pytest.mark.timeout(120)
def test_killed_three_times_at_random_moments(
    description: dict[str, Any], tmp_path: Path
) -> None:
    description["optim"]["epochs"] = 20
    experiment = make_experiment(description)
    alone = run(experiment, tmp_path / "alone", progress=False)
    dump(experiment, tmp_path / "experiment.yaml")
    log = run_folder(experiment, tmp_path / "killed") / "log.jsonl"
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(tmp_path / "experiment.yaml"),
        str(tmp_path / "killed"),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    rng = random.Random(2021)
    reached = 0
    for _ in range(3):
        victim = subprocess.Popen(command, env=environment)
        goal = reached + rng.randint(
            1, 6
        )  # some steps further, then any moment of the next two steps
        while (
            victim.poll() is None
            and (len(log.read_bytes().splitlines()) if log.exists() else 0) < goal
        ):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 2 * alone.seconds / alone.steps))
        victim.send_signal(signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL  # and not finished before
        now = len(log.read_bytes().splitlines())
        assert goal <= now < alone.steps
        reached = now
    resumed = run(experiment, tmp_path / "killed", progress=False)
    ours, theirs = (
        torch.load(
            run_folder(experiment, tmp_path / root) / "final.pt", weights_only=True
        )
        for root in ("killed", "alone")
    )
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (resumed.logits() == alone.logits()).all()
    assert (
        log.read_bytes()
        == (run_folder(experiment, tmp_path / "alone") / "log.jsonl").read_bytes()
    )
