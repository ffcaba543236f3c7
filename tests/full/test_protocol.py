"""One protocol: what a chapter at full scale and `make full` would run, against twenty
rows that were typed from the papers and public code.
"""

import pytest

from notebooks.full.rows import lines, table_rows
from tests.full import protocol

EVERY_ROW = {
    "dataset",
    "weights",
    "epochs",
    "splits",
    "tests",
    "block",
    *(f"model.{name}" for name in ("backbone", "temporal", "num_classes", "dropout")),
    *(f"sampling.{name}" for name in ("mode", "frames", "size", "resize", "scales")),
    *(f"sampling.{name}" for name in ("stretch", "jitter", "flip")),
    *(f"optim.{name}" for name in ("batch", "accumulate", "lr", "momentum")),
    *(f"optim.{name}" for name in ("nesterov", "weight_decay", "decay_norm")),
    *(f"optim.{name}" for name in ("schedule", "warmup_epochs", "clip_grad")),
}


def test_twenty_rows_are_typed_whole() -> None:
    """Five of each paper, over all six data sets."""
    rows = protocol.typed_rows()
    assert [name.partition("-")[0] for name in rows] == [
        paper for paper in protocol.CHAPTERS for _ in range(5)
    ]
    used = {row["dataset"][0] for row in rows.values()}
    assert used == {line["dataset"] for line in lines().values()}
    for name, row in rows.items():
        wanted = EVERY_ROW | ({"places"} if row["block"][0] else set())
        wanted |= {"sampling.stride"} if row["sampling.mode"][0] == "dense" else set()
        wanted |= {"optim.milestones"} if row["optim.schedule"][0] == "step" else set()
        assert wanted <= set(row), name
        for said, *source in row.values():
            told = said == protocol.SILENT or source == ["the data set"]
            assert told or (len(source) == 2 and all(source)), (name, said)


def test_what_would_be_run_is_what_was_typed_but_for_differences_with_a_reason() -> (
    None
):
    table = protocol.table()
    different = {(line.row, line.field) for line in table if line.verdict == "differs"}
    assert different == set(protocol.differences())
    assert all(protocol.differences().values())
    # What the sources leave open is a choice that the row's description owns.
    for line in table:
        if line.verdict == "ours":
            assert line.source.startswith("ours") or "code" in line.source, line
    assert len(table) > 600


def test_a_chapter_at_full_scale_trains_what_make_full_trains() -> None:
    """All of them, not only the twenty: another name, and index files of one's own."""
    chapters, rows = protocol.in_a_chapter(), table_rows()
    assert len(chapters) == 14 + 18 + 21 + 20
    for name, experiment in chapters.items():
        row = rows[name].described()
        elsewhere = {"name": experiment.name, "data": experiment.data}
        assert row.model_copy(update=elsewhere) == experiment
        data = experiment.data.model_dump(exclude={"cache"})
        assert data == {
            "kind": "folder",
            "root": "data",
            "train": "train.csv",
            "test": "val.csv",
        }
    in_both = {name for name in protocol.typed_rows() if name in chapters}
    typed = protocol.read_yaml(protocol.TABLE)["rows"]
    for name in in_both:
        assert typed[name]["chapter"] == lines()[name]["variant"]
    assert len(in_both) == sum("chapter" in row for row in typed.values()) == 11


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ("gta-ssv1-gta", "options.start", 1.0),
        ("gta-ssv1-gta", "sampling.flip", True),
        ("gta-ssv1-gta", "sampling.resize", [240, 320]),
        ("gta-ssv1-gta", "optim.clip_grad", 20.0),
        ("gta-ssv1-gta", "optim.accumulate", 4),
        ("gta-ssv1-nl", "options.scaled", True),
        ("pnl-mini-pnl", "sampling.stride", 2),
        ("pnl-mini-pnl", "sampling.scales", [224, 288]),
        ("rnl-k400-x5", "optim.warmup_epochs", 5.0),
        ("rnl-k400-x5", "sampling.jitter", False),
        ("rnl-k400-x5", "sampling.scales", [256, 320]),
        ("rnl-k400-x5", "optim.accumulate", 4),
        ("rcca-ucf101-rcca", "optim.accumulate", 16),
    ],
)
def test_what_two_descriptions_said_differently_is_decided(
    row: str, field: str, value: object
) -> None:
    found = [x.run for x in protocol.table() if (x.row, x.field) == (row, field)]
    assert found == [value]  # once: in the chapter and in `make full` alike


def test_options_of_all_blocks_reach_those_that_have_them() -> None:
    started = {
        name: block["options"].get("start")
        for name, row in table_rows().items()
        for block in row.blocks
        if row.paper == "GTA" and block["kind"] != "nonlocal"
    }
    bare = {name for name, start in started.items() if start is None}
    rivals = ("cgnl", "gc", "glore")
    assert bare == {f"gta-ssv1-{r}{d}" for r in rivals for d in ("", "-decoupled")}
    assert {start for name, start in started.items() if name not in bare} == {1.0}
    assert "options.start" not in lines()["gta-ssv1-r2d"]
    scaled = {
        name: block["options"].get("scaled", False)
        for name, row in table_rows().items()
        for block in row.blocks
        if block["kind"] == "nonlocal"
    }
    assert {name for name, is_scaled in scaled.items() if is_scaled} == {
        name for name in scaled if name.startswith("gta-")
    }
