"""Replay the first steps of the recorded runs, and compare two such replays.

    python tests/house/replay.py run OUT.json [--root .] [--steps 5] [--ledger NAME ...]
    python tests/house/replay.py compare OLD.json NEW.json

Of each variant in `book/results/<ledger>/runs.jsonl` the first record is replayed, by
the code that Python imports. Two states of the code on one machine must give the same
losses, bit for bit. It works with older states, too, whose modules had other names.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

# What is needed, and the names that it has had, the newest first.
LOAD = ("notebooks.kit.claims.ledger:load_ledger", "vidattn.training.study:load_study")
REPLAY = (
    "vidattn.training.run:replay",
    "vidattn.training:replay",
    "vidattn.training.fit:replay",
)


def first_there(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return the first of some functions that exists."""
    for name in names:
        try:
            return resolve_name(name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"none of these is there: {', '.join(names)}")


def chosen(root: Path, ledger: str) -> Iterator[tuple[str, int]]:
    """Yield variant and seed of the first record of each variant."""
    seen = set()
    text = (root / "book" / "results" / ledger / "runs.jsonl").read_text()
    for row in map(json.loads, text.splitlines()):
        if row["variant"] not in seen:
            seen.add(row["variant"])
            yield row["variant"], row["seed"]


def recorded(root: Path) -> list[str]:
    """Return the ledgers that have records."""
    return sorted(p.parent.name for p in root.glob("book/results/*/runs.jsonl"))


def run(root: Path, out: Path, steps: int, ledgers: list[str]) -> None:
    """Replay, and write the losses by ledger and `<variant>/<seed>`."""
    load_study, replay = first_there(LOAD), first_there(REPLAY)
    out = out.resolve()
    os.chdir(root)  # descriptions name their files from there
    losses = json.loads(out.read_text()) if out.is_file() else {}
    for ledger in ledgers or recorded(root):
        study = load_study(Path("book") / "ledgers" / f"{ledger}.yaml")
        mine = losses.setdefault(ledger, {})
        for variant, seed in chosen(Path(), ledger):
            name, started = f"{variant}/{seed}", time.monotonic()
            if name in mine:
                continue  # a replay that was interrupted goes on
            mine[name] = replay(study.experiment(variant, seed), steps)
            out.write_text(json.dumps(losses, indent=1) + "\n")
            print(f"{ledger} {name}: {time.monotonic() - started:.1f} s", flush=True)


def compare(old: Path, new: Path) -> int:
    """Say which runs do not give the same losses; return their number."""
    before, after = json.loads(old.read_text()), json.loads(new.read_text())
    wrong = 0
    for ledger in before:
        found = after.get(ledger, {})
        for name, losses in before[ledger].items():
            if name not in found:
                wrong += 1
                print(f"MISSING {ledger} {name}")
            elif found[name] != losses:
                wrong += 1
                pairs = zip(losses, found[name], strict=True)
                worst = max(abs(b / a - 1) for a, b in pairs)
                print(f"DIFFERS {ledger} {name}: by {worst:.0e}")
        same = sum(found.get(name) == losses for name, losses in before[ledger].items())
        print(f"{ledger}: {same} of {len(before[ledger])} runs replay bit for bit")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Replay or compare; 1 if a comparison finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("out", type=Path)
    runs.add_argument("--root", type=Path, default=Path())
    runs.add_argument("--steps", type=int, default=5)
    runs.add_argument("--ledger", action="append", default=[])
    two = commands.add_parser("compare")
    two.add_argument("old", type=Path)
    two.add_argument("new", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "compare":
        return bool(compare(given.old, given.new))
    run(given.root, given.out, given.steps, given.ledger)
    return 0


if __name__ == "__main__":
    sys.exit(main())
