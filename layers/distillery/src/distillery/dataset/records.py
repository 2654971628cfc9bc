"""Reads one line of a dataset: checks Bedrock's format and the label, and writes the line for training.

Pydantic is not used here: a line has to be checked in about ten microseconds, and every error needs a message
of its own.
"""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.dataset.envelope import KnownEnvelopes, Texts
from distillery.dataset.findings import CODES, Finding, LineError, new_finding
from distillery.dataset.labels import LabelReader
from distillery.dataset.strict_json import RepeatedKey, Trailing, parse
from distillery.dataset.texts import check_reserved, cleaned, encodable, without_ignorable
from distillery.messages import cause, cut, kind, shown
from distillery.task.channels import REASONING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distillery.task.weights import Weights

SCHEMA_VERSION = "bedrock-conversation-2024"
MISSPELT_VERSION = "bedrock-conversion-2024"
"""A page of AWS's documentation spells the version like this."""
MAX_LINE_BYTES = 16_000
"""Bedrock's limit is 16 KB, without the line ending. It does not say which KB, so the smaller one is used."""
MAX_QUERY_CHARACTERS = 1_000
"""The longest query that is answered at inference. A longer one in a dataset is a warning, not an error."""


class Record(NamedTuple):
    """A valid line. `query` is trimmed, `label` has every channel or is None, other texts may be empty."""

    line: int
    query: str
    label: Weights | None
    reasoning: str
    system: str


class Checked(NamedTuple):
    """A line's record, or None if one of the findings is an error."""

    record: Record | None
    findings: Sequence[Finding]


_quoted = encode_basestring
_LINE_KEYS = frozenset({"schemaVersion", "system", "messages"})
_MESSAGE_KEYS = frozenset({"role", "content"})


