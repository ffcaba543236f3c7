"""The pin file, pyproject.toml and environment.yml say the same versions, and they are
the installed ones.
"""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


def same(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        match = PIN.fullmatch(line)
        assert match, f"{line!r} is no pin of the form name==version"
        assert same(match[1]) not in found, f"{match[1]} is pinned twice"
        found[same(match[1])] = match[2]
    return found


def pin_file() -> tuple[dict[str, str], dict[str, str]]:
    """Return the direct and the transitive pins."""
    direct, transitive = (
        (PROJECT / "requirements.txt").read_text().split("# transitive:")
    )
    lines = [
        [line for line in part.splitlines()[1:] if line and not line.startswith("#")]
        for part in (direct, transitive)
    ]
    return pins(lines[0]), pins(lines[1])


def test_pyproject_names_the_direct_pins() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"]]
    for extra in ("book", "dev"):
        named += project["optional-dependencies"][extra]
    assert pins(named) == pin_file()[0]
    assert project["requires-python"] == ">=3.11"


def test_environment_takes_the_pin_file() -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[12]", python)
    assert pip == "pip"
    assert packages["pip"] == ["-r requirements.txt", "-e ."]


def test_direct_and_transitive_pins_do_not_overlap() -> None:
    direct, transitive = pin_file()
    assert not direct.keys() & transitive.keys()


def test_what_is_installed_is_what_is_pinned() -> None:
    direct, transitive = pin_file()
    pinned = direct | transitive
    installed = {
        same(found.metadata["Name"]): found.version.partition("+")[0]
        for found in distributions()
    }
    different = {
        name: (version, installed[name])
        for name, version in pinned.items()
        if name in installed and installed[name] != version
    }
    # another torch is allowed on purpose: the library runs on 2.11 and later
    different.pop("torch", None)
    assert not different
    missing = pinned.keys() - installed.keys()
    assert not missing
