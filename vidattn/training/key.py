"""What a run is found again by: hashes of description, code and data."""

import ast
import hashlib
import inspect
import json
import re
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from vidattn.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
PARTS = ("blocks", "backbones", "video", "training", "description")
INSTALLED = re.compile(r"[/\\](lib[/\\]python3|(site|dist)-packages)")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


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
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


# The running code is what was imported: an edit while it runs must not give the old
# code a new key.
@cache
def code_key(
    *modules: str, package: Path = PACKAGE, users: Collection[Any] = ()
) -> str:
    """Return a hash of the code that a run's result depends on.

    Args:
        *modules: Names of the library's modules that define the run's backbone and its
            kinds of blocks. They, the training loop and all that these import, at
            whatever remove, count.
        package: Folder of the library.
        users: Blocks and backbones that are defined outside the library. The files or
            the notebook's cells that define them count, and those of what they name.

    Raises:
        UserError: The source of something outside the library cannot be read.
    """
    sources: dict[str, str] = {}
    outside, more = _of_users(users)
    modules = (*modules, *more)
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
    keys = {name: source_key(text) for name, text in sources.items()}
    return digest(keys | {f"user {key}": key for key in map(source_key, outside)})


def _of_users(users: Collection[Any]) -> tuple[set[str], set[str]]:
    """Return the sources that users wrote, and the library's modules that they name."""
    waiting, texts, modules = [*users], set[str](), set[str]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, type):
            waiting += [*one.__bases__, *vars(one).values()]
        elif isinstance(one, FunctionType) and str(one.__module__).startswith(
            "vidattn."
        ):
            modules.add(one.__module__)
        elif isinstance(one, FunctionType) and not INSTALLED.search(
            inspect.getfile(one)
        ):
            with suppress(OSError):  # what a decorator made has none
                text = "".join(inspect.findsource(one)[0])
                nodes = () if text in texts else ast.walk(ast.parse(text))
                names = {node.id for node in nodes if isinstance(node, ast.Name)}
                waiting += [one.__globals__.get(name) for name in names]
                texts.add(text)
    if users and not texts:
        known = ", ".join(str(user) for user in users)
        raise UserError(
            f"{known}: define it in a file or a notebook, which has a source"
        )
    return texts, modules


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
