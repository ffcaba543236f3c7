"""Every erratum has a cell of the page that shows it: each is run, and fails where the
paper is right.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from notebooks.kit.notebook import read_notebook
from notebooks.kit.printed import PAPERS
from notebooks.kit.printed.choices import DATA
from vidattn.blocks import RecurrentCrissCross3d
from vidattn.yamlfile import read_yaml

PAGE = Path(__file__).resolve().parents[3] / "notebooks" / "errata.py"
CODE = [cell for cell in read_notebook(PAGE).node.cells if cell.cell_type == "code"]
CELLS = [cell.source for cell in CODE]
SHOWING = {
    match[1]: cell for cell in CELLS if (match := re.match(r"# erratum: (\w+)\n", cell))
}
ERRATA = read_yaml(DATA / "errata.yaml")
FIELD = re.compile(r"\{([a-z]\w+[^{}]*)\}")

Space = dict[str, Any]
Correct = Callable[[Space], None]


class Varied(nn.Module):
    """A gate that adds x itself: not the same at every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.w_2 = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def prints(*cells: str) -> Correct:
    """Print other costs: `paper | table | row | metric = figure`."""

    def correct(space: Space) -> None:
        space["COSTS"] = dict(space["COSTS"])
        for key, _, figure in (cell.rpartition(" = ") for cell in cells):
            where = tuple(key.split(" | "))
            space["COSTS"][where] = replace(space["COSTS"][where], printed=figure)

    return correct


def scores(*cells: str) -> Correct:
    """Print other accuracies: `paper | table | row | dataset = figure`."""

    def correct(space: Space) -> None:
        for key, _, figure in (cell.rpartition(" = ") for cell in cells):
            where = key.split(" | ")
            rows = [
                [row[name] for name in ("paper", "table", "row", "dataset")]
                for row in space["ACCURACY"]
            ]
            assert where in rows
            space["ACCURACY"] = [
                row | {"printed": figure}
                if row["metric"] == "top1" and at == where
                else row
                for row, at in zip(space["ACCURACY"], rows, strict=True)
            ]

    return correct


def has(**names: Any) -> Correct:
    """Give names of the page other values."""
    return lambda space: space.update(names)


def counts(by_kind: Callable[[tuple[int, ...]], dict[str, int]]) -> Correct:
    """Let blocks cost something else, by the shape of their input."""

    def count(make: Any, shape: tuple[int, ...]) -> SimpleNamespace:
        kinds = by_kind(shape)
        return SimpleNamespace(by_kind=kinds, macs=sum(kinds.values()))

    return has(count=count)


def fewer_columns(space: Space) -> None:
    (row, *_) = [
        r for r in space["ACCURACY"] if (r["paper"], r["table"]) == ("PNL", "5")
    ]
    space["ACCURACY"] = [*space["ACCURACY"], row | {"metric": "top5"}]


# What would have to be so for the paper to be right.
CORRECTED: dict[str, Correct] = {
    "rnl_eq_4": has(
        RegionNonLocal=lambda c: SimpleNamespace(
            v=nn.Conv3d(c, c, 1), out=nn.Conv3d(c, c, 1)
        )
    ),
    "rnl_eq_12": has(AdditiveSqueezeExcite=Varied),
    "rnl_flops": prints("RNL | III K400 | +5 NL | FLOPs G = 96.98"),
    "rnl_more_than_nl": prints("RNL | III K400 | +5 RNL | params M = 28.31"),
    "rnl_kernel": prints("RNL | III K400 | +5 RNL | params M = 28.31"),
    "rnl_reduction": prints("RNL | III K400 | +5 [SE+RNL] | params M = 39.16"),
    "rnl_classes": prints("RNL | III SSv1 | baseline | params M = 23.86"),
    "rnl_165": prints("RNL | II(c) | channel-wise conv | GFLOPs = 1.89"),
    "rnl_kernels": scores("RNL | II(a) | kernel 3x5x5 | kinetics400 = 73.53"),
    "pnl_cubes": counts(lambda shape: {"conv": 2 * shape[1] ** 3 * prod(shape[2:])}),
    "pnl_conv_g": has(
        NonLocal=lambda c: nn.Sequential(
            OrderedDict((name, nn.Conv3d(c, c, 1)) for name in ("q", "k", "v", "v_2"))
        )
    ),
    "pnl_sizes": has(SIDE=256),
    "pnl_tenth": prints("PNL | text | self-attn vs concat | params M = 0.009"),
    "pnl_gain": scores("PNL | 3 | vanilla concatenation | mini-kinetics = 81.90"),
    "pnl_baseline": scores("PNL | 5 | MFNet [38] | mini-kinetics = 79.74"),
    "pnl_caption": fewer_columns,
    "pnl_nl_row": prints("PNL | 5 | MFNet-NL | FLOPs G = 11.64"),
    "pnl_cut": prints("PNL | 5 | MFNet | FLOPs G = 11.18"),
    "pnl_table_6": prints(
        "PNL | 6 | R-50 | FLOPs G = 20.58", "PNL | 6 | R-50 | params M = 23.71"
    ),
    "pnl_shared": prints(
        "PNL | 3 | self-attention | params M = 7.87",
        "PNL | 5 | MFNet-PNL(x5) | params M = 7.94",
        "PNL | 6 | R-50+PNL(x1) | params M = 24.12",
    ),
    "pnl_five": prints("PNL | 5 | MFNet-PNL(x5) | FLOPs G = 16.04"),
    "rcca_eq_5": has(RecurrentCrissCross3d=partial(RecurrentCrissCross3d, passes=2)),
    "rcca_one_dimension": has(
        RecurrentCrissCross3d=lambda c: SimpleNamespace(
            crisscross=SimpleNamespace(q=nn.Linear(1, 1)),
            attention=lambda x, at: torch.ones(x[0, 0].numel()),
        )
    ),
    "rcca_nl_complexity": counts(lambda shape: {"attention": prod(shape) ** 2}),
    "rcca_complexity": counts(
        lambda shape: {
            "conv": prod(shape),
            "attention": prod(shape) * (sum(shape[2:]) - 2),
        }
    ),
    "rcca_units": prints("RCCA-3D | VI | TSM+RCCA*1 | FLOPs G = 41.2"),
    "rcca_backbone": prints("RCCA-3D | VI | TSM | FLOPs G = 32.7"),
    "rcca_two_percentages": prints(
        "RCCA-3D | III | conv3_3 | FLOPs % = 149.4",
        "RCCA-3D | IV | R=3 | FLOPs % = 149.4",
    ),
    "rcca_structure_c": prints("RCCA-3D | I | c | FLOPs G = 43.6"),
    "rcca_abstract": prints("RCCA-3D | III | conv4_5 | FLOPs G = 43.3"),
    "rcca_splits": scores("RCCA-3D | XI | TSM + NL [12] | hmdb51 = 52.4"),
    "gta_widths": prints("GTA | Fig3 | R2D+NL | params M = 38.6"),
    "gta_two_nl": prints("GTA | Fig3 | SlowFast+NL | FLOPs G = 256.0"),
    "gta_three_blocks": prints("GTA | Fig4 | SlowFast-R101+NL | GFLOPs = 154"),
    "gta_ccmh": scores("GTA | Fig5 components | row6 | ssv1 = 46.9"),
}


