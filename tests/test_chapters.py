"""The four chapters: what their parameters refuse, what their notebooks promise; and
the slip in one paper's proof.
"""

import re
from fractions import Fraction
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import pytest

from notebooks.kit.build import at_scale
from notebooks.kit.notebook import Notebook, read_notebook, resolve
from notebooks.kit.printed import printed_efficiency
from vidattn.blocks import NonLocal, PyramidNonLocal
from vidattn.cost import count
from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = {
    name: read_notebook(ROOT / "notebooks" / f"{name}.py")
    for name in ("rnl", "pnl", "rcca", "gta")
}
# Parameters of a chapter, and what each paper's network is at full scale.
OWN = {
    "rnl": {"kernel": [3, 3, 3]},
    "pnl": {"scales": 4},
    "rcca": {"passes": 3},
    "gta": {"frames": 8, "groups": 8, "paths": ["pixel", "region"]},
}
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("rnl", {"backbone": "resnet50", "places": {"res4": [6]}}),
    ("pnl", {"backbone": "resnet_mini", "places": {"res3": [1]}}),
    ("rcca", {"backbone": "resnet50", "places": {"res3": [3]}, "gamma": 0.5}),
    ("gta", {"paths": ["pixel"], "spatial": False, "regions": 4}),
    ("gta", {"cross_channel": False}),
]
FIVE = {"res3": [1, 3], "res4": [1, 3, 5]}
FULL = {
    "rnl": {"backbone": "resnet50", "places": FIVE, "kernel": [3, 7, 7], "epochs": 50},
    "pnl": {"backbone": "mfnet", "places": {"conv4": [5]}, "scales": 4},
    "rcca": {
        "backbone": "resnet50",
        "places": {"res3": [3]},
        "epochs": 100,
        "structure": "a",
        "passes": 3,
        "reduction": 4,
    },
    "gta": {"backbone": "resnet50", "places": FIVE, "epochs": 50},
}
EQUATIONS = {"rnl": 12, "pnl": 9, "rcca": 7, "gta": 8}
# GTA's Figures 3 to 7 and 9 to 14 are tables, or a graph without numbers.
FIGURES = {
    "rnl": range(1, 6),
    "pnl": range(1, 7),
    "rcca": range(1, 8),
    "gta": (1, 2, 8, 15, 16, 17),
}


@pytest.fixture(params=CHAPTERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def chapter(name: str) -> Notebook:
    return CHAPTERS[name]


def refusal(name: str, **given: Any) -> str:
    with pytest.raises(UserError) as caught:
        resolve(CHAPTERS[name], given)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"{name}: ")
    return line.removeprefix(f"{name}: ")


def sources(notebook: Notebook, kind: str) -> str:
    cells = [cell for cell in notebook.node.cells if cell.cell_type == kind]
    assert cells
    return "\n".join(cell.source for cell in cells)


def captions(name: str) -> str:
    """The captions of a chapter and of its companions."""
    found = []
    for path in (ROOT / "notebooks").glob(f"{name}*.py"):
        for cell in read_notebook(path).node.cells:
            figure = cell.metadata.get("mystnb", {}).get("figure", {})
            found.append(figure.get("caption", ""))
    return " ".join(found)


def test_its_own_parameters_and_those_of_the_small_scales_are_accepted(
    name: str, chapter: Notebook
) -> None:
    values = resolve(chapter, {})
    assert OWN[name].items() <= values.items()
    for scale in ("smoke", "reduced"):
        assert resolve(chapter, at_scale(ROOT, chapter, scale))["scale"] == scale


@pytest.mark.parametrize(("name", "given"), OTHER)
def test_other_parameters_that_work_are_accepted(
    name: str, given: dict[str, Any]
) -> None:
    assert given.items() <= resolve(CHAPTERS[name], given).items()


