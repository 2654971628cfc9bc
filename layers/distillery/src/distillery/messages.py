"""How a value that somebody else wrote is named in a sentence for people, and why it cannot be read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def usd(amount: float) -> str:
    """Dollars with cents; two digits of what is less than ten cents."""
    if amount == 0 or amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 line`, `2 lines`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def told_lines(lines: Sequence[int], most: int = 4) -> str:
    """`lines 3, 4 and 9`, or the first of them and how many more."""
    if len(lines) == 1:
        return f"line {lines[0]:,}"
    shown = lines[:most] if len(lines) > most else lines[:-1]
    last = counted(len(lines) - most, "other") if len(lines) > most else f"{lines[-1]:,}"
    return f"lines {', '.join(f'{line:,}' for line in shown)} and {last}"
