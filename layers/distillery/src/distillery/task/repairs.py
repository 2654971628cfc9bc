"""The repairs of model answers, by name."""

from __future__ import annotations

from enum import StrEnum

from distillery.earlier_names import REPAIRS


class Repair(StrEnum):
    """A change that an answer needed. `was_json` says whether the text can still be one JSON document."""

    was_json: bool

    SURROUNDINGS = "surroundings", False
    THINKING = "thinking", False
    SYNTAX = "syntax", False
    TRAILING_COMMA = "trailing_comma", False
    CUT_OFF = "cut_off", False
    SEVERAL_OBJECTS = "several_objects", False
    JSON_IN_JSON = "json_in_json", True
    NESTED = "nested", True
    LIST = "list", True
    OBJECT_PER_CHANNEL = "object_per_channel", True
    KEY_SPELLING = "key_spelling", True
    NUMBER_AS_TEXT = "number_as_text", True
    COMMA_DECIMAL = "comma_decimal", True
    PERCENTAGE = "percentage", True
    NULL = "null", True
    MISSING_CHANNEL = "missing_channel", True
    RENORMALISED = "renormalised", True

    def __new__(cls, value: str, was_json: bool = True) -> Repair:
        """A member is its text; the flag is kept beside it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.was_json = was_json
        return member

    @classmethod
    def _missing_(cls, value: object) -> Repair | None:
        """A label stored by an earlier version may name a repair as it was called then."""
        current = REPAIRS.get(value) if isinstance(value, str) else None
        return cls._value2member_map_[current] if current else None  # type: ignore[return-value]  # a member
