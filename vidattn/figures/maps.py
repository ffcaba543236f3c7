"""What goes on in a network when it sees a clip, as numbers.

Features around a block, what blocks with pairwise weights attend to, how alike the maps
of different queries are, and what each position adds to a score.
"""

import copy
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidattn.backbones.place import insertion
from vidattn.errors import UserError

Query = Sequence[int]  # t, row, column


class Region(NamedTuple):
    """A region of one frame.

    Attributes:
        weight: What the query gives to it.
        t: Its frame on the feature map.
        box: Left, top, width and height, as shares of the picture's sides.
    """

    weight: float
    t: int
    box: tuple[float, float, float, float]


def capture(model: nn.Module, module: nn.Module, clip: Tensor) -> Tensor:
    """Return what a module of a network is given in one forward pass.

    The pass is one in evaluation mode, without gradients.

    Args:
        model: The network, which is left as it is.
        module: One of its modules, mostly a placed block.
        clip: The network's input `(B, 3, T, H, W)`.

    Returns:
        A copy of the module's first input, mostly `(B, C, T, H', W')`.

    Raises:
        UserError: The forward pass does not reach the module.
    """
    inputs: list[Tensor] = []
    model, module = copy.deepcopy((model, module))
    module.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    with torch.no_grad():
        model.eval()(clip)
    if not inputs:
        raise UserError(
            f"the network's forward pass does not reach this {type(module).__name__}"
        )
    return inputs[0]


