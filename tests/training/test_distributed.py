"""Two processes train to what one does, and to the same bits when one of them is killed
on the way.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from vidattn.errors import UserError
from vidattn.training import loop, read_result, run, run_folder
from vidattn.training.experiment import Experiment, dump, make_experiment

# What `run` trains, in float64: torch.distributed.run starts it once or twice.
IN_DOUBLE = """
import sys
from torch import nn
from vidattn.training import load_experiment, loop, run

class Double(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.inner = model.double()

    def forward(self, x):
        return self.inner(x.double())

build = loop.build_model
loop.build_model = lambda experiment: Double(build(experiment))
run(load_experiment(sys.argv[1]), sys.argv[2], progress=False)
"""
LAUNCHED = """
import sys
from vidattn.training import load_experiment, run

two = {"checkpoint_seconds": 0, "processes": 2}
run(load_experiment(sys.argv[1]), sys.argv[2], progress=False, **two)
"""
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(__file__).parents[2]),
}


@pytest.fixture
def experiment(description: dict[str, Any], tmp_path: Path) -> Experiment:
    """A run of 10 steps of 4 micro-batches, with dropout and batch normalisation."""
    description["optim"]["accumulate"] = 4
    description["optim"]["batch"] = 8
    description["optim"]["epochs"] = 10
    return make_experiment(description)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "final.pt", weights_only=True)


@pytest.mark.timeout(3600)  # processes start slowly on a busy machine
def test_two_processes_train_to_the_parameters_of_one(
    description: dict[str, Any], tmp_path: Path
) -> None:
    description["model"]["dropout"] = 0.0
    description["optim"].update(batch=8, accumulate=4, epochs=6, clip_grad=1.0)
    experiment = make_experiment(description)
    dump(experiment, tmp_path / "experiment.yaml")
    (tmp_path / "train.py").write_text(IN_DOUBLE)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    results = []
    for processes in (1, 2):
        count = [f"--nproc-per-node={processes}", str(tmp_path / "train.py")]
        places = [str(tmp_path / "experiment.yaml"), str(tmp_path / str(processes))]
        subprocess.run(
            [*words, *count, *places], env=ENVIRONMENT, check=True, capture_output=True
        )
        found = read_result(run_folder(experiment, tmp_path / str(processes)))
        assert found is not None and found.steps == 6
        results.append(found)
    one, two = (weights(result.folder) for result in results)
    worst = {name: float((two[name] - one[name]).abs().max()) for name in one}
    assert all(
        one[name].dtype == torch.float64 for name in worst if "num_batches" not in name
    )
    statistics = {
        name: w
        for name, w in worst.items()
        if "running" in name or "num_batches" in name
    }
    assert max(w for name, w in worst.items() if name not in statistics) < 1e-6
    # The rule for running statistics: those of process 0, which sees every second
    # micro-batch.
    counts = [
        next(v for name, v in w.items() if "num_batches" in name) for w in (one, two)
    ]
    assert [int(n) for n in counts] == [24, 12] and max(statistics.values()) > 1e-3
    torch.testing.assert_close(
        torch.tensor(results[1].first_losses), torch.tensor(results[0].first_losses)
    )
    assert (
        results[0].labels() == results[1].labels()
    ).all()  # the test was shared, and put together again


@pytest.mark.timeout(3600)  # processes start slowly on a busy machine
def test_a_killed_process_is_started_again_and_changes_nothing(
    experiment: Experiment, tmp_path: Path
) -> None:
    dump(experiment, tmp_path / "experiment.yaml")
    alone = run(experiment, tmp_path / "alone", progress=False, processes=2)
    folder = run_folder(experiment, tmp_path / "killed")
    words = [
        sys.executable,
        "-c",
        LAUNCHED,
        str(tmp_path / "experiment.yaml"),
        str(tmp_path / "killed"),
    ]
    started = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    log = folder / "log.jsonl"
    while started.poll() is None and (
        not log.exists() or len(log.read_bytes().splitlines()) < 3
    ):
        time.sleep(0.01)
    os.kill(
        int((folder / "lock").read_text().split()[1]), signal.SIGKILL
    )  # process 0 holds the lock
    assert started.wait() == 0
    ours, theirs = weights(folder), weights(alone.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert log.read_bytes() == (alone.folder / "log.jsonl").read_bytes()
    # Dropout is drawn apart in the two: one network with another stream ends elsewhere.
    single = weights(run(experiment, tmp_path / "single", progress=False).folder)
    assert any(not torch.equal(single[name], theirs[name]) for name in theirs)


def test_micro_batches_that_do_not_come_out_even_are_refused(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "position", lambda: (0, 3))
    with pytest.raises(
        UserError,
        match=r"3 processes cannot share the 4 micro-batches .*optim\.accumulate",
    ):
        loop.Training(experiment)
