"""Reads lines quickly by their envelope: the JSON around a line's texts.

A file is usually written by one program, so its lines differ only in their texts. Once one line has been
parsed and checked in full, another line with the same characters around its texts is the same object except
for these texts, and needs no parsing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.dataset.strict_json import text_after

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KNOWN = 4
"""Envelopes that are remembered at most."""
MOST_TRIED = 20
"""Lines from which an envelope is learned at most. If none of them yields one, every line is parsed in
full."""
_MARK = "@" * 24
_STYLES = tuple(
    json.JSONEncoder(ensure_ascii=ascii_only, separators=separators)
    for separators in ((", ", ": "), (",", ":"))
    for ascii_only in (True, False)
)


class Texts(NamedTuple):
    """The texts of a line, unchanged. `label` is None without an assistant turn."""

    query: str
    label: str | None
    system: str


class KnownEnvelopes:
    """The envelopes of one file that are known so far."""

    def __init__(self) -> None:
        self._known: list[tuple[Sequence[str], str]] = []
        self._tried = 0

    def read(self, line: str) -> Texts | None:
        """The texts of a line with a known envelope; None for any other line."""
        for parts, system in self._known:
            texts = _within(line, parts)
            if texts is not None:
                return Texts(texts[0], texts[1] if len(texts) > 1 else None, system)
        return None

    def learn(self, line: str, content: dict[str, Any], texts: Texts) -> None:
        """Remember the envelope of a line that was parsed in full and has no findings."""
        if len(self._known) >= MOST_KNOWN or self._tried >= MOST_TRIED:
            return
        self._tried += 1
        marked = [{**turn, "content": [{"text": _MARK}]} for turn in content["messages"]]
        expected = [texts.query] if texts.label is None else [texts.query, texts.label]
        for style in _STYLES:
            parts = style.encode({**content, "messages": marked}).split(_MARK)
            # Only an envelope that reproduces the line's own texts is remembered.
            if len(parts) == len(marked) + 1 and _within(line, parts) == expected:
                self._known.append((parts, texts.system))
                return


def _within(line: str, parts: Sequence[str]) -> list[str] | None:
    """The JSON strings between the parts of an envelope; None if the line has another envelope.

    Each part ends with the quotation mark that opens a string; the next part begins with the one that closes
    it.
    """
    texts: list[str] = []
    at = 0
    for part in parts:
        if not line.startswith(part, at):
            return None
        at += len(part)
        if at == len(line):
            return texts if len(texts) == len(parts) - 1 else None
        read = text_after(line, at)
        if read is None:
            return None
        texts.append(read[0])
        at = read[1] - 1
    return None
