"""A binary stream as lines, whatever it holds, in flat memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from distillery.records import MAX_LINE_BYTES, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_BYTES = 2_000_000_000
"""Bedrock says 2 GB; the smaller reading is safe."""
CHUNK_BYTES = 256 * 1024
SNIFFED_BYTES = 512
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Readable(Protocol):
    """A binary stream: an open file, or the body of an S3 object."""

    def read(self, amt: int, /) -> bytes: ...


class Unreadable(Exception):
    """The stream is no text to be read in lines."""

    def __init__(self, code: str, message: str, mend: str) -> None:
        super().__init__(message)
        self.finding = Finding(code, "error", None, message, mend)


class Lines:
    """The lines of a stream without their ends, read in flat memory.

    A line over the limit is cut off just above it, so that it is still seen to be too long.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.bytes_read = 0

    def __iter__(self) -> Iterator[bytes]:
        tail = b""
        while chunk := self._stream.read(CHUNK_BYTES):
            if not self.bytes_read:
                self._sniff(chunk[:SNIFFED_BYTES])
            self.bytes_read += len(chunk)
            if self.bytes_read > MAX_FILE_BYTES:
                raise Unreadable(
                    "file_too_large",
                    f"The file is larger than {MAX_FILE_BYTES:,} bytes; it was read no further.",
                    "Split it into several datasets, or drop records.",
                )
            lines = (tail + chunk).split(b"\n")
            tail = lines.pop()
            yield from lines
            if len(tail) > MAX_LINE_BYTES:
                tail = tail[: MAX_LINE_BYTES + 2]
        if tail:
            yield tail

    @staticmethod
    def _sniff(head: bytes) -> None:
        if head.startswith(UTF16_MARKS):
            raise Unreadable("not_utf8", "The file is UTF-16, not UTF-8.", "Save the file as UTF-8.")
        if b"\0" in head:
            raise Unreadable(
                "binary_file", "The file is binary, not text.", "Drop JSON lines, not compressed or packed."
            )
