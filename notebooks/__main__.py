"""The command line of the book: `python -m notebooks`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vidattn.__main__ import obey
from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        words: The command line; default: the process's.

    Returns:
        0; 1 for a cell, a page or a run that failed; 2 for bad input, said in one line
        a problem on stderr.
    """
    try:
        return obey(_parser(), words)
    except ValidationError as error:
        from vidattn.training.validation import explain

        said, status = explain(error), 2
    except Exception as error:
        # These two come from modules that are slow to import.
        if type(error).__name__ not in ("CellError", "BuildError"):
            raise
        said, status = str(error), 1
    print(said, file=sys.stderr)
    return status


def _book(options: argparse.Namespace) -> None:
    from notebooks.kit.build import build

    html = build(ROOT, options.build.resolve(), options.scale)
    print(f"The book: {html / 'index.html'} (make serve shows it)")


def _notebook(options: argparse.Namespace) -> None:
    from notebooks.kit.build import run_notebook
    from vidattn.yamlfile import parse_yaml, read_yaml

    given: dict[str, Any] = read_yaml(options.yaml) if options.yaml else {}
    given |= {name: parse_yaml(text, f"-p {name}") for name, text in options.p}
    place = run_notebook(
        ROOT, options.build.resolve(), options.name, options.scale, given
    )
    print(f"The executed notebook: {place}")


def _chapter(options: argparse.Namespace) -> None:
    from notebooks.kit.start import start_chapter

    for path in start_chapter(ROOT, options.name, options.block, options.title):
        print(path.relative_to(ROOT))
    print(f"See it run: make notebook NB={options.name} SCALE=smoke")


def _data(options: argparse.Namespace) -> None:
    from notebooks.full.datasets.check import check_dataset, report
    from notebooks.full.datasets.lists import write_lists
    from vidattn.training.checkpoint import write_atomically

    how = {"quick": options.quick, "workers": options.workers}
    faults, summary = check_dataset(options.kind, options.root, options.split, **how)
    write_atomically(options.out, lambda file: file.write(report(faults).encode()))
    print("\n".join([*map(str, faults), summary]))
    if options.lists:
        write_lists(
            options.lists, options.kind, options.root, options.split, options.out
        )
    if faults:
        raise UserError(f"{len(faults)} clips cannot be used: {options.out} lists them")


def _bench(options: argparse.Namespace) -> None:
    from notebooks.kit.bench import SUITES, table

    for name, suite in SUITES.items():
        if options.suite in (None, name):
            print(table(suite))


def _costs(options: argparse.Namespace) -> None:
    from notebooks.kit.printed.audit import write_csv

    write_csv(sys.stdout, options.paper)


def _evidence(options: argparse.Namespace) -> None:
    from notebooks.kit.claims.ledger import ledgers
    from notebooks.kit.claims.running import record

    names = options.ledger or ledgers(ROOT)
    more = {claim: int(number) for claim, number in options.more if number.isdigit()}
    if len(more) < len(options.more) or (more and len(names) != 1):
        raise UserError(
            "--more: needs one ledger, a claim's id and a whole number of seeds"
        )
    for name in names:
        record(ROOT, name, options.jobs, more)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m notebooks",
        description="The book: its pages, its evidence, its data.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(
        name: str, command: Callable[[argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text)
        one.set_defaults(command=command)
        return one

    book = add(
        "book", _book, "execute the notebooks that have changed and build the book"
    )
    book.add_argument(
        "--scale", default="reduced", help="smoke, reduced (default) or full"
    )

    notebook = add(
        "notebook", _notebook, "run one notebook; wrong parameters are refused at once"
    )
    notebook.add_argument("name", help="its name in notebooks/, for example rnl")
    notebook.add_argument(
        "--scale", default=None, help="take notebooks/params/<name>_<scale>.yaml"
    )
    notebook.add_argument("--yaml", type=Path, help="take this file of parameters")
    pair: dict[str, Any] = {"nargs": 2, "action": "append", "default": []}
    notebook.add_argument(
        "-p", **pair, metavar=("NAME", "VALUE"), help="one parameter, as YAML"
    )

    for command in (book, notebook):
        command.add_argument(
            "--build",
            type=Path,
            default=ROOT / "book" / "_build",
            help="where results go",
        )

    chapter = add(
        "chapter", _chapter, "start a chapter of your own from notebooks/_template.py"
    )
    chapter.add_argument("name", help="what its notebook, ledger and page are called")
    kind: dict[str, Any] = {"default": "spatial_attention", "metavar": "KIND"}
    chapter.add_argument(
        "--block", **kind, help="its block, by its name in BLOCKS (spatial_attention)"
    )
    chapter.add_argument("--title", help="the page's title (default: the block's name)")

    data = add(
        "data",
        _data,
        "say what of a public data set is missing, unreadable or wrong in number",
    )
    kinds = (
        "kinetics400",
        "mini_kinetics200",
        "something_v1",
        "something_v2",
        "ucf101",
        "hmdb51",
    )
    data.add_argument("kind", choices=kinds, help="which data set")
    data.add_argument("root", type=Path, help="the data folder")
    data.add_argument("--split", type=int, default=1, help="1 (default), 2 or 3")
    data.add_argument(
        "--quick", action="store_true", help="look at headers and first frames only"
    )
    data.add_argument(
        "--workers", type=int, default=2, help="processes that decode (default: 2)"
    )
    data.add_argument(
        "--out",
        type=Path,
        default=Path("faults.csv"),
        help="the report (default: faults.csv)",
    )
    data.add_argument(
        "--lists",
        type=Path,
        help="a folder for train.csv and val.csv, the clips that can be used",
    )

    bench = add(
        "bench", _bench, "time and memory of the chapters' blocks on this machine"
    )
    names = ("rnl", "pnl", "rcca", "gta")
    bench.add_argument(
        "--suite", choices=names, help="one chapter's blocks (default: all)"
    )

    costs = add("costs", _costs, "every printed cost beside the recomputed one, as CSV")
    costs.add_argument("--paper", help="RNL, PNL, RCCA-3D or GTA (default: all)")

    evidence = add(
        "evidence", _evidence, "run what the ledgers list and is not yet recorded"
    )
    evidence.add_argument(
        "ledger", nargs="*", help="its name in book/ledgers, such as rnl (default: all)"
    )
    evidence.add_argument(
        "--more", **pair, metavar=("CLAIM", "SEEDS"), help="give a claim more seeds"
    )
    evidence.add_argument(
        "--jobs", type=int, default=2, help="runs at a time, a thread each (default: 2)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
