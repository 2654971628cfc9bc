"""Reading channel weights out of a model's text. A new repair of model answers belongs here.

A model's answer is never trusted to be the JSON that was asked for: structured output is not available for a
customised Nova Micro. What is in doubt is unreadable and never guessed, and every repair is named.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distillery.errors import UnreadableRouting
from distillery.safe_text import safe_text
from distillery.task.documents import Document, Pairs, documents
from distillery.task.repairs import Repair
from distillery.task.weights import DECIMALS, SUM_SLACK, Weights, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FAR_FROM_ONE = 0.25
"""A sum of weights further from 1 than this is in doubt; rounding four weights to tenths stays below it."""
SHOWN_CHARACTERS = 80
"""Of an answer that cannot be read, in the message."""
LARGEST = 1_000
"""No scale explains a larger number."""
SCALES = (100.0, 10.0)
"""Sums that explain themselves: percentages without a sign, and tenths."""
WEIGHT_KEYS = frozenset({"weights", "channelweights"})
NAME_KEYS = ("channel", "name")
NUMBER_KEYS = ("weight", "value")
REASONING = "reasoning"


@dataclass(frozen=True, slots=True)
class Routing:
    """Weights that sum to 1, the reasoning given for them (may be empty), and the repairs needed."""

    weights: Weights
    reasoning: str
    repairs: tuple[Repair, ...] = ()

    @property
    def was_json(self) -> bool:
        """Whether the text was one JSON document."""
        return all(repair.was_json for repair in self.repairs)


def parse_routing(text: str, channels: Sequence[str], *, given: Iterable[str] = ()) -> Routing:
    """Read weights and reasoning out of whatever a model answered.

    `given` are the texts that the model was given, its prompt and the query: an object quoted from them is no
    answer. Of several complete objects the last one counts.

    Raises UnreadableRouting where no object has weights for the channels, or where they are in doubt.
    """
    quotable = "\n".join(map(_squeezed, given))
    candidates = [one for one in documents(text) if not (quotable and _squeezed(one.source) in quotable)]
    try:
        for document in reversed(candidates):
            if routing := _read(document, channels):
                return routing
        if routing := _read(_merged(candidates, channels), channels):
            return routing
    except _InDoubt as doubt:
        raise UnreadableRouting(f"The answer's weights are in doubt: {doubt}.") from doubt
    beginning = safe_text(text[:SHOWN_CHARACTERS])
    raise UnreadableRouting(f"The answer has no weights for {', '.join(channels)}: {beginning!r}.")


class _InDoubt(Exception):
    """The weights of an answer could mean more than one thing; says why."""


@dataclass(slots=True)
class _Found:
    """The values of the channels as written, a reasoning, and the repairs so far."""

    values: dict[str, Any]
    reasoning: Any = None
    repairs: list[Repair] = field(default_factory=list)


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _read(document: Document | None, channels: Sequence[str]) -> Routing | None:
    """The weights of one document; None where it has none, or too few of them."""
    if document is None:
        return None
    found = _find(document.content, channels)
    if found is None:
        return None
    repairs = [*document.repairs, *found.repairs]
    numbers = _numbers(found.values, repairs)
    if numbers is None:
        return None
    _refuse_half_a_number(document, found.values, numbers, channels)
    total = math.fsum(numbers.values())
    if len(numbers) < len(channels):
        if abs(total - 1) > SUM_SLACK:
            return None
        repairs.append(Repair.MISSING_CHANNEL)
    if total == 0:
        return None
    if abs(total - 1) > FAR_FROM_ONE:
        raise _InDoubt(f"they sum to {total:g}")
    if abs(total - 1) > 10**-DECIMALS:
        repairs.append(Repair.RENORMALISED)
    reasoning = safe_text(found.reasoning) if isinstance(found.reasoning, str) else ""
    return Routing(normalise(numbers, channels), reasoning, tuple(dict.fromkeys(repairs)))


def _refuse_half_a_number(
    document: Document, values: Mapping[str, Any], numbers: Weights, channels: Sequence[str]
) -> None:
    """A text that ends within an object may end within a number, or before the last channel."""
    if not document.is_cut or not values:
        return
    if len(numbers) < len(channels):
        raise _InDoubt("the text is cut off before the last weight")
    ends_in_number = re.search(r"[\d.]$", document.source.rstrip()) is not None
    if ends_in_number and abs(math.fsum(numbers.values()) - 1) > 10**-DECIMALS:
        raise _InDoubt("the text is cut off within a weight")


def _find(content: Any, channels: Sequence[str]) -> _Found | None:
    """The channels' values in any form that says beyond doubt which is which."""
    if isinstance(content, list):
        return _of_list(content, channels)
    if not isinstance(content, Mapping):
        return None
    under = next(
        (
            inner
            for key, inner in content.items()
            if _spelling(key) in WEIGHT_KEYS and isinstance(inner, Mapping | list)
        ),
        None,
    )
    found = _find(under, channels) if under is not None else _direct(content, channels)
    if found is None:
        found = _of_inner(
            [inner for inner in content.values() if isinstance(inner, Mapping | list)], channels
        )
        if found is None:
            return None
        found.repairs.append(Repair.NESTED)
    elif under is not None:
        found.repairs.append(Repair.NESTED)
    found.reasoning = found.reasoning or content.get(REASONING)
    return found


