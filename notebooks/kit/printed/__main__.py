"""Command line: `python -m notebooks.kit.printed efficiency` prints every printed cost beside
the recomputed one, as CSV.
"""

import argparse
import sys

import pandas as pd

from notebooks.kit.printed.efficiency import EXPLAINED, csv_row, efficiency
from vidattn.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.kit.printed", description=__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "efficiency", help="parameters and FLOPs, printed and recomputed"
    )
    command.add_argument(
        "--paper", help=f"one of {', '.join(EXPLAINED)} (default: all)"
    )
    try:
        figures = efficiency(parser.parse_args(arguments).paper)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = pd.DataFrame([csv_row(figure) for figure in figures])
    table.to_csv(sys.stdout, index=False, float_format="%.4f", lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
