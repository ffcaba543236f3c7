"""The book: notebooks are executed when their code has changed, and the site is built,
warnings being errors.

What is generated lies in one folder:

    <build>/executed/<notebook>-<key>.ipynb   executed notebooks, found again by their key
    <build>/<scale>/source                    what the builder sees: book/, executed notebooks, API pages
    <build>/<scale>/html                      the site; replaced only by a whole new one
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout

from notebooks.kit.notebook import INJECTED, Notebook, execute, read_notebook, resolve
from vidattn.errors import UserError
from vidattn.training.key import digest, file_key, source_key
from vidattn.yamlfile import read_yaml

SCALES = ("smoke", "reduced", "full")
READ_BY_NOTEBOOKS = (
    "book/results",
    "book/ledgers",
    "notebooks/kit/printed/data",
    "notebooks/kit/bench.yaml",
    "notebooks/full",
)
# They run notebooks and build pages; they cannot change what a notebook computes.
WITHOUT_EFFECT = ("kit/build.py", "kit/notebook.py", "__main__.py")
PACKAGES = ("vidattn", "notebooks/kit", "notebooks/full")  # what notebooks import

AUTOMODULE = "\n```{{eval-rst}}\n.. automodule:: {}\n```\n"
LEDGER = """# Ledger of {name}

What is claimed, and what will judge it, as it was committed before the runs:

```{{literalinclude}} {file}
:language: yaml
```
"""
FULL_SCALE = "notebooks/full/rows.yaml"


class BuildError(Exception):
    """The site could not be built; the builder has said why."""


def build(root: Path, build_folder: Path, scale: str) -> Path:
    """Execute what has changed and build the site.

    Args:
        root: The project's folder, with `book`, `notebooks` and `vidattn`.
        build_folder: Where everything generated goes.
        scale: One of `SCALES`.

    Returns:
        The folder of the site.

    Raises:
        UserError: A page or a parameter is wrong; nothing was executed.
        CellError: A cell failed.
        BuildError: The builder warned or failed.
    """
    folder = build_folder / scale
    pages = {}
    wanted = [(one, resolve(one, at_scale(root, one, scale))) for one in chapters(root)]
    with _alone(build_folder):
        for one, parameters in wanted:
            pages[one.name] = executed(root, build_folder, one, parameters)
        source, html = folder / "source", folder / "html"
        stage(root, source, pages)
        key = _site_key(root, source)
        stamp = html / ".key"
        if stamp.is_file() and stamp.read_text() == key:
            print("Nothing has changed since the last build.")
            return html
        new = build_pages(source, folder / "work")
        (new / ".key").write_text(key)
        shutil.rmtree(html, ignore_errors=True)
        new.rename(html)
        shutil.rmtree(folder / "work")
        return html


def at_scale(root: Path, notebook: Notebook, scale: str) -> dict[str, Any]:
    """Return the parameters that a scale gives to a notebook.

    Raises:
        UserError: The scale is unknown, or the notebook takes parameters and
            `notebooks/params/<notebook>_<scale>.yaml` is missing.
    """
    if scale not in SCALES:
        raise UserError(f"scale {scale!r} is unknown; allowed are {', '.join(SCALES)}")
    if not notebook.defaults:
        return {}
    return read_yaml(root / "notebooks" / "params" / f"{notebook.name}_{scale}.yaml")


def run_notebook(
    root: Path,
    build_folder: Path,
    name: str,
    scale: str | None,
    given: Mapping[str, Any],
) -> Path:
    """Execute one notebook by itself, unless that has been done.

    Args:
        root: The project's folder.
        build_folder: Where everything generated goes.
        name: The notebook's name.
        scale: The scale whose parameters are taken first, or None for the notebook's
            own.
        given: Parameters that replace them.

    Returns:
        The executed notebook, `<build>/notebooks/<name>.ipynb`.

    Raises:
        UserError: A parameter is wrong; nothing was executed.
        CellError: A cell failed.
    """
    notebook = read_notebook(root / "notebooks" / f"{name}.py")
    usual = at_scale(root, notebook, scale) if scale else {}
    parameters = resolve(notebook, {**usual, **given})
    with _alone(build_folder):
        done = executed(root, build_folder, notebook, parameters)
    place = build_folder / "notebooks" / f"{name}.ipynb"
    place.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(done, place)
    return place


def executed(
    root: Path, build_folder: Path, notebook: Notebook, parameters: Mapping[str, Any]
) -> nbformat.NotebookNode:
    """Return a notebook with its outputs, run now unless code, parameters and what it
    reads are as then.

    Prose and the cells' display tags are taken from the notebook as it is now.
    """
    folder, key = build_folder / "executed", notebook_key(root, notebook, parameters)
    place = folder / f"{notebook.name}-{key[:16]}.ipynb"
    if not place.is_file():
        print(f"{notebook.path.relative_to(root)}: executing", flush=True)
        failed = folder / f"{notebook.name}-failed.ipynb"
        execute(notebook, parameters, root, place, failed)
    return _with_outputs(notebook, nbformat.read(place, as_version=4))


def notebook_key(root: Path, notebook: Notebook, parameters: Mapping[str, Any]) -> str:
    """Return a hash of all that a notebook's outputs depend on."""
    code = library(root) - {root / "notebooks" / name for name in WITHOUT_EFFECT}
    sources = {os.path.relpath(one, root): source_key(one.read_text()) for one in code}
    folders = [root / name for name in READ_BY_NOTEBOOKS]
    read = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    cells = [cell.source for cell in notebook.node.cells if cell.cell_type == "code"]
    made_with = [sys.version, *map(version, ("torch", "matplotlib", "papermill"))]
    return digest([cells, dict(parameters), sources, _file_keys(root, read), made_with])


