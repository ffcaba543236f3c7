"""The non-local block against its index-by-index oracle."""

import itertools

import oracle
import pytest
import torch

from vidattn.blocks import NonLocal, pairwise

FORMS = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


@pytest.mark.parametrize(
    ("form", "pool_keys", "scaled", "norm"),
    [
        *itertools.product(
            FORMS, (None, "before", "after"), (False, True), (False, True)
        )
    ],
)
def test_values_and_gradients_agree_with_the_oracle(form, pool_keys, scaled, norm):
    for seed, shape in ((0, (2, 4, 2, 3, 4)), (1, (1, 5, 3, 3, 2))):
        block = oracle.randomise(
            NonLocal(
                shape[1], form=form, pool_keys=pool_keys, scaled=scaled, norm=norm
            ),
            seed,
        )
        block.train(seed == 0)  # both kinds of statistics
        errors = oracle.worst_errors(
            block, oracle.clip_like(*shape, seed=seed), oracle.nonlocal_oracle
        )
        assert max(errors.values()) < 1e-9, (seed, errors)


@pytest.mark.parametrize("form", FORMS)
def test_larger_uneven_clip_and_wide_values(form):
    block = oracle.randomise(NonLocal(3, inner=6, form=form), 2).eval()
    errors = oracle.worst_errors(
        block, oracle.clip_like(1, 3, 3, 5, 4, seed=2), oracle.nonlocal_oracle
    )
    assert max(errors.values()) < 1e-9


@pytest.mark.parametrize(
    ("form", "pool_keys"), [*itertools.product(FORMS, (None, "before", "after"))]
)
def test_attention_is_the_oracle_s_rows(form, pool_keys):
    block = oracle.randomise(
        NonLocal(4, form=form, pool_keys=pool_keys, scaled=True), 3
    ).eval()
    x = oracle.clip_like(2, 4, 3, 5, 4, seed=3)
    queries = torch.tensor([0, 17, 59])
    want = oracle.nonlocal_oracle(block, x)[1][:, queries]
    torch.testing.assert_close(block.attention(x, queries), want, rtol=1e-9, atol=1e-12)


def test_concatenation_in_parts_is_the_whole(monkeypatch):
    block = oracle.randomise(NonLocal(4, form="concatenation"), 4).eval()
    x = oracle.clip_like(2, 4, 3, 5, 4, seed=4)
    monkeypatch.setattr(
        pairwise, "MOST_WEIGHTS", 2 * 60 * 7
    )  # 7 queries at a time: 60 is no multiple
    assert max(oracle.worst_errors(block, x, oracle.nonlocal_oracle).values()) < 1e-9
    with torch.no_grad():
        torch.testing.assert_close(
            block(x), oracle.nonlocal_oracle(block, x)[0], rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("form", FORMS)
def test_permuting_positions_permutes_the_output(form):
    block = oracle.randomise(NonLocal(6, form=form), 5).eval()
    x = oracle.clip_like(2, 6, 3, 5, 4, seed=5)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(5))
    permuted = x.flatten(2)[..., order].reshape(x.shape)
    torch.testing.assert_close(
        block(permuted).flatten(2), block(x).flatten(2)[..., order]
    )


def test_pooling_refuses_maps_without_a_pair_of_rows():
    with pytest.raises(ValueError, match=r"H and W of at least 2, not \(1, 4\)"):
        NonLocal(4, pool_keys="after")(torch.zeros(1, 4, 3, 1, 4))
