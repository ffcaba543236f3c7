"""Running: what a ledger lists and is not yet recorded, and networks side by side.

A run that is recorded is not repeated (move `runs.jsonl` and the folder `runs` away to
repeat all); one that was killed goes on from its checkpoint.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from notebooks.kit.claims.ledger import (
    Card,
    Ledger,
    at_noise,
    ledgers,
    plan,
    seeds_from_commit,
)
from notebooks.kit.claims.records import Record, open_records, places
from vidattn.errors import UserError
from vidattn.training import checkpoint, evaluate, load_trained, run
from vidattn.training.build import build_data
from vidattn.training.experiment import Experiment
from vidattn.training.key import file_key
from vidattn.training.result import Result, commit, versions

T = TypeVar("T")


def side_by_side(
    work: Callable[..., T], tasks: Sequence[tuple[Any, ...]], jobs: int = 2
) -> Iterator[T]:
    """Yield `work(*task)` of each task in their order, worked at by some processes.

    On a few cores two processes of one thread are faster than one process of two
    threads.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, *zip(*tasks, strict=True))


def run_all(
    experiments: Sequence[Experiment], root: str | Path = "runs", jobs: int = 2
) -> list[Result]:
    """Train several networks side by side, a process each, or find them again.

    Args:
        experiments: What to run.
        root: Folder of the run folders.
        jobs: Processes at a time; on a GPU take 1.

    Returns:
        The results, in the order of the experiments.
    """
    results = []
    tasks = [(experiment, root, False) for experiment in experiments]
    for result in side_by_side(run, tasks, jobs):
        results.append(result)
        done = f"{len(results)} of {len(tasks)} runs"
        print(f"{done}: {result.name}, {result.seconds:.0f} s", flush=True)
    return results


def record(
    root: Path, name: str, jobs: int = 2, more: dict[str, int] | None = None
) -> None:
    """Run what a ledger lists and is not yet recorded.

    Args:
        root: The project's folder.
        name: Name of the ledger, mostly that of its chapter.
        jobs: Runs at a time, each in a process and on a thread of its own.
        more: Seeds of a claim beyond those that the ledger promises, for one whose
            verdict is that more are needed. The card keeps them: they go on where the
            ledger's seeds end.

    Raises:
        UserError: The ledger is faulty or differs from its last commit.
    """
    if name not in ledgers(root):
        allowed = ", ".join(ledgers(root))
        raise UserError(f"there is no ledger {name!r} to record: allowed are {allowed}")
    ledger, card, records = open_records(root, name)
    path, results = places(root, name)
    if not card.ledger:
        card = _first_card(path, ledger)
    if more:
        card = _extended(card, ledger, more)
    results.mkdir(parents=True, exist_ok=True)
    _write(results / "card.yaml", card.model_dump(mode="json", exclude_defaults=True))
    _backbone(root, ledger)
    planned, done = plan(ledger, card), {(one.variant, one.seed) for one in records}
    todo = [(ledger, *job, root) for job in planned if job not in done]
    count = len(planned)
    print(f"{name}: {count} runs, {count - len(todo)} of them recorded", flush=True)
    started, finished = time.monotonic(), 0
    # The first run alone: it renders the clips that the others find.
    for batch in (todo[:1], todo[1:]):
        for one in side_by_side(_measured, batch, jobs):
            _keep(results, one)
            finished += 1
            minutes, top1 = (time.monotonic() - started) / 60, one.value("top1")
            so_far = f"{finished} of {len(todo)}, {minutes:.0f} min"
            print(f"{so_far}: {one}: top-1 {top1:.1%}", flush=True)


def _measured(ledger: Ledger, variant: str, seed: int, root: Path) -> Record:
    """Train one variant, unless it is done, and read off what the ledger asks for."""
    from notebooks.kit.claims.probes import measure, order

    torch.set_num_threads(1)
    experiment = ledger.experiment(variant, seed)
    result = run(experiment, root / "runs", progress=False)
    assert result.folder is not None and result.top1 is not None
    model = load_trained(result.folder)
    metrics = {"top1": result.top1}
    for noise in ledger.measures.noise:
        _, test = build_data(at_noise(experiment, noise))
        metrics[f"noise {noise:g}"] = evaluate(model, test).top1
    if ledger.measures.reversals:
        metrics |= order(model, experiment)
    if variant in ledger.primary and ledger.variants[variant]:
        metrics |= measure(model, experiment, ledger.measures)
    told = result.model_dump(include=set(Record.model_fields))
    return Record(
        **told | {"seconds": round(result.seconds, 1)},
        variant=variant,
        description=experiment.model_dump(mode="json"),
        metrics=metrics,
    )


def _first_card(path: Path, ledger: Ledger) -> Card:
    """Return the card of the ledger's last commit and the seeds that follow from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(path.parent), *words, "--", path.name]
        return subprocess.check_output(command, text=True).strip()

    if git("status", "--porcelain"):
        raise UserError(
            f"{path} must be committed before its runs: the commit fixes the seeds"
        )
    sha = git("log", "-1", "--format=%H")
    return Card(
        ledger_commit=sha,
        ledger=file_key(path),
        seeds=tuple(seeds_from_commit(sha, ledger.seeds)),
        versions=versions(),
        commit=commit(),
    )


def _extended(card: Card, ledger: Ledger, more: dict[str, int]) -> Card:
    """Return a card by which claims get more seeds than the ledger promises."""
    ids = [claim.id for claim in ledger.claims]
    for name, number in more.items():
        if name not in ids or number <= ledger.seeds:
            raise UserError(
                f"--more {name} {number}: allowed are {', '.join(ids) or 'none'}, with "
                f"more than {ledger.seeds} seeds"
            )
    more = card.more | more
    seeds = seeds_from_commit(card.ledger_commit, max(more.values()))
    return card.model_copy(update={"more": more, "seeds": tuple(seeds)})


def _backbone(root: Path, ledger: Ledger) -> None:
    """Make the shared backbone unless it is there."""
    path = root / ledger.backbone
    if path.is_file():
        return
    result = run(ledger.pretraining(), root / "runs")
    assert result.folder is not None
    weights = checkpoint.load(result.folder / "final.pt")
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in weights.items()
    }
    checkpoint.save(path, halves)
    told = {"name", "top1", "steps", "seconds", "seed", "commit", "versions"}
    _write(path.with_suffix(".yaml"), result.model_dump(mode="json", include=told))


def _keep(results: Path, one: Record) -> None:
    """Add a record to those that there are, which stay as they are."""
    path = results / "runs.jsonl"
    text = (path.read_text() if path.is_file() else "") + one.line()
    checkpoint.write_atomically(path, lambda file: file.write(text.encode()))


def _write(path: Path, values: dict[str, Any]) -> None:
    text = yaml.safe_dump(values, sort_keys=False)
    checkpoint.write_atomically(path, lambda file: file.write(text.encode()))
