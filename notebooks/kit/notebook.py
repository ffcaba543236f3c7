"""A literate notebook: its parameters, refused before anything starts when they are
wrong, and its execution.

A notebook of the book is a py:percent file, `notebooks/<name>.py`, one cell of which is
tagged `parameters` and holds nothing but assignments of literals:

    # %% tags=["parameters"]
    epochs = 2  # passes over the training clips
    kernel = [3, 7, 7]

The header says what they may be. A chapter names its paper's block, whose options may
stand among the parameters, and who describes its networks at full scale; any other
notebook names a model of its own:

    #   vidattn:                                           #   vidattn:
    #     block: region                                    #     parameters: module:Class
    #     full: notebooks.full.rows:full_experiments

`Class` is a `vidattn.training.validation.Part` with the same names as fields. When it
has a method `check()`, that method refuses what types alone cannot (a block that does
not fit, a missing folder) by a `UserError` of one line. It is called here, before a
kernel starts. A notebook without a `parameters` cell takes no parameters and needs no
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
        cells = [x for x in self.node.cells if TAG in x.metadata.get("tags", [])]
        if len(cells) > 1:
            raise UserError(
                f"{self.path}: {len(cells)} cells are tagged '{TAG}', one is allowed"
            )
        return _literals(cells[0].source, self.path) if cells else {}

    @property
    def model(self) -> type[BaseModel] | None:
        """The pydantic model of the parameters, None for a notebook without any.

        Raises:
            UserError: The header names none although there are parameters, or one that
                is not there.
        """
        named = self.node.metadata.get("vidattn", {})
        if not named and not self.defaults:
            return None
        if "block" in named:
            from notebooks.kit.parameters import chapter_parameters

            full = named.get("full")
            return chapter_parameters(self.name, named["block"], full, self.defaults)
        try:
            model: type[BaseModel] = pkgutil.resolve_name(named.get("parameters", ""))
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(
                f"{self.path}: the header must name the parameters' model, "
                f"'module:Class', not {named.get('parameters')!r}: {error}"
            ) from None
        return model

    def parameters(self, given: Mapping[str, Any]) -> Any:
        """Return the validated parameters: the notebook's own, replaced by those that
        are given.

        Raises:
            UserError: One line for each fault, naming the parameter and what is
                allowed.
        """
        from vidattn.training.validation import explain

        unknown = [name for name in given if name not in self.defaults]
        if unknown:
            raise UserError("\n".join(_unknown(self, name) for name in unknown))
        values, model = {**self.defaults, **given}, self.model
        if model is None:
            return None
        fields = model.model_fields.items()
        required = {name for name, field in fields if field.is_required()}
        if different := (required - {*values}) | ({*values} - {*model.model_fields}):
            names = ", ".join(sorted(different))
            raise UserError(
                f"{self.path}: the '{TAG}' cell and {model.__name__} differ in: {names}"
            )
        try:
            parameters = model(**values)
            if hasattr(parameters, "check"):
                parameters.check()
        except ValueError as error:
            said = explain(error) if isinstance(error, ValidationError) else str(error)
            lines = [f"{self.name}: {line}" for line in said.splitlines()]
            raise UserError("\n".join(line for line in lines if line)) from None
        return parameters


def read_notebook(path: Path) -> Notebook:
    """Read a py:percent notebook.

    Raises:
        UserError: There is no such notebook.
    """
    import jupytext

    if not path.is_file():
        names = sorted(file.stem for file in path.parent.glob("*.py"))
        known = ", ".join(names) or "none"
        raise UserError(
            f"no notebook {path.stem!r} in {path.parent}; there are: {known}"
        )
    node = jupytext.read(path, fmt="py:percent")
    # jupytext draws random ids; the same notebook must give the same file, and outputs
    # find their code again where prose was added
    for kind in ("code", "markdown"):
        own = (cell for cell in node.cells if cell.cell_type == kind)
        for number, cell in enumerate(own, start=1):
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
    notebook.parameters(given)
    return {**notebook.defaults, **given}


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
    usual = notebook.defaults
    different = {name: value for name, value in given.items() if value != usual[name]}
    try:
        papermill.execute_notebook(
            nbformat.from_dict(notebook.node),
            str(failed),
            parameters=different,
            kernel_name="python3",
            cwd=str(root),
            # What cells print is shown while they run: a training cell takes minutes.
            stdout_file=sys.stderr,
            stderr_file=sys.stderr,
            start_timeout=300,  # seconds: a busy machine starts a kernel slowly
            # The kernel warns of its own transport.
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        # An error outside the cells' own code has no traceback.
        shown = f"\n{error.source}\n\n{error.ename}: {error.evalue}\n"
        shown = str(error) if error.traceback else shown
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
