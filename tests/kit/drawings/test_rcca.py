"""The figures of the RCCA-3D chapter: what is read off layers and maps."""

import numpy as np

from notebooks.kit.drawings import rcca


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_a_pass_is_drawn_with_its_layers_and_shapes():
    plain, reduced = rcca.one_pass(16, (3, 5, 4)).axes
    for axis in (plain, reduced):
        assert {f"${name}$: 1×1×1\n4×3×5×4" for name in "qk"} <= {*texts(axis)}
        assert "affinity, softmax\n10×3×5×4" in texts(axis)
    assert "$v$: 1×1×1\n16×3×5×4" in texts(plain)
    assert not any("restore" in text for text in texts(plain))
    assert "$v$: 1×1×1\n4×3×5×4" in texts(reduced)
    assert "restore: 1×1×1\n16×3×5×4" in texts(reduced)


def test_an_arc_stands_for_what_a_pass_adds():
    others = {"b": ["x", "input", "input"], "d": ["none", "none", "x"]}
    (axis,) = rcca.structures(["x", "x", "x"], others).axes
    arcs = [text for text in axis.texts if not text.get_text() and _bent(text)]
    starts = [text.get_position() for text in arcs]
    assert len(arcs) == 7 and [len({*starts[:3]}), len({*starts[3:6]})] == [1, 3]
    x = next(text for text in axis.texts if text.get_text() == "$x$")
    assert starts[0] == x.get_position()
    assert "clip\n3×8×224×224" in texts(axis) and "d" in texts(axis)
    assert "to block 3\nof res3\n512×8×28×28" in texts(axis)


def _bent(text):
    return "rad" in str(text.arrowprops.get("connectionstyle"))


def test_reach_is_counted_by_passes():
    maps = [np.zeros((2, 3, 4)) for _ in range(2)]
    maps[0][0, 1], maps[1][0] = 0.5, 2.0
    maps[1][0, 1, 0] = 0  # the first pass has been there
    rows = rcca.reach_by_frame(maps, (0, 1, 2)).axes
    assert [rows[i].get_ylabel() for i in (0, 2)] == [
        "R = 1\n4 of 24",
        "R = 2\n11 of 24",
    ]
    panels = rcca.reach_in_perspective(maps, (0, 1, 2)).axes
    said = [panel.get_xlabel() for panel in panels]
    assert said == ["R = 1: 4 positions", "R = 2: 12 positions"]
