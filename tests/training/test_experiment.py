import importlib
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from vidattn.blocks import BLOCKS
from vidattn.errors import UserError
from vidattn.training import key
from vidattn.training.build import check
from vidattn.training.experiment import (
    Experiment,
    dump,
    load_experiment,
    make_experiment,
)
from vidattn.training.key import PACKAGE, code_key, source_key


def changed(description: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return the description with one field, named by a dotted path, replaced."""
    head, _, rest = path.partition(".")
    return {
        **description,
        head: changed(description.get(head, {}), rest, value) if rest else value,
    }


BLOCK = {"kind": "region", "options": {"kernel": [3, 3, 3]}, "places": {"res3": [1]}}


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("seed", "7", "seed: must be a valid integer, not '7'"),
        ("seed", -1, "seed: must be greater than or equal to 0, not -1"),
        ("optim.lr", "0.1", "optim.lr: must be a valid number, not '0.1'"),
        ("optim.batch", 4.5, "optim.batch: must be a valid integer, not 4.5"),
        (
            "optim.schedule",
            "cos",
            "optim.schedule: must be 'cosine' or 'step', not 'cos'",
        ),
        ("optim.accumulate", 3, "optim: batch 4 must be divisible by accumulate 3"),
        (
            "optim.milestones",
            [2],
            "optim: milestones belong to the schedule 'step', which needs at least one",
        ),
        ("optim.warmup_epochs", 5, "optim: warmup_epochs 5.0 must be below epochs 5"),
        ("optim.amp", True, "optim.amp needs device 'cuda'"),
        ("sampling.flip", 1, "sampling.flip: must be a valid boolean, not 1"),
        ("sampling.size", 64, "sampling: size 64 must not exceed resize 28"),
        ("sampling.resize", [28, 20], "sampling: size 24 must not exceed resize 20"),
        ("sampling.scales", [30, 20], "sampling: size 24 must not exceed scales 20"),
        ("sampling.scales", [30], "sampling.scales[1]: missing"),
        ("sampling.stretch", 1.25, "sampling: stretch 1.25 needs scales"),
        ("sampling.test_crops", 5, "sampling.test_crops: must be 1, 3 or 10, not 5"),
        (
            "data",
            {"kind": "folder", "root": "d", "of": 1},
            "data.of: unknown; allowed are kind, root, train",
        ),
        ("data", {"kind": "folder"}, "data.root: missing"),
        ("model", {"backbone": "resnet_mini"}, "model.num_classes: missing"),
        (
            "data.kind",
            "web",
            "data.kind: must be one of 'synthetic', 'folder', not 'web'",
        ),
        (
            "data.train.nois",
            1,
            "data.train.nois: unknown; allowed are task, clips, seed, size",
        ),
        (
            "data.test.seed",
            0,
            "data: train and test share the seed 0, and so their clips",
        ),
        (
            "blocks",
            [{**BLOCK, "places": {"res3": ["1"]}}],
            "blocks[0].places.res3[0]: must be a valid integer",
        ),
        (
            "blocks",
            [{**BLOCK, "kernel": 3}],
            "blocks[0].kernel: unknown; allowed are kind, options, places",
        ),
        (
            "speed",
            1,
            "speed: unknown; allowed are name, data, sampling, model, blocks, optim, "
            "seed",
        ),
        ("name", "a/b", "name 'a/b' must consist of letters, digits"),
    ],
)
def test_a_faulty_field_is_one_line_that_names_it(
    description: dict[str, Any], path: str, value: Any, line: str
) -> None:
    with pytest.raises(UserError) as caught:
        make_experiment(changed(description, path, value))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_each_of_several_faults_has_its_line(description: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        make_experiment({**description, "seed": "7", "threads": 0})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "seed",
        "threads",
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "blocks",
            [{**BLOCK, "options": {"kernel": [3, 4, 3]}}],
            r"blocks\[0\]: kernel=.* odd",
        ),
        (
            "blocks",
            [{**BLOCK, "options": {"kernels": [3, 3, 3]}}],
            "'kernels' is unknown; allowed",
        ),
        (
            "blocks",
            [{**BLOCK, "kind": "regional"}],
            "kind='regional' is unknown; allowed",
        ),
        (
            "blocks",
            [{**BLOCK, "places": {"res3": [3]}}],
            "res3 has no block 3: allowed are 1 to 2",
        ),
        (
            "blocks",
            [{**BLOCK, "places": {"res6": [1]}}],
            "no stage 'res6': allowed are res2",
        ),
        (
            "blocks",
            [BLOCK, BLOCK],
            r"blocks\[1\]: res3 already has a block after block 1",
        ),
        (
            "model.backbone",
            "vgg",
            "model.backbone: 'vgg' is unknown; allowed are resnet50",
        ),
        ("model.num_classes", 5, "model.num_classes: must be 4 for task 'cue', not 5"),
        ("model.pretrained", "/nowhere.pt", "model.pretrained: /nowhere.pt is no file"),
        ("optim.batch", 16, "optim.batch: 16 must not exceed the 8 training clips"),
        (
            "sampling",
            {"size": 64, "resize": None},
            "a crop of 64 does not fit clips of 32 x 32",
        ),
        (
            "data",
            {"kind": "folder", "root": "/nowhere"},
            "/nowhere/train.csv: no such file",
        ),
    ],
)
def test_check_refuses_before_training(
    description: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(make_experiment(changed(description, path, value)))
    assert "\n" not in str(caught.value)


def test_check_passes_what_can_run_and_reads_a_folders_labels(
    description: dict[str, Any], tmp_path: Path
) -> None:
    check(make_experiment(description))
    for index, label in (("train.csv", 0), ("val.csv", 4)):
        (tmp_path / index).write_text("path,label\n" + f"a.mp4,{label}\n" * 4)
    (tmp_path / "a.mp4").touch()
    folder = changed(description, "data", {"kind": "folder", "root": str(tmp_path)})
    with pytest.raises(UserError, match=r"num_classes: 4, but .* has the label 4"):
        check(make_experiment(folder))
    check(make_experiment(changed(folder, "model.num_classes", 5)))


def test_a_description_survives_yaml(
    description: dict[str, Any], tmp_path: Path
) -> None:
    experiment = make_experiment(description)
    dump(experiment, tmp_path / "e.yaml")
    assert load_experiment(tmp_path / "e.yaml") == experiment
    assert (
        yaml.safe_load((tmp_path / "e.yaml").read_text())["optim"]["weight_decay"]
        == 1e-4
    )  # defaults included


def test_papers_numbers_are_numbers(
    description: dict[str, Any], tmp_path: Path
) -> None:
    text = yaml.safe_dump(changed(description, "optim.weight_decay", "RATE")).replace(
        "RATE", "8e-4"
    )
    (tmp_path / "e.yaml").write_text(text)
    assert load_experiment(tmp_path / "e.yaml").optim.weight_decay == 8e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not YAML"), ("- a", "a YAML mapping"), (None, "no such file")],
)
def test_what_is_no_description_is_refused(
    tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_experiment(tmp_path / "e.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 8),
        ("optim.lr", 0.06),
        ("threads", 2),
        ("sampling.frames", 8),
        ("model.dropout", 0.0),
        ("blocks", []),
        ("data.train.noise", 0.2),
        ("data.test.clips", 9),
    ],
)
def test_what_changes_the_result_changes_the_key(
    description: dict[str, Any], path: str, value: Any
) -> None:
    before = make_experiment(description)
    assert before.key() == make_experiment(description).key()
    assert make_experiment(changed(description, path, value)).key() != before.key()


@pytest.mark.parametrize(
    ("path", "value"),
    [("name", "other"), ("data.root", "elsewhere"), ("data.cache", False)],
)
def test_what_does_not_keeps_the_key(
    description: dict[str, Any], path: str, value: Any
) -> None:
    assert (
        make_experiment(changed(description, path, value)).key()
        == make_experiment(description).key()
    )


def test_a_description_from_before_a_field_came_means_what_it_meant(
    description: dict[str, Any],
) -> None:
    plain = make_experiment(description)
    older = plain.model_dump(mode="json")
    del older["test_every_epoch"], older["data"]["train"]["alone"]
    del older["sampling"]["scales"], older["sampling"]["stretch"]
    assert make_experiment(older) == plain
    assert make_experiment(older).key() == plain.key()


def test_scales_and_stretch_survive_a_dump_and_change_the_key(
    description: dict[str, Any],
) -> None:
    plain = make_experiment(description)
    sampling = {"size": 24, "resize": [28, 40], "scales": [30, 34], "stretch": 1.25}
    used = make_experiment(changed(description, "sampling", sampling))
    dumped = used.model_dump(mode="json")
    assert dumped["sampling"]["scales"] == [30, 34]
    assert dumped["sampling"]["resize"] == [28, 40]
    assert make_experiment(dumped) == used and used.key() != plain.key()


def test_folders_and_checkpoints_count_by_their_content(
    description: dict[str, Any], tmp_path: Path
) -> None:
    def experiment(name: str) -> Experiment:
        there = changed(
            description, "data", {"kind": "folder", "root": str(tmp_path / name)}
        )
        return make_experiment(
            changed(there, "model.pretrained", str(tmp_path / name / "w.pt"))
        )

    (tmp_path / "a").mkdir()
    files = ("train.csv", "val.csv", "classes.txt", "w.pt")
    for file in files:
        (tmp_path / "a" / file).write_text(file)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    key = experiment("a").key()
    assert experiment("b").key() == key
    for file in files:  # a class that says left or right mirrors no clip: names count
        (tmp_path / "b" / file).write_text("other")
        assert experiment("b").key() != key
        shutil.copy(tmp_path / "a" / file, tmp_path / "b" / file)
    (tmp_path / "b" / "val.csv").unlink()
    with pytest.raises(UserError, match=r"val\.csv: no such file"):
        experiment("b").key()


MODULES = ("vidattn.backbones.resnet", "vidattn.blocks.chain")


def test_code_counts_and_words_about_it_do_not(tmp_path: Path) -> None:
    # Past the cache, which is right for one process and wrong for this test.
    key = partial(code_key.__wrapped__, *MODULES)
    package = tmp_path / "vidattn"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = key(package=package)
    assert before == code_key(*MODULES)

    def after(name: str, old: str, new: str) -> str:
        path = package / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        try:
            return key(package=package)
        finally:
            path.write_text(text)

    # The training loop, the named modules, and what these import: a neighbour, a
    # neighbour's neighbour, a module taken out of its package.
    assert after("training/schedule.py", "0.5 * (1 +", "0.4 * (1 +") != before
    others = (
        "backbones/resnet backbones/stage backbones/load video/augment video/container "
        "training/run training/loop training/store"
    )
    for name in [
        f"{file}.py"
        for file in f"{others} blocks/chain blocks/region blocks/pairwise".split()
    ]:
        assert after(name, "import", "import os\nimport") != before, name
    # Words, and code that the run does not use.
    assert after("training/schedule.py", '"""Return', '"""Give') == before
    assert (
        after("training/schedule.py", "import math\n", "# why\n\nimport math\n")
        == before
    )
    for name in (
        "blocks/nonlocal_.py",
        "blocks/__init__.py",
        "backbones/__init__.py",
        "cost.py",
    ):
        assert after(name, "import", "import os\nimport") == before, name
    assert key(package=package) == before


def test_a_run_is_keyed_by_the_code_of_its_own_blocks(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        "vidattn.training.experiment.code_key",
        lambda *names, users: asked.append((*names, *users)) or "",
    )
    for blocks in ([], [BLOCK]):
        make_experiment({**description, "blocks": blocks}).key()
    assert asked == [
        ("vidattn.backbones.resnet",),
        ("vidattn.backbones.resnet", "vidattn.blocks.region"),
    ]


def test_a_text_that_is_no_docstring_counts() -> None:
    assert source_key("def f():\n    'doc'\n    return 'a'") == source_key(
        "def f():\n    return 'a'"
    )
    assert source_key("def f():\n    return 'a'") != source_key(
        "def f():\n    return 'b'"
    )
    assert source_key("x = 1\n'a text'") != source_key("x = 1")


BLOCK_FILE = """
import torch
from torch import nn

from .helper import factor
from vidattn.blocks._parts import batch_norm


class Scaled(nn.Module):
    \"\"\"Scale.\"\"\"

    def __init__(self, channels):
        super().__init__()
        self.bn = batch_norm(channels, 0.0)

    @torch.no_grad()
    def forward(self, x):
        return x + factor() * self.bn(x)  # why
"""


def test_a_users_block_outside_the_library_counts_with_what_it_uses(
    description: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    def key_of(version: str, block: str = BLOCK_FILE, factor: str = "2") -> str:
        for name, text in {
            "helper": f"def factor():\n    return {factor}\n",
            "scaled": block,
        }.items():
            path = tmp_path / f"user_{version}" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        module = importlib.import_module(f"user_{version}.scaled")
        monkeypatch.setitem(BLOCKS, "scaled", module.Scaled)
        placed = [{"kind": "scaled", "places": {"res3": [1]}}]
        return make_experiment(changed(description, "blocks", placed)).key()

    plain = key_of("a")
    assert key_of("b") == plain
    assert key_of("c", BLOCK_FILE.replace("# why", "# because")) == plain
    assert key_of("d", BLOCK_FILE.replace("Scale.", "Scale all.")) == plain
    assert key_of("e", BLOCK_FILE.replace("x + factor", "x - factor")) != plain
    assert key_of("f", factor="3") != plain


def test_the_modules_of_the_library_that_a_users_block_uses_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mine(BLOCKS["region"]):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return 2 * super().forward(x)

    seen: list[str] = []

    def note(value: dict[str, str]) -> str:
        seen.extend(value)
        return ""

    monkeypatch.setattr(key, "digest", note)
    code_key.__wrapped__(users=[Mine])
    assert {"blocks/region.py", "blocks/_parts.py"} <= {*seen}
    assert len([name for name in seen if name.startswith("user ")]) == 1


def test_a_block_without_a_source_is_refused(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed: dict[str, Any] = {}
    exec("class Typed:\n    def forward(self, x):\n        return x", typed)
    monkeypatch.setitem(BLOCKS, "typed", typed["Typed"])
    placed = [{"kind": "typed", "places": {"res3": [1]}}]
    with pytest.raises(UserError, match=r"Typed.*: define it in a file or a notebook"):
        make_experiment(changed(description, "blocks", placed)).key()
