import pytest
import torch
import torch.nn.functional as F

from notebooks.kit.printed import PrintedCost, agrees, printed_efficiency, rnl
from notebooks.kit.printed.networks import FrameScores, MaskedGroupedConv3d

A, FITTED = "agrees", "agrees, fitted"

# (table, row, metric): what is recomputed, what the text's own model costs, everything
# counted; the verdict.
EXPECTED = {
    ("II(c)", "channel-wise conv", "GFLOPs"): (1.65, 22.021, FITTED),
    ("II(c)", "channel-wise conv", "params M"): (2.672384, 0.301568, FITTED),
    ("II(c)", "average pooling", "GFLOPs"): (1.65, 21.785, FITTED),
    ("II(c)", "average pooling", "params M"): (0.263936, 0.263936, A),
    ("II(c)", "max pooling", "GFLOPs"): (1.65, 21.785, FITTED),
    ("II(c)", "max pooling", "params M"): (0.263936, 0.263936, A),
    ("III K400", "baseline", "FLOPs G"): (32.8888, 32.704, A),
    ("III K400", "baseline", "params M"): (24.327632, 24.327632, A),
    ("III K400", "+5 SE", "FLOPs G"): (32.8898, 32.704, A),
    ("III K400", "+5 SE", "params M"): (24.786384, 24.786384, A),
    ("III K400", "+5 CBAM", "FLOPs G"): (32.9027, 32.706, FITTED),
    ("III K400", "+5 CBAM", "params M"): (24.795849, 24.791226, FITTED),
    ("III K400", "+5 GC", "FLOPs G"): (32.9010, 32.727, A),
    ("III K400", "+5 GC", "params M"): (24.794837, 24.795349, FITTED),
    ("III K400", "+5 NL", "FLOPs G"): (49.3811, 96.980, A),
    ("III K400", "+5 NL", "params M"): (31.686096, 31.686096, A),
    ("III K400", "+5 RNL", "FLOPs G"): (41.1490, 89.586, FITTED),
    ("III K400", "+5 RNL", "params M"): (35.483088, 28.313040, FITTED),
    ("III K400", "+5 [SE+RNL]", "FLOPs G"): (41.1612, 89.589, FITTED),
    ("III K400", "+5 [SE+RNL]", "params M"): (35.950805, 31.991248, FITTED),
    ("III SSv1", "baseline", "FLOPs G"): (32.8888, 32.700, FITTED),
    ("III SSv1", "baseline", "params M"): (24.327632, 23.864558, FITTED),
    ("III SSv1", "+5 NL", "FLOPs G"): (49.3811, 96.977, FITTED),
    ("III SSv1", "+5 NL", "params M"): (31.686096, 31.223022, FITTED),
    ("III SSv1", "+5 RNL", "FLOPs G"): (41.1490, 89.582, FITTED),
    ("III SSv1", "+5 RNL", "params M"): (35.483088, 27.849966, FITTED),
    ("III SSv1", "+5 [SE+RNL]", "FLOPs G"): (41.1612, 89.586, FITTED),
    ("III SSv1", "+5 [SE+RNL]", "params M"): (35.950805, 31.528174, FITTED),
    ("text", "RNL vs NL", "FLOPs saved G"): (8.2321, 7.395, FITTED),
    ("text", "pool vs conv F_theta", "params M saved"): (2.408448, 0.037632, FITTED),
}


@pytest.fixture(scope="module")
def costs() -> dict[tuple[str, str, str], PrintedCost]:
    return {(f.table, f.row, f.metric): f for f in rnl.efficiency()}


def test_every_cell(costs: dict[tuple[str, str, str], PrintedCost]) -> None:
    assert list(costs) == [
        (r["table"], r["row"], r["metric"]) for r in printed_efficiency("RNL")
    ]
    assert set(costs) == set(EXPECTED)
    for key, (computed, all_counted, verdict) in EXPECTED.items():
        figure = costs[key]
        tolerance = 1e-7 if "params" in figure.metric else 1e-4
        assert figure.computed == pytest.approx(computed, abs=tolerance), key
        assert figure.all_counted == pytest.approx(
            all_counted, abs=max(6 * tolerance, 1e-6)
        ), key
        assert figure.verdict == verdict, key
        assert agrees(figure.printed, figure.computed), key
        assert agrees(figure.printed, figure.text) == (verdict == A), key
        assert figure.unit in ("GMAC", "M")


def test_figures_show_what_the_text_s_own_model_costs(
    costs: dict[tuple[str, str, str], PrintedCost],
) -> None:
    assert costs["III K400", "baseline", "params M"].reading == ()
    block = costs["II(c)", "channel-wise conv", "params M"]
    assert block.text == 0.301568 and block.others == {(): 0.301568}
    rnl_5 = costs["III K400", "+5 RNL", "params M"].others
    assert rnl_5["channel_wise",] == 28.128720
    baseline = costs["III SSv1", "baseline", "params M"]
    assert (baseline.reading, baseline.text) == (("classes_400_174",), 23.864558)
    se_rnl = costs["III K400", "+5 [SE+RNL]", "FLOPs G"].others
    assert se_rnl["reduction_16",] == pytest.approx(41.1499, abs=1e-4)
    something = costs["III SSv1", "+5 RNL", "params M"].others
    assert something["classes_174",] == pytest.approx(35.483088 - 226 * 2049 / 1e6)


def test_biases_and_norms_are_counted_and_f_theta_is_not() -> None:
    fits = {tuple(f.choices.values()): f.agreeing for f in rnl.conventions()}
    assert list(rnl.conventions()[0].choices) == [
        "biases",
        "batch normalisation",
        "F_theta",
        "products",
    ]
    assert fits.pop((True, True, False, False)) == 7
    assert max(fits.values()) == 5


def test_the_masked_grouped_convolution_is_channel_wise() -> None:
    torch.manual_seed(0)
    conv = MaskedGroupedConv3d(64, (1, 3, 5)).double()
    x = torch.randn(2, 64, 3, 4, 6, dtype=torch.float64)
    kernels = torch.stack([conv.weight[c, c % 32] for c in range(64)]).unsqueeze(1)
    expected = F.conv3d(x, kernels, padding=(0, 1, 2), groups=64)
    torch.testing.assert_close(conv(x), expected, rtol=1e-9, atol=1e-12)
    assert sum(p.numel() for p in conv.parameters()) == 64 * kernels.numel()


def test_scoring_frames_is_scoring_the_mean_frame() -> None:
    torch.manual_seed(0)
    model = FrameScores(6).double().eval()
    x = torch.randn(1, 3, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = model.fc(model.features(x).mean(dim=(2, 3, 4)))
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-12)
