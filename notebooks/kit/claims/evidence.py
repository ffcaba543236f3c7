"""Evidence: the runs that judge a chapter's claims, and the small records of them that
the book shows.

`book/ledgers/<chapter>.yaml` says beforehand what is run and claimed. Its last commit
fixes the seeds, which keeps them from being picked by result. `book/results/<chapter>/`
keeps the records:

- `card.yaml`: commit of the ledger, seeds, machine and versions;
- `backbone.pt`: the shared pre-trained backbone, in half precision to stay small (every
  run starts from these very numbers);
- `runs.jsonl`: a line a run: variant, seed, accuracies, first losses, seconds, commit
of the code.

A run that is recorded is not repeated (move `runs.jsonl` and the folder `runs` away to
repeat all); one that was killed goes on from its checkpoint.
"""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from notebooks.kit.claims.claim import Claim, Judgement
from notebooks.kit.claims.ledger import Study, at_noise, load_study
from notebooks.kit.claims.stats import mean_interval, seeds_from_commit
from vidattn.errors import UserError
from vidattn.training import checkpoint, evaluate, load_trained, replay, run
from vidattn.training.build import build_data
from vidattn.training.experiment import Experiment
from vidattn.training.key import file_key
from vidattn.training.result import commit, versions

Row = dict[str, Any]
STALE = (
    1e-2  # records whose losses come out farther off, replayed, are not of today's code
)
NOT_RECORDED = {
    "name",
    "finished",
    "top5",
    "seed",
    "data",
    "versions",
    "folder",
}  # of a run's result


def ledgers(root: Path) -> list[str]:
    """Return the names of the ledgers."""
    return sorted(path.stem for path in (root / "book" / "ledgers").glob("*.yaml"))


def record(
    root: Path, chapter: str, jobs: int = 2, more: dict[str, int] | None = None
) -> None:
    """Run what a ledger lists and is not yet recorded.

    Args:
        root: The project's folder.
        chapter: Name of the ledger, mostly that of its chapter.
        jobs: Runs at a time, each in a process and on a thread of its own.
        more: Seeds of a claim beyond those that the ledger promises, for one whose
            verdict is that more are needed. The card keeps them: they go on where the
            ledger's seeds end.

    Raises:
        UserError: The ledger is faulty or differs from its last commit.
    """
    if chapter not in ledgers(root):
        raise UserError(
            f"there is no ledger {chapter!r} to record: allowed are {', '.join(ledgers(root))}"
        )
    ledger = root / "book" / "ledgers" / f"{chapter}.yaml"
    results = root / "book" / "results" / chapter
    study = load_study(ledger)
    card = _card(root, ledger, results, study)
    if more:
        _extend(results, card, study, more)
    _backbone(root, study)
    planned = list(plan(study, card))
    done = {_run_of(row) for row in read_rows(results)}
    todo = [
        (v, s)
        for v, s in planned
        if (v, s, described(study.experiment(v, s))) not in done
    ]
    print(
        f"{chapter}: {len(planned)} runs, {len(planned) - len(todo)} of them recorded",
        flush=True,
    )
    started, finished = time.monotonic(), 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for batch in (
            todo[:1],
            todo[1:],
        ):  # the first run alone: it renders the clips that the others find
            for future in as_completed(
                [pool.submit(_measure, study, *job, root) for job in batch]
            ):
                row, finished = future.result(), finished + 1
                _keep(results, row)
                minutes = (time.monotonic() - started) / 60
                said = f"{row['variant']}, seed {row['seed']}: top-1 {100 * row['top1']:.1f} %"
                print(
                    f"{finished} of {len(todo)}, {minutes:.0f} min: {said}", flush=True
                )


def plan(study: Study, card: Row) -> Iterator[tuple[str, int]]:
    """Yield (variant, seed) as they are run: the claims' pairs first, seed by seed,
    then the others.

    The card has the ledger's seeds, and under `more` the claims that got more of them
    than it promises.
    """
    wanted = {name: study.seeds for name in study.primary}
    for claim in study.claims:
        for name in (claim.better, claim.worse):
            wanted[name] = max(wanted[name], _seeds(claim, card))
    others = [variant for variant in study.variants if variant not in study.primary]
    for number, seed in enumerate(card["seeds"]):
        yield from (
            (variant, seed) for variant in study.primary if number < wanted[variant]
        )
    for seed in card["seeds"][: study.exploratory_seeds]:
        yield from ((variant, seed) for variant in others)


def open_records(root: Path, chapter: str) -> tuple[Study, Row, list[Row]]:
    """Open a chapter's ledger, card and records, for showing them.

    Raises:
        UserError: The ledger has changed since its runs began, or a record is not one
            of its runs.
    """
    ledger, results = (
        root / "book" / "ledgers" / f"{chapter}.yaml",
        root / "book" / "results" / chapter,
    )
    study, rows = load_study(ledger), read_rows(results)
    card = _card(root, ledger, results, study)
    planned = {(v, s, described(study.experiment(v, s))) for v, s in plan(study, card)}
    for row in rows:
        if _run_of(row) not in planned:
            run_of_row = f"{row['variant']}, seed {row['seed']}"
            raise UserError(
                f"{results}: the record of {run_of_row}, is not in {ledger}"
            )
    return study, card, rows


