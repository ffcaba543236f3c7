"""What the rows of the papers' tables are taken to be, as data: `data/readings.yaml`
describes the network of every row.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import nn

from notebooks.kit.printed.choices import DATA, Reading, checked
from notebooks.kit.printed.networks import BLOCKS, MakeBlock
from notebooks.kit.printed.recount import Backbone, RowNetwork
from vidattn.blocks import make_block
from vidattn.yamlfile import read_yaml

Key = tuple[str, str]  # of a row: table and row
DESCRIBED = read_yaml(DATA / "readings.yaml")
COMPARISONS = {"difference", "saving", "ratio"}


@dataclass(frozen=True)
class Row:
    """What a row's network is taken to be.

    Attributes:
        text: The network that the text describes.
        others: Networks chosen because they fit, or that only public code shows, by
            what each takes to be so; the likeliest first, and after it those whose
            costs are worth a look.
        added: The row is the blocks alone.
        quoted: Under which choice its cost is taken from elsewhere.
    """

    text: RowNetwork
    others: Mapping[Reading, RowNetwork] = field(default_factory=dict)
    added: bool = False
    quoted: str | None = None

    @property
    def likeliest(self) -> RowNetwork:
        """The first of the others, or the text's where there are none."""
        return next(iter(self.others.values()), self.text)


@cache
def readings(paper: str) -> dict[Key, Row]:
    """Return the networks of each row that has one, by table and row."""
    common = DESCRIBED[paper]["common"]
    return {
        key: Row(
            _network(common | of),
            {
                checked(other["choices"]): _network(common | of | other)
                for other in of.get("others", ())
            },
            of.get("added", False),
            of.get("quoted"),
        )
        for key, of in _rows(paper).items()
        if not COMPARISONS & set(of)
    }


@cache
def comparisons(paper: str) -> dict[Key, dict[str, Any]]:
    """Return each row that compares two others, as readings.yaml has it, by table and
    row.
    """
    return {key: of for key, of in _rows(paper).items() if COMPARISONS & set(of)}


def _rows(paper: str) -> dict[Key, dict[str, Any]]:
    tables = DESCRIBED[paper]["rows"].items()
    return {(table, row): of for table, rows in tables for row, of in rows.items()}


def _network(of: Mapping[str, Any]) -> RowNetwork:
    options = json.dumps(of.get("options", {}), sort_keys=True)  # the key of a cache
    make = _maker(of["block"], options) if "block" in of else None
    backbone = Backbone(**DESCRIBED["backbones"][of["backbone"]])
    convention = of.get("convention", "all")
    return RowNetwork(backbone, make, of["at"], of["classes"], convention)


@cache
def _maker(kind: str, options: str) -> MakeBlock:
    given = json.loads(options)
    wide = given.pop("wide", False)  # GTA's text: projections from C to C
    make: Callable[..., nn.Module] = BLOCKS.get(kind) or make_block(kind)
    return lambda channels: make(
        channels, **given, **({"inner": channels} if wide else {})
    )
