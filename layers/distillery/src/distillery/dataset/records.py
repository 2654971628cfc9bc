"""One line of a dataset: the form that Bedrock asks for, and whether the label says what it must.

Pydantic is not used here: a line has to be checked in about ten microseconds, and each flaw deserves a
sentence of its own.
"""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.dataset.envelope import Frames, Texts
from distillery.dataset.findings import CODES, Finding, Flaw, found
from distillery.dataset.labels import LabelReader
from distillery.dataset.strict_json import RepeatedKey, Trailing, parse
from distillery.dataset.texts import check_reserved, sound, without_controls
from distillery.messages import cause, cut, kind, shown
from distillery.task.channels import REASONING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distillery.task.weights import Weights

SCHEMA_VERSION = "bedrock-conversation-2024"
MAX_LINE_BYTES = 16_000
"""Bedrock says 16 KB without saying which; the smaller reading is safe. Without the end of the line."""
MAX_QUERY_CHARACTERS = 1_000
"""The longest query that the router takes; a longer one is worth a warning, not a refusal."""


class Record(NamedTuple):
    """A good line. `query` is trimmed, `label` holds every channel or is None, the texts may be empty."""

    line: int
    query: str
    label: Weights | None
    reasoning: str
    system: str


class Checked(NamedTuple):
    """A record, or None where one of the findings is an error."""

    record: Record | None
    findings: Sequence[Finding]


_quoted = encode_basestring
_LINE_KEYS = frozenset({"schemaVersion", "system", "messages"})
_MESSAGE_KEYS = frozenset({"role", "content"})


