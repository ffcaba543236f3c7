"""The counter's multiply-adds are the polynomials of `polynomials.yaml`, to the unit;
every block of the papers has one.
"""

import pytest
import sympy

from notebooks.kit.printed.choices import DATA
from vidattn.blocks import BLOCKS, make_block
from vidattn.cost import count
from vidattn.yamlfile import read_yaml

POLYNOMIALS = read_yaml(DATA / "polynomials.yaml")
C, T, H, W = sympy.symbols("C T H W", positive=True, integer=True)
SIZES = [
    (64, 8, 16, 8),
    (128, 4, 8, 24),
    (192, 3, 16, 16),
    (256, 2, 24, 8),
    (64, 5, 8, 40),
]


def evaluate(expression: str, size: tuple[int, ...]) -> int:
    letters = dict(zip((C, T, H, W), size, strict=True))
    known = {str(letter): letter for letter in letters} | {"N": T * H * W}
    value = sympy.sympify(expression, known).subs(letters)
    assert value.is_Integer
    return int(value)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_the_count_is_the_polynomial(name: str) -> None:
    of = POLYNOMIALS[name]
    for size in SIZES:
        options = {
            key: size[1] if value == "T" else value
            for key, value in of.get("options", {}).items()
        }
        cost = count(
            lambda s=size, o=options: make_block(of["kind"], **o)(s[0]), (1, *size)
        )
        assert cost.macs == sum(
            evaluate(term, size) for term in of["terms"].values()
        ), size
        wanted = evaluate(of["terms"].get("convolutions", "0"), size)
        wanted += evaluate(of["terms"].get("neighbourhoods", "0"), size)
        if name not in (
            "GloRe",
            "GloRe, in space and time",
        ):  # a part of its graph is a convolution
            assert cost.by_kind["conv"] == wanted, size


def test_every_block_of_the_papers_has_a_polynomial() -> None:
    # One pass of criss-cross attention is in RCCA-3D, which runs it.
    papers = """nonlocal region squeeze_excite additive_squeeze_excite cbam
        global_context chain pyramid cgnl cgd double_attention recurrent_crisscross
        spatial_attention temporal_attention decoupled_nonlocal glore
        global_temporal_attention decoupled_rival"""
    assert {of["kind"] for of in POLYNOMIALS.values()} >= set(papers.split())
    assert set(papers.split()) <= set(BLOCKS)
    assert len(SIZES) == len(set(SIZES)) == 5


def test_a_batch_costs_as_often_what_one_clip_costs() -> None:
    for kind in ("nonlocal", "pyramid", "cgd", "glore"):
        one, three = (
            count(lambda k=kind: make_block(k)(64), (b, 64, 2, 8, 8)).macs
            for b in (1, 3)
        )
        assert three == 3 * one
