"""`distillery` itself: help, version, usage errors, exit codes."""

from __future__ import annotations

import pytest

from cli.app import COMMANDS, main
from cli.exit_codes import RUN_EXIT_CODES
from distillery import __version__
from distillery.runs.states import ENDED, State


@pytest.mark.parametrize("arguments", [["nonsense"], ["drop"], ["runs", "--limit", "0"], ["route", "--nope"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "--help" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_the_exit_codes_and_every_command(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert main([option]) == 0
    text = capsys.readouterr().out
    assert "Exit codes" in text
    for panel, commands in COMMANDS.items():
        assert panel in text
        for command in commands:
            assert f" {command} " in text


@pytest.mark.parametrize("command", [name for commands in COMMANDS.values() for name in commands])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "-h"]) == 0
    assert f"Usage: distillery {command} [OPTIONS]" in capsys.readouterr().out


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: distillery" in "".join(capsys.readouterr())


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"distillery {__version__}\n"


def test_every_ended_state_has_an_exit_code() -> None:
    assert {*RUN_EXIT_CODES, State.RETIRED} == ENDED
