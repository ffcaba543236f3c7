"""What a reading takes to be so beyond the text, one choice each, by id:
`data/choices.yaml`.

The ways of counting are choices, too. A reading is a tuple of ids, in the order in
which `says` tells them; the empty one is the text's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidattn.errors import UserError
from vidattn.yamlfile import read_yaml

DATA = Path(__file__).parent / "data"
Origin = Literal["text", "code", "fit"]
ORIGINS: dict[Origin, str] = {"text": "stated", "code": "public code", "fit": "fitted"}
Reading = tuple[str, ...]
TEXT: Reading = ()


@dataclass(frozen=True)
class Choice:
    """One thing that a reading takes to be so, or a way of counting.

    Attributes:
        says: It in words.
        origin: What speaks for it: the text, public code, or nothing but the fit.
        why: Of a way of counting, what shows it.
        departs: Why not all rows of a table make this choice.
        decisions: How many decisions it is.
        guess: It calls itself a guess.
        given: Under it there is nothing to count.
    """

    says: str
    origin: Origin = "fit"
    why: str = ""
    departs: str = ""
    decisions: int = 1
    guess: bool = False
    given: bool = False


def says(reading: Iterable[str]) -> str:
    """Return a reading in words."""
    words = "; ".join(CHOICES[choice].says for choice in reading)
    return words or "as the text has it"


def checked(ids: Iterable[str]) -> Reading:
    """Return the reading that takes these choices.

    Raises:
        UserError: There is no such choice.
    """
    reading = tuple(ids)
    for unknown in set(reading) - set(CHOICES):
        raise UserError(f"choice {unknown!r} is unknown: choices.yaml has no such key")
    return reading


def _read() -> dict[str, Choice]:
    data = read_yaml(DATA / "choices.yaml")
    entries = {key: {"says": key} | of for key, of in data["conventions"].items()}
    entries |= data["choices"] | {
        key: {"says": words, "from": "fit"} for key, words in data["tried"].items()
    }
    return {
        key: Choice(origin=of["from"], **{k: v for k, v in of.items() if k != "from"})
        for key, of in entries.items()
    }


CHOICES = _read()
