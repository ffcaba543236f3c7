import pytest
import torch

from vidattn.backbones.shift import temporal_shift


def shift_by_index(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    _, channels, frames, _, _ = x.shape
    for c in range(channels):
        for t in range(frames):
            if c < channels // 8:
                source = t + 1
            elif c < 2 * (channels // 8):
                source = t - 1
            else:
                source = t
            if 0 <= source < frames:
                y[:, c, t] = x[:, c, source]
    return y


@pytest.mark.parametrize(
    "shape", [(2, 16, 4, 3, 5), (1, 12, 3, 2, 1), (2, 24, 1, 2, 2), (1, 7, 2, 1, 1)]
)
def test_shift_is_the_index_loop_and_leaves_its_input(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    before = x.detach().clone()
    y = temporal_shift(x)
    assert torch.equal(y, shift_by_index(x))
    assert torch.equal(x.detach(), before)
    weights = torch.randn_like(y)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    (expected,) = torch.autograd.grad((shift_by_index(x) * weights).sum(), x)
    assert torch.equal(gradient, expected)
