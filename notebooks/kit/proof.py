"""Proofs by numbers: a clear block equals the library's, weights being random and the
arithmetic in float64.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]
Clear = Callable[[Tensor, Weights], Tensor]


def draw(*shape: int) -> Tensor:
    """Return random numbers in float64, normally distributed."""
    return torch.randn(*shape, dtype=torch.float64)


def error(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, relative to the largest wanted number."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def randomise(block: nn.Module, std: float = 0.4) -> nn.Module:
    """Draw every weight of a block anew, in float64: at the start as the identity all
    blocks would agree.
    """
    for weight in block.parameters():
        nn.init.normal_(weight, std=std)
    return block.double()


class Errors(NamedTuple):
    """Largest relative errors of a block against another."""

    output: float
    input_gradient: float
    weight_gradients: float


def errors(
    clear: Clear,
    block: nn.Module,
    shape: tuple[int, ...],
    std: float = 0.4,
    weights: Callable[[Weights], Weights] = lambda p: p,
) -> Errors:
    """Return how far a clear block is from the library's.

    Both compute in training mode, so that the statistics of a batch normalisation are
    differentiated through. The weights and the input are random.

    Args:
        clear: A function of x and of the block's parameters by name.
        block: The library's block; its weights are drawn anew.
        shape: Shape of x, (B, C, T, H, W).
        std: Spread of the weights.
        weights: What is handed to `clear`, made from the block's parameters by name:
            for a clear block that calls them otherwise.
    """
    p = weights(dict(randomise(block, std).train().named_parameters()))
    x, direction = draw(*shape).requires_grad_(), draw(*shape)
    sides = []
    for out in (clear(x, p), block(x)):
        first, *others = torch.autograd.grad(out, (x, *p.values()), direction)
        sides.append((out, first, torch.cat([other.flatten() for other in others])))
    return Errors(*(error(found, wanted) for found, wanted in zip(*sides, strict=True)))


def same(
    clear: Clear, block: nn.Module, shape: tuple[int, ...], **options: Any
) -> float:
    """Return the largest of the `errors` of a clear block, of values and gradients."""
    return max(errors(clear, block, shape, **options))


def prove(
    cases: Iterable[tuple[Mapping[str, Any], Clear, Callable[[], nn.Module]]],
    shapes: Iterable[tuple[int, ...]],
    tolerance: float = 1e-9,
    **options: Any,
) -> pd.DataFrame:
    """Prove clear blocks equal to the library's, case by case.

    Args:
        cases: For each case its settings, the clear block, and a function that makes
            the library's.
        shapes: Shapes of x; each case is tried on all of them.
        tolerance: The largest relative error that is not a difference.
        **options: As for `same`.

    Returns:
        A row a case: its settings, and the largest error under `error`.

    Raises:
        AssertionError: A case differs, or there is no case.
    """
    cases, shapes = list(cases), list(shapes)
    assert cases and shapes, "nothing was compared"
    rows = [
        {
            **settings,
            "error": max(same(clear, make(), shape, **options) for shape in shapes),
        }
        for settings, clear, make in cases
    ]
    table = pd.DataFrame(rows)
    worst = table.loc[table["error"].idxmax()]
    assert worst["error"] < tolerance, f"the two differ: {dict(worst)}"
    return table
