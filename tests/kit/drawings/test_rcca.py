"""The figures of the RCCA-3D chapter: what is read off formulas, layers and maps."""

import numpy as np
import pytest
import sympy

from notebooks.kit.drawings import layers_that_ran, rcca
from vidattn.backbones import resnet50
from vidattn.backbones.place import place
from vidattn.blocks import CrissCross3d, RecurrentCrissCross3d

F, X, GAMMA = sympy.Function("F"), sympy.Symbol("x"), sympy.Symbol("gamma")
ONE = GAMMA * F(X) + X
TWO = GAMMA * F(ONE) + ONE


@pytest.mark.parametrize(
    ("formula", "added"),
    [
        (X, []),
        (ONE, ["x"]),
        (GAMMA * F(ONE) + X, ["x", "x"]),
        (GAMMA * F(TWO) + TWO, ["x", "input", "input"]),
        (GAMMA * F(GAMMA * F(GAMMA * F(X))) + X, ["none", "none", "x"]),
    ],
)
def test_a_formula_says_what_each_pass_adds(formula, added):
    assert rcca.taken_apart(formula, F, X, GAMMA) == added


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_a_pass_is_drawn_with_its_layers_and_shapes():
    blocks = [CrissCross3d(16, reduce_values=on) for on in (False, True)]
    ran = [layers_that_ran(block, (1, 16, 3, 5, 4)) for block in blocks]
    plain, reduced = rcca.one_pass(ran, (3, 5, 4)).axes
    assert "affinity, softmax\n10×3×5×4" in texts(plain)
    assert not any("restore" in text for text in texts(plain))
    assert "restore: 1×1×1\n16×3×5×4" in texts(reduced)
    assert "$v$: 1×1×1\n4×3×5×4" in texts(reduced)


def test_an_arc_stands_for_what_a_pass_adds():
    network = resnet50(num_classes=101)
    place(network, {"res3": (3,)}, RecurrentCrissCross3d)
    ran = layers_that_ran(network, (1, 3, 8, 224, 224))
    others = {"d": ["none", "none", "x"]}
    (axis,) = rcca.structures(ran, ["x", "x", "x"], others).axes
    arcs = [text for text in axis.texts if not text.get_text() and _bent(text)]
    assert len(arcs) == 4  # three, and one
    assert "clip\n3×8×224×224" in texts(axis) and "d" in texts(axis)


def _bent(text):
    return "rad" in str(text.arrowprops.get("connectionstyle"))


def test_reach_is_counted_by_passes():
    maps = [np.zeros((2, 3, 4)) for _ in range(2)]
    maps[0][0, 1], maps[1][0] = 0.5, 2.0
    rows = rcca.reach_by_frame(maps, (0, 1, 2)).axes
    assert [rows[i].get_ylabel() for i in (0, 2)] == [
        "R = 1\n4 of 24",
        "R = 2\n12 of 24",
    ]
    panels = rcca.reach_in_perspective(maps, (0, 1, 2)).axes
    said = [panel.get_xlabel() for panel in panels]
    assert said == ["R = 1: 4 positions", "R = 2: 12 positions"]
