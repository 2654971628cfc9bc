"""The stack's channel configuration: shown, and replaced by a file that was checked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.files import read_text
from distillery.aws.stack_config import CHANNEL_CONFIG_KEY, stack_channel_config
from distillery.task.channels import ChannelConfig, parse_channel_config

if TYPE_CHECKING:
    from pathlib import Path

    from cli.stack import Stack


def read(stack: Stack) -> ChannelConfig:
    """The channel configuration that the next dataset will be held to."""
    return stack_channel_config(stack.bucket)


def put(stack: Stack, file: Path) -> ChannelConfig:
    """Make a file the stack's channel configuration, unchanged; BadInput, and no change at all, when it is none."""
    text = read_text(file)
    channel_config = parse_channel_config(text)
    stack.bucket.put(CHANNEL_CONFIG_KEY, text.encode(), "application/yaml")
    return channel_config
