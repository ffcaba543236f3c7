"""Who may import whom: arrows point down, there is no circle, and the library knows
nothing of the book.

Imports are read from the source, those inside functions, too.
"""

import ast
import io
import re
import sys
import tokenize
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Each part of the library, and the parts that it may import besides itself.
BASE = {"errors", "meta"}
FILES = BASE | {"description", "yamlfile"}  # descriptions of runs, and their files
LIBRARY = {
    "__init__": set(),
    "errors": set(),
    "meta": set(),
    "description": {"errors"},
    "yamlfile": {"errors"},
    "blocks": {"errors"},
    "backbones": BASE,
    "video": FILES,
    "cost": BASE | {"blocks", "backbones"},
    "training": FILES | {"blocks", "backbones", "video"},
    "figures": FILES | {"blocks", "backbones", "video", "training"},
}
LIBRARY["__main__"] = set(LIBRARY)
# The rooms above it; what stands on one floor does not import its neighbours.
NOTEBOOKS = {
    "kit": {"vidattn"},
    "full": {"vidattn", "notebooks.kit"},
    "pages": {"vidattn", "notebooks.kit", "notebooks.full"},
}
THE_FIRST = {"torch", "einops"}  # third parties that a block may import

# What only the pages may know. A public data set may be named where a value is
# explained, in a docstring or a comment, but not in code.
PAGES = re.compile(
    r"ledger|\bbook/|\bnotebooks[/.]|chapter|printed_|readings\.yaml", re.IGNORECASE
)
DATA_SETS = re.compile(
    r"kinetics|something[-_ ]?(something|v1|v2)|ssv[12]|jester"
    r"|ucf[-_ ]?101|hmdb[-_ ]?51",
    re.IGNORECASE,
)
SOURCE = re.compile(r"^ *Source:.*?(?=^ *[A-Z]\w+:$|\Z)", re.MULTILINE | re.DOTALL)


@cache
def modules(root: Path = ROOT) -> dict[str, Path]:
    """Return the files of the library and of the notebooks by module."""
    found = {}
    for top in ("vidattn", "notebooks"):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


@cache
def imported(name: str, root: Path = ROOT) -> frozenset[str]:
    """Return the modules that a module imports: ours by file, others by name."""
    ours, path = modules(root), modules(root)[name]
    here = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in ours else base)
    return frozenset(found - {name})


def part(name: str) -> str:
    """Return the part of the library, or of the notebooks, that a module belongs to."""
    top, *rest = name.split(".")
    if top == "vidattn":
        return rest[0] if rest else "__init__"
    if not rest:
        return "__init__"
    return rest[0] if rest[0] in ("kit", "full") else "pages"


def library() -> list[str]:
    """Return the library's modules."""
    return [name for name in modules() if name.partition(".")[0] == "vidattn"]


@pytest.mark.parametrize("name", library())
def test_the_library_imports_nothing_of_the_book(name: str) -> None:
    upward = {each for each in imported(name) if re.match(r"notebooks|book\b", each)}
    assert not upward, f"{name} imports {sorted(upward)}"


@pytest.mark.parametrize("name", library())
def test_arrows_within_the_library_point_down(name: str) -> None:
    mine = part(name)
    known = f"{name}: give vidattn.{mine} its place in LIBRARY ({Path(__file__).name})"
    assert mine in LIBRARY, known
    used = {part(each) for each in imported(name) if each.startswith("vidattn")}
    wrong = used - {mine} - LIBRARY[mine]
    assert not wrong, f"{name} imports from {sorted(wrong)}; allowed: {LIBRARY[mine]}"


def test_the_places_of_the_parts_have_no_circle_themselves() -> None:
    order = [*TopologicalSorter(LIBRARY).static_order()]  # a circle raises
    assert order.index("errors") < order.index("blocks") < order.index("training")


@pytest.mark.parametrize("name", [n for n in library() if part(n) == "blocks"])
def test_a_block_needs_torch_and_einops_alone(name: str) -> None:
    tops = {each.partition(".")[0] for each in imported(name)}
    others = tops - THE_FIRST - set(sys.stdlib_module_names) - {"vidattn"}
    assert not others, f"{name} imports {sorted(others)}"