class LineReader:
    """Reads the lines of one file, over the same channels; what it remembers does not grow with the file."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._frames = Frames()
        self._labels = LabelReader(channels)

    def check(self, raw: bytes, line: int) -> Checked:
        """Check one line (without its end); never raises, whatever the bytes are.

        Time is linear in the line's length; the caller bounds what it reads into `raw`.
        """
        findings: list[Finding] = []
        try:
            texts = self._texts(raw, line, findings)
        except Flaw as flaw:
            findings.append(flaw.at(line))
            return Checked(None, findings)
        good, label, reasoning = True, None, ""
        try:
            query = _query(texts.query, line, findings)
        except Flaw as flaw:
            good, query = False, ""
            findings.append(flaw.at(line))
        try:
            if texts.label is not None:
                label, reasoning = self._labels.read(sound(texts.label, "assistant"), line, findings)
        except Flaw as flaw:
            good = False
            findings.append(flaw.at(line))
        return Checked(Record(line, query, label, reasoning, texts.system) if good else None, findings)

    def _texts(self, raw: bytes, line: int, findings: list[Finding]) -> Texts:
        text = _text(raw)
        known = self._frames.read(text)
        if known is not None:
            return known
        content = _parsed(text)
        texts = _conversation(content, line, findings)
        if not findings:
            self._frames.learn(text, content, texts)
        return texts


def check_line(raw: bytes, line: int, channels: Sequence[str]) -> Checked:
    """Check one line by itself, as LineReader does."""
    return LineReader(channels).check(raw, line)


def is_fixed(findings: Sequence[Finding]) -> bool:
    """Whether what was made of a good line is something else than what it says."""
    return any(CODES[finding.code].fixed for finding in findings)


def training_line(record: Record, prompt: str, *, labelled: bool = True) -> bytes:
    """The record as Bedrock is given it, with `prompt` as its system prompt; ends in a newline.

    Equal content gives equal bytes: keys, channels and numbers have one order and one spelling. An empty prompt
    is none.
    """
    # Put together by hand: building the object and encoding it takes four times as long.
    start, turn, end = _frame(prompt)
    if not labelled or record.label is None:
        return f"{start}{_quoted(record.query)}{end}".encode()
    weights = _spelled(tuple(record.label), tuple(record.label.values()))
    reasoning = f', "{REASONING}": {_quoted(record.reasoning)}' if record.reasoning else ""
    label = f"{{{weights}{reasoning}}}"
    return f"{start}{_quoted(record.query)}{turn}{_quoted(label)}{end}".encode()


@lru_cache(4_096)
def _spelled(channels: tuple[str, ...], weights: tuple[float, ...]) -> str:
    # A channel's name needs no escaping: the channel configuration allows lower-case letters, digits and "_" only.
    # The sum: to the cache 1 and 1.0 are the same, and 0.0 and -0.0; so they must have one spelling.
    spelled = zip(channels, weights, strict=True)
    return ", ".join(f'"{channel}": {weight + 0.0!r}' for channel, weight in spelled)


@lru_cache(64)
def _frame(prompt: str) -> tuple[str, str, str]:
    """What stands before the query, between the query and the label, and at the end of a line."""
    system = f'"system":[{{"text":{_quoted(prompt)}}}],' if prompt else ""
    start = f'{{"schemaVersion":"{SCHEMA_VERSION}",{system}'
    user = '"messages":[{"role":"user","content":[{"text":'
    return start + user, '}]},{"role":"assistant","content":[{"text":', "}]}]}\n"


def line_too_long(line: int) -> Finding:
    """The finding on a line over the limit, as it came or as it would be written for Bedrock."""
    return found(
        "line_too_long", line, f"The line has more than the {MAX_LINE_BYTES:,} bytes that Bedrock takes."
    )


def _text(raw: bytes) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise Flaw("line_too_long", line_too_long(0).message)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Flaw("not_utf8", f"Byte {error.start + 1} of the line is not UTF-8.") from error


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = parse(text)
    except RepeatedKey as error:
        raise Flaw("duplicate_key", f"The line names {shown(str(error))} twice.") from error
    except Trailing as error:
        told = f"After its object, at character {error.at + 1}, the line goes on with"
        raise Flaw("trailing_garbage", f"{told} {shown(text[error.at :].strip())}.") from error
    except (ValueError, RecursionError) as error:
        raise Flaw("not_json", f"The line is not JSON: {cause(error)}.") from error
    if type(content) is not dict:
        raise Flaw("not_object", f"The line holds {kind(content)}, not an object.")
    return content


def _conversation(content: dict[str, Any], line: int, findings: list[Finding]) -> Texts:
    for name in ("schemaVersion", "messages"):
        if name not in content:
            raise Flaw("missing_field", f"The field {name!r} is missing.", f"Add {name!r} to the line.")
    if not _LINE_KEYS.issuperset(content):
        findings.append(_unknown_fields(content, _LINE_KEYS, "The line", line))
    if content["schemaVersion"] != SCHEMA_VERSION:
        raise Flaw("schema_version", f"schemaVersion is {shown(content['schemaVersion'])}.")
    system = _system(content["system"]) if "system" in content else ""
    messages = content["messages"]
    if type(messages) is not list or not 1 <= len(messages) <= 2:
        raise _misplaced(messages)
    query = _turn(messages, 0, "user", line, findings)
    label = _turn(messages, 1, "assistant", line, findings) if len(messages) == 2 else None
    return Texts(query, label, system)


def _query(text: str, line: int, findings: list[Finding]) -> str:
    query = sound(without_controls(text, "query", line, findings).strip(), "user")
    if not query:
        raise Flaw("empty_query", "The user turn is empty.")
    check_reserved(query, "query")
    if len(query) > MAX_QUERY_CHARACTERS:
        told = f"The query has {len(query):,} characters; the router takes {MAX_QUERY_CHARACTERS:,}."
        findings.append(found("long_query", line, told))
    return query


def _turn(messages: list[Any], index: int, role: str, line: int, findings: list[Finding]) -> str:
    """The text of a turn, which must be of `role`; parts of a text that was split are joined again."""
    message = messages[index]
    if type(message) is not dict or message.get("role") != role:
        raise _misplaced(messages)
    if not _MESSAGE_KEYS.issuperset(message):
        findings.append(_unknown_fields(message, _MESSAGE_KEYS, "A message", line))
    content = message.get("content")
    if type(content) is not list or not content:
        raise Flaw("content_shape", f"The content of the {role} turn is not a list of texts.")
    for block in content:
        if not _is_text(block):
            raise Flaw("not_text", f"The {role} turn holds something other than text.")
    return str(content[0]["text"]) if len(content) == 1 else "".join(block["text"] for block in content)


def _misplaced(messages: Any) -> Flaw:
    """The flaw of turns that are not what they should be, or not in their place."""
    if type(messages) is not list or [message for message in messages if type(message) is not dict]:
        return Flaw("messages_shape", "'messages' is not a list of objects.")
    roles = [message.get("role") for message in messages]
    if roles.count("user") > 1:
        return Flaw("several_turns", f"There are {roles.count('user'):,} user turns.")
    told = ", ".join(shown(role) for role in roles[:4])
    more = ", ..." if len(messages) > 4 else ""
    return Flaw("role_order", f"The roles of the turns are {told or 'missing'}{more}.")


def _unknown_fields(content: dict[str, Any], known: frozenset[str], where: str, line: int) -> Finding:
    names = cut(", ".join(shown(name) for name in sorted(content.keys() - known)[:4]))
    told = f"{where} has fields that Bedrock does not know, and they are left out: {names}."
    return found("unknown_field", line, told, fix=f"Keep to {', '.join(sorted(known))}.")


def _system(blocks: Any) -> str:
    if type(blocks) is list and len(blocks) == 1 and _is_text(blocks[0]):
        return sound(str(blocks[0]["text"]), "system")
    if type(blocks) is not list or [block for block in blocks if not _is_text(block)]:
        raise Flaw("system_shape", "'system' is not a list of texts.")
    return sound("\n".join(block["text"] for block in blocks), "system")


def _is_text(block: Any) -> bool:
    return type(block) is dict and len(block) == 1 and type(block.get("text")) is str