class LineReader:
    """Reads the lines of one file. The memory for what it learns from earlier lines is bounded."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._envelopes = KnownEnvelopes()
        self._labels = LabelReader(channels)

    def check(self, raw: bytes, line: int) -> Checked:
        """Check one line, without its line ending. Any bytes are accepted, and no exception is raised.

        The time is linear in the line's length; the caller limits the length of `raw`.
        """
        findings: list[Finding] = []
        try:
            texts = self._texts(raw, line, findings)
        except LineError as error:
            findings.append(error.at(line))
            return Checked(None, findings)
        good, label, reasoning = True, None, ""
        try:
            query = _query(texts.query, line, findings)
        except LineError as error:
            good, query = False, ""
            findings.append(error.at(line))
        try:
            if texts.label is not None:
                label, reasoning = self._labels.read(encodable(texts.label, "assistant"), line, findings)
        except LineError as error:
            good = False
            findings.append(error.at(line))
        return Checked(Record(line, query, label, reasoning, texts.system) if good else None, findings)

    def _texts(self, raw: bytes, line: int, findings: list[Finding]) -> Texts:
        text = _text(raw)
        known = self._envelopes.read(text)
        if known is not None:
            return known
        content = _parsed(text)
        texts = _conversation(content, line, findings)
        if not findings:
            self._envelopes.learn(text, content, texts)
        return texts


def check_line(raw: bytes, line: int, channels: Sequence[str]) -> Checked:
    """Check a single line."""
    return LineReader(channels).check(raw, line)


def is_fixed(findings: Sequence[Finding]) -> bool:
    """Whether a line with these findings was changed by a fix."""
    return any(CODES[finding.code].fixed for finding in findings)


def training_line(record: Record, prompt: str, *, labelled: bool = True) -> bytes:
    """The record in Bedrock's format, with `prompt` as its system prompt; ends in a newline.

    Equal content gives equal bytes: keys, channels and numbers have one order and one spelling. With an empty
    prompt the line has no system prompt.
    """
    # Concatenated from strings: building an object and encoding it takes four times as long.
    start, turn, end = _line_parts(prompt)
    if not labelled or record.label is None:
        return f"{start}{_quoted(record.query)}{end}".encode()
    weights = _weights_json(tuple(record.label), tuple(record.label.values()))
    reasoning = f', "{REASONING}": {_quoted(record.reasoning)}' if record.reasoning else ""
    label = f"{{{weights}{reasoning}}}"
    return f"{start}{_quoted(record.query)}{turn}{_quoted(label)}{end}".encode()


@lru_cache(4_096)
def _weights_json(channels: tuple[str, ...], weights: tuple[float, ...]) -> str:
    # A channel's name needs no escaping: the channel configuration allows only lower-case letters, digits and
    # "_". Adding 0.0: the cache takes 1 and 1.0 for equal, and 0.0 and -0.0, so each pair must be written the
    # same way.
    pairs = zip(channels, weights, strict=True)
    return ", ".join(f'"{channel}": {weight + 0.0!r}' for channel, weight in pairs)


@lru_cache(64)
def _line_parts(prompt: str) -> tuple[str, str, str]:
    """The parts of a line before the query, between the query and the label, and after the label."""
    system = f'"system":[{{"text":{_quoted(prompt)}}}],' if prompt else ""
    start = f'{{"schemaVersion":"{SCHEMA_VERSION}",{system}'
    user = '"messages":[{"role":"user","content":[{"text":'
    return start + user, '}]},{"role":"assistant","content":[{"text":', "}]}]}\n"


def line_too_long(line: int) -> Finding:
    """The finding on a line above the limit, either as dropped or as it would be written for Bedrock."""
    return new_finding(
        "line_too_long", line, f"The line has more than the {MAX_LINE_BYTES:,} bytes that Bedrock accepts."
    )


def _text(raw: bytes) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise LineError("line_too_long", line_too_long(0).message)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise LineError("not_utf8", f"Byte {error.start + 1} of the line is not valid UTF-8.") from error


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = parse(text)
    except RepeatedKey as error:
        raise LineError("duplicate_key", f"The line has the key {shown(str(error))} twice.") from error
    except Trailing as error:
        message = f"The line has more text after its JSON object, at character {error.at + 1}:"
        raise LineError("trailing_garbage", f"{message} {shown(text[error.at :].strip())}.") from error
    except (ValueError, RecursionError) as error:
        raise LineError("not_json", f"The line is not JSON: {cause(error)}.") from error
    if type(content) is not dict:
        raise LineError("not_object", f"The line holds {kind(content)}, not an object.")
    return content


def _conversation(content: dict[str, Any], line: int, findings: list[Finding]) -> Texts:
    for name in ("schemaVersion", "messages"):
        if name not in content:
            raise LineError("missing_field", f"The field {name!r} is missing.", f"Add {name!r} to the line.")
    if not _LINE_KEYS.issuperset(content):
        findings.append(_unknown_fields(content, _LINE_KEYS, "The line", line))
    if content["schemaVersion"] == MISSPELT_VERSION:
        findings.append(_line_form(f"schemaVersion is {MISSPELT_VERSION!r}, not {SCHEMA_VERSION!r}", line))
    elif content["schemaVersion"] != SCHEMA_VERSION:
        raise LineError("schema_version", f"schemaVersion is {shown(content['schemaVersion'])}.")
    system = _system(content["system"], line, findings) if "system" in content else ""
    messages = content["messages"]
    if type(messages) is not list or not 1 <= len(messages) <= 2:
        raise _turn_error(messages)
    query = _turn(messages, 0, "user", line, findings)
    label = _turn(messages, 1, "assistant", line, findings) if len(messages) == 2 else None
    return Texts(query, label, system)


def _query(text: str, line: int, findings: list[Finding]) -> str:
    query = encodable(cleaned(text, "query", line, findings).strip(), "user")
    if not without_ignorable(query).strip():
        raise LineError("empty_query", "The user turn is empty.")
    check_reserved(query, "query")
    if len(query) > MAX_QUERY_CHARACTERS:
        message = (
            f"The query has {len(query):,} characters; the limit at inference is {MAX_QUERY_CHARACTERS:,}."
        )
        findings.append(new_finding("long_query", line, message))
    return query


def _turn(messages: list[Any], index: int, role: str, line: int, findings: list[Finding]) -> str:
    """The text of a turn with the role `role`. Several text blocks are joined."""
    message = messages[index]
    if type(message) is not dict:
        raise _turn_error(messages)
    written = message.get("role")
    if written != role:
        if type(written) is not str or written.strip().lower() != role:
            raise _turn_error(messages)
        findings.append(_line_form(f"The role is {shown(written)}, not {role!r}", line))
    if not _MESSAGE_KEYS.issuperset(message):
        findings.append(_unknown_fields(message, _MESSAGE_KEYS, "A message", line))
    content = message.get("content")
    if type(content) is not list or not content:
        raise LineError("content_shape", f"The content of the {role} turn is not a list of text blocks.")
    texts = _block_texts(content, f"the {role} turn", line, findings)
    if texts is None:
        raise LineError("not_text", f"The {role} turn has content other than text.")
    return "".join(texts)


def _turn_error(messages: Any) -> LineError:
    """The error of turns that are not objects, or whose roles are not user and then assistant."""
    if type(messages) is not list or [message for message in messages if type(message) is not dict]:
        return LineError("messages_shape", "'messages' is not a list of objects.")
    roles = [message.get("role") for message in messages]
    if roles.count("user") > 1:
        return LineError("several_turns", f"There are {roles.count('user'):,} user turns.")
    listed = ", ".join(shown(role) for role in roles[:4])
    more = ", ..." if len(messages) > 4 else ""
    return LineError("role_order", f"The roles of the turns are {listed or 'missing'}{more}.")


def _unknown_fields(content: dict[str, Any], known: frozenset[str], where: str, line: int) -> Finding:
    names = cut(", ".join(shown(name) for name in sorted(content.keys() - known)[:4]))
    message = f"{where} has fields that Bedrock does not accept; they are removed: {names}."
    return new_finding("unknown_field", line, message, fix=f"Use only {', '.join(sorted(known))}.")


def _system(blocks: Any, line: int, findings: list[Finding]) -> str:
    texts = _block_texts(blocks, "the system prompt", line, findings) if type(blocks) is list else None
    if texts is None:
        raise LineError("system_shape", "'system' is not a list of text blocks.")
    return encodable("\n".join(texts), "system")


def _block_texts(blocks: list[Any], where: str, line: int, findings: list[Finding]) -> list[str] | None:
    """The texts of blocks; None if a block is neither a text nor a cache point.

    Messages for other models have a `type` in each block, and programs that cache prompts add cache points.
    """
    texts: list[str] = []
    cache_points = typed = False
    for block in blocks:
        if type(block) is not dict:
            return None
        if block.keys() == {"cachePoint"}:
            cache_points = True
            continue
        if len(block) == 2 and block.get("type") == "text":
            typed = True
        elif len(block) != 1:
            return None
        text = block.get("text")
        if type(text) is not str:
            return None
        texts.append(text)
    if typed:
        findings.append(_line_form(f"A text block of {where} has the field 'type'", line))
    if cache_points:
        findings.append(_line_form(f"There is a cache point in {where}", line))
    return texts


def _line_form(difference: str, line: int) -> Finding:
    """The finding on a difference from Bedrock's format that is corrected."""
    return new_finding("line_form", line, f"{difference}; this is corrected.")