def test_the_full_scale_needs_data_and_takes_the_paper_s_network(
    name: str, chapter: Notebook, tmp_path: Path
) -> None:
    full = at_scale(ROOT, chapter, "full")
    assert refusal(name, **full).startswith("data: scale 'full' needs a folder")
    there = full | {"data": str(tmp_path)}
    for index in ("train.csv", "val.csv"):
        assert f"holds no {index}" in refusal(name, **there)
        (tmp_path / index).write_text("path,label\n")
    assert FULL[name].items() <= resolve(chapter, there).items()
    line = refusal(name, **there | {"variants": ["oracle"]})
    assert line.startswith("variants: 'oracle' is unknown: allowed are baseline, ")


EVERY = [
    ({"scale": "huge"}, "scale: must be 'smoke', 'reduced' or 'full', not 'huge'"),
    ({"seeds": 0}, "seeds: must be greater than or equal to 1"),
    ({"epochs": 1.5}, "epochs: must be a valid integer, not 1.5"),
    ({"data": "/no/such/folder"}, "data: there is no folder '/no/such/folder'"),
    ({"backbone": "resnet18"}, "backbone: 'resnet18' is unknown: allowed are resnet50"),
    ({"variants": ["CRNN"]}, "variants: 'CRNN' is unknown: allowed are "),
    ({"places": {"res6": [1]}}, "places: there is no stage 'res6': allowed are "),
    ({"places": {}}, "places: at least one place for a block is needed"),
    ({"seedz": 2}, "seedz: unknown parameter (did you mean seeds?); allowed are: "),
]


@pytest.mark.parametrize(("given", "said"), EVERY)
def test_every_chapter_names_every_fault(
    name: str, given: dict[str, Any], said: str
) -> None:
    assert refusal(name, **given).startswith(said)


KERNEL = "is not possible; allowed: three odd positive whole numbers"
ITS_OWN = [
    ("rnl", {"kernel": [3, 4, 3]}, f"kernel=[3, 4, 3] {KERNEL}"),
    ("rnl", {"kernel": [3, 3]}, f"kernel=[3, 3] {KERNEL}"),
    ("rnl", {"kernel": [3, -1, 3]}, f"kernel=[3, -1, 3] {KERNEL}"),
    ("rnl", {"kernel": [0, 3, 3]}, f"kernel=[0, 3, 3] {KERNEL}"),
    ("rnl", {"kernel": [3, 3, "5"]}, f"kernel=[3, 3, '5'] {KERNEL}"),
    (
        "rnl",
        {"form": "euclid"},
        "form: must be 'gaussian', 'dot_product' or 'cosine', not 'euclid'",
    ),
    ("rnl", {"region": "min"}, "region: must be 'conv', 'avg' or 'max', not 'min'"),
    ("rnl", {"noise": [0.1, -0.1]}, "noise[1]: must be greater than or equal to 0"),
    ("rnl", {"noise": [2.0]}, "noise[0]: must be less than or equal to 1"),
    (
        "rnl",
        {"places": {"res3": [3]}},
        "places: res3 has no block 3: allowed are 1 to 2, in resnet_mini",
    ),
    (
        "rnl",
        {"places": {"res3": [0]}},
        "places: res3 has no block 0: allowed are 1 to 2, in resnet_mini",
    ),
    (
        "rnl",
        {"places": {"res3": [1, 1]}},
        "places: res3 already has a block after block 1",
    ),
    ("rnl", {"places": {"res3": []}}, "places: at least one place for a block is"),
    (
        "rnl",
        {"backbone": "resnet50", "places": {"res4": [7]}},
        "places: res4 has no block 7: allowed are 1 to 6, in resnet50",
    ),
    (
        "rnl",
        {"backbone": "mfnet_mini", "places": {"conv3": [1]}},
        "backbone: temporal='tsm' does not fit MFNet",
    ),
    ("pnl", {"scales": 5}, "scales=5 is unknown; allowed: 1, 2, 3, 4"),
    ("pnl", {"scales": 0}, "scales=0 is unknown; allowed: 1, 2, 3, 4"),
    ("pnl", {"scales": 2.0}, "scales: must be a valid integer, not 2.0"),
    (
        "pnl",
        {"form": "cosine"},
        "form: must be 'embedded_gaussian', 'gaussian', 'dot_product' or",
    ),
    ("pnl", {"combine": "sum"}, "combine: must be 'attention' or 'concat', not 'sum'"),
    ("pnl", {"shared": "yes"}, "shared: must be a valid boolean, not 'yes'"),
    (
        "pnl",
        {"places": {"conv3": [3]}},
        "places: conv3 has no block 3: allowed are 1 to 2, in mfnet_mini",
    ),
    (
        "pnl",
        {"backbone": "resnet_mini"},
        "places: there is no stage 'conv3': allowed are",
    ),
    ("pnl", {"kernel": [3, 3, 3]}, "kernel: unknown parameter; allowed are: scale,"),
    ("rcca", {"passes": 0}, "passes=0 is not possible; allowed"),
    ("rcca", {"passes": 2.5}, "passes: must be a valid integer, not 2.5"),
    ("rcca", {"structure": "e"}, "structure: must be 'a', 'b', 'c' or 'd', not 'e'"),
    ("rcca", {"gamma": "one"}, "gamma: must be a valid number, not 'one'"),
    ("rcca", {"reduction": 0}, "reduction=0 is not possible; allowed"),
    ("rcca", {"reduction": 5000}, "reduction=5000 is not possible"),
    ("rcca", {"reduction": 400}, "places: reduction=400 is not possible; allowed"),
    ("gta", {"frames": 0}, "frames=0 is not possible"),
    ("gta", {"groups": 2.5}, "groups: must be a valid integer, not 2.5"),
    ("gta", {"groups": 5000}, "groups=5000 is not possible"),
    ("gta", {"groups": 500}, "places: groups=500 is not possible; allowed"),
    (
        "gta",
        {"cross_channel": "yes"},
        "cross_channel: must be a valid boolean, not 'yes'",
    ),
    ("gta", {"paths": ["frame"]}, "paths"),
    (
        "gta",
        {"paths": []},
        "paths=[] is not possible; allowed: 'pixel', 'region', or both",
    ),
    ("gta", {"regions": 0}, "regions=0 is not possible"),
    ("gta", {"spatial": 1}, "spatial: must be a valid boolean, not 1"),
]


