"""The PNL chapter: what its parameters refuse, what its notebook promises, the slip in
the paper's proof.
"""

import re
from fractions import Fraction
from functools import partial
from math import prod
from pathlib import Path

import pytest

from notebooks.kit.build import at_scale
from notebooks.kit.notebook import read_notebook, resolve
from notebooks.kit.printed import printed_efficiency
from vidattn.blocks import NonLocal, PyramidNonLocal
from vidattn.cost import count
from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = read_notebook(ROOT / "notebooks" / "pnl.py")


def refusal(**given):
    with pytest.raises(UserError) as caught:
        resolve(CHAPTER, given)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_its_own_parameters_and_those_of_the_small_scales_are_accepted():
    assert resolve(CHAPTER, {})["scales"] == 4
    for scale in ("smoke", "reduced"):
        assert resolve(CHAPTER, at_scale(ROOT, CHAPTER, scale))["scale"] == scale
    assert resolve(CHAPTER, {"backbone": "resnet_mini", "places": {"res3": [1]}})


def test_the_full_scale_needs_data_and_takes_the_paper_s_network(tmp_path):
    full = at_scale(ROOT, CHAPTER, "full")
    assert refusal(**full).startswith("pnl: data: scale 'full' needs a folder")
    for index in ("train.csv", "val.csv"):
        assert f"holds no {index}" in refusal(**full, data=str(tmp_path))
        (tmp_path / index).write_text("path,label\n")
    values = resolve(CHAPTER, full | {"data": str(tmp_path)})
    assert (values["backbone"], values["places"], values["scales"]) == (
        "mfnet",
        {"conv4": [5]},
        4,
    )
    assert refusal(**full | {"data": str(tmp_path), "variants": ["oracle"]}).startswith(
        "pnl: variants: 'oracle' is unknown: allowed are baseline, NL, PNL"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scales": 5}, "pnl: scales=5 is unknown; allowed: 1, 2, 3, 4"),
        ({"scales": 0}, "pnl: scales=0 is unknown; allowed: 1, 2, 3, 4"),
        ({"scales": 2.0}, "pnl: scales: must be a valid integer, not 2.0"),
        (
            {"form": "cosine"},
            "pnl: form: must be 'embedded_gaussian', 'gaussian', 'dot_product' or",
        ),
        (
            {"combine": "sum"},
            "pnl: combine: must be 'attention' or 'concat', not 'sum'",
        ),
        ({"shared": "yes"}, "pnl: shared: must be a valid boolean, not 'yes'"),
        (
            {"scale": "huge"},
            "pnl: scale: must be 'smoke', 'reduced' or 'full', not 'huge'",
        ),
        ({"seeds": 0}, "pnl: seeds: must be greater than or equal to 1"),
        ({"epochs": 1.5}, "pnl: epochs: must be a valid integer, not 1.5"),
        (
            {"data": "/no/such/folder"},
            "pnl: data: there is no folder '/no/such/folder'",
        ),
        (
            {"backbone": "mfnet_micro"},
            "pnl: backbone: 'mfnet_micro' is unknown: allowed are resnet50",
        ),
        (
            {"variants": ["PNL", "GTA"]},
            "pnl: variants: 'GTA' is unknown: allowed are baseline, NL, PNL",
        ),
        (
            {"places": {"conv3": [3]}},
            "pnl: places: conv3 has no block 3: allowed are 1 to 2, in mfnet_mini",
        ),
        (
            {"places": {"res3": [1]}},
            "pnl: places: there is no stage 'res3': allowed are conv2, conv3",
        ),
        ({"places": {}}, "pnl: places: at least one place for a block is needed"),
        ({"backbone": "resnet_mini"}, "pnl: places: there is no stage 'conv3'"),
        (
            {"kernel": [3, 3, 3]},
            "pnl: kernel: unknown parameter; allowed are: scale, scales",
        ),
        ({"scalse": 2}, "pnl: scalse: unknown parameter (did you mean scale"),
    ],
)
def test_every_fault_is_named(given, said):
    assert refusal(**given).startswith(said)


def test_a_backbone_that_cannot_be_what_the_ledger_says_is_refused_before_training():
    rnl = read_notebook(ROOT / "notebooks" / "rnl.py")
    with pytest.raises(
        UserError, match="rnl: backbone: temporal='tsm' does not fit MFNet"
    ):
        resolve(rnl, {"backbone": "mfnet_mini", "places": {"conv3": [1]}})


