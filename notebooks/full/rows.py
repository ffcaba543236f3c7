"""Every network that the papers trained, as they trained it, and what is measured
beside what is printed.

`data/full.yaml` is the table. `notebooks/full` writes a file of parameters for each of
its rows, runs one or many, and gathers what they gave.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, JsonValue

from notebooks.kit.printed.cells import printed_accuracy
from vidattn.training import build_model, check, make_experiment
from vidattn.training.experiment import Experiment, Positive
from vidattn.training.key import digest
from vidattn.training.validation import FrozenList, Part
from vidattn.yamlfile import read_yaml

TABLE = Path(__file__).with_name("rows.yaml")
ELSEWHERE = {
    "data",
    "leave_out",
    "weights",
    "runs",
    "workers",
    "checkpoint_seconds",
}  # not what is trained

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
        dataset: A kind of data that `Experiment` knows.
        data: The data folder, or the other fields of that kind of data.
        leave_out: The report of `vidattn data` on that folder, whose clips are left
            out: one for each split, with `{split}` in its name, where there are
            several.
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
        data = (
            {"root": self.data, "split": split}
            if isinstance(self.data, str)
            else self.data
        )
        left_out = (
            {"leave_out": self.leave_out.replace("{split}", str(split))}
            if self.leave_out
            else {}
        )
        return make_experiment(
            {
                "name": f"{self.row}-split{split}"
                if len(self.splits) > 1
                else self.row,
                "data": {"kind": self.dataset, **data, **left_out},
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

    def experiment(self, split: int, view: View | None = None) -> Experiment:
        """Describe the run of one split as it is run: with fewer clips than a batch,
        batches are smaller.

        Raises:
            UserError: A field is wrong or the data folder faulty.
        """
        described = self.described(split, view)
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
        return digest(self.model_dump(mode="json", exclude=ELSEWHERE))


@cache
def lines() -> dict[str, dict[str, Any]]:
    """Return the rows of the table, each with the fields of its parts, `[value,
    source]` by dotted name.
    """
    whole, found = read_yaml(TABLE), {}
    for name, line in whole["rows"].items():
        parts = [whole["parts"][part] for part in ("all", *line["like"])]
        found[name] = {
            k: v
            for part in (*parts, line.get("set", {}), line)
            for k, v in part.items()
        }
    return found


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


def accuracies(
    paper: str, rows: Mapping[str, Row], records: Records
) -> list[dict[str, str]]:
    """Return a line for each printed accuracy of a paper's own networks, with what was
    measured beside it.

    Args:
        paper: One of `PAPERS`.
        rows: The files of parameters, by name.
        records: What was measured, by row. One of another protocol or code than today's
            is marked stale.
    """
    shown = []
    for figure in printed_accuracy(paper):
        if name := owner(figure):
            found, text = measured(figure, name, records), ""
            if found is not None:
                today = {
                    "protocol": rows[name].protocol(),
                    "code": rows[name].described().code(),
                }
                old = " and ".join(
                    what for what in today if records[name][what] != today[what]
                )
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
