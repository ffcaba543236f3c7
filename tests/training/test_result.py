"""The circumstances that a run card names."""

import subprocess
from pathlib import Path

import pytest

from vidattn.training import result


def test_the_commit_is_that_of_the_librarys_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "vidattn"
    package.mkdir()
    monkeypatch.setattr(result, "PACKAGE", package)
    (package / "__init__.py").write_text("")

    def git(*words: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.check_output(command, text=True).strip()

    git("init", "--quiet")
    assert result.commit() is None  # not a file of this tree
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    sha = git("rev-parse", "HEAD")
    assert result.commit() == sha
    (tmp_path / "runs.jsonl").write_text("")  # a record that is just being written
    assert result.commit() == sha
    (package / "new.py").write_text("")
    assert result.commit() == f"{sha}+dirty"
