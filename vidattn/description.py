"""What all descriptions share: they are frozen, strict, and know their fields."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Item = TypeVar("Item")


class Part(BaseModel):
    """A frozen description that refuses unknown fields and values of another type.

    A text is no number, even if it reads like one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def frozen_list(value: object) -> object:
    """Return a list as a tuple, and all else as it is."""
    return tuple(value) if isinstance(value, list) else value


# YAML and notebooks say lists; a frozen description holds tuples.
FrozenList = Annotated[tuple[Item, ...], BeforeValidator(frozen_list)]
Positive = Annotated[int, Field(ge=1)]
Pair = Annotated[tuple[Positive, Positive], BeforeValidator(frozen_list)]
