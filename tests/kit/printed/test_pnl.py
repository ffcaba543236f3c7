import pytest
import torch

from notebooks.kit.printed import PrintedCost, agrees, pnl, printed_efficiency
from notebooks.kit.printed.networks import BLOCKS, narrow_pyramid
from notebooks.kit.printed.recount import Backbone
from notebooks.kit.printed.thop import count

A, FITTED, NOT = "agrees", "agrees, fitted", "not explained"
NARROW = ("unshared", "narrow_linear")

# (table, row, metric): what is recomputed, what the text's own model costs, everything
# counted; the verdict.
EXPECTED = {
    ("3", "MFNet baseline", "params M"): (7.842568, 7.842568, 7.842568, A),
    ("3", "MFNet baseline", "FLOPs G"): (11.17636, 11.17636, 11.04530, A),
    ("3", "concatenation", "params M"): (7.918024, 7.862008, 7.862008, NOT),
    ("3", "concatenation", "FLOPs G"): (11.21714, 11.21714, 11.33682, NOT),
    ("3", "self-attention", "params M"): (7.920352, 7.871320, 7.871320, FITTED),
    ("3", "self-attention", "FLOPs G"): (11.21762, 11.21718, 11.33927, FITTED),
    ("5", "Res50-NL", "params M"): (27.658792, 26.019592, 26.019592, FITTED),
    ("5", "Res50-NL", "FLOPs G"): (19.52477, 22.22818, 22.71047, NOT),
    ("5", "Res50-CGD", "params M"): (25.579688, 23.940488, 23.940488, FITTED),
    ("5", "Res50-CGD", "FLOPs G"): (17.87699, 20.58040, 20.43691, FITTED),
    ("5", "Res50-CGNL", "params M"): (27.197480, 25.558280, 25.558280, FITTED),
    ("5", "Res50-CGNL", "FLOPs G"): (19.16149, 21.86490, 21.72180, FITTED),
    ("5", "MFNet", "params M"): (7.842568, 7.842568, 7.842568, A),
    ("5", "MFNet", "FLOPs G"): (11.17, 11.17636, 11.04530, FITTED),
    ("5", "MFNet-NL", "params M"): (8.139208, 8.139208, 8.139208, NOT),
    ("5", "MFNet-NL", "FLOPs G"): (11.64149, 11.64149, 12.45183, NOT),
    ("5", "MFNet-PNL(x1)", "params M"): (7.920352, 7.871320, 7.871320, FITTED),
    ("5", "MFNet-PNL(x1)", "FLOPs G"): (11.21718, 11.21718, 11.33927, A),
    ("5", "MFNet-PNL(x5)", "params M"): (8.115688, 7.943752, 7.943752, FITTED),
    ("5", "MFNet-PNL(x5)", "FLOPs G"): (11.38272, 11.38272, 16.04271, A),
    ("6", "R-50", "params M"): (23.917832, 23.714981, 23.714981, FITTED),
    ("6", "R-50", "FLOPs G"): (10.29040, 20.58019, 20.43669, FITTED),
    ("6", "R-50+NL", "params M"): (26.019592, 25.816741, 25.816741, NOT),
    ("6", "R-50+NL", "FLOPs G"): (22.22797, 22.22797, 22.71027, NOT),
    ("6", "R-50+CGNL", "params M"): (25.558280, 25.355429, 25.355429, NOT),
    ("6", "R-50+CGNL", "FLOPs G"): (21.86470, 21.86470, 21.72160, NOT),
    ("6", "R-50+PNL(x1)", "params M"): (24.463176, 23.914533, 23.914533, FITTED),
    ("6", "R-50+PNL(x1)", "FLOPs G"): (10.36108, 20.72167, 20.74740, NOT),
    ("text", "self-attn vs concat", "params M"): (0.093120, 0.009312, 0.009312, FITTED),
    ("text", "self-attn vs concat", "param increase % (<)"): (
        0.118443,
        0.118443,
        0.118443,
        A,
    ),
    ("text", "NL - PNL (MFNet)", "params M"): (0.218856, 0.267888, 0.267888, FITTED),
    ("text", "NL - PNL (MFNet)", "FLOPs G"): (0.42431, 0.42431, 1.11256, A),
    ("text", "NL - PNL (R-50)", "params M"): (1.902208, 1.902208, 1.902208, NOT),
    ("text", "NL - PNL (R-50)", "FLOPs G"): (1.50649, 1.50630, 1.96286, NOT),
}


@pytest.fixture(scope="module")
def costs() -> dict[tuple[str, str, str], PrintedCost]:
    return {(f.table, f.row, f.metric): f for f in pnl.efficiency()}


