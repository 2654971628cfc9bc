"""Progress bars on a terminal, for reading and sending files."""

from __future__ import annotations

import contextlib
import os
from typing import IO, TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from cli.files import UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console


class StreamWithProgress:
    """A stream that updates a progress bar as it is read. `head` is what was already read from it."""

    def __init__(
        self,
        source: IO[bytes],
        file: Path,
        progress: Progress,
        description: str,
        afterwards: str,
        head: bytes,
    ) -> None:
        self._source, self._file, self._progress = source, file, progress
        self._description, self._afterwards, self._head = description, afterwards, head
        self._task = progress.add_task(description, total=size_of(source))
        self._position = 0

    def read(self, amt: int = -1, /) -> bytes:
        """Read up to `amt` bytes; UnreadableFile if the file cannot be read."""
        if self._head:
            chunk, self._head = (self._head, b"") if amt < 0 else (self._head[:amt], self._head[amt:])
        else:
            try:
                chunk = self._source.read(amt)
            except OSError as error:
                raise UnreadableFile(f"{self._file} cannot be read: {error.strerror or error}.") from error
        self._position += len(chunk)
        description = self._description if chunk else self._afterwards
        self._progress.update(self._task, completed=self._position, description=description)
        return chunk

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move in a file that can be read again, as the AWS SDK does after it has computed a checksum."""
        self._position = self._source.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        """The position in the file."""
        return self._position


@contextlib.contextmanager
def with_progress(
    source: IO[bytes],
    file: Path,
    console: Console,
    description: str,
    *,
    afterwards: str = "",
    head: bytes = b"",
) -> Iterator[StreamWithProgress]:
    """The stream with a progress bar, which a terminal shows while the file is read.

    `afterwards` describes what is done after the last byte was read.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield StreamWithProgress(source, file, progress, description, afterwards or description, head)


def size_of(source: IO[bytes]) -> int | None:
    """The size of a file in bytes; None for a pipe, which has none."""
    if not source.seekable():
        return None
    position = source.tell()
    size = source.seek(0, os.SEEK_END)
    source.seek(position)
    return size
