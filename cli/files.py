"""Files that a person names on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.errors import BadInput
from distillery.task.channels import ChannelConfig, default_channel_config, parse_channel_config

if TYPE_CHECKING:
    from pathlib import Path


def read_text(file: Path) -> str:
    """A text file's content; BadInput with one sentence when it cannot be read."""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 text.", fix="Save it as UTF-8.") from error


def read_channel_config(file: Path | None) -> ChannelConfig:
    """The channel configuration of a file; the shipped one without."""
    return parse_channel_config(read_text(file)) if file else default_channel_config()
