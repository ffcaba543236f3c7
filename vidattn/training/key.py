"""What a run is found again by: hashes of description, code and data."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from vidattn.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
PARTS = ("blocks", "backbones", "video", "training", "description")


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_key(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        UserError: The file does not exist.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise UserError(f"{path}: no such file") from None


def source_key(source: str) -> str:
    """Return a hash of Python source that only its code changes.

    Comments, layout and docstrings do not count. Python's own versions (3.11, 3.12)
    print the same source's tree differently: each has keys of its own.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


# The running code is what was imported: an edit while it runs must not give the old
# code a new key.
@cache
def code_key(*modules: str, package: Path = PACKAGE) -> str:
    """Return a hash of the library's code that a run's result depends on.

    Args:
        *modules: Names of the modules that define the run's backbone and its kinds of
            blocks. They, the training loop and all that these import, at whatever
            remove, count.
        package: Folder of the library.
    """
    sources: dict[str, str] = {}
    waiting = [package / "training" / "run.py"]
    waiting += [
        package.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in modules
    ]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(package).as_posix()
        if name not in sources and name.startswith(PARTS):
            sources[name] = path.read_text()
            waiting += _imported(ast.parse(sources[name]), package)
    return digest({name: source_key(text) for name, text in sources.items()})


def _imported(tree: ast.AST, package: Path) -> list[Path]:
    """Return the library's modules that a file imports.

    Packages are left out: they only hand names on.
    """
    names = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("vidattn")
        ):
            names += [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]
    paths = [
        package.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in names
    ]
    return [path for path in paths if path.is_file()]
