"""The GTA chapter: what its parameters refuse, what its notebook promises."""

import re
from pathlib import Path

import pytest

from notebooks.kit.build import at_scale
from notebooks.kit.notebook import read_notebook, resolve
from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = read_notebook(ROOT / "notebooks" / "gta.py")


def refusal(**given):
    with pytest.raises(UserError) as caught:
        resolve(CHAPTER, given)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_its_own_parameters_and_those_of_the_small_scales_are_accepted():
    values = resolve(CHAPTER, {})
    assert (values["frames"], values["groups"], values["paths"]) == (
        8,
        8,
        ["pixel", "region"],
    )
    for scale in ("smoke", "reduced"):
        assert resolve(CHAPTER, at_scale(ROOT, CHAPTER, scale))["scale"] == scale
    assert resolve(
        CHAPTER,
        {"paths": ["pixel"], "spatial": False, "regions": 4, "cross_channel": False},
    )


def test_the_full_scale_needs_data_and_takes_the_paper_s_network(tmp_path):
    full = at_scale(ROOT, CHAPTER, "full")
    assert refusal(**full).startswith("gta: data: scale 'full' needs a folder")
    for index in ("train.csv", "val.csv"):
        assert f"holds no {index}" in refusal(**full, data=str(tmp_path))
        (tmp_path / index).write_text("path,label\n")
    values = resolve(CHAPTER, full | {"data": str(tmp_path)})
    assert (values["backbone"], values["epochs"]) == ("resnet50", 50)
    assert values["places"] == {"res3": [1, 3], "res4": [1, 3, 5]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"frames": 0}, "gta: frames=0 is not possible"),
        ({"groups": 2.5}, "gta: groups: must be a valid integer, not 2.5"),
        ({"groups": 5000}, "gta: groups=5000 is not possible"),
        ({"groups": 500}, "gta: places: groups=500 is not possible; allowed"),
        (
            {"cross_channel": "yes"},
            "gta: cross_channel: must be a valid boolean, not 'yes'",
        ),
        ({"paths": ["frame"]}, "gta: paths"),
        (
            {"paths": []},
            "gta: paths=[] is not possible; allowed: 'pixel', 'region', or both",
        ),
        ({"regions": 0}, "gta: regions=0 is not possible"),
        ({"spatial": 1}, "gta: spatial: must be a valid boolean, not 1"),
        (
            {"scale": "huge"},
            "gta: scale: must be 'smoke', 'reduced' or 'full', not 'huge'",
        ),
        (
            {"data": "/no/such/folder", "variants": ["GTA"]},
            "gta: data: there is no folder '/no/such/folder'",
        ),
        (
            {"backbone": "resnet18"},
            "gta: backbone: 'resnet18' is unknown: allowed are resnet50",
        ),
        ({"variants": ["GTA", "PNL"]}, "gta: variants: 'PNL' is unknown: allowed are "),
        (
            {"places": {"res3": [9]}},
            "gta: places: res3 has no block 9: allowed are 1 to",
        ),
        ({"places": {}}, "gta: places: at least one place for a block is needed"),
        ({"grups": 2}, "gta: grups: unknown parameter (did you mean groups"),
    ],
)
def test_every_fault_is_named(given, said):
    assert refusal(**given).startswith(said)


def test_every_solution_asserts_what_it_says():
    solutions = [
        cell
        for cell in CHAPTER.node.cells
        if "solution" in cell.metadata.get("tags", [])
    ]
    text = "\n".join(cell.source for cell in solutions)
    exercises = next(
        cell.source for cell in CHAPTER.node.cells if "## Exercises" in cell.source
    )
    for number in (1, 2, 3, 4):
        assert f"\n{number}. " in exercises and f"\n**{number}.** " in exercises
        rest = text.partition(f"# exercise {number}")[2]
        assert "assert " in rest.partition(f"Exercise {number}:")[0]
        assert f"Exercise {number}:" in rest


def test_every_numbered_equation_has_its_label_and_its_code():
    prose = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "markdown"
    )
    code = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "code"
    )
    for number in range(1, 9):
        assert f"(gta-eq-{number})=\n$$\n" in prose and f"\\tag{{{number}}}" in prose
        assert f"# ({number})" in code
    assert "(gta-eq-regions)=\n$$\n" in prose


def test_all_seven_figures_of_the_paper_but_the_graph_without_numbers_are_remade():
    captions = [
        cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        for cell in CHAPTER.node.cells
    ]
    text = " ".join(captions)
    for number in (1, 2, 8, 15, 16, 17):
        assert re.search(rf"Figures?[^.]*\b{number}\b", text), number
