"""One line of a dataset: the form that Bedrock asks for, and whether the label says what it must.

Pydantic is not used here: a line has to be checked in about ten microseconds, and each flaw deserves a
sentence of its own.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from distillery.taxonomy import REASONING
from distillery.weights import SUM_SLACK, TOLERANCE
from distillery.wording import cause, cut, kind, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distillery.weights import Weights

SCHEMA_VERSION = "bedrock-conversation-2024"
MAX_LINE_BYTES = 16_000
"""Bedrock says 16 KB without saying which; the smaller reading is safe. Without the end of the line."""
MAX_QUERY_CHARACTERS = 1_000
"""The longest query that the router takes; a longer one is worth a warning, not a refusal."""
RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")
"""Strings that fail a customization job of Nova wherever they stand in a prompt."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a line (counted from 1), or about the whole file where `line` is None."""

    code: str
    severity: Severity
    line: int | None
    message: str
    mend: str


class Record(NamedTuple):
    """A good line. `query` is trimmed, `label` holds every facet or is None, the texts may be empty."""

    line: int
    query: str
    label: Weights | None
    reasoning: str
    system: str


class Checked(NamedTuple):
    """A record, or None where one of the findings is an error."""

    record: Record | None
    findings: Sequence[Finding]


class _Flaw(Exception):
    """What makes a line unusable."""

    def __init__(self, code: str, message: str, mend: str) -> None:
        super().__init__(message)
        self.code, self.message, self.mend = code, message, mend

    def at(self, line: int) -> Finding:
        return Finding(self.code, "error", line, self.message, self.mend)


