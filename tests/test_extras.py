"""What a part of the library lacks is said in one line; help lacks nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def python(code: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code]
    return subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("part", "lacks", "line"),
    [
        ("video", "decord", "decord is missing: pip install 'vidattn[video]'"),
        (
            "training",
            "filelock",
            "filelock is missing: pip install 'vidattn[training]'",
        ),
        ("training", "decord", "decord is missing: pip install 'vidattn[video]'"),
        (
            "figures",
            "matplotlib",
            "matplotlib is missing: pip install 'vidattn[figures]'",
        ),
    ],
)
def test_a_missing_extra_is_one_line(part: str, lacks: str, line: str) -> None:
    done = python(f"import sys; sys.modules[{lacks!r}] = None; import vidattn.{part}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"vidattn.errors.MissingExtra: {line}"


def test_a_command_says_it_without_a_traceback() -> None:
    lacking = "import sys; sys.modules['decord'] = None; "
    command = "from vidattn.__main__ import main; sys.exit(main(['run', 'e.yaml']))"
    done = python(lacking + command)
    assert done.returncode == 2
    assert done.stderr == "decord is missing: pip install 'vidattn[video]'\n"


def test_help_needs_no_torch() -> None:
    done = python(
        "import sys\n"
        "from vidattn.__main__ import main\n"
        "try: main(['cost', '--help'])\n"
        "except SystemExit: print('torch' in sys.modules, 'pydantic' in sys.modules)"
    )
    assert "--place" in done.stdout and done.stdout.endswith("False False\n")
