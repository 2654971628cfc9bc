"""Reading and writing files that are named on the command line. The name `-` is standard input."""

from __future__ import annotations

import contextlib
import sys
from typing import IO, TYPE_CHECKING

from distillery.errors import BadInput
from distillery.generation.spec import parse_spec
from distillery.task.channels import ChannelConfig, default_channel_config, parse_channel_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distillery.generation.spec import Spec


STANDARD_INPUT = "-"


class UnreadableFile(BadInput):
    """The file cannot be read, or not as lines of text."""


@contextlib.contextmanager
def open_file(file: Path) -> Iterator[IO[bytes]]:
    """A file, a pipe or standard input, to be read once; UnreadableFile if it cannot be opened."""
    if str(file) == STANDARD_INPUT:
        if sys.stdin is None:
            raise UnreadableFile("Standard input is closed.", fix="Name a file.")
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error
    with source:
        yield source


def read_bytes(file: Path) -> bytes:
    """The content of a file; UnreadableFile if it cannot be read."""
    with open_file(file) as source:
        try:
            return source.read()
        except OSError as error:
            raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error


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
