"""Reads any binary stream line by line, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from distillery.dataset.findings import new_finding
from distillery.dataset.formats import HEAD_BYTES, form_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FILE_BYTES = 2_000_000_000
"""Bedrock's limit is 2 GB. It does not say which GB, so the smaller one is used."""
CHUNK_BYTES = 256 * 1024
LONGEST_SEEN = 128 * 1024
"""A longer line is cut off here. It is still far above Bedrock's limit, so it is reported as too long."""
SNIFFED_BYTES = 512
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "zstandard",
}
"""First bytes of compressed files."""


class Readable(Protocol):
    """A binary stream: an open file, or the body of an S3 object."""

    def read(self, amt: int, /) -> bytes: ...


class Unreadable(Exception):
    """The stream cannot be read as lines of text."""

    def __init__(self, code: str, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.finding = new_finding(code, None, message, fix=fix)


class Lines:
    """The lines of a stream without their line ends.

    `end` is what ended the last line yielded: a line feed, or nothing at the end of the stream. A file with
    carriage returns and no line feed in its first 256 KB is split at these; `old_line_ends` says so.
    """

    def __init__(self, stream: Readable, channels: Sequence[str]) -> None:
        self._stream, self._channels = stream, channels
        self.bytes_read = 0
        self.end = b"\n"
        self.old_line_ends = False

    def __iter__(self) -> Iterator[bytes]:
        tail = b""
        split_at = b"\n"
        while chunk := self._stream.read(CHUNK_BYTES):
            if not self.bytes_read:
                self._sniff(chunk)
                self.old_line_ends = b"\r" in chunk and b"\n" not in chunk
                split_at = b"\r" if self.old_line_ends else b"\n"
            self.bytes_read += len(chunk)
            if self.bytes_read > MAX_FILE_BYTES:
                raise Unreadable(
                    "file_too_large",
                    f"The file is larger than {MAX_FILE_BYTES:,} bytes; the rest was not read.",
                )
            if len(tail) == LONGEST_SEEN:
                # The line is cut off already: skip to its end.
                end = chunk.find(split_at)
                if end < 0:
                    continue
                chunk = chunk[end:]
            lines = (tail + chunk).split(split_at)
            tail = lines.pop()[:LONGEST_SEEN]
            yield from lines
        if tail:
            self.end = b""
            yield tail

    def _sniff(self, chunk: bytes) -> None:
        head = chunk[:SNIFFED_BYTES]
        if head.startswith(UTF16_MARKS):
            raise Unreadable("not_utf8", "The file is UTF-16, not UTF-8.")
        form = form_of(chunk[:HEAD_BYTES], self._channels)
        if form is not None:
            raise Unreadable("other_format", form.sentence(chunk[:HEAD_BYTES], self._channels), form.fix)
        for mark, name in PACKED.items():
            if head.startswith(mark):
                raise Unreadable("compressed_file", f"The file is compressed: {name}.")
        if b"\0" in head:
            raise Unreadable("binary_file", "The file is binary, not text.")
