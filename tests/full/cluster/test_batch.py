"""A batch on one machine: a row that fails leaves its traces, and the others go on.

`make test-cluster` runs this, too; it needs Snakemake, and no SLURM.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from notebooks.full import batch
from notebooks.kit.notebook import read_notebook

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.skipif(
        find_spec("snakemake") is None, reason="no Snakemake: make test-cluster has it"
    ),
    pytest.mark.timeout(3600),
]


def test_a_failed_row_leaves_its_error_and_the_others_untouched(tmp_path: Path) -> None:
    runs, folder = tmp_path / "runs", tmp_path / "params"
    folder.mkdir()
    given = read_notebook(ROOT / "notebooks" / "row.py").defaults | {
        "runs": str(runs),
        "epochs": 2,
    }
    wild = {**given["optim"], "lr": 1e30}
    changes: dict[str, dict] = {
        "a": {},
        "b": {"optim": wild},
        "c": {"weights": "b"},
        "d": {"weights": "a"},
    }
    for name, change in changes.items():
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump(given | {"row": name} | change)
        )
    rows = batch.load(folder)
    assert batch.run(rows, ["retries=0"]) != 0
    assert [batch.state(row) for row in rows.values()] == [
        "measured",
        "failed",
        "needs b",
        "measured",
    ]
    executed = (runs / "b" / "executed" / "row-failed.ipynb").read_text()
    assert (
        "lower optim.lr" in executed
        and "lower optim.lr" in (runs / "b" / "log.txt").read_text()
    )
    assert not (runs / "c" / "log.txt").exists()  # what it starts from is not there
    page = (runs / "results.html").read_text()
    for link in (
        "a/notebooks/row.ipynb",
        "d/log.txt",
        "b/executed/row-failed.ipynb",
        "b/log.txt",
    ):
        assert f'href="{link}"' in page
    # Again, with the fault mended: only what is missing is run.
    first = (runs / "a" / "notebooks" / "row.ipynb").stat().st_mtime_ns
    (folder / "b.yaml").write_text(yaml.safe_dump(given | {"row": "b"}))
    rows = batch.load(folder)
    assert batch.run(rows, ["retries=0"]) == 0
    assert {batch.state(row) for row in rows.values()} == {"measured"}
    assert (runs / "a" / "notebooks" / "row.ipynb").stat().st_mtime_ns == first
    (card,) = json.loads((runs / "c" / "measured.json").read_text())["runs"]
    text = (runs / "c" / "{name}-{key}".format(**card) / "experiment.yaml").read_text()
    assert yaml.safe_load(text)["model"]["pretrained"] == f"{runs}/b/weights.pt"
