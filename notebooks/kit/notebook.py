"""A literate notebook: its parameters, refused before anything starts when they are
wrong, and its execution.

A notebook of the book is a py:percent file, `notebooks/<name>.py`. Its header names the
model of its parameters:

    # ---
    # jupyter:
    #   jupytext:
    #     text_representation:
    #       extension: .py
    #       format_name: percent
    #   kernelspec:
    #     display_name: Python 3
    #     language: python
    #     name: python3
    #   language_info:
    #     name: python
    #   vidattn:
    #     parameters: notebooks.kit.printed.example:Parameters
    # ---

One cell is tagged `parameters` and holds nothing but assignments of literals; the next
cell makes the model of them:

    # %% tags=["parameters"]
    steps = 200  # optimizer steps of one run
    kernel = [3, 7, 7]

    # %%
    from notebooks.kit.printed.example import Parameters

    parameters = Parameters(steps=steps, kernel=kernel)

`Parameters` is a `vidattn.training.validation.Part` with the same names as fields. When
it has a method `check()`, that method refuses what types alone cannot (a block that
does not fit, a missing folder) by a `ValueError` of one line. It is called here, before
a kernel starts. A notebook without a `parameters` cell takes no parameters and needs no
`vidattn` key.

The kernel runs in the project's root folder: a notebook names its files from there
(`runs`, `book/results`).
"""

import ast
import difflib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from pydantic import BaseModel, ValidationError

from vidattn.errors import UserError

TAG = "parameters"
INJECTED = "injected-parameters"  # papermill's tag


class CellError(Exception):
    """A cell failed, or its kernel died; the text names the notebook and the cell and
    shows the traceback.
    """


@dataclass(frozen=True)
class Notebook:
    """One notebook as written, not executed."""

    path: Path
    node: nbformat.NotebookNode

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The parameters that the notebook declares, with their values there.

        Raises:
            UserError: The cell tagged `parameters` holds something else than
                assignments of literals.
        """
        cells = [
            cell for cell in self.node.cells if TAG in cell.metadata.get("tags", [])
        ]
        if len(cells) > 1:
            raise UserError(
                f"{self.path}: {len(cells)} cells are tagged '{TAG}', one is allowed"
            )
        return _literals(cells[0].source, self.path) if cells else {}

    @property
    def model(self) -> type[BaseModel] | None:
        """The pydantic model that the header names, or None for a notebook without
        parameters.

        Raises:
            UserError: The header names none although there are parameters, or one that
                is not there.
        """
        place = self.node.metadata.get("vidattn", {}).get("parameters")
        if place is None and not self.defaults:
            return None
        try:
            return pkgutil.resolve_name(place or "")
        except (ImportError, AttributeError, ValueError) as error:
            said = f"the header must name the parameters' model, 'module:Class', not {place!r}: {error}"
            raise UserError(f"{self.path}: {said}") from None


def read_notebook(path: Path) -> Notebook:
    """Read a py:percent notebook.

    Raises:
        UserError: There is no such notebook.
    """
    import jupytext

    if not path.is_file():
        known = (
            ", ".join(sorted(file.stem for file in path.parent.glob("*.py"))) or "none"
        )
        raise UserError(
            f"no notebook {path.stem!r} in {path.parent}; there are: {known}"
        )
    node = jupytext.read(path, fmt="py:percent")
    # jupytext draws random ids; the same notebook must give the same file, and outputs
    # find their code again where prose was added
    for kind in ("code", "markdown"):
        for number, cell in enumerate(
            (cell for cell in node.cells if cell.cell_type == kind), start=1
        ):
            cell["id"] = f"{kind}-{number}"
    return Notebook(path, node)


def resolve(notebook: Notebook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a notebook: its defaults, replaced by those that are
    given.

    Args:
        notebook: The notebook.
        given: Values by parameter.

    Raises:
        UserError: One line for each fault, naming the parameter and what is allowed.
    """
    if unknown := [
        _unknown(notebook, name) for name in given if name not in notebook.defaults
    ]:
        raise UserError("\n".join(unknown))
    values = {**notebook.defaults, **given}
    model = notebook.model
    if model is None:
        return values
    from vidattn.training.validation import explain

    different = set(model.model_fields) ^ set(values)
    if different:
        names = ", ".join(sorted(different))
        raise UserError(
            f"{notebook.path}: the '{TAG}' cell and {model.__name__} differ in: {names}"
        )
    try:
        parameters = model(**values)
        if hasattr(parameters, "check"):
            parameters.check()
    except ValueError as error:
        said = explain(error) if isinstance(error, ValidationError) else str(error)
        lines = [
            f"{notebook.name}: {line}" for line in said.splitlines() if line.strip()
        ]
        raise UserError("\n".join(lines)) from None
    return values


def execute(
    notebook: Notebook, given: Mapping[str, Any], root: Path, done: Path, failed: Path
) -> None:
    """Run a notebook in a kernel of this Python and write it with its outputs.

    Args:
        notebook: The notebook.
        given: Parameters that differ from the notebook's own; already checked by
            `resolve`.
        root: Folder in which the kernel runs.
        done: File to write, whole or not at all.
        failed: File that keeps the notebook as it stood when a cell failed.

    Raises:
        CellError: A cell failed or the kernel died.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    failed.parent.mkdir(parents=True, exist_ok=True)
    different = {
        name: value for name, value in given.items() if value != notebook.defaults[name]
    }
    try:
        papermill.execute_notebook(
            nbformat.from_dict(notebook.node),
            str(failed),
            parameters=different,
            kernel_name="python3",
            cwd=str(root),
            stdout_file=sys.stderr,  # what cells print is shown while they run: a training cell takes minutes
            stderr_file=sys.stderr,
            start_timeout=300,  # seconds: a busy machine starts a kernel slowly
            extra_arguments=[
                "--log-level=ERROR"
            ],  # the kernel's, which warns of its own transport
        )
    except PapermillExecutionError as error:
        # An error outside the cells' own code has no traceback.
        shown = (
            str(error)
            if error.traceback
            else f"\n{error.source}\n\n{error.ename}: {error.evalue}\n"
        )
        where = f"{notebook.path}, cell {error.cell_index + 1}"
        raise CellError(
            f"{where} failed:\n{shown}\nThe notebook as it stood: {failed}"
        ) from None
    except DeadKernelError as error:
        raise CellError(
            f"{notebook.path}: the kernel died ({error}); out of memory?"
        ) from None
    failed.replace(done)


def _literals(source: str, path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for statement in ast.parse(source).body:
        name, _, value = ast.unparse(statement).partition(" = ")
        try:
            values[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            said = f"parameter {name} must be a literal, not: {value or 'nothing'}"
            raise UserError(f"{path}: {said}") from None
    return values


def _unknown(notebook: Notebook, name: str) -> str:
    close = difflib.get_close_matches(name, notebook.defaults, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    allowed = ", ".join(notebook.defaults) or "none"
    return f"{notebook.name}: {name}: unknown parameter{hint}; allowed are: {allowed}"