class _RepeatedKey(ValueError):
    """A JSON object names a key twice; parsers differ in which value they take."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKey(next(name for name in names if names.count(name) > 1))
    return content


def _reject_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


_LINE_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_reject_constant)
# NaN is let through here, so that the finding can name the facet that has it.
_LABEL_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_find_surrogate = re.compile("[\ud800-\udfff]").search

_LINE_KEYS = frozenset({"schemaVersion", "system", "messages"})
_MESSAGE_KEYS = frozenset({"role", "content"})
_ONE_OBJECT = "Write one JSON object a line, without commas or brackets around the lines."
_TOO_LONG = (
    "line_too_long",
    f"The line has more than the {MAX_LINE_BYTES:,} bytes that Bedrock takes.",
    "Shorten the query or the reasoning, and look for missing ends of lines.",
)
_ONE_TURN = "Give one user turn, and after it at most one assistant turn with the label."


def check_line(raw: bytes, line: int, facets: Sequence[str]) -> Checked:
    """Check one line (without its end); never raises, whatever the bytes are.

    Time is linear in the line's length; the caller bounds what it reads into `raw`.
    """
    findings: list[Finding] = []
    try:
        query, label_text, system = _conversation(_parsed(raw), line, findings)
    except _Flaw as flaw:
        findings.append(flaw.at(line))
        return Checked(None, findings)
    sound, label, reasoning = True, None, ""
    try:
        _check_query(query)
    except _Flaw as flaw:
        sound = False
        findings.append(flaw.at(line))
    try:
        if label_text is not None:
            label, reasoning = _label(label_text, facets)
    except _Flaw as flaw:
        sound = False
        findings.append(flaw.at(line))
    if not sound:
        return Checked(None, findings)
    if len(query) > MAX_QUERY_CHARACTERS:
        findings.append(
            Finding(
                "long_query",
                "warning",
                line,
                f"The query has {len(query):,} characters; the router takes {MAX_QUERY_CHARACTERS:,}.",
                "Shorten the query, or leave the line out: nothing like it will ever be routed.",
            )
        )
    return Checked(Record(line, query, label, reasoning, system), findings)


def training_line(record: Record, prompt: str, *, labelled: bool = True) -> bytes:
    """The record as Bedrock is given it, with `prompt` as its system prompt; ends in a newline.

    Equal content gives equal bytes: keys, facets and numbers have one order and one spelling.
    """
    # Put together by hand: building the object and encoding it takes four times as long.
    start, turn, end = _frame(prompt)
    if not labelled or record.label is None:
        return f"{start}{_quoted(record.query)}{end}".encode()
    weights = _spelled(*record.label.items())
    reasoning = f', "{REASONING}": {_quoted(record.reasoning)}' if record.reasoning else ""
    label = f"{{{weights}{reasoning}}}"
    return f"{start}{_quoted(record.query)}{turn}{_quoted(label)}{end}".encode()


@lru_cache(4_096)
def _spelled(*weights: tuple[str, float]) -> str:
    # A facet's name needs no escaping: the taxonomy allows lower-case letters, digits and "_" only.
    # The sum: to the cache 1 and 1.0 are the same, and 0.0 and -0.0; so they must have one spelling.
    return ", ".join(f'"{facet}": {weight + 0.0!r}' for facet, weight in weights)


@cache
def _frame(prompt: str) -> tuple[str, str, str]:
    """What stands before the query, between the query and the label, and at the end of a line."""
    start = f'{{"schemaVersion":"{SCHEMA_VERSION}","system":[{{"text":{_quoted(prompt)}}}],'
    user = '"messages":[{"role":"user","content":[{"text":'
    return start + user, '}]},{"role":"assistant","content":[{"text":', "}]}]}\n"


def line_too_long(line: int) -> Finding:
    """The finding on a line over the limit, as it came or as it would be written for Bedrock."""
    return _Flaw(*_TOO_LONG).at(line)


def _decoded(decoder: json.JSONDecoder, text: str) -> Any:
    if text.startswith("{"):
        content, end = decoder.raw_decode(text)
        if end == len(text):
            return content
    # The long way round: space on either side, something after the object, or no object at all.
    return decoder.decode(text)


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise _Flaw(*_TOO_LONG)
    try:
        content = _decoded(_LINE_DECODER, raw.decode())
    except UnicodeDecodeError as error:
        raise _Flaw(
            "not_utf8", f"Byte {error.start + 1} of the line is not UTF-8.", "Save the file as UTF-8."
        ) from error
    except _RepeatedKey as error:
        raise _repeated(error, "line") from error
    except (ValueError, RecursionError) as error:
        raise _Flaw("not_json", f"The line is not JSON: {cause(error)}.", _ONE_OBJECT) from error
    if type(content) is not dict:
        raise _Flaw("not_object", f"The line holds {kind(content)}, not an object.", _ONE_OBJECT)
    return content


def _conversation(content: dict[str, Any], line: int, findings: list[Finding]) -> tuple[str, str | None, str]:
    """Query, label text (None without a label) and system prompt."""
    for name in ("schemaVersion", "messages"):
        if name not in content:
            raise _Flaw("missing_field", f"The field {name!r} is missing.", f"Add {name!r} to the line.")
    if not _LINE_KEYS.issuperset(content):
        findings.append(_unknown_fields(content, _LINE_KEYS, "The line", line))
    if content["schemaVersion"] != SCHEMA_VERSION:
        raise _Flaw(
            "schema_version",
            f"schemaVersion is {shown(content['schemaVersion'])}.",
            f'Write "schemaVersion": "{SCHEMA_VERSION}".',
        )
    system = _system(content["system"]) if "system" in content else ""
    messages = content["messages"]
    if type(messages) is not list or not 1 <= len(messages) <= 2:
        raise _misplaced(messages)
    query = _turn(messages, 0, "user", line, findings).strip()
    label = _turn(messages, 1, "assistant", line, findings) if len(messages) == 2 else None
    return query, label, system


def _turn(messages: list[Any], index: int, role: str, line: int, findings: list[Finding]) -> str:
    """The text of a turn, which must be of `role`; parts of a text that was split are joined again."""
    message = messages[index]
    if type(message) is not dict or message.get("role") != role:
        raise _misplaced(messages)
    if not _MESSAGE_KEYS.issuperset(message):
        findings.append(_unknown_fields(message, _MESSAGE_KEYS, "A message", line))
    content = message.get("content")
    if type(content) is not list or not content:
        raise _Flaw(
            "content_shape",
            f"The content of the {role} turn is not a list of texts.",
            'Write "content": [{"text": "..."}].',
        )
    for block in content:
        if not _is_text(block):
            raise _Flaw(
                "not_text",
                f"The {role} turn holds something other than text.",
                "Keep to text: pictures, documents and tools cannot be distilled here.",
            )
    return _sound(content[0]["text"] if len(content) == 1 else "".join(b["text"] for b in content), role)


def _misplaced(messages: Any) -> _Flaw:
    """The flaw of turns that are not what they should be, or not in their place."""
    if type(messages) is not list or [message for message in messages if type(message) is not dict]:
        return _Flaw("messages_shape", "'messages' is not a list of objects.", _ONE_TURN)
    told = ", ".join(shown(message.get("role")) for message in messages[:4])
    more = ", ..." if len(messages) > 4 else ""
    return _Flaw("role_order", f"The roles of the turns are {told or 'missing'}{more}.", _ONE_TURN)


def _unknown_fields(content: dict[str, Any], known: frozenset[str], where: str, line: int) -> Finding:
    names = ", ".join(shown(name) for name in sorted(content.keys() - known)[:4])
    return Finding(
        "unknown_field",
        "warning",
        line,
        f"{where} has fields that Bedrock does not know, and they are left out: {names}.",
        f"Keep to {', '.join(sorted(known))}.",
    )


def _system(blocks: Any) -> str:
    if type(blocks) is list and len(blocks) == 1 and _is_text(blocks[0]):
        return str(blocks[0]["text"])
    if type(blocks) is not list or [block for block in blocks if not _is_text(block)]:
        raise _Flaw(
            "system_shape",
            "'system' is not a list of texts.",
            'Write "system": [{"text": "..."}], or nothing.',
        )
    return "\n".join(block["text"] for block in blocks)


def _is_text(block: Any) -> bool:
    return type(block) is dict and len(block) == 1 and type(block.get("text")) is str


def _sound(text: str, role: str) -> str:
    # "\ud800" is legal JSON and a legal str, but no UTF-8 can be written from it.
    if not text.isascii() and _find_surrogate(text):
        raise _Flaw(
            "half_character",
            f"The {role} turn holds half of a surrogate pair, which no text can hold.",
            "Escape the character as a pair, or write it as it is.",
        )
    return text


def _check_query(query: str) -> None:
    if not query:
        raise _Flaw("empty_query", "The user turn is empty.", "Give the query, or leave the line out.")
    _check_reserved(query, "query")


def _check_reserved(text: str, where: str) -> None:
    if not (":" in text or ">" in text or "]" in text):  # the last characters of all that is reserved
        return
    for reserved in RESERVED:
        if reserved in text:
            raise _Flaw(
                "reserved_string",
                f"The {where} contains {reserved!r}, which fails a customization job.",
                f"Write it differently, for example without {reserved[-1]!r}.",
            )


def _label(text: str, facets: Sequence[str]) -> tuple[Weights, str]:
    """Weights in the order of `facets`, and the reasoning, from the assistant's text."""
    try:
        content = _decoded(_LABEL_DECODER, text)
    except _RepeatedKey as error:
        raise _repeated(error, "label") from error
    except (ValueError, RecursionError) as error:
        raise _Flaw("label_not_json", f"The label is not JSON: {cause(error)}.", _form(facets)) from error
    if type(content) is not dict:
        raise _Flaw(
            "label_not_object",
            f"The label is {kind(content)}, not an object.",
            _form(facets),
        )
    if len(content) != len(facets) + (REASONING in content):
        raise _other_facets(content, facets)
    try:
        values = [content[facet] for facet in facets]
    except KeyError:
        raise _other_facets(content, facets) from None
    try:
        weights = _weights(tuple(facets), *values).copy()
    except TypeError:  # a list or an object cannot be looked up in a cache
        weights = _weights.__wrapped__(facets, *values)
    reasoning = content.get(REASONING, "")
    if type(reasoning) is not str:
        raise _Flaw("reasoning_not_text", f"The reasoning is {kind(reasoning)}.", "Write it as a text.")
    reasoning = _sound(reasoning.strip(), "assistant")
    _check_reserved(reasoning, REASONING)
    return weights, reasoning


