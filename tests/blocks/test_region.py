"""The region-based non-local block against its index-by-index oracle, and the facts
that follow from its equations.
"""

import itertools
from functools import partial

import oracle
import pytest
import torch

from vidattn.blocks import NonLocal, RegionNonLocal, pairwise

FORMS = ("gaussian", "dot_product", "cosine")
REGIONS = ("conv", "avg", "max")


def judged(shape, seed, *, training=False, **options):
    block = oracle.randomise(RegionNonLocal(shape[1], **options), seed).train(training)
    judge = partial(
        oracle.region_oracle, region=options["region"], kernel=options["kernel"]
    )
    return oracle.worst_errors(block, oracle.clip_like(*shape, seed=seed), judge)


@pytest.mark.parametrize(
    ("form", "region", "kernel", "norm"),
    [
        *itertools.product(
            FORMS, REGIONS, ((1, 1, 1), (3, 1, 5), (3, 5, 3)), (False, True)
        )
    ],
)
def test_values_and_gradients_agree_with_the_oracle(form, region, kernel, norm):
    for seed, shape in ((0, (2, 4, 2, 3, 4)), (1, (1, 5, 3, 3, 2))):
        errors = judged(
            shape,
            seed,
            training=seed == 0,
            form=form,
            region=region,
            kernel=kernel,
            norm=norm,
        )
        assert max(errors.values()) < 1e-9, (seed, errors)


@pytest.mark.parametrize(("form", "region"), [*itertools.product(FORMS, REGIONS)])
def test_the_paper_s_kernel_on_a_map_that_is_smaller(form, region):
    errors = judged((1, 4, 3, 5, 4), 2, form=form, region=region, kernel=(3, 7, 7))
    assert max(errors.values()) < 1e-9
    assert RegionNonLocal(4, region=region).double()(
        oracle.clip_like(2, 4, 2, 3, 4, seed=0)
    ).shape == (
        2,
        4,
        2,
        3,
        4,
    )


@pytest.mark.parametrize(("form", "region"), [*itertools.product(FORMS, REGIONS)])
def test_attention_is_the_oracle_s_rows(form, region):
    block = oracle.randomise(
        RegionNonLocal(4, form=form, region=region, kernel=(3, 3, 1)), 3
    ).eval()
    x = oracle.clip_like(2, 4, 3, 5, 4, seed=3)
    queries = torch.tensor([0, 17, 59])
    want = oracle.region_oracle(block, x, region, (3, 3, 1))[1][:, queries]
    torch.testing.assert_close(block.attention(x, queries), want, rtol=1e-9, atol=1e-12)


def test_cosine_in_parts_is_the_whole(monkeypatch):
    monkeypatch.setattr(
        pairwise, "MOST_WEIGHTS", 60 * 7
    )  # 7 queries at a time: 60 is no multiple
    options = {"form": "cosine", "region": "conv", "kernel": (3, 3, 1)}
    assert max(judged((1, 4, 3, 5, 4), 4, **options).values()) < 1e-9
    block = oracle.randomise(RegionNonLocal(4, **options), 4).eval()
    x = oracle.clip_like(1, 4, 3, 5, 4, seed=4)
    with torch.no_grad():
        torch.testing.assert_close(
            block(x), oracle.region_oracle(block, x, "conv", (3, 3, 1))[0]
        )


def test_kernel_1x1x1_of_ones_is_nonlocal_with_one_embedding():
    region = oracle.randomise(RegionNonLocal(6, kernel=(1, 1, 1)), 5).eval()
    torch.nn.init.ones_(region.f_theta.weight)
    plain = NonLocal(6).double().eval()
    for name in ("q", "k", "v"):
        getattr(plain, name).load_state_dict(region.v.state_dict())
    plain.out.load_state_dict(region.out.state_dict())
    plain.bn.load_state_dict(region.bn.state_dict())
    x = oracle.clip_like(2, 6, 3, 5, 4, seed=5)
    torch.testing.assert_close(region(x), plain(x), rtol=1e-10, atol=1e-10)


def test_average_pooling_is_the_convolution_with_equal_weights():
    conv, average = (
        RegionNonLocal(6, region=region, kernel=(3, 5, 3)).double()
        for region in ("conv", "avg")
    )
    oracle.randomise(conv, 6).eval()
    torch.nn.init.constant_(conv.f_theta.weight, 1 / 45)
    average.load_state_dict(
        {k: v for k, v in conv.state_dict().items() if "f_theta" not in k}
    )
    x = oracle.clip_like(2, 6, 3, 5, 4, seed=6)
    torch.testing.assert_close(conv(x), average.eval()(x), rtol=1e-10, atol=1e-10)


def permuted_difference(block, x):
    order = torch.randperm(x[0, 0].numel(), generator=torch.Generator().manual_seed(7))
    permuted = x.flatten(2)[..., order].reshape(x.shape)
    return float(
        (block(permuted).flatten(2) - block(x).flatten(2)[..., order])
        .detach()
        .abs()
        .max()
    )


@pytest.mark.parametrize(("form", "region"), [*itertools.product(FORMS, REGIONS)])
def test_permutations_pass_through_only_without_regions(form, region):
    x = oracle.clip_like(2, 6, 3, 5, 4, seed=7)
    point, cube = (
        oracle.randomise(
            RegionNonLocal(6, form=form, region=region, kernel=(k, k, k)), 7
        ).eval()
        for k in (1, 3)
    )
    assert permuted_difference(point, x) < 1e-10
    assert permuted_difference(cube, x) > 1e-3


@pytest.mark.parametrize(
    ("form", "region", "axis"), [*itertools.product(FORMS, REGIONS, (2, 3, 4))]
)
def test_mirroring_passes_through_pooling_and_mirrors_the_convolution_s_kernel(
    form, region, axis
):
    block = oracle.randomise(
        RegionNonLocal(6, form=form, region=region, kernel=(3, 5, 3)), 8
    ).eval()
    x = oracle.clip_like(2, 6, 3, 5, 4, seed=8)
    z = block(x).flip(axis)
    if region == "conv":
        assert float((block(x.flip(axis)) - z).detach().abs().max()) > 1e-3
        with torch.no_grad():
            block.f_theta.weight.copy_(block.f_theta.weight.flip(axis))
    torch.testing.assert_close(block(x.flip(axis)), z, rtol=1e-10, atol=1e-10)