def in_and_out(
    model: nn.Module, block: nn.Module, clip: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the features that a block is given, and those that it then gives.

    Args:
        model: The network.
        block: One of its modules that takes one tensor.
        clip: The network's input `(B, 3, T, H, W)`.

    Raises:
        UserError: The forward pass does not reach the block.
    """
    x = capture(model, block, clip)
    with torch.no_grad():
        return x, copy.deepcopy(block).eval()(x)


def attention_maps(
    model: nn.Module,
    place: str,
    number: int,
    clip: Tensor,
    queries: Iterable[Query],
    scale: int = 0,
) -> Tensor:
    """Return the weights that a placed block gives from some positions to all.

    They are computed in float64 from the float32 network: after unscaled inner products
    float32 would round small weights to zero, and maps without their query's own
    position are made of just these.

    Args:
        model: A network.
        place: Stage that the block stands in, such as `"res3"`.
        number: Block of the stage, counting from 1, that it stands behind.
        clip: One clip `(1, 3, T, H, W)`.
        queries: Q positions (t, row, column) on the block's feature map, counted from
            0.
        scale: k of a pyramid, whose weights are those of the regions that hold the
            positions; else 0.

    Returns:
        float64 maps `(Q, T, H', W')`, w / C(x), on the keys' grid: that of the feature
        map, half of its height and width where keys are pooled, or H / 2^k and W / 2^k,
        rounded up, at scale k of a pyramid. In an attention chain they are those of its
        region-based block, which sees what the squeeze-excite gives.

    Raises:
        UserError: The place holds no block with pairwise weights, the block has no such
            scale, a query lies outside, or there is more than one clip.
    """
    _check_one(clip)
    where, placed = f"{place} after block {number}", insertion(model, place, number)
    if not has_maps(placed):
        raise UserError(
            f"{where}: {type(placed).__name__} has no map of weights; NonLocal, "
            "RegionNonLocal, PyramidNonLocal and AttentionChain have"
        )
    (block,) = _parts(placed)
    scales = scales_of(block)
    if not 0 <= scale < scales:
        raise UserError(
            f"{where}: there is no scale {scale}: allowed are 0 to {scales - 1}"
        )
    x = capture(model, block, clip)
    t, h, w = x.shape[2:]
    flat = _flat(queries, (t, h, w), "feature map")
    of_scale = [scale] if scale else []
    with torch.no_grad():
        exact = copy.deepcopy(block).double()
        maps = exact.attention(x.double(), flat, *of_scale)[0]
    if scale:
        h, w = -(-h // 2**scale), -(-w // 2**scale)
    elif maps.shape[1] != t * h * w:
        h, w = h // 2, w // 2
    return maps.reshape(-1, t, h, w)


def has_maps(block: nn.Module) -> bool:
    """Say whether a block has maps: whether one part of it has pairwise weights."""
    return len(_parts(block)) == 1


def scales_of(block: nn.Module) -> int:
    """Return at how many scales a block relates positions: n of a pyramid, else 1."""
    return getattr(block, "scales", 1)


def _parts(block: nn.Module) -> list[Any]:
    """Return the outermost parts that can write their weights out."""
    if hasattr(block, "attention"):
        return [block]
    return [part for child in block.children() for part in _parts(child)]


def map_similarity(
    maps: Tensor, queries: Sequence[Query] = (), *, without_self: bool = False
) -> float:
    """Return how alike the maps of different queries are: their mean cosine.

    The mean is over all pairs of queries:

        mean over a < b of  <m_a, m_b> / (|m_a| |m_b|)

    1 if all maps are the same up to a factor, 0 if no two overlap; maps without
    negative weights give nothing below 0. A map that is zero everywhere is like no
    other: its cosines count as 0.

    Args:
        maps: `(Q, ...)`, two or more.
        queries: The positions (t, row, column) of the Q queries on the maps' grid;
            needed for `without_self`.
        without_self: Leave the positions of both queries of a pair out of both of their
            maps. An RNL block compares a region with itself by the same vector, which
            favours the query's own position by construction; what is left is what a
            query thinks of the others.

    Raises:
        UserError: Fewer than two maps, or queries that do not fit them.
    """
    if len(maps) < 2:
        raise UserError(
            f"a similarity needs the maps of two or more queries, not {len(maps)}"
        )
    own = own_positions(maps, queries) if without_self else None
    flat = maps.reshape(len(maps), -1).double()
    cosines = []
    for pair in map(list, combinations(range(len(flat)), 2)):
        two = flat[pair]
        if own is not None:
            two[:, own[pair]] = 0
        # Divided by their largest weights first: squares of small weights would vanish.
        largest = two.abs().amax(dim=1, keepdim=True)
        two = two / largest.clamp(min=torch.finfo(two.dtype).tiny)
        cosines.append(float(F.cosine_similarity(two[0], two[1], dim=0)))
    return float(np.mean(cosines))


def own_weight(maps: Tensor, queries: Sequence[Query]) -> float:
    """Return the share of its weight that a query gives to itself.

    It is the mean over queries of w_ii / sum_j |w_ij|. Uniform maps give 1 / N. A map
    that is zero everywhere counts as 0.

    Args:
        maps: `(Q, T, H', W')`.
        queries: The positions (t, row, column) of the Q queries on the maps' grid (with
            pooled keys: row // 2 and column // 2 of those on the feature map).

    Raises:
        UserError: The queries do not fit the maps.
    """
    own = own_positions(maps, queries)
    flat = maps.reshape(len(maps), -1).double()
    shares = F.normalize(flat, p=1, dim=1, eps=torch.finfo(flat.dtype).tiny)
    return float(shares[torch.arange(len(flat)), own].mean())


def own_positions(maps: Tensor, queries: Sequence[Query]) -> Tensor:
    """Return the flat positions `(Q,)` of queries on the grid of their maps.

    Args:
        maps: `(Q, T, H', W')`.
        queries: The positions (t, row, column).

    Raises:
        UserError: The queries do not fit the maps.
    """
    if len(queries) != len(maps):
        raise UserError(
            f"{len(maps)} maps need {len(maps)} queries, not {len(queries)}"
        )
    return _flat(queries, tuple(maps.shape[1:]), "maps")


def correlated_regions(
    model: nn.Module,
    place: str,
    number: int,
    clip: Tensor,
    query: Query,
    count: int = 5,
) -> list[list[Region]]:
    """Return which regions a placed block relates most to the one of a position.

    Args:
        model: A network.
        place: Stage that the block stands in.
        number: Block of the stage, counting from 1, that it stands behind.
        clip: One clip `(1, 3, T, H, W)`.
        query: A position (t, row, column) on the block's feature map.
        count: How many.

    Returns:
        For each scale of the block, of which all but a pyramid have one: the query's
        own region, then up to `count` others, the largest weight first.

    Raises:
        UserError: As `attention_maps` does.
    """
    block = insertion(model, place, number)
    h, w = capture(model, block, clip).shape[-2:]
    found = []
    for scale in range(scales_of(block)):
        weights = attention_maps(model, place, number, clip, [query], scale)[0].numpy()
        pooled = not scale and weights.shape[1] != h  # of the keys, by two
        side = 2 if pooled else 2**scale
        position = (query[0], query[1] // side, query[2] // side)
        own = np.ravel_multi_index(position, weights.shape, mode="clip")
        order = [i for i in np.argsort(-weights, axis=None, kind="stable") if i != own]
        chosen = np.unravel_index([own, *order[:count]], weights.shape)
        regions = []
        for t, row, column in np.transpose(chosen):
            top, left = row * side, column * side
            box = (left / w, top / h, min(side, w - left) / w, min(side, h - top) / h)
            regions.append(Region(float(weights[t, row, column]), int(t), box))
        found.append(regions)
    return found


def activation_maps(model: nn.Module, clip: Tensor, label: int) -> Tensor:
    """Return what each position of a clip adds to the score of a class.

    It is a class activation map over space and time:

        m_i = w_label . f_i        score_label = mean over i of m_i, plus b_label

    f are the last features, w and b weight and bias of the linear layer `fc`. The score
    is that of the mean of f, and a linear function of a mean is the mean of the
    function: nothing is approximated.

    Args:
        model: A network that ends in a mean over T, H and W and a linear layer: it has
            `features` and `fc`, and between them nothing that does anything in
            evaluation mode.
        clip: One clip `(1, 3, T, H, W)`.
        label: The class.

    Returns:
        `(T', H', W')`, on the grid of the last features, in units of the score;
        negative where a position speaks against the class.

    Raises:
        UserError: The network does not end so, the class does not exist, or there is
            more than one clip.

    Source:
        Zhou et al.: Learning deep features for discriminative localization, CVPR 2016,
        for one picture; over all frames of a clip at once in the RCCA-3D paper, section
        IV-G and Figure 7.
    """
    fc = getattr(model, "fc", None)
    if not isinstance(fc, nn.Linear) or not hasattr(model, "features"):
        raise UserError(
            f"{type(model).__name__} does not end in `features`, their mean and a "
            "linear `fc`"
        )
    _check_one(clip)
    if not 0 <= label < fc.out_features:
        raise UserError(
            f"there is no class {label}: allowed are 0 to {fc.out_features - 1}"
        )
    with torch.no_grad():
        features = copy.deepcopy(model).eval().features(clip)  # type: ignore[operator]
        return torch.einsum("c,cthw->thw", fc.weight[label], features[0])


def _check_one(clip: Tensor) -> None:
    if clip.dim() != 5 or clip.shape[0] != 1:
        raise UserError(
            f"maps are those of one clip (1, 3, T, H, W), not of {tuple(clip.shape)}"
        )


def _flat(queries: Iterable[Query], sizes: tuple[int, ...], what: str) -> Tensor:
    """Count positions with the last axis fastest."""
    flat = []
    for query in queries:
        if any(not 0 <= i < size for i, size in zip(query, sizes, strict=True)):
            raise UserError(
                f"query {tuple(query)} lies outside the {what} of size {sizes}"
            )
        flat.append((query[0] * sizes[1] + query[1]) * sizes[2] + query[2])
    return torch.tensor(flat)
