"""Command line: `python -m vidattn.papers efficiency --paper RNL` prints printed and recomputed figures as
CSV."""

import argparse
import sys

import pandas as pd

from vidattn.errors import UserError
from vidattn.papers import gta, pnl, rcca, rnl

EXPLAINED = {"RNL": rnl.efficiency, "PNL": pnl.efficiency, "RCCA-3D": rcca.efficiency, "GTA": gta.efficiency}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vidattn.papers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    efficiency = commands.add_parser("efficiency", help="parameters and FLOPs, printed and recomputed")
    efficiency.add_argument("--paper", required=True, help=f"one of {', '.join(EXPLAINED)}")
    options = parser.parse_args(arguments)
    try:
        if options.paper not in EXPLAINED:
            raise UserError(f"paper={options.paper!r} is not recomputed: allowed are {', '.join(EXPLAINED)}")
        figures = EXPLAINED[options.paper]()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = pd.DataFrame(figures)
    table["others"] = ["; ".join(f"{what}: {value:.4f}" for what, value in f.others) for f in figures]
    table.to_csv(sys.stdout, index=False, float_format="%.4f", lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
