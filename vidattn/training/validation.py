"""Errors of descriptions, in lines that a person can act on."""

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from vidattn.description import FrozenList, Part

__all__ = ["FrozenList", "Part", "explain"]


def explain(error: ValidationError) -> str:
    """Return a line for each fault: the field, what is allowed, what was given."""
    root = {part.__name__: part for part in Part.__subclasses__()}.get(error.title)
    lines = []
    for fault in error.errors(include_url=False):
        name, here = _locate(root, fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        message = message.replace("Input should be", "must be")
        match fault["type"]:
            case "extra_forbidden":
                known = dict.fromkeys(f for part in here for f in part.model_fields)
                lines.append(f"{name}: unknown; allowed are {', '.join(known)}")
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
    """Return a field's readable name, and the descriptions that could hold it."""
    name, here, inside = "", [root] if root else [], [root] if root else []
    for item in loc:
        # The tag that chose a member of a union narrows the search, and is no part of
        # the name.
        tagged = [part for part in inside if item in _kinds(part)]
        if tagged:
            inside = tagged
            continue
        here = inside
        name += f"[{item}]" if isinstance(item, int) else f".{item}" if name else item
        fields = [part.model_fields.get(str(item)) for part in inside]
        types = [field.annotation for field in fields if field]
        if types:
            inside = [part for each in types for part in _descriptions(each)]
    return name, here


def _kinds(part: type[BaseModel]) -> tuple[Any, ...]:
    """Return the tags that choose a description in a union of several."""
    kind = part.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def _descriptions(annotation: Any) -> list[type[BaseModel]]:
    """Return the descriptions named anywhere inside a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inner in get_args(annotation) for part in _descriptions(inner)]
