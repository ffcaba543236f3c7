"""What is read off a trained network: checked on blocks whose attention is known."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidattn import measures
from vidattn.backbones import place, resnet_mini
from vidattn.blocks import NonLocal, PyramidNonLocal
from vidattn.training.experiment import Experiment, make_experiment
from vidattn.training.study import Measures
from vidattn.video.synthetic import SyntheticSpec, render

SHAPE = (8, 10, 10)


@pytest.fixture
def experiment(tmp_path: Any) -> Experiment:
    spec = {"task": "cue", "clips": 4}
    return make_experiment(
        {
            "name": "x",
            "data": {"kind": "synthetic", "train": {**spec, "seed": 1},
                     "test": {**spec, "seed": 2}, "root": str(tmp_path)},
            "sampling": {"frames": 8, "size": 40, "resize": None},
            "model": {"backbone": "resnet_mini", "num_classes": 4},
            "blocks": [{"kind": "nonlocal", "places": {"res3": [2]}}],
            "optim": {"epochs": 1, "batch": 2, "lr": 0.1},
        }
    )  # fmt: skip


def network(block: nn.Module) -> nn.Module:
    return place(resnet_mini(num_classes=4), {"res3": (2,)}, lambda channels: block)


class Known(nn.Module):
    """Gives keys on the ring a weight of 5 from the object and 2 from elsewhere; all other keys have 1."""

    def __init__(self, cells: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.cells = iter(cells)

    def forward(self, x: Tensor) -> Tensor:
        return x

    def __deepcopy__(self, memo: object) -> "Known":
        return self

    def attention(self, x: Tensor, queries: Tensor) -> Tensor:
        ring, target = (cells.flatten() > 0 for cells in next(self.cells))
        on_ring = torch.where(target[queries], 5.0, 2.0)[:, None]
        return torch.where(ring, on_ring, 1.0)[None]


def test_ring_and_object_are_found_on_the_feature_map(experiment: Experiment) -> None:
    for index in range(4):
        scene = render(SyntheticSpec(clips=4, seed=2), index)
        ring, target = measures._cells(experiment, index, SHAPE)
        assert ring.amax((1, 2)).gt(0).tolist() == [True, True, False, False, False, False, True, True]
        assert target.amax((1, 2)).gt(0).tolist() == [False, False, True, True, True, True, False, False]
        # The centre of the filled cells is the ring's: crop of 40 out of 48 pixels, four pixels a cell.
        where = np.argwhere(scene.ring[0]).mean(0) - 4
        cells = torch.stack(torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij"), dim=-1)
        centre = (cells * ring[0][..., None]).sum((0, 1)) / ring[0].sum()
        np.testing.assert_allclose(centre * 4 + 1.5, where, atol=1)


def test_relation_compares_the_object_with_the_background(experiment: Experiment) -> None:
    cells = [measures._cells(experiment, index, SHAPE) for index in range(3)]
    assert measures.relation(network(Known(cells)), experiment, 3) == [pytest.approx(2.5)]
    turned = [
        (ring.flip(1, 2), target) for ring, target in cells
    ]  # it attends to another place: less is found
    assert measures.relation(network(Known(turned)), experiment, 3)[0] < 2.4


def test_attention_that_is_the_same_from_everywhere_relates_nothing(experiment: Experiment) -> None:
    torch.manual_seed(0)
    even, pyramid = NonLocal(96), PyramidNonLocal(96, shared=False)
    for part in (even, *pyramid.operations):
        nn.init.zeros_(part.theta.weight)
        nn.init.zeros_(part.theta.bias)
    wanted = Measures(map_clips=0, relation_clips=2)
    found = measures.measure(network(even), experiment, wanted)
    assert found == {"relation": pytest.approx(1)}
    found = measures.measure(network(pyramid), experiment, wanted)
    assert found == {name: pytest.approx(1) for name in ("relation", *(f"relation {k}" for k in range(4)))}


def test_regions_hold_the_mean_of_their_cells() -> None:
    filled = torch.arange(2.0 * 5 * 6).reshape(2, 5, 6)
    coarse = measures._regions(filled, 2, torch.Size([2, 2, 2]))
    assert coarse[1, 0, 0] == filled[1, :4, :4].mean() and coarse[0, 1, 1] == filled[0, 4:, 4:].mean()
    pooled = measures._regions(
        filled, 0, torch.Size([2, 2, 3])
    )  # keys pooled by two: the last row is left out
    assert pooled.shape == (2, 2, 3) and pooled[0, 1, 2] == filled[0, 2:4, 4:].mean()


def test_likeness_is_measured_where_it_is_wanted(experiment: Experiment) -> None:
    torch.manual_seed(0)
    block = NonLocal(96)
    nn.init.zeros_(block.theta.weight)
    nn.init.zeros_(block.theta.bias)
    found = measures.measure(network(block), experiment, Measures(map_clips=2, map_queries=4))
    assert found["maps alike"] == pytest.approx(1) and found["own weight"] == pytest.approx(1 / 800)
    assert "relation" not in found
