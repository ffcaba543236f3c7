"""The figures of the GTA chapter: what is drawn, and the numbers beside it."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from notebooks.kit.drawings import gta as drawings
from notebooks.kit.proof import draw, randomise
from vidattn.blocks import DecoupledNonLocal, GlobalTemporalAttention, NonLocal


def clip(mask: np.ndarray) -> drawings.SeenClip:
    frames = np.zeros((*mask.shape, 3), dtype=np.uint8)
    return drawings.SeenClip(frames, torch.empty(0), mask, 0)


def test_the_overview_has_a_box_for_every_layer_that_ran():
    figure = drawings.overview((1, 32, 4, 6, 6))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert sum(text.startswith("$W_O$: 1×1×1") for text in texts) == 1 + 2 + 2
    for said in (
        "softmax\n144×144",
        "softmax\n36×36\na frame",
        "softmax\n4×4\na place",
    ):
        assert said in texts
    assert "$\\hat{M}_P$, heads\n32×32" in texts


@pytest.mark.parametrize("crossed", [True, False])
def test_the_squares_are_means_over_groups_and_heads(crossed):
    block = GlobalTemporalAttention(32, frames=3, groups=2, cross_channel=crossed)
    for path, square in drawings.averaged(block).items():
        pairs = block.m[path].detach().reshape(-1, 3, 3)
        by_hand = abs(sum(pairs) / len(pairs))
        assert len(pairs) == (4 if crossed else 2)
        assert torch.allclose(square, by_hand)


def test_five_rows_are_those_of_the_blocks_and_leave_them_as_they_are():
    nl = randomise(NonLocal(16)).eval()
    dnl = randomise(DecoupledNonLocal(16)).eval()
    x, query = draw(1, 16, 3, 4, 2), (1, 3, 1)
    before = {name: weight.clone() for name, weight in dnl.state_dict().items()}
    maps = drawings.five_rows(nl, dnl, x, x, query)
    assert maps.shape == (5, 3, 4, 2) and torch.allclose(
        maps.flatten(1).sum(dim=1), torch.ones(5, dtype=torch.float64)
    )
    after = dnl.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    flat = torch.tensor([1 * 8 + 3 * 2 + 1])
    dnl.swap()
    assert torch.equal(maps[3].flatten(), dnl[0].attention(x, flat)[0, 0])
    assert torch.equal(maps[4].flatten(), dnl[1].attention(dnl[0](x), flat)[0, 0])


def test_a_query_lies_where_an_object_covers_most():
    mask = np.zeros((2, 8, 8), dtype=bool)
    mask[1, 4:8, 2:7] = (
        True  # all of the cell (1, 1, 0)'s lower right, most of (1, 1, 1)
    )
    assert drawings.query_on(mask, (2, 2, 2)) == (1, 1, 1)


def test_the_level_is_that_of_the_region_that_answers_most():
    mask = np.zeros((1, 2, 2), dtype=bool)
    mask[0, 0, 0] = True
    flat, answers = [1.0, 2.0, 2.0, 1.0], [-3.0, 1.0, 1.0, 1.0]
    g_r = torch.tensor([flat, answers]).reshape(2, 1, 2, 2)
    assert drawings.level_on([g_r], [clip(mask)]) == pytest.approx(1.5)
    twice = drawings.level_on([g_r, g_r[:1]], [clip(mask)] * 2)
    assert twice == pytest.approx((1.5 + 0.5 / g_r[0].std().item()) / 2)


def test_the_two_regions_that_vary_most_are_drawn():
    mask = np.zeros((2, 4, 4), dtype=bool)
    g_r = torch.arange(5.0)[:, None, None, None] * torch.randn(1, 2, 2, 2)
    figure = drawings.show_two_regions([clip(mask), clip(mask)], [g_r, g_r.flip(0)])
    assert isinstance(figure, Figure)
    labels = [axis.get_ylabel() for axis in figure.axes[::2]]
    said = [("1", "5"), ("1", "4"), ("2", "1"), ("2", "2")]
    assert labels == [f"clip {c},\nregion {k}" for c, k in said]
