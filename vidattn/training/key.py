"""What a run is found again by: hashes of description, code and data."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from vidattn.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = ("blocks", "backbones", "video", "training")
# They plan runs, read results or show progress, but cannot change what a described run computes: rewording a
# verdict must not retrain a chapter.
WITHOUT_EFFECT = tuple(f"training/{name}.py" for name in ("claims", "progress", "stats", "study"))


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
    """Return a hash of Python source that comments, layout and docstrings do not change.

    Python's own versions (3.11, 3.12) print the same source's tree differently: each has keys of its own.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache  # the running code is what was imported: an edit while it runs must not give the old code a new key
def code_key(package: Path = PACKAGE) -> str:
    """Return a hash of the library's code that a run's result depends on."""
    files = sorted(path for folder in FOLDERS for path in (package / folder).rglob("*.py"))
    names = [path.relative_to(package).as_posix() for path in files]
    return digest(
        {
            name: source_key(path.read_text())
            for name, path in zip(names, files, strict=True)
            if name not in WITHOUT_EFFECT
        }
    )
