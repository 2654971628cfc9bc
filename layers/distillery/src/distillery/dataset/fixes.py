"""Writes the fixed file, and a unified diff without context from the dropped file to the fixed one.

The diff holds every line that was changed or removed and nothing else; `patch` applies it to the dropped
file. All other lines of the fixed file are equal to the dropped ones byte for byte.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DIFF_BYTES = 100_000_000
"""A larger diff is not written: nobody reads that many fixes."""
MOST_PENDING = 64 * 1024
"""Bytes of consecutive lines after which a hunk is written."""
_HEADER = b"--- dropped\n+++ fixed\n"
_NO_NEWLINE = b"\n\\ No newline at end of file\n"


class Fixes:
    """Receives every line in order, counted from 1. `complete` is False if no diff can be written."""

    def __init__(self, diff: IO[bytes] | None, fixed: IO[bytes] | None) -> None:
        self.complete = True
        self._diff, self._fixed = diff, fixed
        self._old: list[bytes] = []
        self._new: list[bytes] = []
        self._first = self._pending = self._shift = 0

    def keep(self, raw: bytes, end: bytes) -> None:
        """Write an unchanged line and its line ending."""
        if self._old:
            self._flush()
        if self._fixed is not None:
            self._fixed.write(raw)
            self._fixed.write(end)

    def change(self, number: int, raw: bytes, fixed: bytes | None, *, cut: bool = False) -> None:
        """Replace a line, or remove it if `fixed` is None. `cut` means that `raw` is not the whole line."""
        if self._fixed is not None and fixed is not None:
            self._fixed.write(fixed)
        if cut:
            self.omit_diff()
        if self._diff is None:
            return
        if not self._old:
            self._first = number
        self._old.append(raw)
        if fixed is not None:
            self._new.append(fixed)
        self._pending += len(raw)
        if self._pending > MOST_PENDING:
            self._flush()

    def end(self) -> None:
        """Write what is pending."""
        self._flush()

    def _flush(self) -> None:
        if self._diff is not None and self._old:
            if not self._diff.tell():
                self._diff.write(_HEADER)
            removed, added = len(self._old), len(self._new)
            # For a side without lines, the unified format names the line before.
            start = self._first + self._shift if added else self._first + self._shift - 1
            self._diff.write(b"@@ -%d,%d +%d,%d @@\n" % (self._first, removed, start, added))
            self._diff.writelines(_marked(b"-", self._old))
            self._diff.writelines(_marked(b"+", self._new))
            self._shift += added - removed
            if self._diff.tell() > MAX_DIFF_BYTES:
                self.omit_diff()
        self._old, self._new, self._pending = [], [], 0

    def omit_diff(self) -> None:
        """Write no diff, and remove what is written of it."""
        if self._diff is not None:
            self.complete = False
            self._diff.seek(0)
            self._diff.truncate()
        self._diff = None


def _marked(mark: bytes, lines: Sequence[bytes]) -> list[bytes]:
    return [mark + (line if line.endswith(b"\n") else line + _NO_NEWLINE) for line in lines]
