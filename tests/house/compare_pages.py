"""Compare two folders of executed notebooks: is anything that the old pages showed
missing from the new ones?

    python -m tests.house.compare_pages OLD_FOLDER NEW_FOLDER [--verbose] [--rounding]

What counts: printed lines, sentences and rows of tables in the outputs, glued values
by name, captions, named figures, labels, numbers of equations, and the glued values
that the prose shows. It may stand in another cell or on another page; the report says
on which. What may differ is named beforehand, with a reason, in may_differ.yaml. The
exit status is 1 if something is missing.
"""

import argparse
import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

RECORD = "application/papermill.record/"
LABEL = re.compile(r"^\(([\w:.-]+)\)=\s*$", re.MULTILINE)
TAG = re.compile(r"(?:^\(([\w:.-]+)\)=\s*)?^\$\$(.*?)\$\$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(
    r"\{glue(?::\w+)?\}`([^`]+)`|^[`:]{3,}\{glue(?::\w+)?\} *(\S+)", re.M
)
NAMED = re.compile(r"^ *:name: *\"?([\w-]+)", re.MULTILINE)
# Tags that end a line of text; a term and its definition stand on one.
BLOCKS = {"div", "p", "br", "li", "caption", "summary", "h3", "h4", "table"}
RULE = re.compile(r"[-:| ]+")
# Representations of objects say nothing: <Figure size 740x230 with 14 Axes>.
OBJECT = re.compile(r"<[\w.]+( .*)?>")


@dataclass(frozen=True)
class Item:
    """Something that a page shows.

    Args:
        kind: line | row | glued | caption | figure | label | equation | shown.
        text: What is shown; the cells of a row are parted by ` | `.
        page: The notebook's name.
        cell: The cell's number, from 1.
        name: The name of a glued value.
    """

    kind: str
    text: str
    page: str
    cell: int
    name: str = ""

    @property
    def where(self) -> str:
        """Page and cell."""
        return f"{self.page}, cell {self.cell}"


class Tables(HTMLParser):
    """Rows of tables, and the lines of text around them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.lines: list[str] = [""]
        self.silent, self.cell = 0, False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell, or pass over what is not read."""
        self.silent += tag in ("style", "script", "svg")
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.cell = True
        elif tag in BLOCKS | {"dt"}:
            self.lines.append("")
        elif tag == "dd":
            self.lines[-1] += " "

    def handle_endtag(self, tag: str) -> None:
        """End a cell or a line."""
        self.silent -= tag in ("style", "script", "svg")
        if tag in ("td", "th"):
            self.cell = False
        elif tag in BLOCKS | {"dd"}:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        """Keep text where it belongs."""
        if self.silent:
            return
        if self.cell:
            self.rows[-1][-1] += data
        else:
            self.lines[-1] += data


def plain(text: str) -> str:
    """Return text without marks that change nothing: emphasis, tags, blanks."""
    text = unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text)).replace("**", "")
    return " ".join(text.replace("\xa0", " ").split())


def row_text(cells: list[str]) -> str:
    """Return a row as text, without its empty cells."""
    return " | ".join(filter(None, map(plain, cells)))


