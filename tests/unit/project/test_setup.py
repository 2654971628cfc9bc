"""`make install` with and without uv, and on machines that lack something: one sentence and exit 1.

The programs are fakes on PATH that write down how they are called; nothing is downloaded.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASH = shutil.which("bash") or "bash"
CALLS = "calls.txt"
LOCKED = "install --require-hashes --no-deps -r requirements/dev.txt"
COMMAND = "install --no-build-isolation --no-deps --editable ."
WITH_PIP = "pip --quiet --quiet --disable-pip-version-check"
WITH_UV = "uv never --quiet pip install --python .venv/bin/python"
PINNED_UV = f"{WITH_PIP} install --require-hashes --no-deps --only-binary=:all: -r requirements/uv.txt"
BY_PIP = [f"{WITH_PIP} {LOCKED}", f"{WITH_PIP} {COMMAND}"]
BY_UV = [f"{WITH_UV} {LOCKED.removeprefix('install ')}", f"{WITH_UV} {COMMAND.removeprefix('install ')}"]
UV = f"""
[ "$1" = --version ] && exit 0
echo "uv $UV_PYTHON_DOWNLOADS $*" >>{CALLS}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a clone as setting up looks at before it installs."""
    for name in (
        "tools/install.sh",
        ".ci/run",
        "requirements/dev.txt",
        "requirements/uv.txt",
        "pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def python(machine: Path) -> Path:
    """A Python on PATH: it makes .venv with a copy of itself, and its pip installs a uv that works."""
    return fake_python(machine, "python3")


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


def fake_python(folder: Path, name: str, pip: str = "") -> Path:
    """A fake Python whose `pip` runs the shell commands `pip` before it does what a working one does."""
    copy, make_folder, mode = shutil.which("cp"), shutil.which("mkdir"), shutil.which("chmod")
    program(
        folder,
        name,
        f"""
case "$1 $2" in
    "-c "*) echo digest ;;
    "--version "*) echo Python 3.12 from {name} ;;
    "-m venv") {make_folder} -p .venv/bin && {copy} "$0" .venv/bin/python ;;
    "-m pip")
        shift
        echo "$*" >>{CALLS}
        {pip or ":"}
        case "$*" in *uv.txt) {copy} {folder}/uv-wheel .venv/bin/uv && {mode} 755 .venv/bin/uv ;; esac ;;
esac""",
    )
    program(folder, "uv-wheel", UV)
    return folder / name


def run(
    checkout: Path, machine: Path, script: str, path: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BASH, script],
        cwd=checkout,
        env={"PATH": f"{path}{machine}", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(checkout: Path) -> list[str]:
    """How pip and uv were called, in order."""
    file = checkout / CALLS
    return file.read_text().splitlines() if file.exists() else []


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


@pytest.mark.usefixtures("python")
def test_uv_on_path_installs_the_lock_and_the_command(checkout: Path, machine: Path) -> None:
    program(machine, "uv", UV)
    done = run(checkout, machine, "tools/install.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert calls(checkout) == BY_UV


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("broken", [False, True], ids=["no uv on PATH", "uv on PATH does not run"])
def test_pinned_uv_is_installed_where_the_machine_has_none(
    checkout: Path, machine: Path, broken: bool
) -> None:
    if broken:
        program(machine, "uv", "exit 127")
    done = run(checkout, machine, "tools/install.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert calls(checkout) == [PINNED_UV, *BY_UV]


@pytest.mark.usefixtures("python")
def test_an_older_uv_in_the_venv_is_brought_to_the_pinned_version(checkout: Path, machine: Path) -> None:
    run(checkout, machine, "tools/install.sh")
    (checkout / ".venv/.installed").write_text("another lock")
    (checkout / CALLS).unlink()
    # make puts .venv/bin before the rest of PATH.
    run(checkout, machine, "tools/install.sh", path=f"{checkout}/.venv/bin:")
    assert calls(checkout) == [PINNED_UV, *BY_UV]


def test_pip_installs_where_uv_has_no_wheel_and_one_sentence_says_so(checkout: Path, machine: Path) -> None:
    fake_python(
        machine, "python3", pip='case "$*" in *uv.txt) echo No matching distribution >&2; exit 1 ;; esac'
    )
    done = run(checkout, machine, "tools/install.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == (
        "uv could not be installed on this machine, so pip installs the dependencies, which takes about a "
        "minute."
    )
    assert calls(checkout) == [PINNED_UV, *BY_PIP]


@pytest.mark.usefixtures("python")
def test_pip_installs_when_uv_fails(checkout: Path, machine: Path) -> None:
    program(machine, "uv", f"{UV}\necho No route to the index >&2\nexit 2")
    done = run(checkout, machine, "tools/install.sh")
    assert done.returncode == 0
    assert done.stderr == "No route to the index\n"
    assert done.stdout.splitlines()[-1] == (
        "uv could not install the dependencies (see above), so pip installs them, which takes about a minute."
    )
    assert calls(checkout) == [BY_UV[0], *BY_PIP]


def test_dependencies_that_cannot_be_installed_are_one_sentence_and_tried_again(
    checkout: Path, machine: Path
) -> None:
    fake_python(machine, "python3", pip="echo No network >&2; exit 1")
    for _ in range(2):
        refused = run(checkout, machine, "tools/install.sh")
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-2:] == [
            "No network",
            "The dependencies could not be installed (see above).",
        ]
        assert not (checkout / ".venv/.installed").exists()


@pytest.mark.usefixtures("python")
def test_second_call_installs_nothing(checkout: Path, machine: Path) -> None:
    run(checkout, machine, "tools/install.sh")
    before = calls(checkout)
    done = run(checkout, machine, "tools/install.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert calls(checkout) == before


@pytest.mark.usefixtures("python")
def test_variable_chooses_the_python(checkout: Path, machine: Path) -> None:
    fake_python(machine, "python3.12")
    done = run(checkout, machine, "tools/install.sh", PYTHON="python3.12")
    assert done.stdout.splitlines()[0] == "Making .venv with Python 3.12 from python3.12 ..."


@pytest.mark.parametrize("lock", ["dev.txt", "uv.txt"])
def test_locks_hold_exact_versions_with_hashes_and_no_index(lock: str) -> None:
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    assert not [
        line for line in lines if not re.match(r"[a-z0-9.-]+==\S+|    --hash=sha256:[0-9a-f]{64}", line)
    ]
    pins = [number for number, line in enumerate(lines) if not line.startswith(" ")]
    assert [lines[number] for number in pins if not lines[number + 1].startswith("    --hash=")] == []


def test_uv_is_locked_apart_from_the_other_requirements() -> None:
    assert (ROOT / "requirements/uv.txt").read_text().startswith("uv==")
    assert "\nuv==" not in (ROOT / "requirements/dev.txt").read_text()
