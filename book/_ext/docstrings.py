"""Sphinx extension: docstrings are plain text with `code` in it, as one reads them in
the source.
"""

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

CODE = re.compile(r"(`+[^`]+`+)")
MARKUP = re.compile(
    r"[*|]|(?<=\w)_(?!\w)"
)  # what reStructuredText would take for markup


def plain(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring as reStructuredText that shows them as they are.

    A block that is indented after a blank line, outside of a section such as `Args:`,
    is a formula or code and keeps its lines.
    """
    literal, before = False, ""
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        if line.strip():
            if not indented:
                literal = False
            elif (
                not literal
                and number
                and not lines[number - 1].strip()
                and before
                and not before.startswith(" ")
            ):
                literal = True
                yield from (".. code-block:: text", "")
            before = line
        yield line if literal else _escaped(line)


def _escaped(line: str) -> str:
    parts = CODE.split(line)
    return "".join(
        part if CODE.fullmatch(part) else MARKUP.sub(r"\\\g<0>", part) for part in parts
    )


def _process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = list(plain(list(lines)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon reads the sections (priority 500)."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}
