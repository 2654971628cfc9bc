"""Applies a unified diff without context lines, as strictly as possible."""

from __future__ import annotations

import re

HUNK = re.compile(rb"@@ -(\d+),(\d+) \+(\d+),(\d+) @@\n")
NO_NEWLINE = b"\\ No newline at end of file\n"


def lines_of(content: bytes) -> list[bytes]:
    """Split content into lines with their line ends. Only a newline ends a line."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop().removesuffix(b"\n")
    return [*lines, last] if last else lines


def apply(diff: bytes, dropped: bytes) -> bytes:
    """Apply the diff to the file. Raises AssertionError where it does not fit."""
    if not diff:
        return dropped
    parts = lines_of(diff)
    assert parts[:2] == [b"--- dropped\n", b"+++ fixed\n"]
    old, new, at, place = lines_of(dropped), [], 0, 2
    while place < len(parts):
        header = HUNK.fullmatch(parts[place])
        assert header is not None, parts[place][:60]
        start, removed, new_start, added = map(int, header.groups())
        assert removed
        place += 1
        new += old[at : start - 1]
        at = start - 1 + removed
        taken: dict[bytes, list[bytes]] = {}
        for mark, count in ((b"-", removed), (b"+", added)):
            taken[mark] = []
            for _ in range(count):
                assert parts[place].startswith(mark)
                taken[mark].append(parts[place][1:])
                place += 1
                if place < len(parts) and parts[place] == NO_NEWLINE:
                    taken[mark][-1] = taken[mark][-1].removesuffix(b"\n")
                    place += 1
        assert taken[b"-"] == old[start - 1 : at]
        assert new_start == len(new) + (1 if added else 0)
        new += taken[b"+"]
    return b"".join(new + old[at:])
