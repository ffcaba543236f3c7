"""The live networks of a chapter: what a page's parameters make of them."""

from pathlib import Path

import pytest

from notebooks.kit.chapter import Chapter
from notebooks.kit.notebook import read_notebook

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def at_full_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chapter:
    for index in ("train.csv", "val.csv"):
        (tmp_path / index).write_text("path,label\n")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("vidattn.figures.use_style", lambda: None)
    names = read_notebook(ROOT / "notebooks" / "gta.py").defaults
    names |= {"scale": "full", "data": str(tmp_path), "backbone": "resnet50"}
    names |= {"frames": 16, "epochs": 3, "places": {"res4": [1]}, "variants": ["DNL"]}
    return Chapter("gta", names)


def test_what_a_page_changes_reaches_its_networks_at_full_scale(
    at_full_scale: Chapter,
) -> None:
    page = at_full_scale
    networks = page._networks(("GTA",), ["frames"])
    for name in ("GTA", "DNL"):
        run = page._experiment(networks, name, 7, {"sampling": {"frames": 16}})
        assert (run.seed, run.optim.epochs, run.sampling.frames) == (7, 3, 16)
        assert run.model.backbone == "resnet50"
        assert run.blocks[0].places == {"res4": (1,)}
        assert ("frames" in run.blocks[0].options) is (name == "GTA")
    described = page.parameters.described()["GTA"]
    assert described.sampling.frames == 8
    assert run.sampling.model_copy(update={"frames": 8}) == described.sampling
