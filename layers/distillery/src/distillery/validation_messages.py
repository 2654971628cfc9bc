"""Translates pydantic's validation errors into plain sentences.

The author of a YAML file, a message or an environment variable reads these sentences. They name the place and
the limit in the author's terms ("a list", "a mapping of names to values") and never a Python class.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

LONGEST_PART = 60
"""Characters of one part of a place that are shown."""

_WHOLE_NUMBER, _NUMBER, _TEXT, _LIST = "a whole number", "a number", "a text", "a list"
_MAPPING, _DATE = "a mapping of names to values", "a date such as 2026-11-23"
_MOMENT = "a date and time with its time zone, such as 2026-11-23T08:00:00Z"
_KINDS = {
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": "a text of valid Unicode characters",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "null",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "iterable_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
}
"""What pydantic expected, by its error type."""
_RULES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is not a known key",
    "greater_than": lambda limits: f"must be greater than {_number(limits['gt'])}",
    "greater_than_equal": lambda limits: f"must be at least {_number(limits['ge'])}",
    "less_than": lambda limits: f"must be less than {_number(limits['lt'])}",
    "less_than_equal": lambda limits: f"must be at most {_number(limits['le'])}",
    "multiple_of": lambda limits: f"must be a multiple of {_number(limits['multiple_of'])}",
    "string_too_short": lambda limits: f"must have at least {_count(limits['min_length'], 'character')}",
    "string_too_long": lambda limits: f"must have at most {_count(limits['max_length'], 'character')}",
    "too_short": lambda limits: f"must have at least {_count(limits['min_length'], 'entry', 'entries')}",
    "too_long": lambda limits: f"must have at most {_count(limits['max_length'], 'entry', 'entries')}",
    "string_pattern_mismatch": lambda limits: f"must match the pattern {limits['pattern']}",
    "enum": lambda limits: f"must be {limits['expected']}",
    "literal_error": lambda limits: f"must be {limits['expected']}",
    "json_type": lambda _: "must be a JSON text",
    "json_invalid": lambda _: "is not valid JSON",
    "recursion_loop": lambda _: "contains itself",
}
"""The rest of the sentence after the place, from the limits that pydantic hands out, by its error type."""
_ANY_OTHER = "has a value that cannot be used here"
_KEY = "[key]"
"""The last part of a place where a key of a mapping, and not its value, is wrong."""
_CHOICE = re.compile(r"(tuple|list|dict|constrained-\w+|function-\w+)\[.*\]|constrained-\w+", re.DOTALL)
"""A part that pydantic adds to a place where a value may have one of several forms."""
_KEY_TEXT = re.compile(r"(?!None$|True$|False$)[\w.-]+")
"""A key that is shown; pydantic gives other keys in Python's notation."""


def problems(error: ValidationError, whole: str, spelling: Callable[[str], str] = str) -> Iterator[str]:
    """Every problem as a sentence without its full stop, at least one; the place comes first.

    `whole` names the value as a whole, for example "the file"; `spelling` is applied to each part of a place.
    """
    errors = error.errors(include_url=False, include_input=False)
    while errors:
        group, errors = _group(errors)
        yield _sentence(group, whole, spelling)


def first_problem(error: ValidationError, whole: str) -> str:
    """The first of the `problems`."""
    return next(problems(error, whole))


def _group(errors: Sequence[ErrorDetails]) -> tuple[list[ErrorDetails], list[ErrorDetails]]:
    """The errors that make one sentence with the first one, and the errors left for other sentences.

    Where a value may have one of several forms, pydantic lists the errors of every form. The form whose error
    lies deepest is the one that was meant; forms that fail at the same place are named together.
    """
    first, *rest = errors
    at = next((index for index, part in enumerate(first["loc"]) if _is_choice(part)), None)
    if at is None:
        return [first], rest
    same: list[ErrorDetails] = []
    others: list[ErrorDetails] = []
    for one in errors:
        (same if one["loc"][:at] == first["loc"][:at] else others).append(one)
    deepest = max(len(_parts(one)) for one in same)
    meant = next(one for one in same if len(_parts(one)) == deepest)
    together = [one for one in same if _parts(one) == _parts(meant) and one["type"] in _KINDS]
    return (together if meant in together else [meant]), others


def _sentence(group: Sequence[ErrorDetails], whole: str, spelling: Callable[[str], str]) -> str:
    first = group[0]
    parts = _parts(first)
    if first["type"] == "invalid_key":
        return f"every key of {_place(parts[:-1], spelling) or whole} must be {_TEXT}"
    if parts[-1:] == [_KEY]:
        *above, key, _ = parts
        if _KEY_TEXT.fullmatch(key) and first["type"] not in _KINDS:
            return f"{_place([*above, key], spelling)}: the key {_rule(group)}"
        return f"every key of {_place(above, spelling) or whole} {_rule(group)}"
    place = _place(parts, spelling)
    if first["type"] == "value_error":
        message = " ".join(str(first["ctx"]["error"]).split())
        return f"{place}: {message}" if place else message
    return f"{place or whole} {_rule(group)}"


def _place(parts: Sequence[str], spelling: Callable[[str], str]) -> str:
    return ".".join(_shown(spelling(part)) for part in parts)


def _rule(group: Sequence[ErrorDetails]) -> str:
    kinds = list(dict.fromkeys(_KINDS[one["type"]] for one in group if one["type"] in _KINDS))
    if kinds:
        return f"must be {' or '.join(kinds)}"
    rule = _RULES.get(group[0]["type"])
    return rule(group[0].get("ctx", {})) if rule else _ANY_OTHER


def _parts(error: ErrorDetails) -> list[str]:
    return [str(part) for part in error["loc"] if not _is_choice(part)]


def _is_choice(part: int | str) -> bool:
    return isinstance(part, str) and part != _KEY and _CHOICE.fullmatch(part) is not None


def _shown(part: str) -> str:
    """One part of a place on one line, printable and not too long."""
    text = part if part.isprintable() else repr(part)[1:-1]
    return text if len(text) <= LONGEST_PART else f"{text[: LONGEST_PART - 3]}..."


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
