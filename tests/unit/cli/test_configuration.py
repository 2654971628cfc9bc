"""`distillery channels` and `outputs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.app import main
from distillery.aws.stack_config import CHANNEL_CONFIG_KEY, stack_channel_config
from distillery.task.channels import default_channel_config, dump_channel_config, parse_channel_config
from tests.channel_configs import SIX, TWO
from tests.unit.cli.stacks import ON_AWS, printed

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack


def test_stack_without_a_channel_config_shows_that_of_the_package(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["channels", *ON_AWS]) == 0
    assert parse_channel_config(capsys.readouterr().out) == default_channel_config()


def test_file_becomes_the_channel_config_of_the_stack_byte_for_byte(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "channels.yaml"
    file.write_text(f"# comment\n{dump_channel_config(SIX)}", "utf-8")
    assert main(["channels", str(file), *ON_AWS]) == 0
    assert "on_screen_text" in capsys.readouterr().out
    assert stack_channel_config(stack.bucket) == SIX
    assert stack.bucket.read(CHANNEL_CONFIG_KEY) == file.read_bytes()
    assert main(["channels", "--json", *ON_AWS]) == 0
    assert len(printed(capsys)["channels"]) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"channels: [", "not YAML"), (b"\xff", "not UTF-8"), (None, "cannot be read")],
)
def test_invalid_channel_config_changes_nothing(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    stack.bucket.put(CHANNEL_CONFIG_KEY, dump_channel_config(TWO).encode(), "application/yaml")
    file = tmp_path / "channels.yaml"
    if content is not None:
        file.write_bytes(content)
    assert main(["channels", str(file), *ON_AWS]) == 1
    assert message in capsys.readouterr().err
    assert stack_channel_config(stack.bucket) == TWO


def test_outputs_are_printed(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outputs", "--json", *ON_AWS]) == 0
    assert printed(capsys)["DataBucketName"] == "data"


def test_outputs_can_be_loaded_into_a_shell(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outputs", "--export", *ON_AWS]) == 0
    assert "export DataBucketName=data" in capsys.readouterr().out.splitlines()
