"""The pyramid non-local block against its index-by-index oracle."""

import itertools
from functools import partial

import oracle
import pytest
import torch

from vidattn.blocks import NonLocal, PyramidNonLocal

FORMS = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
SCALES = (1, 2, 3, 4)
COMBINE = ("attention", "concat")


def errors(block, x, **options):
    return oracle.worst_errors(block, x, partial(oracle.pyramid_oracle, **options))


@pytest.mark.parametrize(
    ("n", "form", "shared", "combine"),
    [*itertools.product(SCALES, FORMS, (True, False), COMBINE)],
)
def test_values_and_gradients_agree_with_the_oracle(n, form, shared, combine):
    # 7 channels: 2, 3 and 4 do not divide them; 5 x 3: neither do 2, 4 and 8.
    x = oracle.clip_like(2, 7, 2, 5, 3, seed=n)
    for pool in ("avg", "max"):
        block = PyramidNonLocal(
            7, scales=n, form=form, shared=shared, combine=combine, pool=pool
        )
        found = errors(
            oracle.randomise(block, n).train(), x, n=n, combine=combine, pool=pool
        )
        assert max(found.values()) < 1e-9, (pool, found)


@pytest.mark.parametrize(
    ("n", "shape", "options"),
    [
        (2, (1, 8, 2, 4, 6), {"scaled": True}),
        (2, (1, 6, 1, 5, 6), {"scaled": True, "form": "gaussian"}),
        (3, (1, 6, 2, 4, 8), {"inner": 5, "norm": False}),
        (3, (2, 5, 1, 9, 6), {"shared": False, "form": "dot_product"}),
        (4, (1, 8, 1, 8, 8), {"pool": "max"}),
        (4, (1, 5, 1, 9, 11), {}),  # the last group is all zeros
        (4, (2, 9, 2, 1, 3), {"form": "concatenation"}),
    ],
)
def test_other_options_shapes_and_the_running_statistics(n, shape, options):
    block = oracle.randomise(PyramidNonLocal(shape[1], scales=n, **options), 5).eval()
    assert all(
        (operation.scale < 1) == options.get("scaled", False)
        for operation in block.operations
    )
    x = oracle.clip_like(*shape, seed=5)
    found = errors(block, x, n=n, pool=options.get("pool", "avg"))
    assert max(found.values()) < 1e-9, found
    assert block(x).is_contiguous()


@pytest.mark.parametrize(("form", "combine"), [*itertools.product(FORMS, COMBINE)])
def test_one_scale_is_the_nonlocal_block(form, combine):
    torch.manual_seed(0)
    block = PyramidNonLocal(6, scales=1, form=form, combine=combine, scaled=True)
    torch.manual_seed(0)
    plain = NonLocal(6, form=form, scaled=True)
    weights = {
        name.removeprefix("operations.0."): value
        for name, value in block.state_dict().items()
    }
    assert weights.keys() == plain.state_dict().keys()
    assert all(
        torch.equal(weights[name], value) for name, value in plain.state_dict().items()
    )
    oracle.randomise(plain, 1)
    renamed = {
        name if name.startswith("bn.") else f"operations.0.{name}": value
        for name, value in plain.state_dict().items()
    }
    block.double().load_state_dict(renamed)
    x = oracle.clip_like(2, 6, 2, 5, 3, seed=1)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    z, want = block(ours), plain(theirs)
    assert torch.equal(z, want)
    z.square().sum().backward()
    want.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-13, atol=1e-13)
    gradients = {
        name.removeprefix("operations.0."): p.grad
        for name, p in block.named_parameters()
    }
    for name, p in plain.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "form"), [*itertools.product(SCALES, FORMS)])
