"""What is read off a trained network: checked on blocks whose attention is known."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from notebooks.kit.claims import probes as measures
from notebooks.kit.claims.ledger import Measures
from vidattn.backbones import place, resnet_mini
from vidattn.blocks import (
    GlobalTemporalAttention,
    NonLocal,
    PyramidNonLocal,
    RegionNonLocal,
)
from vidattn.training.experiment import Experiment, Synthetic, make_experiment
from vidattn.video.synthetic import SyntheticSpec, render

SHAPE = (8, 10, 10)


@pytest.fixture
def experiment(tmp_path: Any) -> Experiment:
    spec = {"task": "cue", "clips": 4}
    return make_experiment(
        {
            "name": "x",
            "data": {
                "kind": "synthetic",
                "train": {**spec, "seed": 1},
                "test": {**spec, "seed": 2},
                "root": str(tmp_path),
            },
            "sampling": {"frames": 8, "size": 40, "resize": None},
            "model": {"backbone": "resnet_mini", "num_classes": 4},
            "blocks": [{"kind": "nonlocal", "places": {"res3": [2]}}],
            "optim": {"epochs": 1, "batch": 2, "lr": 0.1},
        }
    )


def network(block: nn.Module) -> nn.Module:
    return place(resnet_mini(num_classes=4), {"res3": (2,)}, lambda channels: block)


class Known(nn.Module):
    """Gives keys on the ring a weight of 5 from the object and 2 from elsewhere; all
    other keys have 1.
    """

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
        assert ring.amax((1, 2)).gt(0).tolist() == [
            True,
            True,
            False,
            False,
            False,
            False,
            True,
            True,
        ]
        assert target.amax((1, 2)).gt(0).tolist() == [
            False,
            False,
            True,
            True,
            True,
            True,
            False,
            False,
        ]
        # The centre of the filled cells is the ring's: crop of 40 out of 48 pixels,
        # four pixels a cell.
        where = np.argwhere(scene.ring[0]).mean(0) - 4
        cells = torch.stack(
            torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij"),
            dim=-1,
        )
        centre = (cells * ring[0][..., None]).sum((0, 1)) / ring[0].sum()
        np.testing.assert_allclose(centre * 4 + 1.5, where, atol=1)


def test_relation_compares_the_object_with_the_background(
    experiment: Experiment,
) -> None:
    cells = [measures._cells(experiment, index, SHAPE) for index in range(3)]
    assert measures.relation(network(Known(cells)), experiment, 3) == [
        pytest.approx(2.5)
    ]
    turned = [
        (ring.flip(1, 2), target) for ring, target in cells
    ]  # it attends to another place: less is found
    assert measures.relation(network(Known(turned)), experiment, 3)[0] < 2.4


def test_attention_that_is_the_same_from_everywhere_relates_nothing(
    experiment: Experiment,
) -> None:
    torch.manual_seed(0)
    even, pyramid = NonLocal(96), PyramidNonLocal(96, shared=False)
    for part in (even, *pyramid.operations):
        nn.init.zeros_(part.q.weight)
        nn.init.zeros_(part.q.bias)
    wanted = Measures(map_clips=0, relation_clips=2)
    found = measures.measure(network(even), experiment, wanted)
    assert found == {"relation": pytest.approx(1)}
    found = measures.measure(network(pyramid), experiment, wanted)
    assert found == {
        name: pytest.approx(1)
        for name in ("relation", *(f"relation {k}" for k in range(4)))
    }


def test_regions_hold_the_mean_of_their_cells() -> None:
    filled = torch.arange(2.0 * 5 * 6).reshape(2, 5, 6)
    coarse = measures._regions(filled, 2, torch.Size([2, 2, 2]))
    assert (
        coarse[1, 0, 0] == filled[1, :4, :4].mean()
        and coarse[0, 1, 1] == filled[0, 4:, 4:].mean()
    )
    pooled = measures._regions(
        filled, 0, torch.Size([2, 2, 3])
    )  # keys pooled by two: the last row is left out
    assert pooled.shape == (2, 2, 3) and pooled[0, 1, 2] == filled[0, 2:4, 4:].mean()


def test_likeness_is_measured_where_it_is_wanted(experiment: Experiment) -> None:
    torch.manual_seed(0)
    block = NonLocal(96)
    nn.init.zeros_(block.q.weight)
    nn.init.zeros_(block.q.bias)
    found = measures.measure(
        network(block), experiment, Measures(map_clips=2, map_queries=4)
    )
    assert found["maps alike"] == pytest.approx(1) and found[
        "own weight"
    ] == pytest.approx(1 / 800)
    assert "relation" not in found


class Told(nn.Module):
    """Gives the scores that it is told, one line a call."""

    def __init__(self, lines: list[list[float]]) -> None:
        super().__init__()
        self.lines, self.weight = iter(lines), nn.Parameter(torch.zeros(1))

    def forward(self, clips: Tensor) -> Tensor:
        return torch.tensor(next(self.lines)).expand(len(clips), 4)


def test_pairs_of_classes_are_found_by_their_names() -> None:
    assert measures.reversed_pairs(("left", "right", "up", "down")) == [(0, 1), (2, 3)]
    assert measures.reversed_pairs(("red up", "cyan up", "cyan down", "red down")) == [
        (0, 3),
        (1, 2),
    ]
    assert measures.reversed_pairs(("horizontal", "vertical")) == []


def test_order_is_seen_by_who_tells_clips_from_their_reversals(
    experiment: Experiment,
) -> None:
    assert isinstance(experiment.data, Synthetic)
    labels = [render(experiment.data.test, index).label for index in range(4)]
    backwards = [label ^ 1 for label in labels]  # left 0, right 1, up 2, down 3
    eye = torch.eye(4).tolist()

    def found(forwards: list[int], reversals: list[int]) -> dict[str, float]:
        lines = [
            eye[each] for pair in zip(forwards, reversals, strict=True) for each in pair
        ]
        return measures.order(Told(lines), experiment)

    assert found(labels, backwards) == {"within pairs": 1, "within reversals": 1}
    assert found(labels, labels) == {
        "within pairs": 1,
        "within reversals": 0.5,
    }  # known by heart
    assert found([labels[0], *backwards[1:]], backwards) == {
        "within pairs": 0.25,
        "within reversals": 0.625,
    }
    specs = {
        part: {"task": "axes", "clips": 4, "seed": seed}
        for part, seed in (("train", 1), ("test", 2))
    }
    data = {**experiment.data.model_dump(), **specs}
    without = make_experiment({**experiment.model_dump(), "data": data})
    assert measures.order(Told([]), without) == {}


def test_the_clip_that_is_played_backwards_is_the_clip(experiment: Experiment) -> None:
    seen: list[Tensor] = []

    class Watch(Told):
        def forward(self, clips: Tensor) -> Tensor:
            seen.append(clips)
            return super().forward(clips)

    measures.order(Watch([[0.0] * 4] * 8), experiment)
    for clip, turned in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(clip.flip(2), turned) and not torch.equal(clip, turned)


def test_regions_are_looked_for_where_a_block_has_them(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "overlap", lambda *_: {"object overlap": 0.5})
    wanted = Measures(map_clips=0, region_clips=1)
    both = ("pixel", "region")
    for paths, found in (
        (both, {"object overlap": 0.5}),
        (both[1:], {"object overlap": 0.5}),
        (both[:1], {}),
    ):
        block = GlobalTemporalAttention(96, paths=paths)
        assert measures.measure(network(block), experiment, wanted) == found
    assert measures.measure(network(RegionNonLocal(96)), experiment, wanted) == {}


class Regions(nn.Module):
    """What region GTA has: a spatial part and W_G, here one channel a region."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial, self.w_g = nn.Identity(), nn.Conv3d(96, 3, 1, bias=False)
        with torch.no_grad():
            self.w_g.weight.copy_(torch.eye(3, 96)[..., None, None, None])

    def regions(self, x: Tensor) -> Tensor:
        return self.w_g(self.spatial(x))


