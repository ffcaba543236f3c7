"""The command line of the library: `python -m vidattn`, or `vidattn`.

    vidattn run experiment.yaml
    vidattn cost region --shape 1 512 8 28 28 -p kernel "[3, 3, 3]"
    vidattn cost resnet50 --shape 1 3 8 224 224 --place pyramid "{res4: [5]}"
    vidattn attend clip.mp4 --out maps.png

Each command imports what it needs when it runs: the help is there at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidattn.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def main(words: Sequence[str] | None = None) -> int:
    """Run one command of the library; see `obey`."""
    return obey(_parser(), words)


def obey(parser: argparse.ArgumentParser, words: Sequence[str] | None) -> int:
    """Run the command that a command line names.

    Args:
        parser: Its commands; each sets `command`, a function of the options.
        words: The command line; None: the process's.

    Returns:
        0; 2 for bad input, said in one line a problem on stderr; 130 if interrupted.
    """
    options = parser.parse_args(words)
    try:
        options.command(options)
        return 0
    except UserError as error:
        message, status = str(error), 2
    except KeyboardInterrupt:
        message, status = "interrupted", 130
    print(message, file=sys.stderr)
    return status


def _run(options: argparse.Namespace) -> None:
    from vidattn.training import load_experiment, run

    result = run(load_experiment(options.experiment), root=options.root)
    accuracy = (
        "no accuracy" if result.top1 is None else f"top-1 {100 * result.top1:.2f} %"
    )
    print(f"{result.name}: {accuracy}, in {result.folder}")


def _cost(options: argparse.Namespace) -> None:
    from vidattn.cost import count

    try:
        cost = count(lambda: _model(options), options.shape)
    except (ValueError, TypeError, RuntimeError, ImportError, AttributeError) as error:
        raise UserError(str(error).splitlines()[0]) from error
    print(cost.table(options.depth).to_string(float_format="%d"))
    print(
        f"{cost.macs / 1e9:.4f} GMAC, {cost.params / 1e6:.4f} M parameters, "
        f"{cost.activation_bytes / 2**20:.1f} MiB kept for the backward pass"
    )
    if options.png:
        cost.picture(options.depth).savefig(options.png)


def _model(options: argparse.Namespace) -> "nn.Module":
    """Make the block, the backbone or whatever a function makes that a user named."""
    from pkgutil import resolve_name

    from vidattn.backbones import BACKBONES, place
    from vidattn.blocks import BLOCKS, make_block
    from vidattn.yamlfile import parse_yaml

    name = options.model
    given = {option: parse_yaml(text, f"-p {option}") for option, text in options.p}
    if name in BLOCKS:
        return make_block(name, **given)(options.shape[1])
    if name not in BACKBONES and ":" not in name:
        allowed = ", ".join([*BLOCKS, *BACKBONES])
        raise UserError(
            f"{name!r} is unknown: allowed are {allowed} and package.file:function"
        )
    model: nn.Module = (BACKBONES.get(name) or resolve_name(name))(**given)
    if options.place:
        block, places = options.place
        place(model, parse_yaml(places, "--place"), make_block(block))
    return model


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

    said = "train and test one experiment, unless that has been done"
    run = commands.add_parser("run", help=said)
    run.set_defaults(command=_run)
    run.add_argument("experiment", type=Path, help="a YAML description")
    said = "folder of the runs (default: runs)"
    run.add_argument("--root", type=Path, default=Path("runs"), help=said)

    cost = commands.add_parser("cost", help="count what a model costs")
    cost.set_defaults(command=_cost)
    said = "a block, a backbone, or package.file:function, which makes a module"
    cost.add_argument("model", help=said)
    said = "of the input: B C T H W"
    cost.add_argument("--shape", type=int, nargs="+", required=True, help=said)
    two = ("OPTION", "VALUE")
    cost.add_argument("-p", nargs=2, action="append", default=[], metavar=two)
    said, two = 'such as region "{res3: [1, 3]}"', ("BLOCK", "PLACES")
    cost.add_argument("--place", nargs=2, metavar=two, help=said)
    said = "parts of a layer's name that tell it apart"
    cost.add_argument("--depth", type=int, default=1, help=said)
    cost.add_argument("--png", help="draw the table, too")

    said = "draw what an RNL network attends to in a video file"
    attend = commands.add_parser("attend", help=said)
    attend.set_defaults(command=_attend)
    said = "a video file"
    attend.add_argument("clips", type=Path, nargs="+", metavar="clip", help=said)
    said = "the PNG to write, or a folder"
    attend.add_argument("--out", type=Path, required=True, help=said)
    said = "folder of a trained run (default: untrained weights)"
    attend.add_argument("--run", type=Path, help=said)
    return parser


if __name__ == "__main__":
    sys.exit(main())
