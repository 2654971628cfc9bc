"""`distillery taxonomy`: the stack's facets shown, and replaced only by a file that can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.cli import main
from distillery.aws.stack_config import TAXONOMY_KEY, stack_taxonomy
from distillery.task.channels import default_taxonomy, dump_taxonomy, parse_taxonomy
from tests.taxonomies import SIX, TWO
from tests.unit.cli.test_commands import ON_AWS, printed
from tests.unit.cli.test_commands import stack as _stack

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack

stack = _stack


def test_stack_without_one_shows_the_shipped_taxonomy(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["taxonomy", *ON_AWS]) == 0
    assert parse_taxonomy(capsys.readouterr().out) == default_taxonomy()


def test_file_becomes_the_stacks_taxonomy_as_it_is_written(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "facets.yaml"
    file.write_text(f"# ours\n{dump_taxonomy(SIX)}", "utf-8")
    assert main(["taxonomy", str(file), *ON_AWS]) == 0
    assert "on_screen_text" in capsys.readouterr().out
    assert stack_taxonomy(stack.bucket) == SIX
    assert stack.bucket.read(TAXONOMY_KEY) == file.read_bytes()
    assert main(["taxonomy", "--json", *ON_AWS]) == 0
    assert len(printed(capsys)["facets"]) == 6


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"facets: [", "not YAML"), (b"\xff", "not UTF-8"), (None, "cannot be read")],
)
def test_file_that_cannot_be_used_changes_nothing(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    stack.bucket.put(TAXONOMY_KEY, dump_taxonomy(TWO).encode(), "application/yaml")
    file = tmp_path / "facets.yaml"
    if content is not None:
        file.write_bytes(content)
    assert main(["taxonomy", str(file), *ON_AWS]) == 1
    assert said in capsys.readouterr().err
    assert stack_taxonomy(stack.bucket) == TWO