def test_regions_are_chosen_on_training_clips_and_judged_on_test_clips(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(experiment.data, Synthetic)
    data = experiment.data
    seen = experiment.model_copy(
        update={"data": data.model_copy(update={"test": data.train})}
    )
    cells = [
        measures._cells(each, index, SHAPE)
        for each in (seen, experiment)
        for index in range(4)
    ]
    noise = torch.Generator().manual_seed(0)

    def overlap(turned: list[int]) -> dict[str, float]:
        """Channel 0 holds the ring and channel 1 minus the object; mirrored in the
        clips named.
        """
        calls = iter([number for number in range(8) for _ in range(2)] * 2)

        def features(*_: object) -> Tensor:
            number = next(calls)
            x = 0.1 * torch.randn(1, 96, *SHAPE, generator=noise)
            ring, target = cells[number]
            x[0, 0], x[0, 1] = ring.flip(1) if number in turned else ring, -target
            x[0, 2] = ring.flip(1) if number not in turned else ring
            return x

        monkeypatch.setattr(measures, "capture", features)
        return measures.overlap(network(Regions()), experiment, 4)

    right = overlap([])
    assert min(right["ring overlap"], right["object overlap"]) > 0.7
    assert (
        max(right["ring overlap, untrained"], right["object overlap, untrained"]) < 0.4
    )
    monkeypatch.setattr(
        measures, "_cells", lambda *_: (torch.zeros(SHAPE), cells[0][1])
    )
    assert set(overlap([])) == {"object overlap", "object overlap, untrained"}
    monkeypatch.undo()
    wrong = overlap(
        [4, 5, 6, 7]
    )  # on test clips another region than on training clips has the ring
    assert wrong["ring overlap"] < 0.3 and wrong["object overlap"] == pytest.approx(
        right["object overlap"]
    )


def test_iou_is_that_of_the_largest_cells() -> None:
    maps = torch.tensor([[5.0, 4.0, 1.0, 0.0], [0.0, 1.0, 5.0, 4.0]])
    masks = torch.tensor([[True, False, False, False], [False, True, True, True]])
    found = measures._mean_iou([(maps, masks), (maps, ~masks)], [1, 2])
    wanted = [[0.5, 1 / 6], [(1 / 4 + 1 / 2) / 2, (2 / 3) / 2]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