def of_html(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of HTML."""
    read = Tables(text)
    yield from (("row", row_text(row)) for row in read.rows)
    yield from (("line", plain(line)) for line in read.lines)


def of_markdown(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of Markdown."""
    for line in text.splitlines():
        bare = line.strip()
        if not bare.startswith("|"):
            yield "line", plain(re.sub(r"^([-*]|\d+\.|#+) ", "", bare))
        elif not RULE.fullmatch(bare):
            yield "row", row_text(re.split(r"(?<!\\)\|", bare.strip("|")))


def of_text(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of plain text."""
    for line in text.splitlines():
        if not OBJECT.fullmatch(line.strip()):
            yield "line", plain(line.replace("<", "&lt;"))


def joined(value: Any) -> str:
    """Return what a notebook file stores as one text or as a list of lines."""
    return "".join(value) if isinstance(value, list) else str(value)


def shown_by(output: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, text, name of a glued value) of one output."""
    if output["output_type"] == "stream":
        text = joined(output["text"])
        yield from ((kind, text, "") for kind, text in of_text(text))
        return
    data = {mime: joined(value) for mime, value in output.get("data", {}).items()}
    name = output.get("metadata", {}).get("scrapbook", {}).get("name", "")
    if name:
        data = {mime.removeprefix(RECORD): text for mime, text in data.items()}
    if any(mime.startswith("image/") for mime in data):
        return
    if "text/html" in data:
        yield from ((kind, text, "") for kind, text in of_html(data["text/html"]))
    elif "text/markdown" in data:
        found = of_markdown(data["text/markdown"])
        yield from ((kind, text, "") for kind, text in found)
    elif name:
        yield "glued", plain(data.get("text/plain", "").strip("'\"")), name
    elif "text/plain" in data:
        yield from ((kind, text, "") for kind, text in of_text(data["text/plain"]))


def of_prose(text: str, page: str) -> Iterator[tuple[str, str]]:
    """Yield labels, numbers of equations, figures and shown values of a prose cell."""
    yield from (("label", match[1]) for match in LABEL.finditer(text))
    yield from (("figure", match[1]) for match in NAMED.finditer(text))
    for match in SHOWN.finditer(text):
        yield "shown", (match[1] or match[2]).strip()
    for match in TAG.finditer(text):
        for number in re.findall(r"\\tag\{([^}]*)\}", match[2]):
            yield "equation", f"{match[1] or page} ({number})"


def items(page: str, notebook: dict[str, Any]) -> Iterator[Item]:
    """Yield everything that a page shows."""
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] == "markdown":
            for kind, text in of_prose(joined(cell["source"]), page):
                yield Item(kind, text, page, number)
            continue
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        if "caption" in figure:
            yield Item("caption", plain(figure["caption"]), page, number)
        if "name" in figure:
            yield Item("figure", figure["name"], page, number)
        for output in cell.get("outputs", []):
            for kind, text, name in shown_by(output):
                if text:
                    yield Item(kind, text, page, number, name)


def images(notebook: dict[str, Any]) -> int:
    """Return the number of pictures that a page shows."""
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    mimes = [mime for o in outputs for mime in o.get("data", {})]
    pictures = {"image/svg+xml", "image/png", f"{RECORD}image/svg+xml"}
    return sum(mime in pictures for mime in mimes)


class Book:
    """Everything that the executed notebooks of a folder show.

    Args:
        folder: Holds `<notebook>-<key>.ipynb`; of several the newest is read.
    """

    def __init__(self, folder: Path) -> None:
        files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.ipynb"), key=lambda p: p.stat().st_mtime):
            if not path.stem.endswith("-failed"):
                files[re.sub(r"-[0-9a-f]{16}$", "", path.stem)] = path
        if not files:
            raise SystemExit(f"{folder}: holds no executed notebooks")
        read = {name: json.loads(path.read_text()) for name, path in files.items()}
        self.images = {name: images(notebook) for name, notebook in read.items()}
        self.items = [i for name in sorted(read) for i in items(name, read[name])]

    @cached_property
    def by_text(self) -> dict[tuple[str, str, str], list[Item]]:
        """Everything by what it is compared by."""
        found: dict[tuple[str, str, str], list[Item]] = {}
        for item in self.items:
            found.setdefault(compared(item), []).append(item)
        return found

    @cached_property
    def flow(self) -> dict[str, str]:
        """The text of each page in one line, its tables left out."""
        pages: dict[str, list[str]] = {}
        for item in self.items:
            if item.kind in ("line", "glued", "caption"):
                pages.setdefault(item.page, []).append(item.text)
        return {page: " ".join(texts) for page, texts in pages.items()}

    @cached_property
    def rows(self) -> list[tuple[Counter[str], Item]]:
        """The rows of all tables."""
        rows = (item for item in self.items if item.kind == "row")
        return [(Counter(item.text.split(" | ")), item) for item in rows]

    def find(self, old: Item, differences: "Differences") -> str | None:
        """Return where something of the old book stands here, or None."""
        same = self.by_text.get(compared(old), [])
        if same:
            pages = [item for item in same if item.page == old.page]
            return (pages or same)[0].where
        pattern = differences.pattern(old)
        if pattern is not None:
            for item in sorted(self.items, key=lambda item: item.page != old.page):
                alike = compared(item)[0] == compared(old)[0] and item.name == old.name
                if alike and pattern.fullmatch(item.text):
                    return f"{item.where} (but for what may differ)"
        if old.kind == "line":
            for page in sorted(self.flow, key=lambda page: page != old.page):
                inside = old.text in self.flow[page]
                if inside or (pattern and pattern.search(self.flow[page])):
                    return f"{page}, within other text"
        if old.kind == "row" and " | " in old.text:
            cells = Counter(old.text.split(" | "))
            for row, item in self.rows:
                if cells <= row:
                    return f"{item.where}, in a row with other columns"
        return None

    def closest(self, old: Item) -> str:
        """Return what is most like something that is missing."""
        if old.kind == "glued":
            by_name = [i for i in self.items if i.name == old.name]
            by_value = [i for i in self.items if i.name and i.text == old.text]
            near = [f"{i.name} = {i.text} on {i.where}" for i in by_name + by_value]
            return "; ".join(near[:3])
        texts = {item.text: item for item in self.items if item.kind == old.kind}
        near = difflib.get_close_matches(old.text, texts, n=1, cutoff=0.6)
        return f"{near[0]} on {texts[near[0]].where}" if near else ""


def compared(item: Item) -> tuple[str, str, str]:
    """Return what must agree: sentences and captions may change their places."""
    kind = "line" if item.kind == "caption" else item.kind
    return kind, item.text, item.name


class Differences:
    """What was said beforehand to differ.

    Args:
        path: A YAML file with two lists, `differs` and `gone`. In both, `what` is a
            pattern: within an old text, or of the whole of it; `where` one that must be
            found in `<page> <kind> <name>`, and `when` one that must be found in the
            text, if they are there; `reason` is said. `becomes` is the pattern of what
            may stand for `what`. A rule that is marked `rounding` applies only if asked
            for.
        rounding: Let rounding errors differ.
    """

    def __init__(self, path: Path, rounding: bool = False) -> None:
        said = (yaml.safe_load(path.read_text()) or {}) if path.is_file() else {}
        self.differs, self.gone = (
            [r for r in said.get(kind) or [] if rounding or not r.get("rounding")]
            for kind in ("differs", "gone")
        )
        self.used: Counter[str] = Counter()

    @staticmethod
    def _here(rule: dict[str, str], item: Item) -> bool:
        place = f"{item.page} {item.kind} {item.name}".strip()
        here = re.search(rule.get("where", ""), place)
        return bool(here and re.search(rule.get("when", ""), item.text))

    def pattern(self, item: Item) -> re.Pattern[str] | None:
        """Return what an old text may have become, or None if all of it must stay."""
        parts, used = [item.text], []
        for rule in self.differs:
            if not self._here(rule, item):
                continue
            divided: list[Any] = []
            for each in parts:  # texts, and between them patterns in tuples
                if isinstance(each, tuple):
                    divided.append(each)
                    continue
                end = 0
                for match in re.finditer(rule["what"], each):
                    divided += [each[end : match.start()], (rule["becomes"],)]
                    end = match.end()
                    used.append(rule["reason"])
                divided.append(each[end:])
            parts = divided
        if not used:
            return None
        self.used.update(set(used))
        texts = (p[0] if isinstance(p, tuple) else re.escape(p) for p in parts)
        return re.compile("".join(f"(?:{text})" for text in texts))

    def is_gone(self, item: Item) -> bool:
        """Return whether something was said to be gone."""
        for rule in self.gone:
            if self._here(rule, item) and re.fullmatch(rule["what"], item.text):
                self.used[rule["reason"]] += 1
                return True
        return False


def compare(old: Book, new: Book, differences: Differences, verbose: bool) -> int:
    """Print what is missing and what has moved; return how much is missing."""
    missing, moved, seen = 0, Counter[str](), set()
    for item in old.items:
        if (item.page, *compared(item)) in seen:
            continue
        seen.add((item.page, *compared(item)))
        place = new.find(item, differences)
        name = f"{item.name} = " if item.name else ""
        if place is None and not differences.is_gone(item):
            missing += 1
            print(f"MISSING {item.where}, {item.kind}: {name}{item.text}")
            if near := new.closest(item):
                print(f"        closest: {near}")
        elif place and not place.startswith(f"{item.page},"):
            moved[f"{item.page} -> {place.partition(',')[0]}"] += 1
            if verbose:
                print(f"moved   {item.where} -> {place}: {name}{item.text}")
    fewer = Counter(map(compared, old.items)) - Counter(map(compared, new.items))
    fewer = {key: n for key, n in fewer.items() if key in new.by_text}
    print(f"\n{len(fewer)} texts are shown less often than before, but are shown")
    for (kind, text, name), number in fewer.items() if verbose else ():
        print(f"fewer   by {number}, {kind}: {f'{name} = ' if name else ''}{text}")
    print("\nfound on another page:" if moved else "\nnothing moved to another page")
    for way, number in sorted(moved.items()):
        print(f"  {number:5} {way}")
    print("\nallowed differences:" if differences.used else "\nno allowed difference")
    for reason, number in differences.used.most_common():
        print(f"  {number:5} {reason}")
    print("\npictures, old and new:")
    for page in sorted({*old.images, *new.images}):
        print(f"  {old.images.get(page, 0):3} {new.images.get(page, 0):3}  {page}")
    before, after = sum(old.images.values()), sum(new.images.values())
    print(f"  {before:3} {after:3}  together")
    if after < before:
        print(f"MISSING {before - after} pictures")
        missing += before - after
    kinds = Counter(kind for _, kind, *_ in seen)
    said = ", ".join(f"{number} of kind {kind}" for kind, number in kinds.items())
    print(f"\n{missing} missing of {len(seen)}: {said}")
    return missing


def main(arguments: list[str] | None = None) -> int:
    """Compare, and return 1 if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--verbose", action="store_true", help="say what has moved")
    beside = Path(__file__).with_name("may_differ.yaml")
    parser.add_argument("--may-differ", type=Path, default=beside)
    said = "let the sizes of rounding errors differ, which depend on the random draws"
    parser.add_argument("--rounding", action="store_true", help=said)
    given = parser.parse_args(arguments)
    differences = Differences(given.may_differ, given.rounding)
    return bool(compare(Book(given.old), Book(given.new), differences, given.verbose))


if __name__ == "__main__":
    sys.exit(main())
