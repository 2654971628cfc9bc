"""`distillery channel_config`: the stack's channels shown, and replaced only by a file that can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.cli import main
from distillery.aws.stack_config import CHANNEL_CONFIG_KEY, stack_channel_config
from distillery.task.channels import default_channel_config, dump_channel_config, parse_channel_config
from tests.channel_configs import SIX, TWO
from tests.unit.cli.test_commands import ON_AWS, printed
from tests.unit.cli.test_commands import stack as _stack

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack

stack = _stack


def test_stack_without_one_shows_the_shipped_channel_config(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["channels", *ON_AWS]) == 0
    assert parse_channel_config(capsys.readouterr().out) == default_channel_config()


def test_file_becomes_the_stacks_channel_config_as_it_is_written(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "channels.yaml"
    file.write_text(f"# ours\n{dump_channel_config(SIX)}", "utf-8")
    assert main(["channels", str(file), *ON_AWS]) == 0
    assert "on_screen_text" in capsys.readouterr().out
    assert stack_channel_config(stack.bucket) == SIX
    assert stack.bucket.read(CHANNEL_CONFIG_KEY) == file.read_bytes()
    assert main(["channels", "--json", *ON_AWS]) == 0
    assert len(printed(capsys)["channels"]) == 6


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"channels: [", "not YAML"), (b"\xff", "not UTF-8"), (None, "cannot be read")],
)
def test_file_that_cannot_be_used_changes_nothing(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    stack.bucket.put(CHANNEL_CONFIG_KEY, dump_channel_config(TWO).encode(), "application/yaml")
    file = tmp_path / "channels.yaml"
    if content is not None:
        file.write_bytes(content)
    assert main(["channels", str(file), *ON_AWS]) == 1
    assert said in capsys.readouterr().err
    assert stack_channel_config(stack.bucket) == TWO