def _direct(content: Mapping[str, Any], channels: Sequence[str]) -> _Found | None:
    """The values of an object that names channels itself."""
    keys = {channel: channel for channel in channels if channel in content}
    respelled = {_spelling(channel): channel for channel in channels}
    spelled = {
        respelled[_spelling(key)]: key
        for key in content
        if key not in keys and _spelling(key) in respelled and respelled[_spelling(key)] not in keys
    }
    if not keys and not spelled:
        return None
    _refuse_conflicts(content, [*keys.values(), *spelled.values()])
    found = _Found({channel: content[key] for channel, key in (keys | spelled).items()})
    if spelled:
        found.repairs.append(Repair.KEY_SPELLING)
    if len(found.values) < len(channels):
        others = [
            key
            for key, value in content.items()
            if key not in keys.values() and key not in spelled.values() and _is_numeric(value)
        ]
        if others:
            raise _InDoubt(f"{', '.join(map(repr, others[:3]))} is no channel, and a channel is missing")
    found.reasoning = content.get(REASONING)
    return found


def _of_list(entries: Sequence[Any], channels: Sequence[str]) -> _Found | None:
    """The values of a list of objects with a channel's name and its number, or of one object a channel."""
    values: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, Mapping):
            return None
        name = next((entry[key] for key in NAME_KEYS if isinstance(entry.get(key), str)), None)
        number = _number_of(entry)
        if name is None or number is None:
            inner = _direct(entry, channels) if len(entry) == 1 else None
            if inner is None:
                return None
            pairs = list(inner.values.items())
        else:
            channel = next((one for one in channels if _spelling(one) == _spelling(name)), None)
            if channel is None:
                raise _InDoubt(f"{name!r} is no channel")
            pairs = [(channel, number)]
        for channel, value in pairs:
            if channel in values and values[channel] != value:
                raise _InDoubt(f"{channel} has two weights")
            values[channel] = value
    return _Found(values, None, [Repair.LIST]) if values else None


def _of_inner(inner: Sequence[Any], channels: Sequence[str]) -> _Found | None:
    """The values of the inner object that has them; of several the only one that sums to 1."""
    found = [one for one in (_find(content, channels) for content in inner) if one is not None]
    if len(found) > 1:
        found = [one for one in found if _sums_to_one(one)]
        if len(found) != 1:
            raise _InDoubt("several objects have weights")
    return found[0] if found else None


def _sums_to_one(found: _Found) -> bool:
    numbers = _numbers(found.values, [])
    return numbers is not None and abs(math.fsum(numbers.values()) - 1) <= SUM_SLACK


def _merged(candidates: Sequence[Document], channels: Sequence[str]) -> Document | None:
    """Several objects with one channel each, as one document."""
    entries = [
        one
        for one in candidates
        if isinstance(one.content, Mapping) and len(one.content) <= len(NAME_KEYS) + 1
    ]
    if len(entries) < 2:
        return None
    if _of_list([one.content for one in entries], channels) is None:
        return None
    return Document([one.content for one in entries], "", (Repair.SEVERAL_OBJECTS,))


def _refuse_conflicts(content: Mapping[str, Any], keys: Iterable[str]) -> None:
    twice = set(keys) & content.conflicts if isinstance(content, Pairs) else set()
    if twice:
        raise _InDoubt(f"{min(twice)!r} has two weights")


def _spelling(key: str) -> str:
    """'Visual Weight', 'visual_weight' and 'VISUAL' are all meant as 'visual'."""
    letters = "".join(
        character for character in unicodedata.normalize("NFKC", key).casefold() if character.isalnum()
    )
    return letters.removesuffix("weight") or letters


def _numbers(values: Mapping[str, Any], repairs: list[Repair]) -> Weights | None:
    """Every value as a share of 1; None when one of them is no number."""
    numbers: Weights = {}
    made: list[Repair] = []
    signed = False
    for channel, value in values.items():
        inner = value
        if isinstance(value, Mapping):
            made.append(Repair.OBJECT_PER_CHANNEL)
            inner = _number_of(value)
        if inner is None and not isinstance(value, Mapping):
            made.append(Repair.NULL)
            numbers[channel] = 0.0
            continue
        number = _number(inner, made)
        if number is None or not 0 <= number <= LARGEST:
            return None
        signed = signed or (isinstance(inner, str) and _plain(inner).endswith("%"))
        numbers[channel] = number
    total = math.fsum(numbers.values())
    if not signed:
        for scale in SCALES:
            if abs(total - scale) <= FAR_FROM_ONE * scale:
                made.append(Repair.PERCENTAGE if scale == 100 else Repair.RENORMALISED)
                numbers = {channel: number / scale for channel, number in numbers.items()}
                total /= scale
    if Repair.NULL in made and abs(total - 1) > SUM_SLACK:
        raise _InDoubt("a weight is null, and the others do not sum to 1")
    repairs.extend(made)
    return numbers


def _number(value: Any, repairs: list[Repair]) -> float | None:
    """A number, or a text that is one: with a percent sign a hundredth of it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return _float(value)
    repairs.append(Repair.NUMBER_AS_TEXT)
    text = _plain(value)
    is_percentage = text.endswith("%")
    text = text.removesuffix("%").strip()
    if re.fullmatch(r"\d+,\d+", text):
        repairs.append(Repair.COMMA_DECIMAL)
        text = text.replace(",", ".")
    number = _float(text) if re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", text) else None
    if is_percentage:
        repairs.append(Repair.PERCENTAGE)
    return number / 100 if number is not None and is_percentage else number


def _float(value: float | str) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _plain(text: str) -> str:
    """Without white space around, and with ASCII digits and signs for full-width ones."""
    return unicodedata.normalize("NFKC", text).strip()


def _number_of(content: Mapping[str, Any]) -> Any:
    """The number in an object about one channel; None where it has none."""
    return next((content[key] for key in NUMBER_KEYS if key in content), None)


def _is_numeric(value: Any) -> bool:
    inner = _number_of(value) if isinstance(value, Mapping) else value
    return _number(inner, []) is not None