def test_every_erratum_has_a_hidden_cell_a_kind_and_a_way_in_which_it_is_known() -> (
    None
):
    assert list(SHOWING) == list(ERRATA) and set(CORRECTED) == set(ERRATA)
    assert all("hide-input" in cell.metadata["tags"] for cell in CODE)
    for name, erratum in ERRATA.items():
        assert set(erratum) == {
            *("paper", "where", "kind", "by", "printed", "is", "shows")
        }
        assert erratum["paper"] in PAPERS
        assert erratum["kind"] in ("equation", "unit", "count", "claim")
        assert erratum["by"] in ("arithmetic", "recount", "fit")
        assert erratum["is"].startswith("fit ") == (erratum["by"] == "fit"), name


def test_what_was_recomputed_is_not_typed() -> None:
    for name, erratum in ERRATA.items():
        typed = re.findall(r"\d+\.\d+", erratum["is"] + erratum["shows"])
        assert not typed, f"{name}: {typed}"


@pytest.fixture(scope="module")
def figures() -> Space:
    """What the page imports and reads: its first cell. The second defines functions of
    it.
    """
    space: Space = {}
    exec(CELLS[0], space)
    return space


def run(cell: str, figures: Space, correct: Correct = lambda space: None) -> list[str]:
    """Run a cell by itself, with corrected figures; return what it says."""
    space, said = dict(figures), list[str]()
    exec(CELLS[1], space)
    space["say"] = said.append
    correct(space)
    torch.manual_seed(0)
    exec(cell, space)
    return said


@pytest.mark.parametrize("name", ERRATA)
def test_a_cell_shows_its_erratum_and_fails_without_it(
    name: str, figures: Space
) -> None:
    (text,) = run(SHOWING[name], figures)
    erratum = ERRATA[name]
    entry, _, evidence = text.partition("\n\n")
    assert entry.startswith(
        f'<span id="{name}"></span>**{erratum["paper"]}, {erratum["where"]}**'
    )
    assert f", by {erratum['by']})" in entry and erratum["printed"] in entry
    assert not FIELD.search(entry) and not re.search(r"\b(nan|inf|None)\b", text)
    for fixed in FIELD.split(erratum["is"])[::2]:
        assert fixed in entry
    for fixed in FIELD.split(erratum["shows"])[::2]:
        assert fixed in evidence
    assert evidence.endswith(".") and not FIELD.search(evidence)
    with pytest.raises(AssertionError):
        run(SHOWING[name], figures, CORRECTED[name])


def test_the_list_links_to_every_entry(figures: Space) -> None:
    table, total = run(CELLS[2], figures)
    links = re.findall(r'<a href="#(\w+)">', table)
    assert links == list(ERRATA)
    assert total.startswith(f"{len(ERRATA)} in all")


@pytest.mark.parametrize("given", [{}, {"step": "1", "more": "2"}, {"other": "1"}])
def test_a_field_that_is_not_filled_or_not_there_is_refused(
    given: dict[str, str], figures: Space
) -> None:
    with pytest.raises(AssertionError):
        run(f"shows('pnl_tenth', **{given!r})", figures)
