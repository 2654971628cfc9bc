"""How a value that somebody else wrote is named in a sentence for people, and why it cannot be read."""

from __future__ import annotations

import json
from typing import Any

LONGEST = 60
"""Characters of a value that are shown."""


def cause(error: Exception) -> str:
    """Why the JSON decoder gave up."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it holds no such number"


def kind(value: Any) -> str:
    """What a JSON value is."""
    if value is None or isinstance(value, bool):
        return "true, false or null"
    kinds: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")


def shown(value: Any) -> str:
    """A value as a person may see it in a sentence: short, and printable."""
    if isinstance(value, list | dict):
        return kind(value)
    return cut(repr(value))


def cut(text: str) -> str:
    """The text, or its beginning with dots where it is too long to be shown."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def counted(number: int, one: str, many: str = "") -> str:
    """A number with the word for what it counts."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
