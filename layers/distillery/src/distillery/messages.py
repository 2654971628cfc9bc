"""Formats values, amounts and line numbers for messages that people read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 60
"""Characters of a value that a message shows at most."""


def cause(error: Exception) -> str:
    """Why the JSON decoder failed."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "a number in it is not valid"


def kind(value: Any) -> str:
    """The type of a JSON value, with its article."""
    if value is None or isinstance(value, bool):
        return "true, false or null"
    kinds: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")


def shown(value: Any) -> str:
    """A value as a message shows it: short and printable."""
    if isinstance(value, list | dict):
        return kind(value)
    return cut(repr(value))


def cut(text: str) -> str:
    """The text, or its beginning and dots if it is too long for a message."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def usd(amount: float) -> str:
    """US dollars with cents; amounts below ten cents with two significant digits."""
    if amount == 0 or amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 line`, `2 lines`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def line_list(lines: Sequence[int], most: int = 4) -> str:
    """Line numbers as text: `lines 3, 4 and 9`, or the first `most` of them and the number of others."""
    if len(lines) == 1:
        return f"line {lines[0]:,}"
    listed = lines[:most] if len(lines) > most else lines[:-1]
    last = counted(len(lines) - most, "other") if len(lines) > most else f"{lines[-1]:,}"
    return f"lines {', '.join(f'{line:,}' for line in listed)} and {last}"
