"""Putting any block at any named place of any backbone, with one call."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from torch import nn

from vidattn.backbones.stage import Stage
from vidattn.errors import UserError

Model = TypeVar("Model", bound=nn.Module)


def stages(model: nn.Module) -> dict[str, Stage]:
    """Return the stages of a backbone by name, in order."""
    named = model.named_modules()
    return {name: module for name, module in named if isinstance(module, Stage)}


def place(
    model: Model,
    places: Mapping[str, Sequence[int]],
    make_block: Callable[[int], nn.Module],
) -> Model:
    """Put a new block after each of the named blocks of a backbone, in place.

    Args:
        model: A backbone with stages, such as `resnet50()`.
        places: For each stage the numbers of the blocks, counting from 1, after which a
            block is put, such as `{"res3": (1, 3), "res4": (1, 3, 5)}`.
        make_block: Called once a place with the stage's number of channels; returns a
            block that maps `(B, C, T, H, W)` to the same shape.

    Returns:
        The model that was handed in.

    Raises:
        UserError: A stage or block does not exist, or a place is taken; the model is
            then unchanged.
    """
    wanted = [(name, number) for name, numbers in places.items() for number in numbers]
    for name, number in wanted:
        stage = _stage(model, name, number)
        if str(number) in stage.placed or wanted.count((name, number)) > 1:
            raise UserError(
                f"{name} already has a block after block {number}: one block a place "
                "is allowed"
            )
    for name, number in wanted:
        stage = _stage(model, name, number)
        block = make_block(stage.channels)
        # On the stage's device, of the stage's dtype.
        stage.placed[str(number)] = block.to(next(stage.parameters()))
    return model


def placed_parameters(model: nn.Module) -> set[str]:
    """Return the names of the parameters and buffers that belong to placed blocks."""
    return {
        f"{name}.placed.{own}"
        for name, stage in stages(model).items()
        for own in stage.placed.state_dict()
    }


def insertion(model: nn.Module, name: str, number: int) -> nn.Module:
    """Return the block that stands after block `number` of the stage `name`.

    The stage's own blocks are counted from 1.

    Raises:
        UserError: There is no such stage or block, or nothing was placed there.
    """
    stage = _stage(model, name, number)
    if str(number) not in stage.placed:
        taken = ", ".join(stage.placed) or "none"
        raise UserError(
            f"{name} has nothing placed after block {number}: places with a block are "
            f"{taken}"
        )
    return stage.placed[str(number)]


def _stage(model: nn.Module, name: str, number: int) -> Stage:
    known = stages(model)
    if name not in known:
        allowed = ", ".join(known) or "none in this model"
        raise UserError(f"there is no stage {name!r}: allowed are {allowed}")
    count = len(known[name].blocks)
    if not 1 <= number <= count:
        raise UserError(f"{name} has no block {number}: allowed are 1 to {count}")
    return known[name]
