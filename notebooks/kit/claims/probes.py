"""Probes: what is read off a trained network besides its accuracy.

Does it see which frame came first, how do its attention maps depend on the query, what
do its regions cover?
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from notebooks.kit.claims.ledger import Measures
from vidattn.backbones.place import insertion
from vidattn.blocks import GlobalTemporalAttention
from vidattn.figures import maps
from vidattn.figures.maps import capture
from vidattn.training.build import build_data
from vidattn.training.evaluate import within_pairs
from vidattn.training.experiment import Experiment, Synthetic
from vidattn.video.sample import sample
from vidattn.video.synthetic import REVERSED, render

Shape = tuple[int, int, int]


def measure(
    model: nn.Module, experiment: Experiment, measures: Measures
) -> dict[str, float]:
    """Measure the first block of a trained network on the first test clips.

    Args:
        model: The network.
        experiment: What it was trained by; it has blocks.
        measures: On how many clips; 0 leaves a measure out.

    Returns:
        `maps alike` (mean cosine of the maps of two random queries), `maps alike
        without self` (both queries' own positions left out) and `own weight`;
        `relation` and, for a pyramid, `relation k` at each scale k (see `relation`);
        for region GTA what `overlap` returns.
    """
    found: dict[str, float] = {}
    if measures.map_clips:
        found |= _likeness(model, experiment, measures)
    if measures.relation_clips:
        by_scale = relation(model, experiment, measures.relation_clips)
        found["relation"] = float(np.mean(by_scale))
        if len(by_scale) > 1:
            found |= {f"relation {k}": value for k, value in enumerate(by_scale)}
    block = insertion(model, *_first_place(experiment))
    has_regions = isinstance(block, GlobalTemporalAttention) and "region" in block.v
    if measures.region_clips and has_regions:
        found |= overlap(model, experiment, measures.region_clips)
    return found


def reversed_pairs(classes: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of classes whose names are each other's time reversal."""
    pairs = []
    for label, name in enumerate(classes):
        turned = " ".join(REVERSED.get(word, word) for word in name.split())
        if turned in classes[label + 1 :]:
            pairs.append((label, classes.index(turned)))
    return pairs


def order(model: nn.Module, experiment: Experiment) -> dict[str, float]:
    """Ask a network to tell clips from their reversals; 0.5 is a guess.

    Returns:
        `within pairs`: how often the right one of the class and its reversal scores
        higher, over the test clips. `within reversals`: the same over these clips and
        their reversals: 0.5 for a network that gives both the same scores. Nothing
        where no class is another one's reversal.
    """
    _, test = build_data(experiment)
    assert isinstance(experiment.data, Synthetic)
    pairs = reversed_pairs(experiment.data.test.classes)
    if not pairs:
        return {}
    partner = dict(pairs) | {b: a for a, b in pairs}
    device = next(model.parameters()).device
    scores: list[Tensor] = []
    labels: list[int] = []
    for index in range(len(test)):
        clips, label = test[index]  # (views, 3, T, H, W)
        for views, true in ((clips, label), (clips.flip(2), partner[label])):
            with torch.no_grad():
                scores.append(model(views.to(device)).mean(dim=0).cpu())
            labels.append(true)
    logits, truth = torch.stack(scores).numpy(), np.array(labels)
    return {
        "within pairs": within_pairs(logits[::2], truth[::2], pairs),
        "within reversals": within_pairs(logits, truth, pairs),
    }


def overlap(model: nn.Module, experiment: Experiment, clips: int) -> dict[str, float]:
    """Return how well one region of region GTA covers the ring, and one the object:
    mean IoU.

    A region is the cells where its weight G_R(t) is largest, as many as ring or object
    fill in a training clip in the mean; that of -G_R is tried, too, since nothing fixes
    the sign. Which region stands for which thing is chosen on training clips, how well
    it does so is measured on test clips.

    Args:
        model: A trained network whose first block has a region path.
        experiment: What it was trained by, on synthetic clips with a ring.
        clips: Number of training clips, and of test clips.

    Returns:
        `ring overlap` where there is a ring, `object overlap`; with `, untrained` the
        same features under a W_G drawn anew.
    """
    data = experiment.data
    assert isinstance(data, Synthetic)
    seen = data.model_copy(update={"test": data.train})
    block: Any = insertion(model, *_first_place(experiment))
    untrained, w_g = copy.deepcopy(block), block.w_g.weight.data
    drawn = torch.randn(w_g.shape, generator=torch.Generator().manual_seed(0))
    untrained.w_g.weight.data = drawn.to(w_g)
    found = {}
    for name, judged in {"overlap": block, "overlap, untrained": untrained}.items():
        train, test = (
            _maps_and_masks(model, each, clips, judged)
            for each in (experiment.model_copy(update={"data": seen}), experiment)
        )
        filled = torch.stack([masks for _, masks in train]).sum(dim=-1).double()
        sizes = [int(size) for size in filled.mean(dim=0).round()]
        best = _mean_iou(train, sizes).argmax(dim=1)
        for thing, size, k, iou in zip(
            ("ring", "object"), sizes, best, _mean_iou(test, sizes), strict=True
        ):
            if size:  # some clips have no ring
                found[f"{thing} {name}"] = iou[k].item()
    return found


def _maps_and_masks(
    model: nn.Module, experiment: Experiment, clips: int, judged: Any
) -> list[tuple[Tensor, Tensor]]:
    """Return each clip's region weights of both signs `(2K, THW)`, as the judged block
    gives them, and where ring and object are `(2, THW)`.
    """
    block = insertion(model, *_first_place(experiment))
    found = []
    for index, clip, shape in _clips(model, experiment, clips):
        with torch.no_grad():
            g_r = judged.regions(capture(model, block, clip))[0].flatten(1).cpu()
        cells = torch.stack(_cells(experiment, index, shape)).flatten(1)
        found.append((torch.cat([g_r, -g_r]), cells > 0.5))
    return found


def _mean_iou(side: list[tuple[Tensor, Tensor]], sizes: list[int]) -> Tensor:
    """Return the mean over clips of each map's IoU with each mask, `(2, 2K)`."""

    def iou(weights: Tensor, mask: Tensor, size: int) -> Tensor:
        top = torch.zeros_like(weights, dtype=torch.bool)
        top.scatter_(1, weights.topk(size).indices, True)
        return (top & mask).sum(dim=1) / (top | mask).sum(dim=1).clamp(min=1)

    both = []
    for weights, masks in side:
        pairs = zip(masks, sizes, strict=True)
        both.append(torch.stack([iou(weights, *each) for each in pairs]))
    return torch.stack(both).mean(dim=0)


def relation(model: nn.Module, experiment: Experiment, clips: int) -> list[float]:
    """Return how much more the ring is attended to from the object than from the
    background, at each scale.

    The weight that a query gives to the cells of the ring, summed over queries on the
    object, over the same for as many queries on the background. 1: where one looks from
    does not matter. Only cells and regions are compared, never colours: a map that
    finds the ring from everywhere has 1. The background is that of all frames, while
    the object is seen in the middle ones only, and it holds the other objects: a ratio
    above 1 can come from time alone, or from being an object at all.

    Args:
        model: A trained network with a block.
        experiment: What it was trained by, on synthetic clips with a ring.
        clips: Number of test clips, the first ones.

    Returns:
        One ratio a scale; a block without scales has one. Cells that a region shares
        with others count by the share of the region that the ring fills.
    """
    stage, number = _first_place(experiment)
    rng = np.random.default_rng(0)  # the same background for every network
    sums = np.zeros((maps.scales_of(insertion(model, stage, number)), 2))
    for index, clip, shape in _clips(model, experiment, clips):
        ring, target = _cells(experiment, index, shape)
        on_object = (target > 0.5 * target.max()).nonzero().tolist()
        free = ((ring == 0) & (target == 0)).nonzero().tolist()
        chosen = [free[i] for i in rng.choice(len(free), len(on_object))]
        for k in range(len(sums)):
            weights = maps.attention_maps(
                model, stage, number, clip, [*on_object, *chosen], scale=k
            )
            on_ring = weights * _regions(ring, k, weights.shape[1:])
            sums[k] += on_ring.sum(dim=(1, 2, 3)).numpy().reshape(2, -1).sum(axis=1)
    return [float(a / b) for a, b in sums]


def _likeness(
    model: nn.Module, experiment: Experiment, measures: Measures
) -> dict[str, float]:
    stage, number = _first_place(experiment)
    rng = np.random.default_rng(0)  # the same clips and queries for every network
    found = []
    for _, clip, shape in _clips(model, experiment, measures.map_clips):
        flat = rng.choice(int(np.prod(shape)), measures.map_queries, replace=False)
        queries = np.transpose(np.unravel_index(flat, shape)).tolist()
        weights = maps.attention_maps(model, stage, number, clip, queries)
        alike = maps.map_similarity(weights)
        others = maps.map_similarity(weights, queries, without_self=True)
        found.append((alike, others, maps.own_weight(weights, queries)))
    names = ("maps alike", "maps alike without self", "own weight")
    return dict(zip(names, np.mean(found, axis=0).tolist(), strict=True))


def _first_place(experiment: Experiment) -> tuple[str, int]:
    stage, numbers = next(iter(experiment.blocks[0].places.items()))
    return stage, numbers[0]


def _clips(
    model: nn.Module, experiment: Experiment, number: int
) -> Iterator[tuple[int, Tensor, Shape]]:
    """Yield the number of a test clip, the clip and the shape of the feature map at the
    first block.
    """
    _, test = build_data(experiment)
    block = insertion(model, *_first_place(experiment))
    for index in range(number):
        clip = test[index][0][:1]
        t, h, w = capture(model, block, clip).shape[2:]
        yield index, clip, (t, h, w)


def _cells(experiment: Experiment, index: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Return what share of each cell of the feature map ring and object fill in a test
    clip, 0 to 1.
    """
    data, sampling = experiment.data, experiment.sampling
    assert isinstance(data, Synthetic)
    scene, size = render(data.test, index), sampling.test_size or sampling.size
    frames = sample(sampling.mode, data.test.frames, sampling.frames)[0]
    edge = (data.test.size - size) // 2
    seen = np.stack([scene.ring, scene.target])[:, frames]
    masks = seen[..., edge : edge + size, edge : edge + size]
    filled = F.adaptive_avg_pool3d(torch.from_numpy(masks).double(), shape)
    return filled[0], filled[1]


def _regions(filled: Tensor, k: int, shape: torch.Size) -> Tensor:
    """Return the shares of a pyramid's regions, the last of which may be smaller, or of
    pooled keys.
    """
    size = 2**k if k else filled.shape[1] // shape[1]
    if size == 1:
        return filled
    return F.avg_pool3d(filled[None], (1, size, size), ceil_mode=k > 0)[0]
