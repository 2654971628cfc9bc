"""Parses strict JSON: no repeated keys, no NaN unless allowed, and text after an object is reported."""

from __future__ import annotations

import json
from json.decoder import scanstring  # type: ignore[attr-defined]  # the decoder's own, in C
from typing import Any


class RepeatedKey(ValueError):
    """A JSON object has a key twice. Parsers differ in which value they use."""


class Trailing(ValueError):
    """There is more text after an object; `at` is its position, counted from 0."""

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
"""White space that JSON allows between tokens."""


def parse(text: str, *, constants: bool = False) -> Any:
    """The JSON value of the text; ValueError, RepeatedKey, Trailing or RecursionError if there is none.

    `constants` accepts NaN and Infinity, so that the caller can report them itself.
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
    """The JSON string whose opening quote is right before `start`, and its end; None if it is not valid."""
    try:
        string: tuple[str, int] = scanstring(text, start)
    except ValueError:
        return None
    return string
