"""Reads weights and a reasoning from the text that a model answered.

Bedrock offers no structured output for a customised Nova Micro, so an answer may not be the JSON that the
prompt asks for. The text is searched for an object with weights. Unambiguous defects are repaired and each
repair is named in the result.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from distillery.earlier_names import REPAIRS
from distillery.errors import UnreadableRouting
from distillery.task.weights import DECIMALS, SUM_SLACK, Weights, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_ANSWER = 20_000
"""Characters of a model's answer that are searched."""
MOST_OBJECTS = 50
"""Opening braces of an answer at which the decoder tries to read an object."""


class Repair(StrEnum):
    """A change that an answer needed before its weights could be used."""

    SURROUNDINGS = "surroundings"
    TRAILING_COMMA = "trailing_comma"
    NESTED = "nested"
    KEY_SPELLING = "key_spelling"
    NUMBER_AS_TEXT = "number_as_text"
    PERCENTAGE = "percentage"
    MISSING_CHANNEL = "missing_channel"
    RENORMALISED = "renormalised"

    @classmethod
    def _missing_(cls, value: object) -> Repair | None:
        """Labels stored by version 0.1.0 name a repair by its earlier name."""
        return cls(REPAIRS[value]) if value in REPAIRS else None


@dataclass(frozen=True, slots=True)
class Routing:
    """Weights that sum to 1, the reasoning given for them (may be empty), and the repairs made."""

    weights: Weights
    reasoning: str
    repairs: tuple[Repair, ...] = ()


def parse_routing(text: str, channels: Sequence[str]) -> Routing:
    """Read weights and reasoning from any text that a model answered.

    Accepts bare JSON, code fences and prose around it, trailing commas, other spellings of the keys, one
    level of nesting, numbers as text, percentages, and missing channels if the others sum to 1. Raises
    UnreadableRouting when the text contains no object with weights.
    """
    for candidate, repairs in _objects(text[:LONGEST_ANSWER]):
        routing = _read_object(candidate, channels, repairs)
        if routing is not None:
            return routing
    raise UnreadableRouting(f"The answer contains no weights over {', '.join(channels)}: {text[:80]!r}.")


def _reject_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")


def _objects(text: str) -> Iterator[tuple[Mapping[str, Any], list[Repair]]]:
    """Every JSON object in the text from left to right, first unchanged, then without trailing commas."""
    stripped = text.strip()
    for source, repair in ((stripped, None), (_TRAILING_COMMA.sub(r"\1", stripped), Repair.TRAILING_COMMA)):
        if repair and source == stripped:
            return
        start = -1
        for _ in range(MOST_OBJECTS):
            start = source.find("{", start + 1)
            if start < 0:
                break
            try:
                content, end = _DECODER.raw_decode(source, start)
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                found = [] if (start, end) == (0, len(source)) else [Repair.SURROUNDINGS]
                yield content, [repair, *found] if repair else found


def _read_object(
    content: Mapping[str, Any], channels: Sequence[str], found: Sequence[Repair]
) -> Routing | None:
    repairs = list(found)
    values = _channel_values(content, channels, repairs)
    reasoning = content.get("reasoning")
    if not values:
        nested = next((inner for inner in content.values() if isinstance(inner, Mapping)), None)
        if nested is None:
            return None
        repairs.append(Repair.NESTED)
        values = _channel_values(nested, channels, repairs)
        reasoning = reasoning or nested.get("reasoning")
    numbers = _numbers(values, repairs)
    if not numbers:
        return None
    if len(numbers) < len(channels):
        if abs(math.fsum(numbers.values()) - 1) > SUM_SLACK:
            return None
        repairs.append(Repair.MISSING_CHANNEL)
    try:
        weights = normalise(numbers, channels)
    except ValueError:
        return None
    if abs(math.fsum(numbers.values()) - 1) > 10**-DECIMALS:
        repairs.append(Repair.RENORMALISED)
    return Routing(weights, reasoning.strip() if isinstance(reasoning, str) else "", tuple(repairs))


def _channel_values(
    content: Mapping[str, Any], channels: Sequence[str], repairs: list[Repair]
) -> dict[str, Any]:
    exact = {channel: content[channel] for channel in channels if channel in content}
    if len(exact) == len(channels):
        return exact
    respelled = {_spelling(key): value for key, value in content.items()}
    values = {
        channel: respelled[_spelling(channel)] for channel in channels if _spelling(channel) in respelled
    }
    if len(values) > len(exact):
        repairs.append(Repair.KEY_SPELLING)
    return values


def _spelling(key: str) -> str:
    """A key without case, separators and the ending "weight": `Visual Weight` gives `visual`."""
    return re.sub(r"[^a-z0-9]", "", key.lower().removesuffix("weight"))


def _numbers(values: Mapping[str, Any], repairs: list[Repair]) -> Weights:
    """Every value as a share of 1; empty when one of them is not a number."""
    numbers: Weights = {}
    for channel, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return {}
        if isinstance(value, str):
            text = value.strip()
            value = text.removesuffix("%").strip()
            if text.endswith("%"):
                repairs.append(Repair.PERCENTAGE)
            repairs.append(Repair.NUMBER_AS_TEXT)
        try:
            numbers[channel] = float(value)
        except (ValueError, OverflowError):
            return {}
    if not all(math.isfinite(number) and number >= 0 for number in numbers.values()):
        return {}
    try:
        total = math.fsum(numbers.values())
    except OverflowError:  # four weights of 1e308
        return {}
    if abs(total - 100) <= 100 * SUM_SLACK:
        repairs.append(Repair.PERCENTAGE)
        numbers = {channel: number / 100 for channel, number in numbers.items()}
    repairs[:] = list(dict.fromkeys(repairs))
    return numbers
