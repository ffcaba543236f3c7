"""Numbers of attention maps against hand values; figures by the data of their
artists.
"""

import copy
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest
import torch
from einops import rearrange
from torch import nn

from notebooks.kit import drawings
from notebooks.kit.claims import Interval, mean_interval
from vidattn import figures
from vidattn.__main__ import main
from vidattn.backbones.place import insertion, place
from vidattn.backbones.resnet import resnet_mini
from vidattn.blocks import make_block
from vidattn.errors import UserError
from vidattn.figures import attend, style
from vidattn.figures.maps import Region, map_similarity, own_weight
from vidattn.figures.pictures import SCALES
from vidattn.training import Result, build_model, dump, make_experiment
from vidattn.training.checkpoint import save
from vidattn.video.augment import normalise, resize
from vidattn.video.decode import read_frames, write_video
from vidattn.video.sample import Sampling

QUERIES = [(0, 1, 2), (1, 4, 0), (1, 5, 6)]


def network(kind: str, **options) -> nn.Module:
    torch.manual_seed(0)
    model = place(
        resnet_mini(num_classes=3, temporal="tsm"),
        {"res3": (2,)},
        make_block(kind, **options),
    )
    for parameter in insertion(model, "res3", 2).parameters():
        nn.init.normal_(parameter, std=0.2)  # never the identity
    return model.train()


def clip() -> torch.Tensor:
    return torch.randn(
        1, 3, 2, 24, 28, generator=torch.Generator().manual_seed(1)
    )  # res3: 2 x 6 x 7


def test_capture_gives_the_very_input_in_evaluation_mode_and_leaves_the_modes():
    model = network("region", kernel=(1, 3, 3))
    model.res2.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = figures.capture(model, insertion(model, "res3", 2), clip())
    assert model.training and model.res3.training and not model.res2.training
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )
    copied = copy.deepcopy(model).eval()
    with torch.no_grad():
        stem = copied.pool1(copied.relu(copied.bn1(copied.conv1(clip()))))
        stage = copied.res3
        expected = stage.blocks[1](stage.blocks[0](copied.res2(stem)))
    assert torch.equal(x, expected)
    assert not x.requires_grad
    assert not insertion(model, "res3", 2)._forward_pre_hooks


