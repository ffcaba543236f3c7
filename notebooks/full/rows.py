"""Every network that the papers trained, as they trained it, and what is measured
beside what is printed.

`rows.yaml` is the one description of them: `make full` runs its rows, a chapter at full
scale takes its networks from it, and the tests hold both to the papers.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, JsonValue

from notebooks.full.datasets.lists import write_lists
from notebooks.full.datasets.official import DATASETS
from notebooks.kit.printed.cells import printed_accuracy
from vidattn.blocks import block_options
from vidattn.training import build_model, check, make_experiment
from vidattn.training.experiment import Experiment, Positive
from vidattn.training.key import digest
from vidattn.training.validation import FrozenList, Part
from vidattn.yamlfile import read_yaml

TABLE = Path(__file__).with_name("rows.yaml")
# Fields that say where things lie and how a run is spread, not what is trained.
NOT_PROTOCOL = {
    "data",
    "leave_out",
    "weights",
    "runs",
    "workers",
    "checkpoint_seconds",
}

Records = Mapping[str, Mapping[str, Any]]


class View(Part):
    """Which parts of a video are tested: clips along time, crops of a frame, and their
    side in pixels.
    """

    clips: Positive
    crops: Positive
    size: Positive


class Row(Part):
    """The parameters of `notebooks/row.py`: one network of a paper, trained and tested
    as the paper did.

    Args:
        row: Its name in the table, or another one for a row of one's own.
        paper: One of `PAPERS`, or another word.
        cells: The printed cells that it would give, 'table: row'.
        dataset: A public data set of `notebooks.full.datasets`, or another kind of data
            that `Experiment` knows.
        data: The data folder, or the other fields of that kind of data.
        leave_out: The report of `python -m notebooks data` on that folder, whose clips
            are left out: one for each split, with `{split}` in its name, where there
            are several.
        splits: Splits that are trained in turn, and whose accuracies are averaged.
        weights: File to start from, or the name of the row whose network it starts
            from; a name has neither dot nor slash.
        epochs: Passes over the training clips.
        seed: Seed of the run.
        tests: What is tested, by name; the first belongs to the run itself.
        sampling: As in `Experiment`, without the test's fields.
        model: As in `Experiment`, without `pretrained`.
        blocks: As in `Experiment`.
        optim: As in `Experiment`, without `epochs`.
        test_every_epoch: As in `Experiment`.
        members: Rows whose scores are averaged; then nothing is trained.
        runs: Folder of all rows' runs.
        workers: Processes that decode video, for each that trains; None: 8 beside a
            GPU, none without.
        checkpoint_seconds: Seconds between two checkpoints.
    """

    row: str
    paper: str
    cells: FrozenList[str]
    dataset: str
    data: str | dict[str, JsonValue]
    leave_out: str | None
    splits: Annotated[FrozenList[Positive], Field(min_length=1)]
    weights: str | None
    epochs: Positive
    seed: int
    tests: Annotated[dict[str, View], Field(min_length=1)]
    sampling: dict[str, JsonValue]
    model: dict[str, JsonValue]
    blocks: FrozenList[JsonValue]
    optim: dict[str, JsonValue]
    test_every_epoch: bool
    members: FrozenList[str]
    runs: str
    workers: Annotated[int, Field(ge=0)] | None
    checkpoint_seconds: Annotated[float, Field(ge=0)]

    @property
    def folder(self) -> Path:
        """Where the row's runs and results lie."""
        return Path(self.runs) / self.row

    @property
    def needs(self) -> tuple[str, ...]:
        """The rows that must be there before: the members, or the one whose network it
        starts from.
        """
        return self.members or (
            (self.weights,) if self.weights and not {*"./"} & {*self.weights} else ()
        )

    def described(self, split: int = 1, view: View | None = None) -> Experiment:
        """Describe the run of one split, with its first test or another, without a look
        at the disk.

        Raises:
            UserError: A field is wrong.
        """
        view, gpu = view or next(iter(self.tests.values())), torch.cuda.is_available()
        weights = (
            f"{self.runs}/{self.weights}/weights.pt" if self.needs else self.weights
        )
        return make_experiment(
            {
                "name": f"{self.row}-split{split}"
                if len(self.splits) > 1
                else self.row,
                "data": self._data(split),
                "sampling": {
                    **self.sampling,
                    **{f"test_{key}": value for key, value in view},
                },
                "model": {**self.model, "pretrained": weights},
                "blocks": [*self.blocks],
                "optim": {
                    **self.optim,
                    "epochs": self.epochs,
                    "amp": gpu and self.optim.get("amp", False),
                },
                "seed": self.seed,
                "device": "cuda" if gpu else "cpu",
                "test_every_epoch": self.test_every_epoch,
            }
        )

    def _data(self, split: int) -> dict[str, JsonValue]:
        """Describe the clips of one split; a public data set by the index files that
        `experiment` writes.
        """
        if not isinstance(self.data, str):
            return {"kind": self.dataset, **self.data}
        if self.dataset not in DATASETS:
            return {"kind": self.dataset, "root": self.data}
        train, test = (
            str(self._lists(split) / f"{name}.csv") for name in ("train", "val")
        )
        return {"kind": "folder", "root": self.data, "train": train, "test": test}

    def _lists(self, split: int) -> Path:
        return self.folder.absolute() / f"clips-split{split}"

    def experiment(self, split: int, view: View | None = None) -> Experiment:
        """Describe the run of one split as it is run, and write the index files of a
        public data set. With fewer clips than a batch, batches are smaller.

        Raises:
            UserError: A field is wrong or the data folder faulty.
        """
        described = self.described(split, view)
        if isinstance(self.data, str) and self.dataset in DATASETS:
            report = self.leave_out and self.leave_out.replace("{split}", str(split))
            write_lists(self._lists(split), self.dataset, self.data, split, report)
        clips, optim = len(described.data.clips()[0].rows), described.optim
        batch = min(optim.batch, clips - clips % optim.accumulate) or optim.batch
        return described.model_copy(
            update={"optim": optim.model_copy(update={"batch": batch})}
        )

    def check(self) -> None:
        """Refuse what types alone cannot, before a kernel starts.

        Raises:
            UserError: One line that says what is wrong and what is allowed.
        """
        for split in self.splits if not self.members else ():
            check(self.experiment(split))

    def network(self) -> torch.nn.Module:
        """Return the network with new weights."""
        described = self.described()
        model = described.model.model_copy(update={"pretrained": None})
        return build_model(described.model_copy(update={"model": model}))

    def protocol(self) -> str:
        """Return a hash of what is trained and tested: not of where the data lies."""
        return digest(self.model_dump(mode="json", exclude=NOT_PROTOCOL))


