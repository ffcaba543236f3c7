"""What the blocks share: checks of options, widths, the identity start."""

from collections.abc import Iterable
from math import isfinite
from typing import Any, Literal

from torch import Tensor, nn

from vidattn.errors import UserError

PoolKeys = Literal["before", "after"]
POOL_KEYS = (None, "before", "after")


def start_as_identity(last: nn.Module) -> None:
    """Set the parameters of a block's last layer to zero: what is added to x is zero.

    Args:
        last: The layer whose result is added, mostly a normalisation.
    """
    for parameter in last.parameters():
        nn.init.zeros_(parameter)


def batch_norm(channels: int, start: float) -> nn.BatchNorm3d:
    """Return a batch normalisation whose weight starts as said, its bias at zero.

    Raises:
        UserError: The start is not a finite number.
    """
    holds = type(start) in (int, float) and isfinite(start)
    check(holds, "start", start, "a finite number")
    bn = nn.BatchNorm3d(channels)
    nn.init.constant_(bn.weight, start)  # torch starts the bias at zero
    return bn


def check(holds: bool, name: str, value: object, allowed: object) -> None:
    """Raise a UserError that says what is allowed, unless the condition holds."""
    if not holds:
        raise UserError(f"{name}={value!r} is not possible; allowed: {allowed}")


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise a UserError unless a value is one of those allowed; 2.0 is not 2."""
    allowed = tuple(allowed)
    if (type(value), value) not in [(type(choice), choice) for choice in allowed]:
        choices = ", ".join(map(repr, allowed))
        raise UserError(f"{name}={value!r} is unknown; allowed: {choices}")


def check_whole(name: str, value: Any, most: int | None = None) -> None:
    """Raise a UserError unless a value is a whole number of at least 1.

    Args:
        name: The option's name.
        value: Its value.
        most: The largest number allowed; None: there is none.
    """
    holds = type(value) is int and value >= 1 and (most is None or value <= most)
    range_ = "of at least 1" if most is None else f"from 1 to {most}"
    check(holds, name, value, f"a whole number {range_}")


def check_kernel(name: str, kernel: Any) -> tuple[int, int, int]:
    """Return a kernel (T, H, W) as a tuple.

    Raises:
        UserError: It is not three odd whole numbers.
    """
    sizes = tuple(kernel) if isinstance(kernel, (tuple, list)) else (kernel,)
    odd = all(type(size) is int and size > 0 and size % 2 for size in sizes)
    allowed = "three odd positive whole numbers (T, H, W), odd so that a region has"
    check(len(sizes) == 3 and odd, name, kernel, f"{allowed} a centre")
    return sizes


def check_groups(groups: int, *widths: int) -> None:
    """Raise a UserError unless a number of groups divides all widths."""
    divides = (
        type(groups) is int and groups >= 1 and not any(w % groups for w in widths)
    )
    both = " and ".join(map(str, widths))
    check(divides, "groups", groups, f"a whole number that divides {both}")


def inner_width(channels: int, inner: int | None) -> int:
    """Return the inner width, C // 2 unless given.

    Raises:
        UserError: It is not a whole number of at least 1.
    """
    width = channels // 2 if inner is None else inner
    if type(width) is not int or width < 1:
        raise UserError(
            f"inner={inner!r} with channels={channels} is not possible; allowed: "
            "a whole number of at least 1, or None for channels // 2"
        )
    return width


def reduced_width(channels: int, reduction: int) -> int:
    """Return C // reduction.

    Raises:
        UserError: The reduction is not a whole number from 1 to C.
    """
    holds = type(reduction) is int and 1 <= reduction <= channels
    allowed = f"a whole number from 1 to the number of channels, here {channels}"
    check(holds, "reduction", reduction, allowed)
    return channels // reduction


def grouped_width(channels: int, inner: int | None, groups: int) -> int:
    """Return the inner width, C // 4 unless given, cut to a multiple of the groups.

    So every group has the floor(C' / G) channels of the GTA paper's Eq. 7. No channel
    of the input is left out by that, since the projections lead from and to all C.

    Raises:
        UserError: A number is not whole or below 1, or there are more groups than inner
            channels.
    """
    width = max(1, channels // 4) if inner is None else inner
    check_whole("inner", width)
    check_whole("groups", groups, width)
    return width - width % groups


def check_frames(frames: int, x: Tensor) -> None:
    """Raise a UserError unless a clip has the T that a block was made for."""
    allowed = f"T of the block's own input, here {x.shape[2]}"
    check(x.shape[2] == frames, "frames", frames, allowed)