def test_capture_refuses_a_module_that_is_not_reached():
    with pytest.raises(UserError, match="does not reach this Linear"):
        figures.capture(network("region"), nn.Linear(1, 1), clip())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("region", {"kernel": (1, 3, 3)}),
        ("region", {"form": "dot_product"}),
        ("region", {"form": "cosine"}),
        ("nonlocal", {}),
        ("nonlocal", {"form": "concatenation"}),
        ("nonlocal", {"pool_keys": "after"}),
        ("nonlocal", {"pool_keys": "before"}),
        ("chain", {"kernel": (1, 3, 3)}),
    ],
)
def test_maps_are_what_the_block_does(kind, options):
    """All rows of weights, times the values, through the last projection: the block's
    output.
    """
    model = network(kind, **options)
    every = [(t, i, j) for t in range(2) for i in range(6) for j in range(7)]
    maps = figures.attention_maps(model, "res3", 2, clip(), every)
    pooled = options.get("pool_keys")
    assert maps.shape == ((84, 2, 3, 3) if pooled else (84, 2, 6, 7))
    if options.get("form", "gaussian") == "gaussian":
        assert torch.allclose(
            maps.sum((1, 2, 3)), torch.ones(84, dtype=torch.float64), atol=1e-12
        )

    outer = copy.deepcopy(insertion(model, "res3", 2)).double().eval()
    x = figures.capture(model, insertion(model, "res3", 2), clip()).double()
    expected = outer(x)
    block = outer
    if kind == "chain":
        x, block = outer.squeeze_excite(x), outer.region
    if pooled:
        g = block.v(block.pool(x)) if pooled == "before" else block.pool(block.v(x))
    else:
        g = block.v(x)
    y = maps.flatten(1) @ rearrange(g, "1 c t h w -> (t h w) c")
    y = rearrange(y, "(t h w) c -> 1 c t h w", t=2, h=6, w=7)
    tolerance = (
        1e-4 if kind == "chain" else 1e-9
    )  # the chain's first part ran in float32, within the network
    assert torch.allclose(
        block.bn(block.out(y)) + x, expected, rtol=tolerance, atol=tolerance
    )

    few = figures.attention_maps(model, "res3", 2, clip(), QUERIES)
    assert torch.allclose(
        few, maps[[every.index(query) for query in QUERIES]], atol=1e-12
    )


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_a_pyramid_has_maps_at_every_scale(scale):
    model = network("pyramid", scales=3)
    every = [(t, i, j) for t in range(2) for i in range(6) for j in range(7)]
    maps = figures.attention_maps(model, "res3", 2, clip(), every, scale)
    side = 2**scale
    h, w = -(-6 // side), -(-7 // side)
    assert maps.shape == (84, 2, h, w)
    group = (
        figures.capture(model, insertion(model, "res3", 2), clip())
        .double()
        .chunk(3, dim=1)[scale]
    )
    regions = nn.functional.avg_pool3d(group, (1, side, side), ceil_mode=True)
    operation = copy.deepcopy(insertion(model, "res3", 2).operations[0]).double()
    expected = operation.attention(regions, torch.arange(2 * h * w))[0].reshape(
        2, h, w, 2, h, w
    )
    for (t, i, j), found in zip(
        every, maps, strict=True
    ):  # a position has the weights of its region
        assert torch.allclose(found, expected[t, i // side, j // side], atol=1e-12)


def test_maps_say_what_is_wrong():
    with pytest.raises(
        UserError, match=r"res3 after block 2: there is no scale 2: allowed are 0 to 1"
    ):
        figures.attention_maps(
            network("pyramid", scales=2), "res3", 2, clip(), QUERIES, 2
        )
    with pytest.raises(UserError, match="there is no scale 1: allowed are 0 to 0"):
        figures.attention_maps(network("nonlocal"), "res3", 2, clip(), QUERIES, 1)
    with pytest.raises(UserError, match="SqueezeExcite has no map of weights"):
        figures.attention_maps(network("squeeze_excite"), "res3", 2, clip(), QUERIES)
    with pytest.raises(
        UserError, match=r"\(0, 6, 0\) lies outside the feature map of size \(2, 6, 7\)"
    ):
        figures.attention_maps(network("nonlocal"), "res3", 2, clip(), [(0, 6, 0)])
    with pytest.raises(UserError, match="one clip"):
        figures.attention_maps(
            network("nonlocal"), "res3", 2, clip().repeat(2, 1, 1, 1, 1), QUERIES
        )


def test_similarity_by_hand():
    maps = torch.zeros(3, 1, 2, 2)
    maps[0].flatten()[:] = torch.tensor([1.0, 0, 0, 0])
    maps[1].flatten()[:] = torch.tensor([0.5, 0.5, 0, 0])
    maps[2].flatten()[:] = torch.tensor([0.0, 0, 0, 1])
    assert map_similarity(
        maps[[0, 0]] * torch.tensor([1.0, 7]).view(2, 1, 1, 1)
    ) == pytest.approx(1)
    assert map_similarity(maps[[0, 2]]) == 0
    assert map_similarity(maps[[0, 1]]) == pytest.approx(0.5**0.5)
    assert map_similarity(maps) == pytest.approx(
        0.5**0.5 / 3
    )  # three pairs, two of them 0
    assert map_similarity(torch.zeros(2, 1, 2, 2)) == 0
    assert map_similarity(maps[[0, 0]].double() * 1e-300) == pytest.approx(1)
    with pytest.raises(UserError, match="two or more"):
        map_similarity(maps[:1])


def test_similarity_without_the_queries_own_positions_by_hand():
    queries = [(0, 0, 0), (0, 1, 1)]
    # Each looks at itself most; at the others (positions 1 and 2) as 3 : 4 and 4 : 3.
    maps = torch.tensor([[[[0.9, 0.03], [0.04, 0.03]]], [[[0.02, 0.04], [0.03, 0.91]]]])
    assert map_similarity(maps, queries, without_self=True) == pytest.approx(24 / 25)
    assert map_similarity(maps, queries) == map_similarity(maps) < 0.1
    # What is left may be tiny, and is compared all the same.
    sharp = torch.tensor(
        [[1.0, 3e-200, 4e-200, 0], [0, 4e-200, 3e-200, 1.0]], dtype=torch.float64
    )
    sharp = sharp.view(2, 1, 2, 2)
    assert map_similarity(sharp, queries, without_self=True) == pytest.approx(24 / 25)
    only_self = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]).view(2, 1, 2, 2)
    assert map_similarity(only_self, queries, without_self=True) == 0
    kept = maps.clone()
    map_similarity(maps, queries, without_self=True)
    assert torch.equal(maps, kept)
    with pytest.raises(UserError, match="2 maps need 2 queries, not 0"):
        map_similarity(maps, without_self=True)


def test_own_weight_by_hand():
    maps = torch.tensor([[[[0.9, 0.1], [0, 0]]], [[[-1, 0.5], [0.5, 2]]]])
    assert own_weight(maps, [(0, 0, 0), (0, 1, 1)]) == pytest.approx((0.9 + 2 / 4) / 2)
    assert own_weight(maps, [(0, 0, 1), (0, 1, 0)]) == pytest.approx(
        (0.1 + 0.5 / 4) / 2
    )
    assert own_weight(torch.zeros(1, 1, 2, 2), [(0, 0, 0)]) == 0
    with pytest.raises(
        UserError, match=r"\(0, 2, 0\) lies outside the maps of size \(1, 2, 2\)"
    ):
        own_weight(maps, [(0, 0, 0), (0, 2, 0)])


def test_small_weights_are_not_rounded_to_zero():
    """Unscaled inner products are large: float32 would leave the query's own position
    alone.
    """
    model = network("region", kernel=(1, 1, 1))
    with torch.no_grad():
        insertion(model, "res3", 2).f_theta.weight.fill_(3.0)
    maps = figures.attention_maps(model, "res3", 2, clip(), QUERIES)
    assert (maps > 0).all() and maps.min() < 1e-50


# Pictures


def pictures(frames: int = 2, height: int = 24, width: int = 28) -> np.ndarray:
    return np.random.default_rng(0).integers(
        0, 256, (frames, height, width, 3), dtype=np.uint8
    )


def test_maps_are_drawn_with_their_queries() -> None:
    maps = (
        torch.rand(
            2, 2, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        + 0.1
    )
    maps[0, 1, 4, 0] = 50.0  # the query itself
    queries = [(1, 4, 0), (0, 2, 3)]
    figure = figures.show_maps(pictures(), maps, queries, ["first", "second"])
    axes = np.array(figure.axes).reshape(2, 2)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["first", "second"]
    for q in range(2):
        others = np.delete(maps[q].numpy().ravel(), 42 + 28 if q == 0 else 17)
        for t in range(2):
            picture, heat = axes[q, t].get_images()
            assert picture.get_array().shape == (24, 28, 3)
            low, top = np.median(others), others.max()
            assert (heat.norm.vmin, heat.norm.vmax) == (low, top)
            assert np.array_equal(heat.get_array(), maps[q, t].numpy().clip(low, top))
            assert heat.get_extent() == [-0.5, 27.5, 23.5, -0.5]
            opacity = heat.get_alpha()
            assert opacity[maps[q, t].numpy() <= low].max() == 0
            assert opacity.max() <= 0.9
    dots = {(q, t): axes[q, t].get_lines() for q in range(2) for t in range(2)}
    assert {place for place, found in dots.items() if found} == {(0, 1), (1, 0)}
    assert dots[0, 1][0].get_xydata().tolist() == [
        [0.5 * 4 - 0.5, 4.5 * 4 - 0.5]
    ]  # a cell is 4 pixels
    assert dots[1, 0][0].get_xydata().tolist() == [[3.5 * 4 - 0.5, 2.5 * 4 - 0.5]]


@pytest.mark.parametrize(
    ("weights", "low", "top", "tinted"),
    [
        (torch.full((1, 1, 2, 2), 0.25), 0.025, 0.25, 4),
        (-torch.ones(1, 1, 2, 2), 0.1, 1, 0),
    ],
)
def test_equal_weights_are_tinted_alike_and_negative_ones_not(
    weights, low, top, tinted
) -> None:
    (axis,) = figures.show_maps(pictures(1), weights, [(0, 0, 0)]).axes
    heat = axis.get_images()[1]
    assert (heat.norm.vmin, heat.norm.vmax) == pytest.approx((low, top))
    assert (heat.get_alpha() > 0.8).sum() == tinted


def test_maps_that_do_not_fit_are_refused() -> None:
    maps = torch.ones(1, 2, 6, 7)
    with pytest.raises(UserError, match="maps over 2 frames do not fit a clip of 3"):
        figures.show_maps(pictures(3), maps, [(0, 0, 0)])
    with pytest.raises(UserError, match="1 rows need 1 titles, not 2"):
        figures.show_maps(pictures(2), maps, [(0, 0, 0)], ["a", "b"])


# Regions at every scale


def test_the_most_correlated_regions_are_those_of_the_maps() -> None:
    model, query = (
        network("pyramid", scales=3, form="gaussian"),
        (1, 4, 6),
    )  # which favours itself
    found = figures.correlated_regions(model, "res3", 2, clip(), query, count=4)
    assert len(found) == 3
    for scale, row_found in enumerate(found):
        weights = figures.attention_maps(model, "res3", 2, clip(), [query], scale)[0]
        side, (_, rows, columns) = 2**scale, weights.shape
        cells = []
        for weight, t, (left, top, wide, high) in row_found:
            column, row = round(left * 7 / side), round(top * 6 / side)
            assert weights[t, row, column] == weight
            assert wide * 7 == pytest.approx(
                min(side, 7 - column * side)
            )  # the last region may be smaller
            assert high * 6 == pytest.approx(min(side, 6 - row * side))
            cells.append((t * rows + row) * columns + column)
        own = (1, 4 // side, 6 // side)
        assert cells[0] == (own[0] * rows + own[1]) * columns + own[2]
        weights[own] = -1
        assert cells[1:] == weights.flatten().topk(4).indices.tolist()


def test_a_block_of_one_scale_has_one_row_and_pooled_keys_are_regions() -> None:
    (found,) = figures.correlated_regions(
        network("nonlocal"), "res3", 2, clip(), (0, 5, 6), count=3
    )
    assert len(found) == 4
    assert found[0][1:] == (0, pytest.approx((6 / 7, 5 / 6, 1 / 7, 1 / 6)))
    ((own, *_),) = figures.correlated_regions(
        network("nonlocal", pool_keys="after"), "res3", 2, clip(), (0, 5, 6)
    )
    assert own[1:] == (
        0,
        pytest.approx((4 / 7, 4 / 6, 2 / 7, 2 / 6)),
    )  # 7 columns are 3 pairs and a rest


def test_regions_are_drawn_where_they_lie() -> None:
    found = [
        [(0.2, 0, (0.0, 0.5, 0.25, 0.25)), (0.9, 1, (0.5, 0.0, 0.5, 0.25))],
        [(1.0, 1, (0, 0, 1, 1))],
    ]
    found = [[Region(*region) for region in row] for row in found]
    figure = figures.show_regions(pictures(), found, ["pixels", "regions"])
    axes = np.array(figure.axes).reshape(2, 2)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["pixels", "regions"]
    (own,), (other,) = axes[0, 0].patches, axes[0, 1].patches
    assert own.get_bbox().bounds == (
        -0.5,
        11.5,
        7,
        6,
    )  # a pixel's corner lies half a pixel before it
    assert other.get_bbox().bounds == (13.5, -0.5, 14, 6)
    assert own.get_edgecolor()[:3] == (1, 1, 1)
    assert matplotlib.colors.to_hex(other.get_edgecolor()) == SCALES[0]
    assert [(text.get_text(), text.get_position()) for text in axes[0, 1].texts] == [
        ("1", (20.5, 2.5))
    ]
    assert not axes[1, 0].patches and len(axes[1, 1].patches) == 1
    with pytest.raises(
        UserError, match="a region lies in frame 1, but there are 1 frames"
    ):
        figures.show_regions(pictures(1), found)
    with pytest.raises(UserError, match="2 rows need 2 titles, not 1"):
        figures.show_regions(pictures(), found, ["one"])


# Diagrams


def test_layers_are_noted_as_often_as_they_run() -> None:
    block = make_block("pyramid", scales=2)(16)
    ran = drawings.layers_that_ran(block, (1, 16, 2, 6, 8))
    assert ran["operations.0.q 0"] == ("1×1×1", (8, 2, 6, 8), (4, 2, 6, 8))
    assert ran["operations.0.q 1"] == ("1×1×1", (8, 2, 3, 4), (4, 2, 3, 4))
    assert ran["linear_q"] == ("matrix", (2, 8), (2, 4))
    assert ran["bn"] == ("", (16, 2, 6, 8), (16, 2, 6, 8))
    assert (
        block.bn.weight.device.type == "cpu"
        and block.training
        and not block.bn._forward_hooks
    )
    alone = drawings.layers_that_ran(
        make_block("pyramid", scales=2, shared=False)(16), (1, 16, 2, 6, 8)
    )
    assert alone["operations.1.q"] == ran["operations.0.q 1"]


def test_a_diagram_has_the_boxes_and_arrows_that_it_is_given() -> None:
    axis = matplotlib.figure.Figure().subplots()
    layers = drawings.layers_that_ran(
        make_block("region", kernel=(1, 3, 3))(8), (1, 8, 2, 3, 4)
    )
    positions = {
        "x": (0, 4),
        "v": (0, 3),
        "f_theta": (1, 2),
        "⊗ first": (0, 1),
        "bn": (0, 0),
    }
    drawings.diagram(
        axis,
        layers,
        positions,
        [("x", "v"), ("v", "f_theta")],
        {"x": "input", "v": "$W_g$"},
    )
    boxes, arrows = axis.texts[:5], axis.texts[5:]
    assert [(a.xyann, a.xy) for a in arrows] == [((0, 4), (0, 3)), ((0, 3), (1, 2))]
    assert (
        arrows[0].arrow_patch.patchB is boxes[1].get_bbox_patch()
    )  # so that the arrow ends at the box
    assert [box.get_text() for box in boxes] == [
        "input",
        "$W_g$: 1×1×1\n4×2×3×4",
        "$F_\\theta$: 1×3×3\n4×2×3×4",
        "⊗",
        "BN\n8×2×3×4",
    ]
    assert [box.get_position() for box in boxes] == list(positions.values())
    fills = [
        matplotlib.colors.to_hex(box.get_bbox_patch().get_facecolor()) for box in boxes
    ]
    assert fills == [
        "#ffffff",
        style.COLOURS["region"],
        "#b5402f",
        "#ffffff",
        "#ffffff",
    ]


# Plots


def test_dots_mean_and_interval_of_each_variant() -> None:
    values = {"baseline": [0.5, 0.6, 0.7], "RNL 1x1x1": [0.8]}
    figure = drawings.dot_plot(
        values, "accuracy", kinds={"RNL 1x1x1": "region"}, reference=0.25
    )
    (axis,) = figure.axes
    line, interval, mean, lone, lone_mean, seeds, lone_seed = axis.get_lines()
    assert line.get_xdata() == [0.25, 0.25]
    assert seeds.get_xydata().tolist() == [[0.5, 0], [0.6, 0], [0.7, 0]]
    expected = mean_interval([0.5, 0.6, 0.7])
    assert interval.get_xdata().tolist() == [expected.low, expected.high]
    assert mean.get_xydata().tolist() == [[pytest.approx(0.6), 0]]
    assert (
        lone_seed.get_xydata().tolist() == lone_mean.get_xydata().tolist() == [[0.8, 1]]
    )
    assert lone.get_xdata().tolist() == [0.8, 0.8]  # no interval
    assert mean.get_color() == interval.get_color() == style.COLOURS["baseline"]
    assert lone_mean.get_color() == style.COLOURS["region"]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [
        "baseline",
        "RNL 1x1x1",
    ]
    assert axis.get_ylim() == (1.5, -0.5)  # the first row on top
    assert axis.get_xlabel() == "accuracy"


def test_differences_with_what_was_predicted() -> None:
    intervals = {"a": Interval(0.1, 0.02, 0.18), "b": Interval(-0.1, -0.3, 0.1)}
    figure = drawings.interval_plot(intervals, "difference", predicted={"b": 0.06})
    zero, low_high, mean, other, other_mean, predicted = figure.axes[0].get_lines()
    assert zero.get_xdata() == [0, 0]
    assert low_high.get_xydata().tolist() == [[0.02, 0], [0.18, 0]]
    assert mean.get_xydata().tolist() == [[0.1, 0]]
    assert other.get_xydata().tolist() == [[-0.3, 1], [0.1, 1]]
    assert other_mean.get_xydata().tolist() == [[-0.1, 1]]
    assert predicted.get_xydata().tolist() == [[0.06, 1]]


# Style


def linear(colour: str) -> np.ndarray:
    channels = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(
        channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
    )


def contrast(a: str, b: str) -> float:
    """WCAG 2.1, contrast ratio."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ rgb.clip(0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


EYES = {  # Machado, Oliveira, Fernandes 2009, severity 1
    "normal": np.eye(3),
    "red-blind": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "green-blind": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


@pytest.mark.parametrize("eyes", EYES)
def test_any_two_mechanisms_can_be_told_apart(eyes: str) -> None:
    seen = [lab(EYES[eyes] @ linear(colour)) for colour in style.COLOURS.values()]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 15


def test_colours_stand_out_from_the_page_and_ink_is_legible() -> None:
    assert contrast("white", "black") == pytest.approx(21)
    css = (Path(__file__).parents[1] / "book" / "_static" / "book.css").read_text()
    panel = css.partition("--book-panel: ")[2][
        :7
    ]  # what the book puts behind figures in dark mode
    for colour in style.COLOURS.values():
        assert contrast(colour, "white") > 2.9
        assert contrast(colour, panel) > 2.6
    assert contrast(style.INK, "white") > 4.5
    assert contrast(style.INK, panel) > 4.5
    assert contrast(style.INK, "#121212") > 3
    assert len(set(style.MARKERS.values())) == len(style.COLOURS)


def test_the_style_is_transparent_and_its_letters_are_outlines() -> None:
    with matplotlib.rc_context():
        figures.use_style()
        rc = matplotlib.rcParams
        assert (
            rc["figure.facecolor"]
            == rc["axes.facecolor"]
            == rc["savefig.facecolor"]
            == "none"
        )
        assert rc["svg.fonttype"] == "path"
        assert (
            rc["text.color"] == rc["axes.labelcolor"] == rc["xtick.color"] == style.INK
        )


# Run cards


def test_the_card_says_where_numbers_come_from() -> None:
    result = Result(
        name="a",
        key="k",
        finished=True,
        top1=0.5,
        top5=None,
        confusion=[],
        loss=1,
        first_losses=[],
        steps=9,
        seconds=1000.4,
        parameters=12345,
        seed=3,
        threads=1,
        device="cpu",
        data="d1",
        versions={"python": "3.11.7", "torch": "2.13.0"},
        commit="0123456789abcdef+dirty",
    )
    row = {
        "seed": 4,
        "seconds": 500,
        "parameters": 12345,
        "device": "<gpu>",
        "data": "d1",
    }
    card = drawings.run_card(
        [result, row], parameters={"steps": 9, "lr": 0.1}, note="live"
    )
    assert card == card._repr_html_()
    assert card.startswith(
        '<details class="run-card"><summary>Run card: 2 runs</summary><dl>'
    )
    said = dict(item.split("</dt><dd>") for item in card.split("<dt>")[1:])
    assert {name: text.partition("</dd>")[0] for name, text in said.items()} == {
        "commit": "0123456789ab+dirty",
        "parameters": "steps = 9, lr = 0.1",
        "data": "d1",
        "seeds": "3, 4",
        "device": "cpu, &lt;gpu&gt;, threads: 1",
        "versions": "python 3.11.7, torch 2.13.0",
        "seconds": "1,500",
        "note": "live",
    }
    bare = drawings.run_card([row])
    assert "1 run<" in bare and "12,345 weights" in bare
    assert "<dt>commit</dt><dd>not recorded</dd>" in bare


# The command


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A bright square that jumps on noise that stands still."""
    frames = np.repeat(pictures(1, 48, 48) // 4, 12, axis=0)
    for t in range(12):
        frames[t, 18:30, 2 * t : 2 * t + 12] = 255
    write_video(tmp_path / "film.mp4", frames)
    return tmp_path / "film.mp4"


def test_queries_lie_where_the_clip_changes_most_and_least() -> None:
    frames = np.zeros((5, 24, 28, 3), dtype=np.uint8)
    frames[2, 12:16, 8:12] = 200
    frames[:, 4:20, 4:24] += np.array([[0], [1], [2], [1], [0]], dtype=np.uint8)[
        :, :, None, None
    ]
    frames[:, 8:12, 16:20] = 7  # still
    assert attend.changing_and_still(frames, 6, 7) == [(2, 3, 2), (2, 2, 4)]


def watch(monkeypatch: pytest.MonkeyPatch) -> dict:
    """Notes what the command draws."""
    drawn = {}

    def show_maps(*args):
        drawn.update(figure=figures.show_maps(*args), args=args)
        return drawn["figure"]

    monkeypatch.setattr(attend, "show_maps", show_maps)
    return drawn


def test_attend_draws_untrained_networks_and_says_so(
    film: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(attend, "SAMPLING", Sampling(frames=2, size=48, resize=48))
    drawn = watch(monkeypatch)
    state = torch.get_rng_state()
    assert main(["attend", str(film), "--out", str(film.parent / "maps.png")]) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert "random weights" in capsys.readouterr().out
    assert "random weights" in drawn["figure"].get_supxlabel()
    _, maps, queries, titles = drawn["args"]
    assert maps.shape == (4, 2, 6, 6)
    assert queries[:2] == queries[2:]
    assert titles == ["RNL\nchanging", "RNL\nstill", "NL\nchanging", "NL\nstill"]
    assert torch.allclose(maps.sum((1, 2, 3)), torch.ones(4, dtype=torch.float64))
    image = matplotlib.image.imread(film.parent / "maps.png")
    assert image.shape[1] > 1000 and (image[0, 0] == 1).all()  # opaque white
    assert {path.name for path in film.parent.iterdir()} == {"film.mp4", "maps.png"}


@pytest.mark.parametrize("options", [{}, {"pool_keys": "after"}])
def test_attend_takes_a_trained_run_at_its_own_size(
    film: Path, options, monkeypatch, capsys
) -> None:
    clips = {"task": "cue", "clips": 8, "seed": 1}
    experiment = make_experiment(
        {
            "name": "tiny",
            "data": {
                "kind": "synthetic",
                "train": clips,
                "test": clips | {"seed": 2, "size": 40},
            },
            "sampling": {"frames": 4, "size": 32, "resize": None},
            "model": {"backbone": "resnet_mini", "num_classes": 4},
            "blocks": [
                {"kind": "nonlocal", "options": options, "places": {"res4": [1]}}
            ],
            "optim": {"epochs": 1, "batch": 4, "lr": 0.1},
        }
    )
    folder = film.parent / "run"
    folder.mkdir()
    dump(experiment, folder / "experiment.yaml")
    save(folder / "final.pt", build_model(experiment).state_dict())
    out = film.parent / "maps.png"
    drawn = watch(monkeypatch)
    assert main(["attend", str(film), "--out", str(out), "--run", str(folder)]) == 0
    frames, maps, queries, titles = drawn["args"]
    every = read_frames(
        film, [1, 4, 7, 10]
    )  # one of each of four segments, resized as its clips, then cut
    assert np.array_equal(
        frames, resize(torch.from_numpy(every), 40, 40)[:, 4:36, 4:36]
    )
    assert maps.shape == ((2, 4, 2, 2) if options else (2, 4, 4, 4))
    assert titles == ["NonLocal\nchanging", "NonLocal\nstill"]
    assert all(max(query[1:]) < maps.shape[2] for query in queries)
    assert out.is_file() and "trained by the run tiny" in capsys.readouterr().out


def test_attend_refuses_in_one_line(film: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        attend, "resnet50", lambda **_: pytest.fail("a network was built")
    )
    broken = film.parent / "broken.mp4"
    broken.write_bytes(b"no video")
    out = str(film.parent / "maps.png")
    for clip_path, target, more, said in [
        (film, str(film.parent / "none" / "maps.png"), [], "there is no folder"),
        (film, str(film.parent / "maps.pdf"), [], "must end in .png"),
        (broken, out, [], "broken.mp4: cannot be decoded"),
        (film.parent / "absent.mp4", out, [], "no such video file"),
        (film, out, ["--run", str(film.parent)], "holds no finished run"),
    ]:
        assert main(["attend", str(clip_path), "--out", target, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert not Path(out).exists()


def test_an_untrained_network_is_normalised_by_the_clip() -> None:
    model = attend._untrained("nonlocal", frames := pictures(2, 32, 32))
    features = model.conv1(normalise(torch.from_numpy(frames))[None])
    assert torch.allclose(
        model.bn1.running_mean, features.mean((0, 2, 3, 4)), atol=1e-5
    )
    assert [
        len(stage.placed) for stage in (model.res2, model.res3, model.res4, model.res5)
    ] == [0, 2, 3, 0]
    assert not any(part.training for part in model.modules())