def test_every_option_starts_as_the_identity_and_can_leave_it(n, form):
    x = oracle.clip_like(2, 7, 2, 5, 3, seed=2)
    for shared, combine, pool, norm in itertools.product(
        (True, False), COMBINE, ("avg", "max"), (True, False)
    ):
        options = {
            "scales": n,
            "form": form,
            "shared": shared,
            "combine": combine,
            "pool": pool,
            "norm": norm,
        }
        torch.manual_seed(0)
        block = PyramidNonLocal(7, **options).double()
        for training in (True, False):
            z = block.train(training)(x)
            assert torch.equal(z, x), (options, training)
            block.zero_grad()
            z.square().sum().backward()
            assert any(
                float(p.grad.abs().max()) > 0
                for p in block.parameters()
                if p.grad is not None
            )
        assert not torch.allclose(
            PyramidNonLocal(7, zero_init=False, **options).double()(x), x
        )


@pytest.mark.parametrize(
    ("form", "shared", "combine"), [*itertools.product(FORMS, (True, False), COMBINE)]
)
def test_attention_is_the_oracle_s_and_makes_y(form, shared, combine):
    n, (height, width) = 4, (5, 3)
    block = PyramidNonLocal(
        7, scales=n, form=form, shared=shared, combine=combine, scaled=True
    )
    oracle.randomise(block, 3).eval()
    x = oracle.clip_like(2, 7, 2, height, width, seed=3)
    _, a, weights, parts = oracle.pyramid_oracle(block, x, n=n, combine=combine)
    places = [*itertools.product(range(2), range(height), range(width))]
    scales_shown = block.scale_weights(x)
    torch.testing.assert_close(scales_shown, a, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        scales_shown.sum(-1), torch.ones(2, n, dtype=x.dtype), rtol=1e-12, atol=0
    )
    for k in range(n):
        got = block.attention(x, torch.arange(len(places)), k)
        columns, rows = -(-width // 2**k), -(-height // 2**k)
        region = [(t * rows + h // 2**k) * columns + w // 2**k for t, h, w in places]
        torch.testing.assert_close(got, weights[k][:, region], rtol=1e-9, atol=1e-12)
        operation = block.operations[0 if shared else k]
        values = operation.v(block._pyramid(x)[k]).flatten(2).transpose(1, 2)
        y = oracle.pointwise_rows(operation.out, got @ values)
        want = torch.stack(
            [parts[k][:, :, t, h // 2**k, w // 2**k] for t, h, w in places], dim=1
        )
        torch.testing.assert_close(y, want, rtol=1e-9, atol=1e-12)
    some = torch.tensor([7, 0, 29])
    torch.testing.assert_close(
        block.attention(x, some), weights[0][:, some], rtol=1e-9, atol=1e-12
    )


def test_scales_are_mixed_by_attention_only():
    x = oracle.clip_like(1, 8, 2, 4, 4, seed=4)
    attend = oracle.randomise(PyramidNonLocal(8), 4).eval()
    a = attend.scale_weights(x)
    assert a.shape == (1, 4, 4)
    assert float((a - torch.eye(4)).abs().max().detach()) > 0.1
    concat = PyramidNonLocal(8, combine="concat").double()
    assert torch.equal(concat.scale_weights(x), torch.eye(4, dtype=x.dtype)[None])
    assert not any("linear" in name for name, _ in concat.named_parameters())


def test_sharing_is_what_the_number_of_parameters_shows():
    # One scale of 4 with 128 channels each: three 128 -> 64 and one 64 -> 128, with
    # biases; linear_q and linear_k, 128 -> 64; the normalisation.
    one, linear, bn = 3 * (128 * 64 + 64) + 64 * 128 + 128, 2 * (128 * 64 + 64), 2 * 512
    for shared, sets in ((True, 1), (False, 4)):
        with torch.device("meta"):
            block = PyramidNonLocal(512, shared=shared)
        assert sum(p.numel() for p in block.parameters()) == sets * one + linear + bn


def test_there_is_no_scale_beyond_the_last():
    block = PyramidNonLocal(8, scales=2)
    with pytest.raises(ValueError, match=r"scale=2 is unknown; allowed: 0, 1$"):
        block.attention(torch.zeros(1, 8, 2, 4, 4), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="scale=-1 is unknown"):
        block.attention(torch.zeros(1, 8, 2, 4, 4), torch.tensor([0]), -1)