def test_every_cell(costs: dict[tuple[str, str, str], PrintedCost]) -> None:
    assert list(costs) == [
        (r["table"], r["row"], r["metric"]) for r in printed_efficiency("PNL")
    ]
    assert list(costs) == list(EXPECTED)
    for key, (computed, text, all_counted, verdict) in EXPECTED.items():
        figure = costs[key]
        tolerance = 1e-6 if "param" in figure.metric else 1e-5
        values = (figure.computed, figure.text, figure.all_counted)
        assert values == pytest.approx((computed, text, all_counted), abs=tolerance), (
            key
        )
        assert figure.verdict == verdict, key
        assert agrees(figure.printed, figure.computed) == (verdict != NOT), key
        assert agrees(figure.printed, figure.text) == (verdict == A), key


def test_readings_are_named_after_what_they_change(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    assert costs["5", "MFNet-PNL(x5)", "params M"].reading == NARROW
    tried = costs["5", "MFNet-PNL(x5)", "params M"].others
    assert tried["unshared",] == pytest.approx(8.140168)
    assert costs["6", "R-50", "params M"].reading == ("classes_200_101",)
    flops = costs["6", "R-50", "FLOPs G"]
    assert flops.reading == ("classes_200_101", "frames_16")
    block = costs["6", "R-50+PNL(x1)", "params M"]
    assert block.reading == ("classes_200_101", *NARROW)
    assert costs["text", "NL - PNL (MFNet)", "params M"].reading == NARROW
    assert costs["3", "self-attention", "FLOPs G"].convention == pnl.CONVENTION


def test_a_row_that_no_reading_explains_shows_what_was_tried(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    c, positions = 384, 1568
    params, flops = (
        costs["5", "MFNet-NL", metric] for metric in ("params M", "FLOPs G")
    )
    assert [len(params.others), len(flops.others)] == [3, 3]
    tried = params.others["nl_wide",]
    assert tried - params.computed == pytest.approx((4 * c + 3) * (c // 2) / 1e6)
    tried = flops.others["nl_before",]
    assert flops.computed - tried == pytest.approx(
        2 * (c + 1) * (c // 2) * 3 / 4 * positions / 1e9
    )


def test_norms_are_counted_and_linear_layers_once_and_biases_cannot_be_told() -> None:
    fits = {tuple(f.choices.values()): f.agreeing for f in pnl.conventions()}
    assert {f.rows for f in pnl.conventions()} == {7}
    names = ["biases", "batch normalisation", "linear layers twice", "products"]
    assert list(pnl.conventions()[0].choices) == names
    assert (
        fits.pop((True, True, False, False))
        == fits.pop((False, True, False, False))
        == 3
    )
    assert max(fits.values()) == 2


def test_the_fitted_block_runs_and_is_a_pyramid_with_narrower_linear_layers() -> None:
    torch.manual_seed(0)
    block = narrow_pyramid(32)
    assert (block.linear_q.weight.shape, block.linear_k.weight.shape) == (
        (1, 8),
        (1, 8),
    )
    assert len(block.operations) == 4
    x = torch.randn(1, 32, 2, 8, 8)
    assert torch.equal(block.eval()(x), x) and block.scale_weights(x).shape == (1, 4, 4)


def test_cgd_stands_behind_the_first_convolution_of_every_bottleneck() -> None:
    with torch.device("meta"):
        model = Backbone("described").build(200)
    first = [type(part).__name__ for part in model.res3.blocks[1].conv1]
    assert first == ["Conv3d", "CompactGlobalDescriptor"]
    assert (
        sum(type(m).__name__ == "CompactGlobalDescriptor" for m in model.modules())
        == 16
    )


def test_quoted_networks_have_all_their_shortening_of_time_in_the_first_pooling(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    with torch.device("meta"):
        model = Backbone("quartered").build(1000)
        x = torch.empty(1, 3, 32, 224, 224)
        assert model.pool1(model.conv1(x)).shape == (1, 64, 4, 56, 56) and model(
            x
        ).shape == (1, 1000)
    for row in ("Res50-NL", "Res50-CGD", "Res50-CGNL"):
        figure = costs["5", row, "FLOPs G"]
        assert figure.reading == ("classes_1000", "quartered", "twice")
        assert figure.convention == "modules"
        once = figure.others["classes_1000", "quartered"]
        assert figure.computed - once == pytest.approx(2048 * 1000 / 1e9)


def test_averaging_by_a_module_changes_the_count_and_nothing_else() -> None:
    torch.manual_seed(0)
    narrow, averaged = (
        BLOCKS[kind](32) for kind in ("narrow_pyramid", "averaged_pyramid")
    )
    averaged.load_state_dict(narrow.state_dict())
    x = torch.randn(1, 32, 2, 8, 7)
    for block in (narrow, averaged):
        torch.nn.init.ones_(block.eval().bn.weight)
    assert torch.equal(averaged(x), narrow(x)) and not torch.equal(narrow(x), x)
    more = (
        count(averaged, x.shape, "modules").macs
        - count(narrow, x.shape, "modules").macs
    )
    # a window and one more for every average; windows of 2 x 1, 4 x 3 (7 // 2) and 8 x
    # 7 cells
    assert more == 8 * 2 * (
        4 * 4 * (2 * 1 + 1) + 2 * 2 * (4 * 3 + 1) + 1 * 1 * (8 * 7 + 1)
    )
