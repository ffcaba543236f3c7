"""The RNL chapter: what its parameters refuse, and what its notebook promises to a
reader.
"""

from pathlib import Path

import pytest

from notebooks.kit.build import at_scale
from notebooks.kit.notebook import read_notebook, resolve
from vidattn.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = read_notebook(ROOT / "notebooks" / "rnl.py")


def refusal(**given):
    with pytest.raises(UserError) as caught:
        resolve(CHAPTER, given)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_its_own_parameters_and_those_of_the_small_scales_are_accepted():
    assert resolve(CHAPTER, {})["kernel"] == [3, 3, 3]
    for scale in ("smoke", "reduced"):
        assert resolve(CHAPTER, at_scale(ROOT, CHAPTER, scale))["scale"] == scale


def test_the_full_scale_needs_data_and_takes_the_paper_s_network(tmp_path):
    full = at_scale(ROOT, CHAPTER, "full")
    assert refusal(**full).startswith("rnl: data: scale 'full' needs a folder")
    for index in ("train.csv", "val.csv"):
        assert f"holds no {index}" in refusal(**full, data=str(tmp_path))
        (tmp_path / index).write_text("path,label\n")
    values = resolve(CHAPTER, full | {"data": str(tmp_path)})
    assert values["places"] == {"res3": [1, 3], "res4": [1, 3, 5]}
    assert values["kernel"] == [3, 7, 7]


@pytest.mark.parametrize("kernel", [[3, 4, 3], [3, 3], [3, -1, 3], [0, 3, 3]])
def test_a_kernel_is_three_odd_numbers(kernel):
    line = refusal(kernel=kernel)
    assert line.startswith("rnl: kernel=")
    assert "three odd positive whole numbers" in line


def test_a_kernel_of_texts():
    assert refusal(kernel=[3, 3, "5"]).startswith("rnl: kernel=[3, 3, '5'] is not")


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (
            {"res3": [3]},
            "rnl: places: res3 has no block 3: allowed are 1 to 2, in resnet_mini",
        ),
        (
            {"res3": [0]},
            "rnl: places: res3 has no block 0: allowed are 1 to 2, in resnet_mini",
        ),
        (
            {"res6": [1]},
            "rnl: places: there is no stage 'res6': allowed are res2, res3, res4, res5",
        ),
        ({"res3": [1, 1]}, "rnl: places: res3 already has a block after block 1"),
        ({"res3": []}, "rnl: places: at least one place for a block is needed"),
        ({}, "rnl: places: at least one place for a block is needed"),
    ],
)
def test_a_place_must_exist_once(places, said):
    assert refusal(places=places).startswith(said)


def test_places_are_those_of_the_backbone():
    assert refusal(backbone="resnet50", places={"res4": [7]}).endswith(
        "allowed are 1 to 6, in resnet50"
    )
    assert resolve(CHAPTER, {"backbone": "resnet50", "places": {"res4": [6]}})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"data": "/no/such/folder"},
            "rnl: data: there is no folder '/no/such/folder'",
        ),
        (
            {"backbone": "resnet18"},
            "rnl: backbone: 'resnet18' is unknown: allowed are resnet50",
        ),
        (
            {"variants": ["RNL", "PNL"]},
            "rnl: variants: 'PNL' is unknown: allowed are baseline, NL",
        ),
        (
            {"form": "euclid"},
            "rnl: form: must be 'gaussian', 'dot_product' or 'cosine', not 'euclid'",
        ),
        ({"region": "min"}, "rnl: region: must be 'conv', 'avg' or 'max', not 'min'"),
        (
            {"scale": "huge"},
            "rnl: scale: must be 'smoke', 'reduced' or 'full', not 'huge'",
        ),
        ({"seeds": 0}, "rnl: seeds: must be greater than or equal to 1"),
        ({"epochs": 1.5}, "rnl: epochs: must be a valid integer, not 1.5"),
        ({"noise": [0.1, -0.1]}, "rnl: noise[1]: must be greater than or equal to 0"),
        ({"noise": [2.0]}, "rnl: noise[0]: must be less than or equal to 1"),
        (
            {"kernal": [3, 3, 3]},
            "rnl: kernal: unknown parameter (did you mean kernel?)",
        ),
    ],
)
def test_every_other_fault_is_named(given, said):
    assert refusal(**given).startswith(said)


def test_every_solution_asserts_what_it_says():
    solutions = [
        cell
        for cell in CHAPTER.node.cells
        if "solution" in cell.metadata.get("tags", [])
    ]
    assert solutions
    for cell in solutions:
        assert "assert " in cell.source
        assert "hide-input" in cell.metadata["tags"]
    text = "\n".join(cell.source for cell in solutions)
    exercises = next(
        cell.source for cell in CHAPTER.node.cells if "## Exercises" in cell.source
    )
    for number in (1, 2, 3, 4):
        assert f"\n{number}. " in exercises
        assert f"\n**{number}.** " in exercises
        assert f"Exercise {number}" in text


def test_every_numbered_equation_has_its_label_and_its_code():
    prose = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "markdown"
    )
    code = "\n".join(
        cell.source for cell in CHAPTER.node.cells if cell.cell_type == "code"
    )
    for number in range(1, 13):
        assert f"$$ (rnl-eq-{number})" in prose
        assert f"({number})" in code or f"Eq. ({number})" in code
