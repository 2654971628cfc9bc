"""What stands around a line's texts, and is the same on line after line of a file.

A file is written by one program, so its lines differ in their texts only. Once a line has been read with all
care, another one that has the same characters around two texts holds the same object but for these texts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.dataset.strict_json import text_after

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KNOWN = 4
MOST_TRIED = 20
"""Lines that are tried as patterns; a file that has none by then is read the long way."""
_MARK = "@" * 24
_STYLES = tuple(
    json.JSONEncoder(ensure_ascii=ascii_only, separators=separators)
    for separators in ((", ", ": "), (",", ":"))
    for ascii_only in (True, False)
)


class Texts(NamedTuple):
    """The texts of a line as they stand there; `label` is None without an assistant turn."""

    query: str
    label: str | None
    system: str


class Frames:
    """The frames known of one file."""

    def __init__(self) -> None:
        self._known: list[tuple[Sequence[str], str]] = []
        self._tried = 0

    def read(self, line: str) -> Texts | None:
        """The texts of a line with a frame that is known; None for any other line."""
        for parts, system in self._known:
            texts = _within(line, parts)
            if texts is not None:
                return Texts(texts[0], texts[1] if len(texts) > 1 else None, system)
        return None

    def learn(self, line: str, content: dict[str, Any], texts: Texts) -> None:
        """Take a line that was read with all care, and without a finding, as a pattern for others."""
        if len(self._known) >= MOST_KNOWN or self._tried >= MOST_TRIED:
            return
        self._tried += 1
        marked = [{**turn, "content": [{"text": _MARK}]} for turn in content["messages"]]
        wanted = [texts.query] if texts.label is None else [texts.query, texts.label]
        for style in _STYLES:
            parts = style.encode({**content, "messages": marked}).split(_MARK)
            # The line itself is the proof: its texts stand in these places, and nothing else differs.
            if len(parts) == len(marked) + 1 and _within(line, parts) == wanted:
                self._known.append((parts, texts.system))
                return


def _within(line: str, parts: Sequence[str]) -> list[str] | None:
    """The JSON texts between the parts of a frame; None where the line is of another frame.

    A part ends with the quotation mark that opens a text, and the next one begins with that which closes it.
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
