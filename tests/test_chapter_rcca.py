"""The RCCA-3D chapter: what its parameters refuse, what its notebook promises."""

import re
from pathlib import Path

import pytest

from notebooks.kit.build import at_scale
from notebooks.kit.notebook import read_notebook, resolve
from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = read_notebook(ROOT / "notebooks" / "rcca.py")


def refusal(**given):
    with pytest.raises(UserError) as caught:
        resolve(CHAPTER, given)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_its_own_parameters_and_those_of_the_small_scales_are_accepted():
    assert resolve(CHAPTER, {})["passes"] == 3
    for scale in ("smoke", "reduced"):
        assert resolve(CHAPTER, at_scale(ROOT, CHAPTER, scale))["scale"] == scale
    assert resolve(
        CHAPTER, {"backbone": "resnet50", "places": {"res3": [3]}, "gamma": 0.5}
    )


def test_the_full_scale_needs_data_and_takes_the_paper_s_network(tmp_path):
    full = at_scale(ROOT, CHAPTER, "full")
    assert refusal(**full).startswith("rcca: data: scale 'full' needs a folder")
    for index in ("train.csv", "val.csv"):
        assert f"holds no {index}" in refusal(**full, data=str(tmp_path))
        (tmp_path / index).write_text("path,label\n")
    values = resolve(CHAPTER, full | {"data": str(tmp_path)})
    assert (values["backbone"], values["places"], values["epochs"]) == (
        "resnet50",
        {"res3": [3]},
        100,
    )
    assert (values["structure"], values["passes"], values["reduction"]) == ("a", 3, 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"passes": 0}, "rcca: passes=0 is not possible; allowed"),
        ({"passes": 2.5}, "rcca: passes: must be a valid integer, not 2.5"),
        ({"structure": "e"}, "rcca: structure: must be 'a', 'b', 'c' or 'd', not 'e'"),
        ({"gamma": "one"}, "rcca: gamma: must be a valid number, not 'one'"),
        ({"reduction": 0}, "rcca: reduction=0 is not possible; allowed"),
        ({"reduction": 5000}, "rcca: reduction=5000 is not possible"),
        ({"reduction": 400}, "rcca: places: reduction=400 is not possible; allowed"),
        (
            {"scale": "huge"},
            "rcca: scale: must be 'smoke', 'reduced' or 'full', not 'huge'",
        ),
        ({"seeds": 0}, "rcca: seeds: must be greater than or equal to 1"),
        ({"epochs": 1.5}, "rcca: epochs: must be a valid integer, not 1.5"),
        (
            {"data": "/no/such/folder", "variants": ["RCCA"]},
            "rcca: data: there is no folder '/no/such/folder'",
        ),
        (
            {"backbone": "resnet18"},
            "rcca: backbone: 'resnet18' is unknown: allowed are resnet50",
        ),
        (
            {"variants": ["RCCA", "PNL"]},
            "rcca: variants: 'PNL' is unknown: allowed are ",
        ),
        (
            {"places": {"res3": [9]}},
            "rcca: places: res3 has no block 9: allowed are 1 to",
        ),
        (
            {"places": {"conv3": [1]}},
            "rcca: places: there is no stage 'conv3': allowed are res2, res3",
        ),
        ({"places": {}}, "rcca: places: at least one place for a block is needed"),
        ({"passse": 2}, "rcca: passse: unknown parameter (did you mean passes"),
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
    assert solutions
    text = "\n".join(cell.source for cell in solutions)
    exercises = next(
        cell.source for cell in CHAPTER.node.cells if "## Exercises" in cell.source
    )
    for number in (1, 2, 3, 4):
        assert f"\n{number}. " in exercises
        assert f"\n**{number}.** " in exercises
        rest = text.partition(f"# exercise {number}")[2]
        assert (
            "assert "
            in rest.partition(f'print(f"Exercise {number}')[0].partition("print(")[0]
        )
        assert f"Exercise {number}:" in rest


def test_every_numbered_equation_has_its_label_and_its_code():
    prose = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "markdown"
    )
    code = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "code"
    )
    for number in range(1, 8):
        assert f"(rcca-eq-{number})=\n$$\n" in prose and f"\\tag{{{number}}}" in prose
        assert f"# ({number})" in code


def test_all_seven_figures_of_the_paper_are_remade():
    captions = [
        cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        for cell in CHAPTER.node.cells
    ]
    text = " ".join(captions)
    for number in range(1, 8):
        assert re.search(rf"Fig(ure|\.) {number}\b", text), number
