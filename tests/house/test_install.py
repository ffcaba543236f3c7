"""What `pip install .` brings along: torch and einops, in ranges, and no page.

Nothing here uses the network.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email import message_from_bytes
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.house.test_arrows import LIBRARY, imported, library, part

ROOT = Path(__file__).resolve().parents[2]
BUILD = "from setuptools.build_meta import build_wheel; build_wheel('.')"
# Extras that bring what a part of the library imports, at whatever remove; the others
# need none.
EXTRAS = {
    "description": {"training"},
    "yamlfile": {"training"},
    "video": {"video"},
    "training": {"video", "training"},
    "cost": {"figures"},
    "figures": {"video", "training", "figures"},
    "__main__": {"video", "training", "figures"},
}
# Imported inside functions that only a notebook calls, which has them.
OF_NOTEBOOKS = {"IPython", "matplotlib_inline"}


def canonical(name: str) -> str:
    """Return a distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project's wheel from a copy."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("vidattn", "notebooks"):
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    subprocess.run(
        [sys.executable, "-c", BUILD], cwd=folder, check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return built


def requirements(wheel: Path) -> list[Requirement]:
    """Return all that a wheel asks for, with and without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        said = message_from_bytes(archive.read(name))
    return [Requirement(text) for text in said.get_all("Requires-Dist", [])]


def test_torch_and_einops_are_all_that_is_needed(wheel: Path) -> None:
    needed = {r.name: r.specifier for r in requirements(wheel) if r.marker is None}
    assert needed.keys() == {"einops", "torch"}
    for version in ("2.11.0", "2.11.0+cpu", "2.13.0", "3.0", "99.0"):
        assert needed["torch"].contains(version), f"torch {version} must do"
    assert not needed["torch"].contains("2.10.2")
    for version in ("0.8.0", "0.8.2", "99.0"):
        assert needed["einops"].contains(version), f"einops {version} must do"


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = {str(p.relative_to(ROOT)) for p in (ROOT / "vidattn").rglob("*.py")}
    assert ours <= names
    assert {name.partition("/")[0] for name in names} == {"vidattn"}


def test_an_older_torch_stays_as_it_is(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    for name, version in (("torch", "2.11.0"), ("einops", "0.8.0")):
        said = Path(done.stdout.strip()) / f"{name}-{version}.dist-info"
        said.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (said / "METADATA").write_text(text)
        (said / "INSTALLER").write_text("pip\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    command += ["--dry-run", "--no-index", "--disable-pip-version-check", str(wheel)]
    # Settings of the machine, such as an index of its own, do not count.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    done = subprocess.run(command, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    would = re.findall(r"Would install (.*)", done.stdout)
    assert len(would) == 1 and re.fullmatch(r"vidattn-\S+", would[0]), done.stdout


def test_a_notebook_finds_what_pages_share_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()  # a folder of the same name is not in the way
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", "import vidattn, notebooks.full"]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, f"pip install -e . -e ./notebooks\n{done.stderr}"


def closure(*names: str) -> set[str]:
    """Return distributions and all that they ask for here, at whatever remove."""
    found, waiting = set(), [*names]
    while waiting:
        name = canonical(waiting.pop())
        if name in found:
            continue
        found.add(name)
        for text in requires(name) or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return found


def test_blocks_and_backbones_work_with_torch_and_einops_alone() -> None:
    present = closure("torch", "einops") | {"vidattn", "setuptools", "pip"}
    absent = sorted(
        name
        for name, owners in packages_distributions().items()
        if not {canonical(owner) for owner in owners} & present
        and name not in sys.stdlib_module_names
    )
    assert {"numpy", "pydantic", "matplotlib", "pandas", "decord"} <= set(absent)
    script = f"""
import sys
for name in {absent!r}:
    sys.modules[name] = None  # as if it were not installed
import torch
import vidattn.backbones
from vidattn.blocks import BLOCKS
x = torch.randn(1, 32, 8, 4, 4)
for kind, block in BLOCKS.items():
    assert block(32).eval()(x).shape == x.shape, kind
print(len(BLOCKS))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 17


@pytest.mark.parametrize("mine", [name for name in LIBRARY if name != "__init__"])
def test_what_a_part_imports_is_asked_for(mine: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"]]
    for extra in EXTRAS.get(mine, ()):
        texts += project["optional-dependencies"][extra]
    asked = {canonical(Requirement(text).name) for text in texts}
    owners = packages_distributions()
    for name in (each for each in library() if part(each) == mine):
        for top in sorted(foreign_packages(name) - OF_NOTEBOOKS):
            known = {canonical(owner) for owner in owners.get(top, [top])}
            extras = sorted(EXTRAS.get(mine, ()))
            said = f"{name} needs {top}, which neither dependencies nor {extras} name"
            assert known & asked, said


def foreign_packages(name: str) -> set[str]:
    """Return what a module of the library imports from others, at whatever remove."""
    seen, waiting, tops = set(), {name}, set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        found = imported(module)
        waiting |= {each for each in found if each in library()} - seen
        tops |= {each.partition(".")[0] for each in found}
    return tops - set(sys.stdlib_module_names) - {"vidattn", "__future__"}
