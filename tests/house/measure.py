"""Measure the house: lines of code, cells, prose. `make house` prints it.

A line of code carries a token that is no comment, blank or docstring, in a file that
`ruff format` would leave as it is at 88 columns. All .py and .js files count but those
of the tests. The clear code of a chapter is what the equations become: the functions
and classes of its visible cells that are tagged `equation`.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median

import jupytext

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ("rnl", "pnl", "rcca", "gta")
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell", "solution"}
EQUATION = "equation"
FAR = 3  # sections: an equation cell can be read without what stands so far above it
CODE = 88  # columns
PROSE = 100  # columns
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
SKIP = re.compile(r"#\s*(fmt:\s*(skip|off)|yapf:\s*disable)")
# Strings are kept, comments are not.
JS = re.compile(
    r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"""
    r"|/\*.*?\*/|//[^\n]*",
    re.DOTALL,
)


@dataclass
class Cell:
    """A code cell of a notebook."""

    number: int
    source: str
    tags: set[str]
    section: int
    lines: int = field(init=False)

    def __post_init__(self) -> None:
        self.lines = len(code_lines(self.source))

    @property
    def hidden(self) -> bool:
        """Whether a reader must unfold the cell to see its code."""
        return bool(self.tags & HIDDEN)


@dataclass
class Page:
    """What is measured of a notebook."""

    name: str
    lines: int
    cells: list[Cell]
    long_prose: list[tuple[int, str]]

    def sizes(self, hidden: bool) -> list[int]:
        """Return the lines of code of the visible cells, or of the hidden ones."""
        return [cell.lines for cell in self.cells if cell.hidden is hidden]

    @property
    def equations(self) -> list[Cell]:
        """The visible cells that hold the equations."""
        return [c for c in self.cells if EQUATION in c.tags and not c.hidden]

    @property
    def clear(self) -> int:
        """Lines of code of the functions and classes in the equation cells."""
        return sum(len(definition_lines(cell.source)) for cell in self.equations)


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines of Python that are code."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | DEFINITION) and ast.get_docstring(node):
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            found |= set(range(token.start[0], token.end[0] + 1))
    return found - documented


def definition_lines(text: str) -> set[int]:
    """Return the lines of code of a cell's functions and classes."""
    inside: set[int] = set()
    for node in ast.parse(text).body:
        if isinstance(node, DEFINITION):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            inside |= set(range(first, node.end_lineno + 1))
    return inside & code_lines(text)


def js_lines(text: str) -> int:
    """Return the number of lines of JavaScript that are no comment and not blank."""
    code = JS.sub(lambda match: match[1] or "\n" * match[0].count("\n"), text)
    return sum(bool(line.strip()) for line in code.splitlines())


@cache
def sources(root: Path = ROOT) -> dict[Path, int]:
    """Return the lines of code of every .py and .js file of ours outside the tests."""
    folders = [root / name for name in ("vidattn", "notebooks", "book")]
    found = [*root.glob("*.py"), *root.glob("*.js")]
    found += [path for each in folders for path in each.rglob("*.[pj][ys]")]
    kept = {
        path.relative_to(root): path
        for path in sorted(found)
        if "_build" not in path.parts and path.suffix in {".py", ".js"}
    }
    return {
        name: js_lines(path.read_text())
        if path.suffix == ".js"
        else len(code_lines(path.read_text()))
        for name, path in kept.items()
    }


def part(path: Path) -> str:
    """Return the part of the house that a file belongs to."""
    if path.parts[0] == "vidattn":
        return "library"
    if path.parts[0] != "notebooks":
        return "the book's own"
    if len(path.parts) > 2:
        return path.parts[1]
    if path.stem in CHAPTERS:
        return f"chapter {path.stem}"
    return "commands" if path.stem.startswith("__") else "companions"


def parts(root: Path = ROOT) -> dict[str, int]:
    """Return the lines of code by part of the house."""
    sums: dict[str, int] = {}
    for path, lines in sources(root).items():
        sums[part(path)] = sums.get(part(path), 0) + lines
    return sums


def notebooks(root: Path = ROOT) -> list[str]:
    """Return the names of all notebooks, the chapters first."""
    files = (root / "notebooks").glob("*.py")
    others = {path.stem for path in files if not path.stem.startswith("__")}
    return [*CHAPTERS, *sorted(others - set(CHAPTERS))]


@cache
def page(name: str, root: Path = ROOT) -> Page:
    """Measure a notebook."""
    path = root / "notebooks" / f"{name}.py"
    cells, long_prose, section = [], [], 0
    for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells, start=1):
        if cell.cell_type == "markdown":
            section += len(re.findall(r"^## ", cell.source, re.MULTILINE))
            long_prose += [(number, line) for line in long_lines(cell.source)]
        elif cell.cell_type == "code":
            tags = set(cell.metadata.get("tags", []))
            cells.append(Cell(number, cell.source, tags, section))
    return Page(name, len(code_lines(path.read_text())), cells, long_prose)


