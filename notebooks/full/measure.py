"""One row of a table: trained and tested, or the mean scores of several.
`notebooks/row.py` shows what comes of it.

On several machines: torchrun ... -m notebooks.full.measure a-row.yaml
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from notebooks.full.rows import Row
from vidattn.errors import UserError
from vidattn.training import run
from vidattn.training.checkpoint import write_atomically
from vidattn.training.distributed import joined, position
from vidattn.training.evaluate import Evaluation, average_views, score
from vidattn.training.run import retest
from vidattn.yamlfile import read_yaml

ON_CARD = {
    "name",
    "key",
    "commit",
    "versions",
    "device",
    "seconds",
    "steps",
    "seed",
    "parameters",
}


def measure(row: Row, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Train and test what a row says, unless that has been done.

    Args:
        row: The row.
        processes: Processes that train together, a GPU each.
        progress: Show how far it is.

    Returns:
        What `measured.json` in the row's folder then holds: top-1 and top-5 accuracy
        (%) by test and split, and a card for each run. Scores (n, K) lie beside it, and
        the first split's network as `weights.pt`.

    Raises:
        UserError: A run cannot be done, or a member has not been measured.
    """
    scores: dict[str, dict[str, list[float]]] = {name: {} for name in row.tests}
    workers = (
        (8 if torch.cuda.is_available() else 0) if row.workers is None else row.workers
    )
    cards, spread = [], {"workers": workers, "processes": processes}
    every = row.checkpoint_seconds
    for split in row.splits:
        if not row.members:
            experiment = row.experiment(split)
            result = run(
                experiment, row.folder, progress, checkpoint_seconds=every, **spread
            )
            best = max((100 * top1 for top1 in result.epoch_top1), default=None)
            told = result.model_dump(mode="json", include=ON_CARD)
            cards.append({"split": split, "best epoch": best, **told})
        for name, view in row.tests.items():
            file = f"scores-{name}-{split}.npz"
            if row.members:
                tested = together(
                    [Path(row.runs) / member / file for member in row.members]
                )
            else:
                tested = retest(
                    str(result.folder), row.described(split, view).sampling, **spread
                )
            scores[name][str(split)] = [100 * tested.top1, 100 * tested.top5]
            _keep(
                row.folder / file,
                lambda out, t=tested: np.savez(out, logits=t.logits, labels=t.labels),
            )
    if cards:
        first = row.folder / "{name}-{key}/final.pt".format(**cards[0])
        _keep(row.folder / "weights.pt", lambda out: out.write(first.read_bytes()))
    code = row.described().code()
    found = {
        "row": row.row,
        "protocol": row.protocol(),
        "code": code,
        "scores": scores,
        "runs": cards,
    }
    _keep(
        row.folder / "measured.json",
        lambda out: out.write(json.dumps(found, indent=1).encode()),
    )
    return found


def _keep(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    if position()[0] == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)


def together(files: Sequence[Path]) -> Evaluation:
    """Test several networks as one, by the mean of their scores for each video.

    Raises:
        UserError: They were tested on other videos, or one has not been tested.
    """
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f"members: no scores in {', '.join(missing)}; run those rows first"
        )
    tested = [np.load(file) for file in files]
    if any(not np.array_equal(each["labels"], tested[0]["labels"]) for each in tested):
        raise UserError(
            f"members: {', '.join(map(str, files))} are not the scores of the same videos"
        )
    logits = average_views(
        torch.stack([torch.from_numpy(each["logits"]) for each in tested])
    )
    return score(logits.numpy(), tested[0]["labels"])


if __name__ == "__main__":
    one = Row.model_validate(read_yaml(sys.argv[1]))
    with joined(one.described().device):
        measure(one)