def read_rows(results: Path) -> list[Row]:
    """Return the records of a chapter, empty if there are none."""
    path = results / "runs.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines()]
        if path.is_file()
        else []
    )


def values(rows: list[Row], variant: str, metric: str = "top1") -> dict[int, float]:
    """Return one metric of a variant by seed; `noise 0.2` names the accuracy at that
    noise.
    """
    return {
        row["seed"]: row[metric]
        for row in rows
        if row["variant"] == variant and metric in row
    }


def judge(study: Study, rows: list[Row], card: Row) -> dict[str, Judgement]:
    """Judge the study's claims by its records, each by its own seeds, which the card
    has.

    A claim that was given more seeds is judged by all of them; a claim that shares its
    runs is not. A claim whose runs are not complete is left out.
    """
    judged = {}
    for claim in study.claims:
        better, worse = (
            values(rows, name, claim.metric) for name in (claim.better, claim.worse)
        )
        seeds = card["seeds"][: _seeds(claim, card)]
        if all(seed in better and seed in worse for seed in seeds):
            judged[claim.id] = claim.judge(
                [better[s] for s in seeds], [worse[s] for s in seeds]
            )
    return judged


def claims_table(study: Study, judged: dict[str, Judgement], card: Row) -> str:
    """Return the claims that could be judged, their predictions and verdicts, as a
    Markdown table.
    """
    lines = [
        "| claim | predicted | tolerance | seeds | measured, 95% interval | verdict |",
        "|---" * 6 + "|",
    ]
    for claim in study.claims:
        if claim.id in judged:
            (mean, low, high), verdict = judged[claim.id]
            lines.append(
                f"| {claim.statement} | {claim.effect:+g} | {claim.tolerance:g} | {_seeds(claim, card)} "
                f"| {mean:+.3f} ({low:+.3f} to {high:+.3f}) | **{verdict}** |"
            )
    for name, seeds in card.get("more", {}).items():
        lines += [
            f"\nThe ledger promised {study.seeds} seeds. *{name}* was given {seeds}, after its interval had "
            "been seen to be too wide; its 95% does not account for that. The other claims are judged by the "
            "ledger's seeds alone."
        ]
    return "\n".join(lines)


