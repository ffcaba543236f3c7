"""What is read off a trained network besides its accuracy: how its attention maps depend on the query."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidattn.backbones.place import insertion
from vidattn.figures.maps import attention_maps, capture, map_similarity, own_weight, scales_of
from vidattn.training.build import build_data
from vidattn.training.experiment import Experiment, Synthetic
from vidattn.training.study import Measures
from vidattn.video.sample import sample
from vidattn.video.synthetic import render

Shape = tuple[int, int, int]


def measure(model: nn.Module, experiment: Experiment, measures: Measures) -> dict[str, float]:
    """Measure the first block of a trained network on the first test clips.

    Args:
        model: The network.
        experiment: What it was trained by; it has blocks.
        measures: On how many clips; 0 leaves a measure out.

    Returns:
        `maps alike` (mean cosine of the maps of two random queries), `maps alike without self` (both queries'
        own positions left out) and `own weight`; `relation` and, for a pyramid, `relation k` at each scale k
        (see `relation`).
    """
    found: dict[str, float] = {}
    if measures.map_clips:
        found |= _likeness(model, experiment, measures)
    if measures.relation_clips:
        by_scale = relation(model, experiment, measures.relation_clips)
        found["relation"] = float(np.mean(by_scale))
        if len(by_scale) > 1:
            found |= {f"relation {k}": value for k, value in enumerate(by_scale)}
    return found


def relation(model: nn.Module, experiment: Experiment, clips: int) -> list[float]:
    """Return how much more the ring is attended to from the object than from the background, at each scale.

    The weight that a query gives to the cells of the ring, summed over queries on the object, over the same
    for as many queries on the background. 1: where one looks from does not matter. Only cells and regions are
    compared, never colours: a map that finds the ring from everywhere has 1. The background is that of all
    frames, while the object is seen in the middle ones only, and it holds the other objects: a ratio above 1
    can come from time alone, or from being an object at all.

    Args:
        model: A trained network with a block.
        experiment: What it was trained by, on synthetic clips with a ring.
        clips: Number of test clips, the first ones.

    Returns:
        One ratio a scale; a block without scales has one. Cells that a region shares with others count by the
        share of the region that the ring fills.
    """
    stage, number = _first_place(experiment)
    rng = np.random.default_rng(0)  # the same background for every network
    sums = np.zeros((scales_of(insertion(model, stage, number)), 2))
    for index, clip, shape in _clips(model, experiment, clips):
        ring, target = _cells(experiment, index, shape)
        on_object = (target > 0.5 * target.max()).nonzero().tolist()
        free = ((ring == 0) & (target == 0)).nonzero().tolist()
        chosen = [free[i] for i in rng.choice(len(free), len(on_object))]
        for k in range(len(sums)):
            maps = attention_maps(model, stage, number, clip, [*on_object, *chosen], scale=k)
            seen = (maps * _regions(ring, k, maps.shape[1:])).sum(dim=(1, 2, 3)).numpy()
            sums[k] += seen[: len(on_object)].sum(), seen[len(on_object) :].sum()
    return [float(a / b) for a, b in sums]


def _likeness(model: nn.Module, experiment: Experiment, measures: Measures) -> dict[str, float]:
    stage, number = _first_place(experiment)
    alike: dict[str, list[float]] = {"maps alike": [], "maps alike without self": [], "own weight": []}
    rng = np.random.default_rng(0)  # the same clips and queries for every network
    for _, clip, shape in _clips(model, experiment, measures.map_clips):
        flat = rng.choice(int(np.prod(shape)), measures.map_queries, replace=False)
        queries = np.transpose(np.unravel_index(flat, shape)).tolist()
        maps = attention_maps(model, stage, number, clip, queries)
        alike["maps alike"].append(map_similarity(maps))
        alike["maps alike without self"].append(map_similarity(maps, queries, without_self=True))
        alike["own weight"].append(own_weight(maps, queries))
    return {name: float(np.mean(numbers)) for name, numbers in alike.items()}


def _first_place(experiment: Experiment) -> tuple[str, int]:
    stage, numbers = next(iter(experiment.blocks[0].places.items()))
    return stage, numbers[0]


def _clips(model: nn.Module, experiment: Experiment, number: int) -> Iterator[tuple[int, Tensor, Shape]]:
    """Yield the number of a test clip, the clip and the shape of the feature map at the first block."""
    _, test = build_data(experiment)
    block = insertion(model, *_first_place(experiment))
    for index in range(number):
        clip = test[index][0][:1]
        t, h, w = capture(model, block, clip).shape[2:]
        yield index, clip, (t, h, w)


def _cells(experiment: Experiment, index: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Return what share of each cell of the feature map ring and object fill in a test clip, 0 to 1."""
    data, sampling = experiment.data, experiment.sampling
    assert isinstance(data, Synthetic)
    scene, size = render(data.test, index), sampling.test_size or sampling.size
    frames = sample(sampling.mode, data.test.frames, sampling.frames)[0]
    edge = (data.test.size - size) // 2
    masks = np.stack([scene.ring, scene.target])[:, frames, edge : edge + size, edge : edge + size]
    filled = F.adaptive_avg_pool3d(torch.from_numpy(masks).double(), shape)
    return filled[0], filled[1]


def _regions(filled: Tensor, k: int, shape: torch.Size) -> Tensor:
    """Return the shares of a pyramid's regions, the last of which may be smaller, or of pooled keys."""
    size = 2**k if k else filled.shape[1] // shape[1]
    return F.avg_pool3d(filled[None], (1, size, size), ceil_mode=k > 0)[0] if size > 1 else filled
