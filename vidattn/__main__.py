"""The command line: `python -m vidattn`, or `vidattn` where the package is installed."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        words: The command line; default: the process's.

    Returns:
        0; 1 for a cell, a page or a run that failed; 2 for bad input, said in one line a problem on stderr.
    """
    options = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except UserError as error:
        return _fail(str(error), 2)
    except ValidationError as error:
        from vidattn.training.validation import explain

        return _fail(explain(error), 2)
    except Exception as error:
        if type(error).__name__ in (
            "CellError",
            "BuildError",
        ):  # they live in modules that are slow to import
            return _fail(str(error), 1)
        raise
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return 0


def _book(options: argparse.Namespace) -> None:
    from vidattn.book import build

    html = build(ROOT, options.build.resolve(), options.scale)
    print(f"The book: {html / 'index.html'} (make serve shows it)")


def _notebook(options: argparse.Namespace) -> None:
    from vidattn.book import run_notebook
    from vidattn.yamlfile import parse_yaml, read_yaml

    given: dict[str, Any] = read_yaml(options.yaml) if options.yaml else {}
    given |= {name: parse_yaml(text, f"-p {name}") for name, text in options.p}
    place = run_notebook(ROOT, options.build.resolve(), options.name, options.scale, given)
    print(f"The executed notebook: {place}")


def _run(options: argparse.Namespace) -> None:
    from vidattn.training import load_experiment, run

    result = run(load_experiment(options.experiment), root=options.root)
    accuracy = "no accuracy" if result.top1 is None else f"top-1 {100 * result.top1:.2f} %"
    print(f"{result.name}: {accuracy}, in {result.folder}")


def _attend(options: argparse.Namespace) -> None:
    from vidattn.figures import attention_figure

    several = len(options.clips) > 1
    if several and not options.out.is_dir():
        raise UserError(f"--out: several clips need a folder that exists, not {options.out}")
    for clip in options.clips:
        out = options.out / f"{clip.stem}.png" if options.out.is_dir() else options.out
        attention_figure(clip, out, run=options.run)
        print(f"The attention maps: {out}")


def _bench(options: argparse.Namespace) -> None:
    from vidattn.bench import SUITES, table

    for name, suite in SUITES.items():
        if options.suite in (None, name):
            print(table(suite))


def _evidence(options: argparse.Namespace) -> None:
    from vidattn.evidence import ledgers, record

    names = options.ledger or ledgers(ROOT)
    more = {claim: int(number) for claim, number in options.more if number.isdigit()}
    if len(more) < len(options.more) or (more and len(names) != 1):
        raise UserError("--more: needs one ledger, a claim's id and a whole number of seeds")
    for name in names:
        record(ROOT, name, options.jobs, more)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vidattn", description="Long-range attention for video.")
    commands = parser.add_subparsers(required=True, metavar="command")

    book = commands.add_parser("book", help="execute the notebooks that have changed and build the book")
    book.add_argument("--scale", default="reduced", help="smoke, reduced (default) or full")
    book.set_defaults(command=_book)

    notebook = commands.add_parser("notebook", help="run one notebook; wrong parameters are refused at once")
    notebook.add_argument("name", help="its name in notebooks/, for example rnl")
    notebook.add_argument("--scale", default=None, help="take notebooks/params/<name>_<scale>.yaml")
    notebook.add_argument("--yaml", type=Path, help="take this file of parameters")
    notebook.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="one parameter, as YAML"
    )
    notebook.set_defaults(command=_notebook)

    for command in (book, notebook):
        command.add_argument("--build", type=Path, default=ROOT / "book" / "_build", help="where results go")

    run = commands.add_parser("run", help="train and test one experiment, unless that has been done")
    run.add_argument("experiment", type=Path, help="a YAML description")
    run.add_argument("--root", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    run.set_defaults(command=_run)

    attend = commands.add_parser("attend", help="draw what an RNL network attends to in a video file")
    attend.add_argument("clips", type=Path, nargs="+", metavar="clip", help="a video file")
    attend.add_argument("--out", type=Path, required=True, help="the PNG to write, or a folder")
    attend.add_argument("--run", type=Path, help="folder of a trained run (default: untrained weights)")
    attend.set_defaults(command=_attend)

    bench = commands.add_parser("bench", help="time and memory of the chapters' blocks on this machine")
    bench.add_argument("--suite", choices=("rnl", "pnl", "rcca"), help="one chapter's blocks (default: all)")
    bench.set_defaults(command=_bench)

    evidence = commands.add_parser("evidence", help="run what the ledgers list and is not yet recorded")
    evidence.add_argument(
        "ledger", nargs="*", help="its name in book/ledgers, for example rnl (default: all)"
    )
    evidence.add_argument(
        "--more",
        nargs=2,
        action="append",
        default=[],
        metavar=("CLAIM", "SEEDS"),
        help="give a claim more seeds",
    )
    evidence.add_argument("--jobs", type=int, default=2, help="runs at a time, a thread each (default: 2)")
    evidence.set_defaults(command=_evidence)
    return parser


def _fail(lines: str, status: int) -> int:
    print(lines, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