def test_every_solution_asserts_what_it_says():
    solutions = [
        cell
        for cell in CHAPTER.node.cells
        if "solution" in cell.metadata.get("tags", [])
    ]
    assert solutions
    text = "\n".join(cell.source for cell in solutions)
    exercises = next(
        cell.source for cell in CHAPTER.node.cells if "## Exercises" in cell.source
    )
    for number in (1, 2, 3, 4):
        assert f"\n{number}. " in exercises
        assert f"\n**{number}.** " in exercises
        rest = text.partition(f"# exercise {number}")[2]
        assert "assert " in rest.partition(f'print("Exercise {number}')[0]
        assert f"Exercise {number}:" in rest


def test_every_numbered_equation_has_its_label_and_its_code():
    prose = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "markdown"
    )
    code = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "code"
    )
    for number in range(1, 10):
        assert f"(pnl-eq-{number})=\n$$\n" in prose
        assert (
            f"\\tag{{{number}}}\n$$" in prose
        )  # the paper's number, not the book's count
        assert f"# ({number})" in code


def test_all_six_figures_of_the_paper_are_remade():
    names = [
        cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        for cell in CHAPTER.node.cells
    ]
    text = " ".join(names)
    for number in range(1, 7):
        assert re.search(rf"Fig(ure|\.) {number}\b", text), number


# The slip: Eq. (4) says 2 C^3 N for four 1x1x1 convolutions between C and C / 2
# channels.


def printed_nl(c: Fraction, n: Fraction) -> Fraction:
    return 4 * c**2 * n * c / 2 + 2 * (c / 2 * n * n)  # Eqs. (4) to (6) as printed


def corrected_nl(c: Fraction, n: Fraction) -> Fraction:
    return 2 * c**2 * n + c * n**2


def pyramid(nl, scales: int, c: int, positions: int) -> Fraction:
    """Eqs. (7) to (9)."""
    return sum(
        nl(Fraction(c, scales), Fraction(positions, 4**k)) for k in range(scales)
    )


def test_twice_the_channels_cost_four_times_as_much_not_eight():
    macs = {
        c: count(partial(NonLocal, c), (1, c, 2, 3, 4)).by_kind["conv"]
        for c in (64, 128)
    }
    assert macs[128] == 4 * macs[64]
    embeddings = {
        c: printed_nl(Fraction(c), Fraction(24)) - c * 24**2 for c in (64, 128)
    }
    assert (
        embeddings[128] == 8 * embeddings[64]
    )  # the printed formula says otherwise, and is wrong


@pytest.mark.parametrize("scales", [1, 2, 3, 4])
@pytest.mark.parametrize(("c", "t", "h", "w"), [(192, 3, 8, 16), (384, 2, 8, 8)])
def test_the_corrected_equations_are_what_the_module_costs(
    scales: int, c: int, t: int, h: int, w: int
):
    macs = count(partial(PyramidNonLocal, c, scales=scales), (1, c, t, h, w)).macs
    width = c // scales
    f_comb = (
        2 * scales * width * width // 2
        + scales**2 * width // 2
        + scales**2 * width * t * h * w
    )
    assert macs == pyramid(corrected_nl, scales, c, t * h * w) + (
        f_comb if scales > 1 else 0
    )
    assert pyramid(printed_nl, scales, c, t * h * w) > 10 * macs


def test_the_printed_sum_is_that_of_the_printed_terms_and_five_thirty_seconds_become_five_sixteenths():
    c, n = 6, 16  # any
    terms = Fraction(2 * c**3 * n), Fraction(2 * c**2 * n), Fraction(c * n**2)
    assert (
        pyramid(printed_nl, 2, c, n)
        == Fraction(5, 32) * terms[0] + Fraction(17, 32) * terms[2]
    )
    assert (
        pyramid(corrected_nl, 2, c, n)
        == Fraction(5, 16) * terms[1] + Fraction(17, 32) * terms[2]
    )


def test_the_paper_s_own_table_refutes_the_printed_formula():
    cells = {
        (row["row"], row["metric"]): float(row["printed"])
        for row in printed_efficiency("PNL")
        if row["table"] == "5"
    }
    block = cells["MFNet-NL", "FLOPs G"] - cells["MFNet", "FLOPs G"]
    assert printed_nl(Fraction(384), Fraction(prod((8, 14, 14)))) / 10**9 > 100 * block
    assert 2 * 384**2 * prod((8, 14, 14)) / 1e9 == pytest.approx(
        block, rel=0.1
    )  # convolutions alone