@cache
def lines() -> dict[str, dict[str, Any]]:
    """Return the lines of the table, each with the fields of its parts, `[value,
    source]` by dotted name.
    """
    whole, found = read_yaml(TABLE), {}
    for name, line in whole["rows"].items():
        parts = [whole["parts"][part] for part in ("all", *line["like"])]
        every = {
            key: value
            for part in (*parts, line.get("set", {}), line)
            for key, value in part.items()
        }
        had = {
            f"options.{option}"
            for block in line.get("blocks", ())
            for option in block_options(block["kind"])
        }
        found[name] = {
            key: value
            for key, value in every.items()
            if key in had or not key.startswith("options.")
        }
    return found


def fields(line: Mapping[str, Any], group: str) -> dict[str, list[Any]]:
    """Return a line's fields of one group, `[value, source]` by their names in it."""
    return {
        key.removeprefix(f"{group}."): pair
        for key, pair in line.items()
        if key.startswith(f"{group}.")
    }


def table_row(name: str) -> Row:
    """Return a row of the table, by its name there."""
    line = lines()[name]
    options, sampling, model, optim = (
        {key: value for key, (value, _) in fields(line, group).items()}
        for group in ("options", "sampling", "model", "optim")
    )
    weights = line.get("from", f"data/weights/{line['weights'][0]}")
    return Row(
        row=name,
        paper=line["paper"],
        cells=line["cells"],
        dataset=line["dataset"],
        data=f"data/{line['dataset']}",
        leave_out=None,
        splits=line["splits"][0],
        weights=None if "members" in line else weights,
        epochs=line["epochs"][0],
        seed=line["seed"][0],
        tests=line["tests"][0],
        sampling=sampling,
        model=model | {"num_classes": line["classes"]},
        blocks=[
            block | {"options": options | block.get("options", {})}
            for block in line.get("blocks", ())
        ],
        optim=optim,
        test_every_epoch=line["test_every_epoch"][0],
        members=line.get("members", []),
        runs="runs/full",
        workers=None,
        checkpoint_seconds=300.0,
    )


