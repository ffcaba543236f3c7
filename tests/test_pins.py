"""The pin file, the ranges in pyproject.toml and environment.yml agree, and what is
installed is what is pinned.
"""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

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


def ranges() -> list[Requirement]:
    """Return what both distributions ask for, themselves and the batches' excepted."""
    named = []
    for folder in (".", "notebooks"):
        text = (PROJECT / folder / "pyproject.toml").read_text()
        project = tomllib.loads(text)["project"]
        assert project["requires-python"] == ">=3.11"
        named += project["dependencies"]
        for extra, wanted in project.get("optional-dependencies", {}).items():
            named += wanted if extra != "batch" else []
    found = [Requirement(each) for each in named]
    return [each for each in found if same(each.name) != "vidattn"]


@pytest.mark.parametrize("wanted", ranges(), ids=str)
def test_the_pin_lies_in_the_range(wanted: Requirement) -> None:
    pin = pin_file()[0][same(wanted.name)]
    assert wanted.specifier.contains(pin), f"{wanted} does not allow {pin}"


def test_every_direct_pin_is_asked_for() -> None:
    assert pin_file()[0].keys() == {same(each.name) for each in ranges()}


def test_environment_takes_the_pin_file() -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[12]", python)
    assert pip == "pip"
    assert packages["pip"] == ["-r requirements.txt", "-e .", "-e ./notebooks"]


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
