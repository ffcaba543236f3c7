"""YAML as people and papers write it."""

import re
from pathlib import Path
from typing import Any

import yaml

from vidattn.errors import UserError


class _Loader(yaml.SafeLoader):
    """Read 1e-4 as a number, as people and papers write it.

    YAML 1.1 wants a dot in it, and PyYAML reads a text.
    """


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def parse_yaml(text: str, origin: str) -> Any:
    """Return the value that a YAML text says.

    Args:
        text: The text.
        origin: What to name in an error, for example a file.

    Raises:
        UserError: The text is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        fault = " ".join(str(error).split())
        raise UserError(f"{origin}: not YAML: {fault}") from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping; an empty file is an empty one.

    Raises:
        UserError: The file is missing, not YAML, or something else than a mapping of
            names.
    """
    try:
        text = Path(path).read_text()
    except OSError:
        raise UserError(f"{path}: no such file") from None
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(
        isinstance(name, str) for name in values
    ):
        raise UserError(f"{path}: must be a YAML mapping, 'name: value' on each line")
    return values