def table_rows() -> dict[str, Row]:
    """Return all rows of the table, by name."""
    return {name: table_row(name) for name in lines()}


def full_experiments(chapter: str, data: str) -> dict[str, Experiment]:
    """Describe a chapter's networks at full scale, as the table has them.

    Args:
        chapter: `"rnl"`, `"pnl"`, `"rcca"` or `"gta"`.
        data: Folder of video files with `train.csv` and `val.csv`.

    Returns:
        A run for each row that the chapter has, by the chapter's name for it. Nothing
        is looked for on the disk.
    """
    own = {"dataset": "folder", "data": data, "splits": (1,)}
    return {
        line["variant"]: table_row(name).model_copy(update=own).described()
        for name, line in lines().items()
        if "variant" in line and name.startswith(f"{chapter}-")
    }


@cache
def _owners() -> dict[tuple[str, str, str], str]:
    return {
        (x["paper"], cell, x["printed"]): name
        for name, x in lines().items()
        for cell in x["cells"]
    }


def owner(figure: Mapping[str, str]) -> str | None:
    """Return the row that would give a printed accuracy, if the paper trained that
    network.
    """
    return _owners().get(
        (figure["paper"], f"{figure['table']}: {figure['row']}", figure["dataset"])
    )


def measured(figure: Mapping[str, str], row: str, records: Records) -> float | None:
    """Return what a row gave for a printed accuracy or a difference of two (%), if
    there is a record.
    """
    if row not in records:
        return None
    scores = records[row]["scores"]
    by_split = scores.get(figure["views"], next(iter(scores.values())))
    wanted = {"avg": [*by_split], "val": ["1"]}.get(
        figure["split"], [figure["split"].removeprefix("s")]
    )
    if not set(wanted) <= set(by_split):  # of a test set no labels are published
        return None
    found = np.mean([by_split[split][figure["metric"] == "top5"] for split in wanted])
    if figure["metric"] == "delta":
        other = measured({**figure, "metric": "top1"}, lines()[row]["minus"], records)
        return None if other is None else float(found - other)
    return float(found)


def accuracies(paper: str, records: Records) -> list[dict[str, str]]:
    """Return a line for each printed accuracy of a paper's own networks, with what was
    measured beside it.

    Args:
        paper: One of `PAPERS`.
        records: What was measured, by row. One of another protocol or code than today's
            is marked stale.
    """
    shown = []
    for figure in printed_accuracy(paper):
        if name := owner(figure):
            found, text = measured(figure, name, records), ""
            if found is not None:
                row, record = table_row(name), records[name]
                today = {"protocol": row.protocol(), "code": row.described().code()}
                old = " and ".join(w for w in today if record[w] != today[w])
                text = f"{found:.2f}" + (f" (stale: other {old})" if old else "")
            where = " ".join(
                filter(None, (figure["dataset"], figure["split"], figure["views"]))
            )
            shown.append(
                {
                    "cell": f"{figure['table']}: {figure['row']}",
                    "of": f"{where} {figure['metric']}",
                    "printed": figure["printed"],
                    "measured": text,
                    "parameters": name,
                }
            )
    return shown
