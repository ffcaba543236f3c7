"""Who sees the order of frames: what is predicted, what a sweep finds, what is told."""

import pytest
import torch
from torch import nn

from notebooks.kit import order
from vidattn.blocks import BLOCKS


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("nonlocal", {}, "every permutation"),
        ("temporal_attention", {}, "every permutation"),
        ("temporal_attention", {"positions": "learned"}, "none"),
        ("global_temporal_attention", {"groups": 1}, "none"),
        ("region", {"kernel": (3, 3, 3)}, "none"),
        ("region", {"kernel": (3, 3, 3), "region": "avg"}, "reversal alone"),
        ("nobody's", {}, None),
    ],
)
def test_what_the_argument_says_of_a_block(kind, options, said):
    assert order.predicted(kind, options) == said


def test_every_kind_is_swept_and_a_new_one_needs_no_entry(monkeypatch):
    some = {k: BLOCKS[k] for k in ("spatial_attention", "cbam")}

    class Later(nn.Module):  # adds the next frame, which nobody predicted
        def __init__(self, channels):
            super().__init__()

        def forward(self, x):
            following = torch.cat([x[:, :, 1:], torch.zeros_like(x[:, :, :1])], dim=2)
            return x + following**2

    monkeypatch.setitem(BLOCKS, "later", Later)
    monkeypatch.setattr(order, "BLOCKS", some | {"later": Later})
    table = order.sweep().set_index(["kind", "options"])
    assert table["commutes with"].to_dict() == {
        ("spatial_attention", ""): "every permutation",
        ("cbam", ""): "every permutation",
        ("cbam", "kernel=(3, 3, 3)"): "none",
        ("later", ""): "none",
    }
    assert table["predicted"].isna().tolist() == [False, True, False, True]
    assert (table["scores"] < 1e-12).tolist() == [True, True, False, False]


def test_a_block_that_commutes_with_other_orders_is_not_passed_over(monkeypatch):
    class Turning(nn.Module):  # commutes with cyclic shifts alone
        def __init__(self, channels):
            super().__init__()

        def forward(self, x):
            return x + x.roll(1, dims=2) ** 2 * x.roll(-1, dims=2)

    monkeypatch.setitem(BLOCKS, "turning", Turning)
    monkeypatch.setattr(order, "BLOCKS", {"turning": Turning})
    with pytest.raises(AssertionError, match="turning"):
        order.sweep()


class First(nn.Module):
    """Scores are the first pixel of the first frame and its negative."""

    def forward(self, x):
        first = x[:, 0, 0, 0, 0]
        return torch.stack([first, -first], dim=1)


def test_what_a_network_tells_of_clips_and_their_reversals():
    rising = torch.arange(-3.0, 4.0)[None, None, :, None, None]
    clips = torch.cat([rising, -rising])  # the first frame is -3, then +3
    differ, told = order.tell(First(), clips, [1, 0], ["left", "right"])
    assert differ == 2 and told == 1
    assert order.tell(First(), clips, [0, 1], ["left", "right"])[1] == 0
    still = order.tell(First(), torch.ones(2, 1, 7, 1, 1), [1, 0], ["left", "right"])
    assert still == (0, 0.5)
