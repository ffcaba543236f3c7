"""Command line: `python -m vidattn.papers efficiency --paper RNL` prints printed and recomputed figures as
CSV."""

import argparse
import csv
import sys
from dataclasses import asdict, fields

from vidattn.errors import UserError
from vidattn.papers import pnl, rcca, rnl
from vidattn.papers.explain import Figure

EXPLAINED = {"RNL": rnl.efficiency, "PNL": pnl.efficiency, "RCCA-3D": rcca.efficiency}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vidattn.papers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    efficiency = commands.add_parser(
        "efficiency", help="parameters and FLOPs, printed and recomputed, as CSV"
    )
    efficiency.add_argument("--paper", required=True, help=f"one of {', '.join(EXPLAINED)}")
    options = parser.parse_args(arguments)
    try:
        if options.paper not in EXPLAINED:
            raise UserError(f"paper={options.paper!r} is not recomputed: allowed are {', '.join(EXPLAINED)}")
        figures = EXPLAINED[options.paper]()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    writer = csv.DictWriter(sys.stdout, [field.name for field in fields(Figure)], lineterminator="\n")
    writer.writeheader()
    for figure in figures:
        row = asdict(figure)
        row["others"] = "; ".join(f"{what}: {value:.4f}" for what, value in figure.others)
        writer.writerow(row | {name: f"{row[name]:.4f}" for name in ("computed", "text", "all_counted")})
    return 0


if __name__ == "__main__":
    sys.exit(main())
