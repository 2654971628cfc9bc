"""The gate prints only what fails, each tool's output in one piece, and runs the tools at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tools import check

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]


def python(code: str) -> tuple[str, ...]:
    return ("python", "-c", code)


def test_nothing_is_printed_when_all_tools_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main({"noisy": python("print('fine')"), "quiet": python("")}) == 0
    assert capsys.readouterr().out == ""


def test_each_failure_is_printed_in_one_piece_and_fails_the_gate(capsys: pytest.CaptureFixture[str]) -> None:
    failing = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    assert (
        check.main({"first": python(failing), "good": python("print('fine')"), "last": python(failing)}) == 1
    )
    assert capsys.readouterr().out == (
        f"== first failed: python -c {failing}\nout\nerr\n== last failed: python -c {failing}\nout\nerr\n"
    )


def test_tools_run_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    # Each waits for the file that the other writes.
    meet = (
        "import pathlib, sys, time; mine, other = map(pathlib.Path, {files!r}); mine.touch()\n"
        "end = time.monotonic() + 30\n"
        "while not other.exists():\n    assert time.monotonic() < end; time.sleep(0.01)"
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    tools = {"one": python(meet.format(files=(one, two))), "two": python(meet.format(files=(two, one)))}
    assert check.main(tools) == 0, capsys.readouterr().out


def test_hooks_before_a_commit_are_commands_of_the_gate() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    names = ("format", "lint", "types", "import directions", "retired words")
    assert {hook["name"]: hook["entry"] for hook in hooks} == {
        name: f".venv/bin/{' '.join(check.TOOLS[name])}" for name in names
    }
