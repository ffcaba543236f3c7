"""Checks of the blocks' options: one line that says what is wrong and what is
allowed.
"""

from collections.abc import Iterable
from typing import Any


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raises ValueError unless `value` is one of `allowed`; the type counts, too: 2.0
    is not 2.
    """
    allowed = tuple(allowed)
    if (type(value), value) not in [(type(choice), choice) for choice in allowed]:
        raise ValueError(
            f"{name}={value!r} is unknown; allowed: {', '.join(map(repr, allowed))}"
        )


def check_kernel(name: str, kernel: Any) -> tuple[int, int, int]:
    """Returns the kernel (T, H, W) as a tuple; raises ValueError unless it is three odd
    whole numbers.
    """
    sizes = tuple(kernel) if isinstance(kernel, (tuple, list)) else (kernel,)
    if len(sizes) != 3 or not all(
        type(size) is int and size > 0 and size % 2 == 1 for size in sizes
    ):
        raise ValueError(
            f"{name}={kernel!r} is not possible; allowed: three odd positive whole numbers (T, H, W), "
            "odd so that a region has a centre"
        )
    return sizes


def check_groups(groups: int, *widths: int) -> None:
    """Raises ValueError unless `groups` is a whole number of at least 1 that divides
    all widths.
    """
    if type(groups) is not int or groups < 1 or any(width % groups for width in widths):
        both = " and ".join(map(str, widths))
        raise ValueError(
            f"groups={groups!r} is not possible; allowed: a whole number that divides {both}"
        )


def inner_width(channels: int, inner: int | None) -> int:
    """Returns the inner width, C // 2 unless given; raises ValueError when it would be
    below 1.
    """
    width = channels // 2 if inner is None else inner
    if type(width) is not int or width < 1:
        raise ValueError(
            f"inner={inner!r} with channels={channels} is not possible; allowed: a whole number of at "
            "least 1, or None for channels // 2"
        )
    return width


def reduced_width(channels: int, reduction: int) -> int:
    """Returns C // reduction; raises ValueError unless 1 <= reduction <= C."""
    if type(reduction) is not int or not 1 <= reduction <= channels:
        raise ValueError(
            f"reduction={reduction!r} is not possible; allowed: a whole number from 1 to the number of "
            f"channels, here {channels}"
        )
    return channels // reduction
