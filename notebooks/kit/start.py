"""The start of a chapter: its notebook, parameters, ledger and line of contents."""

import keyword
import re
from pathlib import Path

from vidattn.blocks import BLOCKS
from vidattn.blocks._parts import check_choice
from vidattn.errors import UserError

PARAMETERS = {
    "smoke": "# Everything runs, nothing is learned.\nscale: smoke\nepochs: 1\n",
    "reduced": "# What the published page shows: the notebook's own parameters.\n"
    "scale: reduced\n",
}
PART = "  - caption: The papers\n"  # of the table of contents


def start_chapter(root: Path, name: str, block: str, title: str | None) -> list[Path]:
    """Start a chapter from `notebooks/_template.py`; it runs as it is.

    Args:
        root: The project's folder.
        name: Name of the notebook, its ledger and its page.
        block: The paper's block, a key of `vidattn.blocks.BLOCKS`.
        title: The page's title; default: the block's name.

    Returns:
        The files that were written or changed.

    Raises:
        UserError: The name is taken or none, or there is no such block; nothing was
            written.
    """
    _check(root, name)
    check_choice("block", block, BLOCKS)
    shown = BLOCKS[block].__name__
    told = {
        "CHAPTER_NAME": name,
        "CHAPTER_TITLE": " ".join((title or shown).split()),
        "BLOCK_KIND": block,
        "BLOCK_CLASS": shown,
    }
    notebooks, contents = root / "notebooks", root / "book" / "_toc.yml"
    new = {
        notebooks / f"{name}.py": _filled(notebooks / "_template.py", told),
        root / "book" / "ledgers" / f"{name}.yaml": _filled(
            notebooks / "_template.yaml", told
        ),
        contents: _with_page(contents.read_text(), name),
    }
    for scale, text in PARAMETERS.items():
        new[notebooks / "params" / f"{name}_{scale}.yaml"] = text
    for path, text in new.items():
        path.write_text(text)
    return [*new]


def _check(root: Path, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} cannot be a chapter's name; allowed: small letters, digits and "
            "'_', a letter first"
        )
    there = [
        *(root / "notebooks").rglob(f"{name}*"),
        *(root / "book").rglob(f"{name}*"),
    ]
    taken = {name, f"{name}_smoke", f"{name}_reduced"}
    for path in there:
        generated = "_build" in path.parts or "__pycache__" in path.parts
        if path.stem in taken and not generated:
            where = path.relative_to(root)
            raise UserError(f"the name {name!r} is taken: there is {where}")


def _filled(template: Path, told: dict[str, str]) -> str:
    return re.sub("|".join(told), lambda found: told[found[0]], template.read_text())


def _with_page(contents: str, name: str) -> str:
    """Return the table of contents with a page more, the last of the papers."""
    before, part, after = contents.partition(PART)
    if not part:
        raise UserError(
            f"book/_toc.yml: no part {PART.strip()!r} to put a chapter into"
        )
    papers, caption, rest = after.partition("  - caption:")
    return f"{before}{part}{papers}      - file: {name}\n{caption}{rest}"
