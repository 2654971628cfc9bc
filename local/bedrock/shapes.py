"""Validation against the SDK's service model: types, required members, lengths, ranges, enums, patterns.

The same code reads requests (JSON to Python) and writes responses (Python to JSON), so both directions follow
botocore's model.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.utils import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

ALSO_ACCEPTED = {"EvaluationTaskType": frozenset({"General"})}
"""Values that the service accepts although its model does not list them."""

_SLOW = r"(-*[a-zA-Z0-9\+\-\.])*"
_SLOW_REWRITTEN = r"[a-zA-Z0-9+.\-]*"
"""The model's pattern for job names backtracks exponentially. This pattern accepts the same names."""

_TYPE_WORDS = {
    "string": "String",
    "integer": "Integer",
    "long": "Long",
    "float": "Float",
    "double": "Double",
    "boolean": "Boolean",
    "timestamp": "Timestamp",
    "blob": "Blob",
    "list": "List",
    "map": "Map",
    "structure": "Structure",
}


class Mistyped(ValueError):
    """The type of a value does not match its shape."""


@cache
def _pattern(source: str) -> re.Pattern[str]:
    return re.compile(source.replace(_SLOW, _SLOW_REWRITTEN))


class Shapes:
    """The shapes of one service."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self._shapes = shapes

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        shape: Mapping[str, Any] = self._shapes[name]
        return shape

    def read(self, name: str, value: Any, at: str, problems: list[str]) -> Any:
        """Convert a request's JSON value to Python. Violations are appended to `problems`."""
        return self._walk(name, value, at, problems, from_json)

    def write(self, name: str, value: Any, at: str, problems: list[str]) -> Any:
        """Convert a response's Python value to JSON. Violations are appended to `problems`."""
        return self._walk(name, value, at, problems, to_json)

    def _walk(self, name: str, value: Any, at: str, problems: list[str], convert: Any) -> Any:
        shape = self._shapes[name]
        kind = shape["type"]
        if shape.get("document"):
            return value
        if kind == "structure":
            return self._structure(shape, value, at, problems, convert)
        if kind == "list":
            return self._list(shape, value, at, problems, convert)
        if kind == "map":
            return self._map(shape, value, at, problems, convert)
        try:
            result = convert(kind, value)
        except Mistyped:
            problems.append(_problem(shape, value, at, f"Member must be of type {_TYPE_WORDS[kind]}"))
            return value
        # The limits of a response apply to the Python value.
        self.constrain(name, result if convert is from_json else value, at, problems)
        return result

    def _structure(self, shape: Any, value: Any, at: str, problems: list[str], convert: Any) -> Any:
        if not isinstance(value, dict):
            problems.append(_problem(shape, value, at, "Member must be of type Structure"))
            return value
        members = {spec.get("locationName", name): (name, spec) for name, spec in shape["members"].items()}
        result = {}
        for key, item in value.items():
            if key not in members:
                problems.append(
                    f"Value at '{_under(at, key)}' failed to satisfy constraint: Member is not known"
                )
            elif item is not None:
                name, spec = members[key]
                result[name] = self._walk(spec["shape"], item, _under(at, key), problems, convert)
        problems.extend(
            f"Value null at '{_under(at, name)}' failed to satisfy constraint: Member must not be null"
            for name in shape.get("required", [])
            if name not in result and "location" not in shape["members"][name]
        )
        if shape.get("union") and len(result) != 1:
            problems.append(
                f"Value at '{at}' failed to satisfy constraint: Exactly one of its members must be set"
            )
        return result

    def _list(self, shape: Any, value: Any, at: str, problems: list[str], convert: Any) -> Any:
        if not isinstance(value, list):
            problems.append(_problem(shape, value, at, "Member must be of type List"))
            return value
        _check_length(shape, len(value), value, at, problems)
        return [
            self._walk(shape["member"]["shape"], item, f"{at}.{place}.member", problems, convert)
            for place, item in enumerate(value, 1)
        ]

    def _map(self, shape: Any, value: Any, at: str, problems: list[str], convert: Any) -> Any:
        if not isinstance(value, dict):
            problems.append(_problem(shape, value, at, "Member must be of type Map"))
            return value
        _check_length(shape, len(value), value, at, problems)
        for key in value:
            self.constrain(shape["key"]["shape"], key, at, problems)
        return {
            key: self._walk(shape["value"]["shape"], item, _under(at, key), problems, convert)
            for key, item in value.items()
        }

    def constrain(self, name: str, value: Any, at: str, problems: list[str]) -> None:
        """Check length, range, enumeration and pattern of one scalar."""
        shape = self._shapes[name]
        kind = shape["type"]
        if kind in {"string", "blob"}:
            _check_length(shape, len(value), value, at, problems)
        if kind in {"integer", "long", "float", "double"}:
            _check_range(shape, value, at, problems)
        if kind != "string":
            return
        allowed = shape.get("enum")
        if allowed and value not in allowed and value not in ALSO_ACCEPTED.get(name, ()):
            problems.append(
                _problem(shape, value, at, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
            )
        pattern = shape.get("pattern")
        # A value that is too long is not matched, because a pattern can be slow on it.
        if pattern and len(value) <= shape.get("max", len(value)) and not _pattern(pattern).fullmatch(value):
            problems.append(
                _problem(shape, value, at, f"Member must satisfy regular expression pattern: {pattern}")
            )


def from_text(kind: str, text: str) -> Any:
    """Convert a value from the URL or a header. Raises Mistyped."""
    try:
        if kind in {"integer", "long"}:
            return int(text)
        if kind in {"float", "double"}:
            return float(text)
    except ValueError as error:
        raise Mistyped from error
    if kind == "boolean":
        if text not in {"true", "false"}:
            raise Mistyped
        return text == "true"
    return from_json(kind, text)


def from_json(kind: str, value: Any) -> Any:
    """Convert a scalar of a request. Raises Mistyped."""
    if kind == "timestamp":
        return _timestamp(value)
    if kind == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise Mistyped from error
    return _plain(kind, value)


def to_json(kind: str, value: Any) -> Any:
    """Convert a scalar of a response. Raises Mistyped."""
    if kind == "timestamp":
        if not isinstance(value, datetime):
            raise Mistyped
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if kind == "blob":
        if not isinstance(value, bytes):
            raise Mistyped
        return base64.b64encode(value).decode()
    return _plain(kind, value)


def _plain(kind: str, value: Any) -> Any:
    types: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "long": (int,),
        "float": (int, float),
        "double": (int, float),
    }
    if not isinstance(value, types[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise Mistyped
    return value


def _timestamp(value: Any) -> datetime:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        timestamp: datetime = parse_timestamp(value)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise Mistyped from error
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


def _check_length(shape: Any, length: int, value: Any, at: str, problems: list[str]) -> None:
    if length > shape.get("max", length):
        problems.append(
            _problem(shape, value, at, f"Member must have length less than or equal to {shape['max']}")
        )
    if length < shape.get("min", 0):
        problems.append(
            _problem(shape, value, at, f"Member must have length greater than or equal to {shape['min']}")
        )


def _check_range(shape: Any, value: float, at: str, problems: list[str]) -> None:
    if value > shape.get("max", value):
        problems.append(
            _problem(shape, value, at, f"Member must have value less than or equal to {shape['max']}")
        )
    if value < shape.get("min", value):
        problems.append(
            _problem(shape, value, at, f"Member must have value greater than or equal to {shape['min']}")
        )


def _problem(shape: Mapping[str, Any], value: Any, at: str, sentence: str) -> str:
    shown = "" if shape.get("sensitive") or isinstance(value, bytes) else f" '{str(value)[:300]}'"
    return f"Value{shown} at '{at}' failed to satisfy constraint: {sentence}"


def _under(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
