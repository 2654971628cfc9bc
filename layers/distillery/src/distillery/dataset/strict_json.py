"""JSON as it should be: no key twice, no NaN unless asked for, and told apart from what stands after it."""

from __future__ import annotations

import json
from json.decoder import scanstring  # type: ignore[attr-defined]  # the decoder's own, in C
from typing import Any


class RepeatedKey(ValueError):
    """A JSON object names a key twice; parsers differ in which value they take."""


class Trailing(ValueError):
    """Something stands after an object; `at` is where, counted from 0."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedKey(next(name for name in names if names.count(name) > 1))
    return content


def _reject_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


_strict = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_reject_constant)
_with_constants = json.JSONDecoder(object_pairs_hook=_unique)
SPACE = " \t\n\r"
"""What JSON allows between its tokens."""


def parse(text: str, *, constants: bool = False) -> Any:
    """The value that the text holds; ValueError, RepeatedKey, Trailing or RecursionError where none.

    `constants` lets NaN and Infinity through, for whoever has more to say about them.
    """
    decoder = _with_constants if constants else _strict
    start = text.lstrip(SPACE)
    if not start.startswith("{"):
        return decoder.decode(text)
    content, end = decoder.raw_decode(start)
    if end < len(start) and (rest := start[end:].lstrip(SPACE)):
        raise Trailing(len(text) - len(rest))
    return content


def text_after(text: str, start: int) -> tuple[str, int] | None:
    """The JSON text that was opened right before `start`, and where it ends; None where there is none."""
    try:
        found: tuple[str, int] = scanstring(text, start)
    except ValueError:
        return None
    return found