def long_lines(text: str) -> Iterator[str]:
    """Yield the lines of prose over the limit.

    Headings, tables, lines of a directive's head, display mathematics, and lines that
    a single word makes too long (an address, a formula, a reference) cannot be wrapped.
    """
    mathematics = False
    for line in text.splitlines():
        bare = line.strip()
        mathematics ^= bare.count("$$") % 2 == 1
        if len(line) <= PROSE or mathematics or "$$" in bare:
            continue
        if bare.startswith(("#", "|", ":::", "```", ":")) and not bare.startswith(": "):
            continue
        if max(map(len, words(bare))) + len(line) - len(bare) <= PROSE:
            yield line


def words(line: str) -> list[str]:
    """Split a line where Markdown may break it: not inside links, formulas and code."""
    return re.findall(r"(?:\[[^\]]*\]\([^)]*\)|`[^`]*`|\$[^$]*\$|\S)+", line)


def far_names(measured: Page) -> list[str]:
    """Return the names that equation cells take from far above, imports excepted."""
    defined: dict[str, int] = {}
    found = []
    for cell in measured.cells:
        tree = ast.parse(cell.source)
        nodes = list(ast.walk(tree))
        own = {n.id for n in nodes if isinstance(n, ast.Name) and is_bound(n)}
        own |= {n.arg for n in nodes if isinstance(n, ast.arg)}
        own |= {n.name for n in nodes if isinstance(n, DEFINITION)}
        if cell in measured.equations:
            used = {n.id for n in nodes if isinstance(n, ast.Name) and not is_bound(n)}
            for name in sorted(used - own):
                far = cell.section - defined.get(name, cell.section) >= FAR
                found += [f"{name} in cell {cell.number}"] if far else []
        for name in own:
            defined[name] = cell.section
        imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
        for alias in (alias for each in imports for alias in each.names):
            defined[(alias.asname or alias.name).partition(".")[0]] = sys.maxsize
    return found


def is_bound(name: ast.Name) -> bool:
    """Return whether a name is given a value where it stands."""
    return isinstance(name.ctx, ast.Store)


def python_files(root: Path = ROOT) -> list[Path]:
    """Return all Python files of the project, those of the tests, too."""
    folders = (root / name for name in ("vidattn", "notebooks", "book", "tests"))
    found = [*root.glob("*.py"), *(p for each in folders for p in each.rglob("*.py"))]
    return sorted(path for path in found if "_build" not in path.parts)


def skips(root: Path = ROOT) -> list[str]:
    """Return where a line is kept from the formatter, `<file>:<line>`."""
    found = []
    for path in python_files(root):
        text = path.read_text()
        if not SKIP.search(text):
            continue
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and SKIP.match(token.string):
                found.append(f"{path.relative_to(root)}:{token.start[0]}")
    return found


@cache
def unformatted(root: Path = ROOT) -> list[str]:
    """Return the files whose lines cannot be counted: not as `ruff format` has them."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--check",
        f"--line-length={CODE}",
    ]
    command += ["--output-format=concise", *map(str, python_files(root))]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, check=False
    )
    found = re.findall(r"^(\S+\.py):\d+:\d+: unformatted", done.stdout, re.MULTILINE)
    if done.returncode and not found:
        raise RuntimeError(done.stdout + done.stderr)
    for name in sources(root):
        lines = (root / name).read_text().splitlines() if name.suffix == ".js" else []
        found += [str(name)] if max(map(len, lines), default=0) > CODE else []
    return found


def report() -> str:
    """Return everything that is measured, as text."""
    sums = parts()
    out = ["lines of code, formatted at 88 columns"]
    out += [f"  {lines:6,}  {name}" for name, lines in sorted(sums.items())]
    out += [f"  {sum(sums.values()):6,}  library and notebooks together"]
    out += [f"  {n:6,}  {p}" for p, n in sources().items() if part(p)[0] == "t"]
    out += ["", f"{'cells':18}visible: longest, median      hidden: longest, median"]
    for name in notebooks():
        shown = [measured_sizes(page(name).sizes(hidden)) for hidden in (False, True)]
        out += [f"  {name:16}{shown[0]:30}{shown[1]}"]
    out += ["", "clear code: functions and classes in cells tagged 'equation'"]
    for name in CHAPTERS:
        measured = page(name)
        share, cells = measured.clear / measured.lines, len(measured.equations)
        far = ", ".join(far_names(measured)) or "none"
        out += [f"  {name:6}{measured.clear:4} of {measured.lines}, {share:.0%}, "]
        out[-1] += f"in {cells} cells; names from {FAR} sections above: {far}"
    out += ["", f"lines of prose over {PROSE} columns"]
    out += [f"  {len(page(name).long_prose):4}  {name}" for name in notebooks()]
    out += ["", f"lines kept from the formatter: {len(skips())}"]
    out += [f"  {place}" for place in skips()]
    return "\n".join(out)


def measured_sizes(sizes: list[int]) -> str:
    """Return number, longest and median of some cells, as text."""
    if not sizes:
        return "none"
    return f"{len(sizes):3} cells: {max(sizes):3}, {median(sizes):4.1f}"


def main() -> int:
    """Print the report; 1 if some file is not formatted, so that its lines lie."""
    print(report())
    for name in unformatted():
        print(f"{name}: not formatted at {CODE} columns", file=sys.stderr)
    return 1 if unformatted() else 0


if __name__ == "__main__":
    sys.exit(main())
