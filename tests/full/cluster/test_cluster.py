"""Six rows as a batch under a real SLURM: disturbed in every way, they end as if
nothing had happened.

`make test-cluster` runs this; `tests/full/cluster/slurm.sh` says what it needs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

from notebooks.full import batch
from notebooks.full import rows as full
from notebooks.full.measure import measure
from notebooks.kit.notebook import read_notebook
from vidattn.training import checkpoint

ROOT = Path(__file__).resolve().parents[3]
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
ABSENT = [name for name in NEEDED if shutil.which(name) is None]
ABSENT += (
    ["snakemake (pip: the extra 'batch')"] if find_spec("snakemake") is None else []
)
ABSENT += ["root's rights"] if os.geteuid() else []
pytestmark = [
    pytest.mark.skipif(
        "VIDATTN_CLUSTER" not in os.environ,
        reason="a cluster: make test-cluster runs it",
    ),
    pytest.mark.skipif(
        bool(ABSENT), reason=f"no SLURM for tests: {', '.join(ABSENT)} missing"
    ),
    pytest.mark.timeout(7200),
]
# A cluster without accounting: Snakemake asks squeue.
SLURM = [
    "--executor",
    "slurm",
    "--jobs",
    "4",
    "--slurm-no-account",
    "--slurm-status-command",
    "squeue",
]
SLURM += [
    "--slurm-init-seconds-before-status-checks",
    "5",
    "--seconds-between-status-checks",
    "5",
]
STEPS = 150


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[None]:
    script = str(Path(__file__).with_name("slurm.sh"))
    subprocess.run([script, "start", str(tmp_path / "slurm")], check=True)
    yield
    subprocess.run(["scancel", "--user", "root"], check=False)
    subprocess.run([script, "stop", str(tmp_path / "slurm")], check=True)


def rows(folder: Path, runs: Path) -> dict[str, full.Row]:
    """Six tiny rows, a seed each; a checkpoint after every step."""
    folder.mkdir()
    given = read_notebook(ROOT / "notebooks" / "row.py").defaults
    given |= {
        "epochs": STEPS // 2,
        "test_every_epoch": False,
        "checkpoint_seconds": 0.0,
        "runs": str(runs),
    }
    for seed in range(6):
        text = yaml.safe_dump(given | {"row": f"row-{seed}", "seed": seed})
        (folder / f"row-{seed}.yaml").write_text(text)
    return batch.load(folder)


def controller(folder: Path, runs: Path, *asked: str) -> subprocess.Popen[bytes]:
    """Start what `make full` starts."""
    words = [sys.executable, "-m", "notebooks.full.batch", "run"]
    words += ["--params", str(folder), "--runs", str(runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*words, *asked, *SLURM], cwd=ROOT, env=environment, start_new_session=True
    )


def steps(row: full.Row) -> int:
    logs = [*row.folder.glob("*/log.jsonl")]
    return len(logs[0].read_bytes().splitlines()) if logs else 0


def until(
    holds: Callable[[], bool], batch: subprocess.Popen[bytes], seconds: float = 1800
) -> None:
    end = time.monotonic() + seconds
    while not holds():
        queue = subprocess.run(["squeue"], capture_output=True, text=True).stdout
        assert batch.poll() is None and time.monotonic() < end, queue
        time.sleep(0.5)


def running(rows: dict[str, full.Row]) -> list[str]:
    """The rows in training now: begun and not finished."""
    return [name for name, row in rows.items() if 2 < steps(row) < STEPS - 10]


def worker(row: full.Row) -> int:
    """The process that trains a row: it holds the run's lock."""
    (lock,) = row.folder.glob("*/lock")
    return int(lock.read_text().split()[1])


def job(row: full.Row) -> str:
    """The SLURM job that a process belongs to, by its environment."""
    environment = Path(f"/proc/{worker(row)}/environ").read_bytes().split(b"\0")
    (found,) = [entry for entry in environment if entry.startswith(b"SLURM_JOB_ID=")]
    return found.decode().partition("=")[2]


def test_six_rows_end_as_if_undisturbed(cluster: None, tmp_path: Path) -> None:
    six = rows(tmp_path / "params", tmp_path / "runs")
    first = controller(tmp_path / "params", tmp_path / "runs")
    until(lambda: len(running(six)) >= 2, first)
    cancelled, killed = running(six)[:2]
    subprocess.run(["scancel", job(six[cancelled])], check=True)
    os.kill(worker(six[killed]), signal.SIGKILL)
    until(
        lambda: len({*running(six)} - {cancelled, killed}) >= 1, first
    )  # others go on, and meanwhile
    os.killpg(first.pid, signal.SIGKILL)  # the controller is gone; its jobs are not
    first.wait()
    assert subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout
    # Of two new ones, whichever comes later to the lock is refused.
    both = [controller(tmp_path / "params", tmp_path / "runs") for _ in range(2)]
    assert sorted(each.wait() for each in both) == [0, 2]

    quiet = {
        name: row.model_copy(update={"runs": str(tmp_path / "quiet")})
        for name, row in six.items()
    }
    for name, row in six.items():
        (run,) = row.folder.glob("row-*/")  # trained once, in one folder
        record = json.loads((row.folder / "measured.json").read_text())
        numbers = [
            json.loads(line)["step"]
            for line in (run / "log.jsonl").read_text().splitlines()
        ]
        assert numbers == [*range(1, STEPS + 1)] and record["runs"][0]["steps"] == STEPS
        assert measure(quiet[name], progress=False)["scores"] == record["scores"]
        ours, theirs = (
            checkpoint.load(each.folder / "weights.pt") for each in (row, quiet[name])
        )
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
        assert (row.folder / "notebooks" / "row.ipynb").is_file()
    for name in (cancelled, killed):  # it was tried again, and went on
        assert (
            "the kernel died" in (six[name].folder / "log.txt").read_text()
            or name == cancelled
        )
    page = (tmp_path / "runs" / "results.html").read_text()
    assert all(f'href="{name}/notebooks/row.ipynb"' in page for name in six)


def test_two_nodes_train_one_row(cluster: None, tmp_path: Path) -> None:
    """torchrun starts a process on each; with the same number of processes on one
    machine it is the same.
    """
    six = rows(tmp_path / "params", tmp_path / "runs")
    for name in [*six][1:]:
        (tmp_path / "params" / f"{name}.yaml").unlink()
    assert (
        controller(
            tmp_path / "params", tmp_path / "runs", "nodes=2", "retries=0"
        ).wait()
        == 0
    )
    row = six["row-0"]
    assert "process(es), cpu" in (row.folder / "notebooks" / "row.ipynb").read_text()
    quiet = row.model_copy(update={"runs": str(tmp_path / "quiet")})
    record = json.loads((row.folder / "measured.json").read_text())
    assert measure(quiet, processes=2, progress=False)["scores"] == record["scores"]
    ours, theirs = (
        checkpoint.load(each.folder / "weights.pt") for each in (row, quiet)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    alone = row.model_copy(update={"runs": str(tmp_path / "alone")})
    measure(
        alone, progress=False
    )  # other running statistics: one process sees all micro-batches
    one = checkpoint.load(alone.folder / "weights.pt")
    assert not all(torch.equal(ours[key], one[key]) for key in one)