def stage(root: Path, source: Path, pages: Mapping[str, nbformat.NotebookNode]) -> None:
    """Put together the folder that the builder sees.

    Args:
        root: The project's folder.
        source: The folder to write; replaced.
        pages: Notebooks by name.
    """
    shutil.rmtree(source, ignore_errors=True)
    ignored = shutil.ignore_patterns("_build", "__pycache__", "results")
    shutil.copytree(root / "book", source, ignore=ignored)
    for name, node in pages.items():
        nbformat.write(node, source / f"{name}.ipynb")
    (source / "api").mkdir(exist_ok=True)
    for name, text in api_pages(root).items():
        (source / "api" / f"{name}.md").write_text(text)
    for path in (source / "ledgers").glob("*.yaml"):
        title = path.stem.upper()
        path.with_suffix(".md").write_text(LEDGER.format(name=title, file=path.name))
    if (table := root / FULL_SCALE).is_file():
        shutil.copy(table, source)


def library(root: Path) -> set[Path]:
    """Return the files of all packages that notebooks import."""
    return {path for name in PACKAGES for path in (root / name).rglob("*.py")}


def api_pages(root: Path) -> dict[str, str]:
    """Return the pages of the API reference, by name: one for each part of a package,
    from its files.
    """
    pages = {}
    for folder in {path.parent for path in library(root)}:
        name = ".".join(folder.relative_to(root).parts)
        parts = [f"# `{name}`\n" + AUTOMODULE.format(name)]
        for path in sorted(folder.glob("[!_]*.py")):
            module = f"{name}.{path.stem}\n   :members:"
            parts.append(f"\n## `{path.stem}`\n" + AUTOMODULE.format(module))
        pages["rest" if name == "vidattn" else name.split(".", 1)[1]] = "".join(parts)
    return pages


def chapters(root: Path) -> Iterator[Notebook]:
    """The notebooks that are pages of the book; each must be in the table of
    contents.
    """
    contents = (root / "book" / "_toc.yml").read_text()
    listed = re.findall(r"\b(?:file|root): *(\S+)", contents)
    for path in sorted((root / "notebooks").glob("[!_]*.py")):
        if path.stem not in listed:
            raise UserError(f"{path.relative_to(root)} is not in book/_toc.yml")
        yield read_notebook(path)


@contextmanager
def _alone(build_folder: Path) -> Iterator[None]:
    """Wait until no other process builds in the same folder."""
    build_folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(build_folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another build in {build_folder}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _with_outputs(
    notebook: Notebook, done: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """Return the notebook as written now, with the outputs that its code gave."""
    node = nbformat.from_dict(notebook.node)
    node.metadata["language_info"] = done.metadata["language_info"]
    ran = {cell.id: cell for cell in done.cells}
    for cell in node.cells:
        if cell.cell_type == "code":
            own = ran[cell.id]
            cell.update(outputs=own.outputs, execution_count=own.execution_count)
    # Papermill's own cell stands behind that of the parameters.
    for before, cell in pairwise(done.cells):
        if INJECTED in cell.metadata.get("tags", []):
            cell.update(id=INJECTED, metadata={"tags": [INJECTED]})
            at = [known.id for known in node.cells].index(before.id) + 1
            node.cells.insert(at, cell)
    return node


def _site_key(root: Path, source: Path) -> str:
    """Return a hash of everything that the site is made from: pages, and the docstrings
    of the library.
    """
    files = [*source.rglob("*"), *library(root), root / "requirements.txt"]
    return digest(_file_keys(root, files))


def _file_keys(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    files = (path for path in paths if path.is_file())
    return {os.path.relpath(path, root): file_key(path) for path in files}


def build_pages(source: Path, work: Path, strict: bool = True) -> Path:
    """Build the site from nothing, so that no earlier failure is forgotten, and return
    its folder.

    Args:
        source: What `stage` put together.
        work: A folder for the builder; replaced.
        strict: A warning, also one of a reference into the library that leads nowhere,
            is an error.

    Raises:
        BuildError: The builder warned or failed.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print("Building the pages", flush=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(source), "--path-output", str(work), "--all", "--quiet"]
    command += ["-W", "-n", "--keep-going"] if strict else []
    surroundings = {**os.environ, "PYTHONWARNINGS": "ignore"}
    # warnings go to stderr and are shown; what goes to stdout names folders that are
    # about to move
    done = subprocess.run(
        command, env=surroundings, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise BuildError("the book was not built: see the warnings above")
    return work / "_build" / "html"
