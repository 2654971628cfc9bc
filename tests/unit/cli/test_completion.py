"""`distillery completion`: scripts that complete commands, options and choices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import COMMANDS, main
from cli.commands.configuration import COMPLETE_VARIABLE

TOOLS = Path(sys.executable).parent


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    script = (
        "source <(distillery completion bash)\n"
        f'COMP_WORDS=(distillery "$@") COMP_CWORD={len(words)}\n'
        "_distillery_completion distillery\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-euc", script, "bash", *words],
        env={"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("dr",), ["drop"]),
        (("drop", "--w"), ["--watch"]),
        (("completion", "z"), ["zsh"]),
        (("drop", ""), []),
    ],
    ids=["command", "option", "choice", "file"],
)
def test_bash_completes_what_the_script_offers(words: tuple[str, ...], offered: list[str]) -> None:
    # Without an offer, bash completes file names.
    assert completed(*words) == offered


def test_bash_offers_every_command() -> None:
    assert sorted(completed("")) == sorted(name for commands in COMMANDS.values() for name in commands)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_that_asks_the_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    output = capsys.readouterr()
    assert f"{COMPLETE_VARIABLE}=complete_{shell}" in output.out
    assert output.err == ""


def test_a_shell_without_a_script_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err
