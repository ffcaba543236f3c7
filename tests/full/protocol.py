"""Twenty rows of the papers, as typed from papers and public code, beside what would be
run by a chapter at full scale and by `make full`.

    python -m tests.full.protocol

prints the table: a line for each field of each row.
"""

import inspect
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from notebooks.full.rows import Row, full_experiments, lines, table_row
from vidattn.blocks import BLOCKS
from vidattn.training import Experiment
from vidattn.yamlfile import read_yaml

TABLE = Path(__file__).with_name("protocol_20_rows.yaml")
SILENT = "silent"
CHAPTERS = ("rnl", "pnl", "rcca", "gta")


class Line(NamedTuple):
    """One field of one row.

    Args:
        row: The row.
        field: The field's name in a description of a run.
        typed: What the paper or public code says; `SILENT`: nothing.
        run: What would be run.
        verdict: "agrees"; "ours", where both are silent; or "differs".
        source: Where the typed value stands; where there is none, where the run's is
            from.
        quotation: What is said there.
    """

    row: str
    field: str
    typed: Any
    run: Any
    verdict: str
    source: str
    quotation: str


@cache
def typed_rows() -> dict[str, dict[str, list[Any]]]:
    """Return the typed rows: `[value, where it stands, quotation]` by field."""
    whole, found = read_yaml(TABLE), {}
    for name, row in whole["rows"].items():
        every: dict[str, Any] = {}
        for part in (*(whole["parts"][each] for each in row["like"]), row):
            options = part.get("options", {}).items()
            every |= part | {f"options.{option}": pair for option, pair in options}
        found[name] = {
            key: pair if isinstance(pair, list) else [pair, "the data set"]
            for key, pair in every.items()
            if key not in ("like", "chapter", "options")
        }
    return found


def in_a_chapter() -> dict[str, Experiment]:
    """Return what chapters would train at full scale, by the name of the row."""
    named = {
        (name.partition("-")[0], line["variant"]): name
        for name, line in lines().items()
        if "variant" in line
    }
    return {
        named[chapter, variant]: experiment
        for chapter in CHAPTERS
        for variant, experiment in full_experiments(chapter, "data").items()
    }


def table() -> list[Line]:
    """Return all lines: of each row what `make full` would run, once more as in the
    chapter where that differs.
    """
    chapters, found = in_a_chapter(), []
    for name in typed_rows():
        row = table_row(name)
        found += _lines(row, row.described())
        if name in chapters:
            again = _lines(row, chapters[name])
            found += [line for line in again if line not in found]
    return found


def _lines(row: Row, experiment: Experiment) -> Iterator[Line]:
    for field, (said, *rest) in typed_rows()[row.row].items():
        run, (source, quotation) = _run(row, experiment, field), (*rest, "", "")[:2]
        same = all(view in run for view in said) if field == "tests" else said == run
        verdict = "ours" if said == SILENT else "agrees" if same else "differs"
        if verdict == "ours":
            source, quotation = _reason(row, field), ""
        yield Line(row.row, field, said, run, verdict, str(source), quotation)


def _run(row: Row, experiment: Experiment, field: str) -> Any:
    """Return what would be run, as plain values."""
    values = {
        "weights": row.weights if row.needs else Path(row.weights or "").name,
        "epochs": experiment.optim.epochs,
        "splits": [*row.splits],
        "dataset": row.dataset,
        "tests": [view.model_dump() for view in row.tests.values()],
        "block": None,
    }
    for placed in experiment.blocks[:1]:
        places = {stage: [*numbers] for stage, numbers in placed.places.items()}
        values |= {"block": placed.kind, "places": places}
    if field.startswith("options."):
        return _option(experiment, field.removeprefix("options."))
    group, _, name = field.partition(".")
    value = getattr(getattr(experiment, group), name) if name else values[field]
    return [*value] if isinstance(value, tuple) else value


def _option(experiment: Experiment, name: str) -> Any:
    """Return an option of the block, given or by default."""
    (placed,) = experiment.blocks
    for kind in (placed.kind, "region"):  # a chain hands its options on to a region
        known = inspect.signature(BLOCKS[kind]).parameters
        if name in known:
            value = placed.options.get(name, known[name].default)
            return [*value] if isinstance(value, tuple) else value
    raise KeyError(name)


def _reason(row: Row, field: str) -> str:
    """Return where the project's description says that a field is from."""
    line = lines()[row.row]
    if field in line:
        return str(line[field][1])
    given = {option for block in row.blocks for option in block["options"]}
    if field == "places" or field.removeprefix("options.") in given:
        return f"ours: {line['ours']}"
    return "ours: the default, " + ("of the block" if "options." in field else "unused")


def differences() -> dict[tuple[str, str], str]:
    """Return the reasons of the differences that are meant, by row and field."""
    listed = read_yaml(TABLE)["differences"]
    return {
        (row, each["field"]): each["reason"] for each in listed for row in each["rows"]
    }


def main() -> None:
    """Print the table."""
    chapters, all_lines = in_a_chapter(), table()
    for name in typed_rows():
        doors = "make full"
        if name in chapters:
            doors += f", and the chapter at full scale as {lines()[name]['variant']!r}"
        print(f"\n## {name}: {doors}\n")
        print("| field | typed | run | verdict | where | word for word |")
        print("| --- | --- | --- | --- | --- | --- |")
        for line in all_lines:
            if line.row == name:
                said = [line.field, line.typed, line.run, line.verdict, line.source]
                print("|", " | ".join(str(x) for x in (*said, line.quotation)), "|")
    counted = Counter(line.verdict for line in all_lines)
    print(f"\n{len(typed_rows())} rows, {len(all_lines)} fields: {dict(counted)}\n")
    for (name, field), reason in differences().items():
        print(f"- {name}, {field}: {reason}")
    print("\nWhat the sources do, and no field of a description can say:\n")
    for *papers, where, quotation, text in read_yaml(TABLE)["beyond"]:
        print(f"- {', '.join(papers)}: {text} ({where}: {quotation})")


if __name__ == "__main__":
    main()
