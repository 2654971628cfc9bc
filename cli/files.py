"""Reading files that are named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.errors import BadInput
from distillery.generation.spec import parse_spec
from distillery.task.channels import ChannelConfig, default_channel_config, parse_channel_config

if TYPE_CHECKING:
    from pathlib import Path

    from distillery.generation.spec import Spec


def read_bytes(file: Path) -> bytes:
    """The content of a file; BadInput if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error


def read_text(file: Path) -> str:
    """The content of a text file; BadInput if it cannot be read or is not UTF-8."""
    try:
        return read_bytes(file).decode("utf-8-sig")  # editors on Windows write a byte order mark
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 text.", fix="Save it as UTF-8.") from error


def read_channel_config(file: Path | None) -> ChannelConfig:
    """The channel configuration in a file; without a file, the one in the package."""
    return parse_channel_config(read_text(file)) if file else default_channel_config()


def read_spec(file: Path) -> tuple[Spec, bytes]:
    """The spec in a file, and the bytes of the file; BadInput if it cannot be read or is not a valid spec."""
    content = read_bytes(file)
    try:
        return parse_spec(content), content
    except BadInput as error:
        raise BadInput(f"{file}: {error.message}", fix=error.fix) from error


def check_output_file(file: Path, *, force: bool) -> None:
    """Raise BadInput for a file that must not be overwritten, and for a folder that does not exist."""
    if not file.parent.is_dir():
        raise BadInput(f"The folder {file.parent} does not exist.", fix="Create it first.")
    if file.exists() and not force:
        raise BadInput(f"{file} exists.", fix="Set --force to overwrite it, or choose another file.")


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file; BadInput if that is not possible."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}.") from error
