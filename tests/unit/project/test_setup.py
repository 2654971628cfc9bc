"""Setting up on a machine that lacks something: one sentence and exit 1."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASH = shutil.which("bash") or "bash"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a clone as setting up looks at before it installs."""
    for name in ("tools/install.sh", ".ci/run", "requirements/dev.txt", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH that holds little more than a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("cat", "dirname", "rm", "sh"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return folder


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def run(checkout: Path, machine: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BASH, script], cwd=checkout, env={"PATH": str(machine)}, capture_output=True, text=True, check=False
    )


def test_python_too_old_is_one_sentence(checkout: Path, machine: Path) -> None:
    program(machine, "python3", "exit 1")  # what the check of the version answers in an old Python
    refused = run(checkout, machine, "tools/install.sh")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "Python 3.11 or newer is needed, and none was found on PATH (PYTHON=... names one)."
    ]
    assert not (checkout / ".venv").exists()


def test_newer_python_is_found_beside_an_old_one_and_its_missing_venv_module_is_one_sentence(
    checkout: Path, machine: Path
) -> None:
    program(machine, "python3", "exit 1")
    program(
        machine,
        "python3.13",
        'case "$1" in -c) echo digest ;; --version) echo Python 3.13 ;; *) exit 1 ;; esac',
    )
    refused = run(checkout, machine, "tools/install.sh")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "The venv module of python3.13 does not work; on Debian and Ubuntu it is the package python3-venv."
    ]


@pytest.mark.parametrize("missing", ["git", "make"])
def test_missing_tool_is_one_sentence(checkout: Path, machine: Path, missing: str) -> None:
    for tool in {"git", "make"} - {missing}:
        program(machine, tool, "exit 0")
    refused = run(checkout, machine, ".ci/run")
    assert refused.returncode == 1
    assert refused.stderr == f"{missing} is needed, and it is not on PATH.\n"


def test_installed_checkout_is_left_alone(checkout: Path, machine: Path) -> None:
    program(machine, "python3.11", 'case "$1" in -c) echo digest ;; *) exit 1 ;; esac')
    (checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(machine / "python3.11", checkout / ".venv" / "bin" / "python")
    (checkout / ".venv" / ".installed").write_text("digest\n")
    done = run(checkout, machine, "tools/install.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