@pytest.mark.parametrize(("name", "given", "said"), ITS_OWN)
def test_the_options_of_its_own_block_are_checked(
    name: str, given: dict[str, Any], said: str
) -> None:
    assert refusal(name, **given).startswith(said)


def test_every_solution_asserts_what_it_says(chapter: Notebook) -> None:
    solutions = [
        cell
        for cell in chapter.node.cells
        if "solution" in cell.metadata.get("tags", [])
    ]
    assert solutions
    assert all("hide-input" in cell.metadata["tags"] for cell in solutions)
    text, prose = (
        "\n".join(cell.source for cell in solutions),
        sources(chapter, "markdown"),
    )
    exercises = prose[prose.index("## Exercises") :]
    for number in (1, 2, 3, 4):
        assert f"\n{number}. " in exercises and f"\n**{number}.** " in exercises
        solution = text.partition(f"# exercise {number}")[2]
        before, said, _ = solution.partition(f"Exercise {number}:")
        assert "assert " in before and said


def test_every_numbered_equation_has_its_label_and_its_code(
    name: str, chapter: Notebook
) -> None:
    prose, code = sources(chapter, "markdown"), sources(chapter, "code")
    for number in range(1, EQUATIONS[name] + 1):
        assert f"({name}-eq-{number})=\n$$\n" in prose
        # The paper's number: the book's own would change with every page before it.
        assert f"\\tag{{{number}}}\n$$" in prose
        assert re.search(rf"#.*\({number}\)|Eqs?\. \({number}\)", code), number
    assert name != "gta" or "(gta-eq-regions)=\n$$\n" in prose


def test_the_figures_of_the_paper_are_remade(name: str) -> None:
    text = captions(name)
    for number in FIGURES[name]:
        assert re.search(rf"Fig(ure|\.)s?[^.]*\b{number}\b", text), number


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


def test_the_printed_sum_is_that_of_its_terms_and_5_32_become_5_16():
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
