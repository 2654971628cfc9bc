"""Finding JSON in a model's text: a whole document as it stands, else every object, broken ones repaired.

Broken objects go to json-repair. Thinking tags are left out. What an object means is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import json_repair

from distillery.task.repairs import Repair

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_ANSWER = 20_000
"""Characters of a model's answer that are looked at."""
MOST_OBJECTS = 24
"""Opening brackets of an answer at which a document is tried."""
DEEPEST = 20
"""Levels of nesting. Anything deeper is no answer, and takes recursive parsers seconds."""


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON value that a text holds, its source, and what it took to read it."""

    content: Any
    source: str
    repairs: tuple[Repair, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether the text ended before the value did."""
        return Repair.CUT_OFF in self.repairs


class Pairs(dict[str, Any]):
    """A JSON object that remembers which keys stood there twice with different values."""

    conflicts: frozenset[str] = frozenset()


def documents(text: str) -> list[Document]:
    """The JSON values of a text, in their order.

    A text that is one JSON document gives that document and nothing else. Other texts give every object and
    list; each has the repair `SURROUNDINGS` or `THINKING` unless it is the whole text.
    """
    answer = text[:LONGEST_ANSWER].strip()
    whole = _whole(answer)
    if whole is not None:
        return [whole]
    visible, tags = _THINKING.subn(" ", answer)
    around = (Repair.THINKING,) if tags else (Repair.SURROUNDINGS,)
    return [
        found if found.source == answer else Document(found.content, found.source, (*around, *found.repairs))
        for found in _objects(visible)
    ]


def _pairs(pairs: list[tuple[str, Any]]) -> Pairs:
    content = Pairs()
    conflicts = set()
    for key, value in pairs:
        if key in content and content[key] != value:
            conflicts.add(key)
        content[key] = value
    content.conflicts = frozenset(conflicts)
    return content


def _reject_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant, object_pairs_hook=_pairs)
_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis"
_THINKING = re.compile(rf"<(?P<tag>{_TAGS})\b[^<>]*>.*?(?:</(?P=tag)\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_BRACKET = re.compile(r'\\.|["{}\[\]]', re.DOTALL)
_OPENING = re.compile(r"""\{\s*(?:["'\u201c\u201d}]|[^\W\d]\w*\s*[:\uff1a]|//|/\*|\#)|\[\s*[\["'{\d\]-]""")
"""A bracket with what may follow it in an object or a list."""
_BEGINS_LIKE_JSON = re.compile(
    r"""\{\s*(?:["'\u201c\u201d][^"'\u201c\u201d]*["'\u201c\u201d]|[^\W\d][\w ]*)\s*[:\uff1a]|\[\s*["']|\{\s*(?://|/\*|\#)"""
)
"""What a person would take for the beginning of an object with a key, or of a list of texts."""
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_COMMA_DECIMAL = re.compile(r"(?<=:)(\s*)(\d+),(\d+)(?=\s*(?:[,}\]%]|$))")
_PERCENT = re.compile(r"(?<=:)(\s*)(\d+(?:\.\d+)?\s*%)")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FULL_WIDTH_SYNTAX = re.compile(r"[\uff10-\uff19\uff1a\uff5b\uff5d]")


def _whole(text: str) -> Document | None:
    """The text as one JSON document, or as a JSON string that holds one."""
    if _depth(text) > DEEPEST:
        return None
    try:
        content = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, str):
        inner = _whole(content.strip())
        return Document(inner.content, inner.source, (Repair.JSON_IN_JSON,)) if inner else None
    return Document(content, text) if isinstance(content, dict | list) else None


def _objects(text: str) -> Iterator[Document]:
    """Every object and list of a text by the place where it ends; one that the text cuts off comes last."""
    at, cut = 0, None
    for _ in range(MOST_OBJECTS):
        opening = _OPENING.search(text, at)
        if opening is None:
            break
        start = opening.start()
        end = _end(text, start)
        found = _closed(text, start, end) if end else None
        if found is not None:
            yield found
        elif not end and cut is None:
            cut = _repaired(text[start:], is_cut=True)
        at = start + len(found.source) if found is not None else start + 1
    if cut is not None:
        yield cut


def _closed(text: str, start: int, end: int) -> Document | None:
    """The document between two brackets that match; None where it is none."""
    source = text[start:end]
    if _depth(source) > DEEPEST:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        content, stop = _DECODER.raw_decode(text, start)
        return Document(content, text[start:stop])
    return _repaired(source, is_cut=False)


def _end(text: str, start: int) -> int:
    """The place behind the bracket that closes the one at `start`; 0 where none does."""
    for heeds_strings in (True, False):  # an odd quotation mark within a text must not hide the end
        depth, in_string = 0, False
        for found in _BRACKET.finditer(text, start):
            mark = found[0]
            if mark == '"':
                in_string = heeds_strings and not in_string
            elif in_string or mark.startswith("\\"):
                continue
            elif mark in "{[":
                depth += 1
            else:
                depth -= 1
                if not depth:
                    return found.end()
    return 0


def _depth(text: str) -> int:
    """The most brackets that are open at once, whatever they stand in."""
    depth = deepest = 0
    for character in re.findall(r"[{}\[\]]", text):
        depth += 1 if character in "{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _repaired(source: str, *, is_cut: bool) -> Document | None:
    """A broken document, read without trailing commas, else by json-repair; None if that fails."""
    if _depth(source) > DEEPEST or not _BEGINS_LIKE_JSON.match(source):
        return None
    if not is_cut:
        with contextlib.suppress(ValueError, RecursionError):
            content = _DECODER.decode(_TRAILING_COMMA.sub(r"\1", source))
            return Document(content, source, (Repair.TRAILING_COMMA,))
    repairs = [Repair.CUT_OFF if is_cut else Repair.SYNTAX]
    # json-repair does not know full-width digits, 0,7 for 0.7, and percentages without quotation marks.
    text = source.translate(_FULL_WIDTH) if _FULL_WIDTH_SYNTAX.search(source) else source
    decimals = _COMMA_DECIMAL.sub(r"\1\2.\3", text)
    if decimals != text:
        repairs.append(Repair.COMMA_DECIMAL)
    prepared = _PERCENT.sub(r'\1"\2"', decimals)
    try:
        content = json_repair.loads(prepared, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError):
        return None
    if isinstance(content, dict):
        content = _with_conflicts(content, prepared)
    return Document(content, source, tuple(repairs)) if isinstance(content, dict | list) else None


def _with_conflicts(content: dict[str, Any], source: str) -> Pairs:
    """The object with the keys that its source has twice with other numbers; json-repair keeps the last."""
    pairs = Pairs(content)
    if any(isinstance(value, dict | list) for value in content.values()):
        return pairs  # keys of inner objects stand there again, rightly
    conflicts = set()
    for key in content:
        numbers = re.findall(rf"""["'\s{{,]{re.escape(key)}["'\s]*:\s*["']?([0-9.]+)""", source)
        if len(set(numbers)) > 1:
            conflicts.add(key)
    pairs.conflicts = frozenset(conflicts)
    return pairs