@pytest.mark.parametrize("room", [n for n in modules() if n.startswith("notebooks.")])
def test_arrows_among_the_notebooks_point_down(room: str) -> None:
    mine, own = part(room), {"kit": "notebooks.kit", "full": "notebooks.full"}
    for each in sorted(imported(room)):
        if each.partition(".")[0] not in ("vidattn", "notebooks"):
            continue
        below = {*NOTEBOOKS[mine], own.get(mine, "notebooks")}
        fits = any(each == name or each.startswith(f"{name}.") for name in below)
        assert fits, f"{room} imports {each}; allowed: {sorted(below)}"
        to_page = each.startswith("notebooks.") and part(each) == "pages"
        assert not to_page, f"{room} imports the page {each}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: imported(name) & modules().keys() for name in modules()}
    try:
        assert len([*TopologicalSorter(graph).static_order()]) == len(modules())
    except CycleError as error:
        pytest.fail("a circle: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("name", library())
def test_the_library_knows_no_page_and_no_public_data_set(name: str) -> None:
    found = [f"line {n}: {word!r}" for n, word in foreign(modules()[name].read_text())]
    assert not found, f"{name} speaks of what it must not know: {', '.join(found)}"


def foreign(text: str) -> list[tuple[int, str]]:
    """Return the words that the library must not know, with their lines."""
    documents = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node)
    }
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line, shown = token.start[0], token.string
        said = token.type == tokenize.COMMENT or (
            token.type == tokenize.STRING and line in documents
        )
        if said:  # the lines stay where they are
            shown = SOURCE.sub(lambda source: "\n" * source[0].count("\n"), shown)
        for pattern in (PAGES,) if said else (PAGES, DATA_SETS):
            for match in pattern.finditer(shown):
                found.append((line + shown[: match.start()].count("\n"), match[0]))
    return found


# What follows tests the instrument on a small house.

HOUSE = {
    "vidattn/__init__.py": "",
    "vidattn/blocks/__init__.py": "from vidattn.blocks import one\n",
    "vidattn/blocks/one.py": "import torch.nn\nfrom . import two\n",
    "vidattn/blocks/two.py": "def f():\n    from ..errors import UserError\n",
    "vidattn/errors.py": "",
    "notebooks/__init__.py": "",
    "notebooks/kit/__init__.py": "from vidattn.blocks import BLOCKS\n",
}


def test_how_imports_are_read(tmp_path: Path) -> None:
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    read = {name: set(imported(name, tmp_path)) for name in modules(tmp_path)}
    assert read == {
        "vidattn": set(),
        "vidattn.blocks": {"vidattn.blocks.one"},
        "vidattn.blocks.one": {"torch.nn", "vidattn.blocks.two"},
        "vidattn.blocks.two": {"vidattn.errors"},
        "vidattn.errors": set(),
        "notebooks": set(),
        "notebooks.kit": {"vidattn.blocks"},
    }


@pytest.mark.parametrize(
    "text, found",
    [
        ('"""Take ten clips, as on Kinetics-400."""\n', []),
        ("x = 'kinetics400'  # as UCF101\n", [(1, "kinetics")]),
        ("def read_hmdb51(x): pass\n", [(1, "hmdb51")]),
        ("x = 1\nopen(f'book/{y}')\n", [(2, "book/")]),
        ('"""Take.\n\nArgs:\n    a: A ledger.\n"""\n', [(4, "ledger")]),
        ('"""Take.\n\nSource:\n    GTA, chapter 3.\n"""\n', []),
        (
            '"""Take.\n\nSource: chapter.\n\nRaises:\n  E: chapter.\n"""\n',
            [(6, "chapter")],
        ),
        ("def load():  # by the chapter\n    pass\n", [(1, "chapter")]),
        ("printed = something = 'facebook/notebook'\n", []),
    ],
)
def test_which_words_are_foreign(text: str, found: list[tuple[int, str]]) -> None:
    assert foreign(text) == found
