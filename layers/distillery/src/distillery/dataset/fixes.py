"""The file as it was dropped against the file as it is fixed: a unified diff without context, and the file.

`patch` applies the diff to the file that was dropped; it holds every line that was changed or left out, and
nothing else. The fixed file has every other line byte for byte.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DIFF_BYTES = 100_000_000
"""A larger diff is left out: whoever has so much to fix needs no list of it."""
MOST_PENDING = 64 * 1024
"""Bytes of lines that follow each other and are put into one hunk."""
_HEADER = b"--- dropped\n+++ fixed\n"
_NO_NEWLINE = b"\n\\ No newline at end of file\n"


class Fixes:
    """Told of every line in its order; lines are counted from 1."""

    def __init__(self, diff: IO[bytes] | None, fixed: IO[bytes] | None) -> None:
        self.complete = True
        self._diff, self._fixed = diff, fixed
        self._old: list[bytes] = []
        self._new: list[bytes] = []
        self._first = self._pending = self._shift = 0

    def keep(self, raw: bytes, end: bytes) -> None:
        """A line that stays as it is, and its end."""
        if self._old:
            self._flush()
        if self._fixed is not None:
            self._fixed.write(raw)
            self._fixed.write(end)

    def change(self, number: int, raw: bytes, fixed: bytes | None, *, cut: bool = False) -> None:
        """A line that is replaced, or left out; `cut` says that `raw` is not all of it."""
        if self._fixed is not None and fixed is not None:
            self._fixed.write(fixed)
        if cut:
            self._give_up()
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
            # Of a side without lines a diff names the line before.
            start = self._first + self._shift if added else self._first + self._shift - 1
            self._diff.write(b"@@ -%d,%d +%d,%d @@\n" % (self._first, removed, start, added))
            self._diff.writelines(_marked(b"-", self._old))
            self._diff.writelines(_marked(b"+", self._new))
            self._shift += added - removed
            if self._diff.tell() > MAX_DIFF_BYTES:
                self._give_up()
        self._old, self._new, self._pending = [], [], 0

    def _give_up(self) -> None:
        if self._diff is not None:
            self.complete = False
            self._diff.seek(0)
            self._diff.truncate()
        self._diff = None


def _marked(mark: bytes, lines: Sequence[bytes]) -> list[bytes]:
    return [mark + (line if line.endswith(b"\n") else line + _NO_NEWLINE) for line in lines]