def accuracies(study: Study, rows: list[Row]) -> dict[str, list[float]]:
    """Return the top-1 accuracies in percent of every variant that has records, in the
    ledger's order.
    """
    found = {
        name: [100 * value for value in values(rows, name).values()]
        for name in study.variants
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def accuracy_table(
    study: Study, rows: list[Row], printed: dict[str, str]
) -> pd.DataFrame:
    """Return a row for each variant that has records: seeds, mean accuracy, interval,
    what the paper prints.

    Args:
        study: The ledger.
        rows: Its records.
        printed: The paper's figures by variant.
    """
    lines = []
    for name, numbers in accuracies(study, rows).items():
        shown = " and ".join(f"{number:.1f}" for number in numbers)
        if len(numbers) > 2:  # the interval of two would be wider than the scale
            shown = "{1:.1f} to {2:.1f}".format(*mean_interval(numbers))
        kind = "primary" if name in study.primary else "exploratory"
        lines.append(
            (name, len(numbers), np.mean(numbers), shown, printed.get(name, ""), kind)
        )
    columns = [
        "variant",
        "seeds",
        "mean top-1, %",
        "95% interval, or each seed",
        "printed",
        "",
    ]
    return pd.DataFrame(lines, columns=columns)


def _run_of(row: Row) -> tuple[str, int, str]:
    return row["variant"], row["seed"], row["described"]


def described(experiment: Experiment) -> str:
    """Return a hash of what a run does, without the code: code changes show when a
    record is replayed.
    """
    text = experiment.model_dump_json(exclude={"name": True, "data": {"root", "cache"}})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def largest_deviation(study: Study, row: Row, steps: int | None = None) -> float:
    """Replay a record's first steps, 20 or fewer, and return the largest relative
    difference of a loss.

    Above 0 the record is stale. On another kind of machine, torch version or thread
    count the last bits differ, more from step to step.
    """
    recorded = np.array(row["first_losses"][:steps])
    again = np.array(
        replay(study.experiment(row["variant"], row["seed"]), len(recorded))
    )
    return float(np.abs(again / recorded - 1).max())


def still_true(study: Study, rows: list[Row], steps: int = 5) -> str:
    """Say whether the records are those of today's code: by their keys, and by
    replaying a few of them.
    """
    same = sum(
        row["key"] == study.experiment(row["variant"], row["seed"]).key()
        for row in rows
    )
    shown = study.primary or study.variants
    first = {row["variant"]: row for row in rows[::-1] if row["variant"] in shown}
    worst = max(largest_deviation(study, row, steps) for row in first.values())
    return (
        f"{same} of {len(rows)} recorded keys are those of today's code. Replayed now, the first {steps} "
        f"steps of {', '.join(name for name in shown if name in first)}, one run each, give the recorded "
        f"losses {_outcome(worst)}."
    )


def replayed(study: Study, row: Row) -> str:
    """Say whether a record's first losses come out again, replayed now."""
    outcome = _outcome(largest_deviation(study, row))
    return f"The replayed losses of {row['variant']}, seed {row['seed']}, equal the recorded ones {outcome}."


def _outcome(deviation: float) -> str:
    if deviation == 0:
        return "bit for bit"
    if deviation < STALE:
        return f"to within {deviation:.0e}, as another processor, or clips encoded anew, give them"
    return f"only to within {deviation:.1%}: **the records are stale**"


def _measure(study: Study, variant: str, seed: int, root: Path) -> Row:
    """Train one variant, unless it is done, and read off what the study wants to
    know.
    """
    from notebooks.kit.claims.probes import measure, order

    torch.set_num_threads(1)
    experiment = study.experiment(variant, seed)
    result = run(experiment, root / "runs", progress=False)
    assert result.folder is not None
    model = load_trained(result.folder)
    row: Row = {"variant": variant, "seed": seed, "described": described(experiment)}
    row |= result.model_dump(exclude=NOT_RECORDED, exclude_defaults=True)
    row["seconds"] = round(result.seconds, 1)
    for noise in study.measures.noise:
        _, test = build_data(at_noise(experiment, noise))
        row[f"noise {noise:g}"] = evaluate(model, test).top1
    if study.measures.reversals:
        row |= order(model, experiment)
    if variant in study.primary and study.variants[variant]:
        row |= measure(model, experiment, study.measures)
    return row


def _card(root: Path, ledger: Path, results: Path, study: Study) -> Row:
    """Read the card, or make it: the ledger's last commit, and the seeds that follow
    from it.
    """
    path = results / "card.yaml"
    if path.is_file():
        card: Row = yaml.safe_load(path.read_text())
        if card["ledger"] != file_key(ledger):
            raise UserError(
                f"{ledger} has changed since its runs began: restore it, or remove {results}"
            )
        return card
    if _git(root, "status", "--porcelain", "--", str(ledger)):
        raise UserError(
            f"{ledger} must be committed before its runs: the commit fixes the seeds"
        )
    sha = _git(root, "log", "-1", "--format=%H", "--", str(ledger))
    card = {
        "ledger_commit": sha,
        "ledger": file_key(ledger),
        "seeds": seeds_from_commit(sha, study.seeds),
        "versions": versions(),
        "commit": commit(),
    }
    results.mkdir(parents=True, exist_ok=True)
    _write(path, yaml.safe_dump(card, sort_keys=False))
    return card


def _seeds(claim: Claim, card: Row) -> int:
    """Return the number of seeds that judge a claim."""
    return int(card.get("more", {}).get(claim.id, claim.seeds))


def _extend(results: Path, card: Row, study: Study, more: dict[str, int]) -> None:
    """Note on the card that claims get more seeds than the ledger promises."""
    for name, number in more.items():
        if name not in {claim.id for claim in study.claims} or number <= study.seeds:
            ids = ", ".join(claim.id for claim in study.claims) or "none"
            raise UserError(
                f"--more {name} {number}: allowed are {ids}, with more than {study.seeds} seeds"
            )
    card["more"] = card.get("more", {}) | more
    card["seeds"] = seeds_from_commit(card["ledger_commit"], max(card["more"].values()))
    _write(results / "card.yaml", yaml.safe_dump(card, sort_keys=False))


def _backbone(root: Path, study: Study) -> None:
    """Make the shared backbone unless it is there."""
    path = root / study.backbone
    if path.is_file():
        return
    result = run(study.pretraining(), root / "runs")
    assert result.folder is not None
    weights = checkpoint.load(result.folder / "final.pt")
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in weights.items()
    }
    checkpoint.save(path, halves)
    told = {"name", "top1", "steps", "seconds", "seed", "commit", "versions"}
    said = result.model_dump(mode="json", include=told)
    _write(path.with_suffix(".yaml"), yaml.safe_dump(said, sort_keys=False))


def _keep(results: Path, row: Row) -> None:
    lines = [*read_rows(results), row]
    _write(results / "runs.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def _write(path: Path, text: str) -> None:
    checkpoint.write_atomically(path, lambda file: file.write(text.encode()))


def _git(root: Path, *words: str) -> str:
    return subprocess.check_output(["git", "-C", str(root), *words], text=True).strip()
