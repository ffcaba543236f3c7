"""A throw-away book of one page and one notebook, built by the same code as the real
one.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]

HEADER = """\
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
# ---

"""

WITH_PARAMETERS = HEADER.replace(
    "# ---\n\n",
    "#   vidattn:\n#     parameters: small_parameters:Parameters\n# ---\n\n",
)

NOTEBOOK = """\
# %% [markdown]
# # A chapter
# It has one equation, $a = b$.

# %% tags=["parameters"]
steps = 2  # how often
kernel = [1, 3, 3]
folder = "."

# %%
from small_parameters import Parameters

parameters = Parameters(steps=steps, kernel=kernel, folder=folder)

# %%
from pathlib import Path

with Path("executions.txt").open("a") as file:
    file.write("executed\\n")
print("steps taken:", steps)
"""

MODEL = """\
from pathlib import Path

from vidattn.errors import UserError
from vidattn.training.validation import FrozenList, Part


class Parameters(Part):
    steps: int
    kernel: FrozenList[int]
    folder: str

    def check(self):
        if any(size % 2 == 0 for size in self.kernel):
            raise UserError(f"kernel: sizes must be odd, not {list(self.kernel)}")
        if not Path(self.folder).is_dir():
            raise UserError(f"folder: {self.folder} is no folder")
"""

PAGE = """\
# A page

(a-section)=
## A section

Text with a citation {cite}`known2020`, a reference to {ref}`a-section` and a link to
[the chapter](chapter).

$$
y = x
$$ (eq:identity)

Equation {eq}`eq:identity` is short.

```{bibliography}
```
"""


@pytest.fixture
def small_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that writes the book's folder: what is added to its page, and
    the notebook's text.
    """

    def write(page: str = "", notebook: str = NOTEBOOK) -> Path:
        book = tmp_path / "book"
        for folder in (
            book / "_static",
            book / "_ext",
            tmp_path / "notebooks" / "params",
            tmp_path / "vidattn",
        ):
            folder.mkdir(parents=True, exist_ok=True)
        config = yaml.safe_load((PROJECT / "book" / "_config.yml").read_text())
        (book / "_config.yml").write_text(yaml.safe_dump(config))
        shutil.copy(PROJECT / "book" / "_ext" / "docstrings.py", book / "_ext")
        for name in ("logo.svg", "book.css"):
            shutil.copy(PROJECT / "book" / "_static" / name, book / "_static")
        (book / "_toc.yml").write_text(
            "format: jb-book\nroot: page\nchapters:\n- file: chapter\n"
        )
        (book / "references.bib").write_text(
            "@misc{known2020, author={Known, A.}, title={A book}, year={2020}}\n"
        )
        (book / "page.md").write_text(PAGE + page)
        (tmp_path / "notebooks" / "chapter.py").write_text(
            (WITH_PARAMETERS if "parameters" in notebook else HEADER) + notebook
        )
        (tmp_path / "notebooks" / "params" / "chapter_smoke.yaml").write_text(
            "steps: 3\n"
        )
        (tmp_path / "small_parameters.py").write_text(MODEL)
        (tmp_path / "vidattn" / "helper.py").write_text('"""A helper."""\nWIDTH = 4\n')
        (tmp_path / "requirements.txt").write_text("")
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield write
    import sys

    sys.modules.pop("small_parameters", None)
