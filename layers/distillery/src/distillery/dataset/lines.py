"""A binary stream as lines, whatever it holds, in flat memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from distillery.dataset.findings import found

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_BYTES = 2_000_000_000
"""Bedrock says 2 GB; the smaller reading is safe."""
CHUNK_BYTES = 256 * 1024
LONGEST_SEEN = 128 * 1024
"""A longer line is cut off here. It is far over Bedrock's limit then, and is seen to be."""
SNIFFED_BYTES = 512
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "zstandard",
}
"""First bytes of files that hold others."""


class Readable(Protocol):
    """A binary stream: an open file, or the body of an S3 object."""

    def read(self, amt: int, /) -> bytes: ...


class Unreadable(Exception):
    """The stream is no text to be read in lines."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.finding = found(code, None, message)


class Lines:
    """The lines of a stream without their ends, read in flat memory.

    `end` is what ended the line that was given last: a newline, or nothing at the end of the stream.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.bytes_read = 0
        self.end = b"\n"

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
                )
            if len(tail) == LONGEST_SEEN:
                # Of a line that is cut off only the end is looked for.
                end = chunk.find(b"\n")
                if end < 0:
                    continue
                chunk = chunk[end:]
            lines = (tail + chunk).split(b"\n")
            tail = lines.pop()[:LONGEST_SEEN]
            yield from lines
        if tail:
            self.end = b""
            yield tail

    @staticmethod
    def _sniff(head: bytes) -> None:
        if head.startswith(UTF16_MARKS):
            raise Unreadable("not_utf8", "The file is UTF-16, not UTF-8.")
        for mark, name in PACKED.items():
            if head.startswith(mark):
                raise Unreadable("compressed_file", f"The file is compressed: {name}.")
        if b"\0" in head:
            raise Unreadable("binary_file", "The file is binary, not text.")
