"""Every command that a page shows exists, with its options; those for AWS are checked without an account."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
import typer.main
from botocore import xform_name

from cli.app import app
from tests.pages import blocks
from tools.docs_tables import PAGES
from tools.translate import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES_WITH_COMMANDS = (*PAGES, *ROOT.glob("CONTRIBUTING.md"))
GLOBAL_OPTIONS = {"query", "output", "endpoint-url", "max-items", "region", "profile"}
S3_COMMANDS = {"rm": {"recursive"}, "cp": {"recursive"}, "ls": {"recursive"}}
"""`aws s3` is no service: its commands are the AWS CLI's own."""


def shown(program: str) -> list[tuple[str, list[str]]]:
    """The page and the words of every command of a program, in blocks and in backticks."""
    found = []
    for page in PAGES_WITH_COMMANDS:
        lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
        lines += re.findall(rf"`({program} [^`\n]+)`", page.read_text("utf-8"))
        for line in lines:
            found += [(page.name, words[1:]) for words in commands(line) if words[0] == program and words[1:]]
    return found


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a shell line, those in `$(...)` too."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, ";"]:
        if token.startswith("$(") and token.endswith(")"):
            yield from commands(token[2:-1])
        if token in {"&&", "||", "|", ";", ">"}:
            if words:
                yield words
            words = []
        else:
            words.append(token)


@pytest.mark.parametrize(
    ("page", "words"),
    shown("distillery"),
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_distillery_command_exists_with_its_options(page: str, words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    if words[0].startswith("-"):
        known = {option for parameter in group.params for option in parameter.opts}
        assert set(words) <= known | {"--help", "-h"}
        return
    command = group.commands[words[0]]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words[1:] if word.startswith("--")} <= known | {"--help"}


@pytest.mark.parametrize(
    ("page", "words"), shown("make"), ids=lambda value: " ".join(value) if isinstance(value, list) else value
)
def test_make_target_exists(page: str, words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {word for word in words if "=" not in word} <= targets


@pytest.mark.parametrize(
    ("page", "words"),
    shown("aws"),
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else value,
)
def test_aws_command_exists_with_its_options(page: str, words: list[str]) -> None:
    if len(words) < 2 or words[1].startswith("-"):
        return
    service, operation, *rest = words
    options = {word.removeprefix("--") for word in rest if word.startswith("--")} - GLOBAL_OPTIONS
    if service == "s3":
        assert options <= S3_COMMANDS[operation]
        return
    assert options <= members({"s3api": "s3"}.get(service, service), operation)


@pytest.mark.parametrize(
    ("page", "words"),
    shown("sam"),
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else value,
)
def test_sam_command_exists_with_its_options(page: str, words: list[str]) -> None:
    known = sam_options(words[0])
    assert {word for word in words[1:] if word.startswith("--")} <= known


@cache
def members(service: str, operation: str) -> set[str]:
    """The options of an operation: its input's members as the AWS CLI spells them."""
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"{service} has no operation {operation}"
    shape = model.operation_model(names[operation]).input_shape
    found = {xform_name(name, "-") for name in (shape.members if shape else {})}
    return found | {f"no-{name}" for name in found}


@cache
def sam_options(command: str) -> set[str]:
    """The options that `sam COMMAND --help` names."""
    sam = Path(sys.executable).with_name("sam")
    shown_help = subprocess.run([sam, command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]+", shown_help))
