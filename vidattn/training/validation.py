"""What every description shares: frozen, strict, nothing unknown, and errors that a
person can act on.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

Item = TypeVar("Item")


class Part(BaseModel):
    """A frozen description that refuses unknown fields and values of another type (a
    text for a number).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def frozen_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


# YAML and notebooks say lists; a frozen description holds tuples.
FrozenList = Annotated[tuple[Item, ...], BeforeValidator(frozen_list)]


def explain(error: ValidationError) -> str:
    """Return one line for each fault, which names the field, what is allowed and what
    was given.
    """
    root = {part.__name__: part for part in Part.__subclasses__()}.get(error.title)
    lines = []
    for fault in error.errors(include_url=False):
        name, here = _locate(root, fault["loc"])
        message = (
            fault["msg"]
            .removeprefix("Value error, ")
            .replace("Input should be", "must be")
        )
        match fault["type"]:
            case "extra_forbidden":
                allowed = ", ".join(
                    dict.fromkeys(field for part in here for field in part.model_fields)
                )
                lines.append(f"{name}: unknown; allowed are {allowed}")
            case "missing":
                lines.append(f"{name}: missing")
            case "union_tag_invalid":
                tags, given = fault["ctx"]["expected_tags"], fault["ctx"]["tag"]
                lines.append(f"{name}.kind: must be one of {tags}, not {given!r}")
            case "union_tag_not_found":
                lines.append(f"{name}.kind: missing")
            case "value_error":
                lines.append(f"{name}: {message}" if name else message)
            case _:
                lines.append(f"{name}: {message}, not {fault['input']!r}")
    return "\n".join(lines)


def _locate(
    root: type[BaseModel] | None, loc: Sequence[int | str]
) -> tuple[str, list[type[BaseModel]]]:
    """Return a field's readable name and the descriptions that its last part could
    belong to.
    """
    here: list[type[BaseModel]] = [root] if root else []
    name, inside = "", here
    for item in loc:
        kinds = [(part, part.model_fields.get("kind")) for part in inside]
        tagged = [
            part
            for part, kind in kinds
            if kind is not None and item in get_args(kind.annotation)
        ]
        if tagged:  # the tag that chose a member of a union: narrows the search, is no part of the name
            inside = here = tagged
            continue
        here = inside
        name += f"[{item}]" if isinstance(item, int) else f".{item}" if name else item
        fields = [
            part.model_fields[str(item)] for part in inside if item in part.model_fields
        ]
        if fields:
            inside = [
                part for field in fields for part in _descriptions(field.annotation)
            ]
    return name, here


def _descriptions(annotation: Any) -> list[type[BaseModel]]:
    """Return the descriptions named anywhere inside a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [
        part for argument in get_args(annotation) for part in _descriptions(argument)
    ]
