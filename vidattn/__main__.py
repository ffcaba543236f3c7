"""The command line of the library: `python -m vidattn`, or `vidattn`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from vidattn.errors import UserError


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        words: The command line; default: the process's.

    Returns:
        0; 2 for bad input, said in one line a problem on stderr.
    """
    options = _parser().parse_args(words)
    try:
        options.command(options)
        return 0
    except UserError as error:
        said, status = str(error), 2
    except ValidationError as error:
        from vidattn.training.validation import explain

        said, status = explain(error), 2
    except KeyboardInterrupt:
        said, status = "interrupted", 130
    print(said, file=sys.stderr)
    return status


def _run(options: argparse.Namespace) -> None:
    from vidattn.training import load_experiment, run

    result = run(load_experiment(options.experiment), root=options.root)
    accuracy = (
        "no accuracy" if result.top1 is None else f"top-1 {100 * result.top1:.2f} %"
    )
    print(f"{result.name}: {accuracy}, in {result.folder}")


def _attend(options: argparse.Namespace) -> None:
    from vidattn.figures import attention_figure

    several = len(options.clips) > 1
    if several and not options.out.is_dir():
        raise UserError(
            f"--out: several clips need a folder that exists, not {options.out}"
        )
    for clip in options.clips:
        out = options.out / f"{clip.stem}.png" if options.out.is_dir() else options.out
        attention_figure(clip, out, run=options.run)
        print(f"The attention maps: {out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidattn", description="Long-range attention for video."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(
        name: str, command: Callable[[argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text)
        one.set_defaults(command=command)
        return one

    run = add("run", _run, "train and test one experiment, unless that has been done")
    run.add_argument("experiment", type=Path, help="a YAML description")
    run.add_argument(
        "--root",
        type=Path,
        default=Path("runs"),
        help="folder of the runs (default: runs)",
    )

    attend = add(
        "attend", _attend, "draw what an RNL network attends to in a video file"
    )
    attend.add_argument(
        "clips", type=Path, nargs="+", metavar="clip", help="a video file"
    )
    attend.add_argument(
        "--out", type=Path, required=True, help="the PNG to write, or a folder"
    )
    attend.add_argument(
        "--run", type=Path, help="folder of a trained run (default: untrained weights)"
    )

    return parser


if __name__ == "__main__":
    sys.exit(main())