# Labels come from a grid, so few are distinct; with types, because True is 1 to an untyped cache.
@lru_cache(4_096, typed=True)
def _weights(facets: Sequence[str], *values: Any) -> Weights:
    weights = {facet: _weight(facet, value) for facet, value in zip(facets, values, strict=True)}
    total = math.fsum(weights.values())
    if abs(total - 1) > SUM_SLACK + TOLERANCE:
        raise _Flaw(
            "weights_sum",
            f"The weights sum to {total:.4g} instead of 1.",
            f"Scale them to a sum of 1 (up to {SUM_SLACK:g} off is taken as rounding).",
        )
    return weights


def _form(facets: Sequence[str]) -> str:
    return f"Answer with a JSON object of {', '.join(facets)} and, if wanted, {REASONING}."


def _other_facets(content: dict[str, Any], facets: Sequence[str]) -> _Flaw:
    unknown = ", ".join(shown(name) for name in content if name not in facets and name != REASONING)
    missing = ", ".join(facet for facet in facets if facet not in content)
    known = f"The taxonomy's facets are {', '.join(facets)}."
    if unknown:
        lacking = f" and lacks {missing}" if missing else ""
        return _Flaw("unknown_facet", f"The label has the unknown facet {cut(unknown)}{lacking}.", known)
    return _Flaw("missing_facet", f"The label lacks {missing}.", f"{known} Give 0 where one is of no use.")


def _weight(facet: str, value: Any) -> float:
    # Not isinstance: True is an int to Python, and no weight to anybody.
    if type(value) is not float and type(value) is not int:
        told = f"The weight of {facet} is {kind(value)}."
        raise _Flaw("weight_not_number", told, "Write it as a bare number.")
    if 0 <= value <= 1:
        return float(value) + 0.0  # -0.0 becomes 0.0: the two are equal and would be written differently
    code, told = (
        ("weight_not_finite", "not finite")
        # An int is never infinite, and may be too large for isfinite.
        if type(value) is float and not math.isfinite(value)
        else ("negative_weight", "below 0")
        if value < 0
        else ("weight_above_one", "above 1")
    )
    raise _Flaw(code, f"The weight of {facet} is {told}.", "Give a number from 0 to 1.")


def _repeated(error: _RepeatedKey, where: str) -> _Flaw:
    told = f"The {where} names {shown(str(error))} twice."
    return _Flaw("duplicate_key", told, "Keep one of the two values.")
