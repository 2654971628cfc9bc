"""Files that other tools wrote: recognised by their first bytes, and converted to conversation form.

A file of another form is one finding, not one for each line. To add a form, add a `Form` to `FORMS`.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from distillery.dataset.records import SCHEMA_VERSION
from distillery.messages import cut
from distillery.task.channels import REASONING

HEAD_BYTES = 65_536
"""Bytes at the beginning of a file that tell its form."""
GZIP_MARK = b"\x1f\x8b"
LINES_LOOKED_AT = 5
LEAST_TURNS = 4
"""Different user turns that must share instructions."""
LEAST_SHARED = 100
"""Characters from which a text that all user turns share is taken for instructions."""
_SENTENCES = re.compile(r".*(?:[.?!>] |[:\n] ?)", re.DOTALL)
QUERY_COLUMNS = ("query", "prompt", "question", "text", "input", "search")
LABEL_COLUMNS = ("completion", "response", "label", "weights", "output", "answer")
DELIMITERS = (",", ";", "\t", "|")
MAX_BYTES = 500_000_000
"""The largest file that is converted, twice what Bedrock accepts in one job: it is held in memory."""

Channels = Sequence[str]
Converter = Callable[[bytes, Channels], Iterator[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Form:
    """A form of file; `name` follows "The file is".

    `convert` gives records in conversation form; it is None if the file has no data. `detail` gives what the
    head of the file adds to the name.
    """

    name: str
    recognise: Callable[[bytes, Channels], bool]
    convert: Converter | None
    fix: str = ""
    detail: Callable[[bytes, Channels], str] = lambda _, __: ""

    def sentence(self, head: bytes, channels: Channels) -> str:
        """The form of a file as a sentence; `head` as for `form_of`."""
        return f"The file is {self.name}{self.detail(_plain(head), channels)}."


class NotConvertible(Exception):
    """The file begins in a form that can be converted, and goes on otherwise; says where."""


def form_of(head: bytes, channels: Channels) -> Form | None:
    """The form of another tool in which a file begins; None for JSON lines of records and for unknown forms.

    `head` are the first bytes of the file, `HEAD_BYTES` at most.
    """
    text = _plain(head)
    return next((form for form in FORMS if form.recognise(text, channels)), None)


def _plain(head: bytes) -> bytes:
    return unpacked(head).removeprefix(b"\xef\xbb\xbf").lstrip()


def convert(content: bytes, channels: Channels) -> Iterator[bytes]:
    """The records of a file of another form, as lines in conversation form.

    Raises NotConvertible where the form is not known, the file does not keep to it, or is too large.
    """
    form = form_of(content[:HEAD_BYTES], channels)
    if form is None or form.convert is None:
        raise NotConvertible("the file is in no form that can be converted")
    text = unpacked(content, MAX_BYTES + 1).removeprefix(b"\xef\xbb\xbf").lstrip()
    if len(text) > MAX_BYTES:
        raise NotConvertible(f"the file has more than {MAX_BYTES:,} bytes")
    lines = _lines(form.convert(text, channels))
    converted = b"".join(lines)
    # Prompts of other forms often hold the instructions too.
    if form.convert is not _from_shared_instructions and _shared(converted[:HEAD_BYTES]):
        lines = _lines(_from_shared_instructions(converted, channels))
    yield from lines


def _lines(records: Iterable[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records]


def unpacked(content: bytes, most: int = HEAD_BYTES) -> bytes:
    """What a gzip file holds, `most` bytes at most and as far as it can be read; other content unchanged."""
    if not content.startswith(GZIP_MARK):
        return content
    parts: list[bytes] = []
    with (
        gzip.GzipFile(fileobj=io.BytesIO(content)) as file,
        # The head of a file ends within the stream; what was read before is good.
        contextlib.suppress(OSError, EOFError, zlib.error),
    ):
        while most > 0 and (part := file.read1(most)):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


# Recognising


def _first_objects(head: bytes) -> list[dict[str, Any]]:
    """The objects of the first lines; broken lines and the line that the head cuts off are left out."""
    lines = head.split(b"\n")
    complete = lines[:-1] if len(lines) > 1 else lines
    found = []
    for line in complete[:LINES_LOOKED_AT]:
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(content, dict):
            found.append(content)
    return found


def _some(test: Callable[[dict[str, Any]], bool]) -> Callable[[bytes, Channels], bool]:
    """A form of whose first lines at least one is an object that passes a test."""
    return lambda head, _: any(map(test, _first_objects(head)))


def _every(test: Callable[[dict[str, Any]], bool]) -> Callable[[bytes, Channels], bool]:
    """A form whose first lines are objects that all pass a test."""

    def recognise(head: bytes, _: Channels) -> bool:
        objects = _first_objects(head)
        return bool(objects) and all(map(test, objects))

    return recognise


def _is_chat(record: dict[str, Any]) -> bool:
    turns = record.get("messages")
    return (
        "schemaVersion" not in record
        and isinstance(turns, list)
        and bool(turns)
        and all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in turns)
    )


def _is_prompt_and_completion(record: dict[str, Any]) -> bool:
    return (
        "messages" not in record
        and _named(record, QUERY_COLUMNS) is not None
        and (_named(record, LABEL_COLUMNS) is not None or len(record) == 1)
    )


def _has_reasoning_blocks(record: dict[str, Any]) -> bool:
    return any("reasoningContent" in block for turn in _turns(record) for block in _blocks(turn))


class _Shared(NamedTuple):
    """What all user turns begin and end with."""

    start: str
    end: str

    def query(self, text: str) -> str | None:
        """What a user turn has besides; None if it does not have all of this."""
        if not (text.startswith(self.start) and text.endswith(self.end)):
            return None
        return text[len(self.start) : len(text) - len(self.end)].strip() or None


def _shared(head: bytes) -> _Shared | None:
    """The instructions in every user turn of the head's complete lines; None if they share too little."""
    turns = []
    for line in head.split(b"\n")[:-1]:
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return None
            users = _turns(record)[:1] if isinstance(record, dict) and "schemaVersion" in record else []
            if not users or users[0].get("role") != "user":
                return None
            turns.append(_text(users[0]))
    if len(set(turns)) < LEAST_TURNS:
        return None
    # Queries can begin and end alike, too: instructions end with a sentence, a colon or a line.
    start = "".join(_SENTENCES.findall(_common_start(turns)))
    end = _common_start([turn[len(start) :][::-1] for turn in turns])[::-1]
    end = end[end.find("\n") :] if "\n" in end else ""
    shared = _Shared(start, end)
    enough = len(start) + len(end) >= LEAST_SHARED and all(map(shared.query, turns))
    return shared if enough else None


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    pairs = zip(first, last, strict=False)
    return first[: next((at for at, (one, other) in enumerate(pairs) if one != other), len(first))]


def _has_shared_instructions(head: bytes, _: Channels) -> bool:
    return _shared(head) is not None


def _instructions(head: bytes, _: Channels) -> str:
    shared = _shared(head) or _Shared("", "")
    return f", {len(shared.start) + len(shared.end):,} characters ({cut(shared.start or shared.end)!r})"


def _is_array(head: bytes, _: Channels) -> bool:
    return head[:1] == b"[" and head[1:].lstrip()[:1] == b"{"


def _is_pretty_printed(head: bytes, _: Channels) -> bool:
    first, _end, rest = head.partition(b"\n")
    return first.strip() == b"{" and rest.lstrip()[:1] == b'"'


def _is_framed(head: bytes, _: Channels) -> bool:
    return _FRAME.match(head) is not None


def _is_table(head: bytes, channels: Channels) -> bool:
    return _columns(head.split(b"\n")[0], channels) is not None


def _is_pointer(head: bytes, _: Channels) -> bool:
    return head.startswith(b"version https://git-lfs.github.com/spec/")


_FRAME = re.compile(rb"[0-9a-fA-F]{1,8}(?:;chunk-signature=[0-9a-fA-F]{64})?\r\n(?=[{\[])")
_FRAME_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})(?:;chunk-signature=[0-9a-fA-F]{64})?\r\n")


# Converting


def _conversation(query: str, label: str | None, system: str = "") -> dict[str, Any]:
    messages = [{"role": "user", "content": [{"text": query}]}]
    if label:
        messages.append({"role": "assistant", "content": [{"text": label}]})
    prompt = {"system": [{"text": system}]} if system else {}
    return {"schemaVersion": SCHEMA_VERSION, **prompt, "messages": messages}


def _objects(text: bytes) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                content = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise NotConvertible(f"line {number} is not JSON") from error
            if not isinstance(content, dict):
                raise NotConvertible(f"line {number} is not a JSON object")
            yield content


def _from_chat(text: bytes, _: Channels) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(_objects(text), 1):
        said: dict[str, list[str]] = {}
        for turn in _turns(record):
            role, content = str(turn.get("role", "")).lower(), turn.get("content")
            if not isinstance(content, str):
                raise NotConvertible(f"line {number} has a turn without a text")
            said.setdefault("system" if role == "developer" else role, []).append(content)
        if len(said.get("user", ())) != 1 or len(said.get("assistant", ())) > 1:
            raise NotConvertible(f"line {number} has not one user turn and at most one assistant turn")
        yield _conversation(
            said["user"][0], next(iter(said.get("assistant", ())), None), "\n".join(said.get("system", ()))
        )


def _from_prompts(text: bytes, _: Channels) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(_objects(text), 1):
        query, label = _named(record, QUERY_COLUMNS), _named(record, LABEL_COLUMNS)
        if not isinstance(query, str):
            raise NotConvertible(f"line {number} has no prompt")
        yield _conversation(query.strip(), _label_text(label))


def _from_logs(text: bytes, _: Channels) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(_objects(text), 1):
        asked = record.get("input", {}).get("inputBodyJson", {})
        answered = record.get("output", {}).get("outputBodyJson", {})
        turns = [turn for turn in asked.get("messages", ()) if isinstance(turn, dict)]
        users = [turn for turn in turns if turn.get("role") == "user"]
        if len(users) != 1:
            raise NotConvertible(f"line {number} is not a call with one user turn")
        message = answered.get("output", {}).get("message", {}) if isinstance(answered, dict) else {}
        yield _conversation(_text(users[0]), _text(message) or None, _system(asked))


def _from_reasoning_blocks(text: bytes, _: Channels) -> Iterator[dict[str, Any]]:
    for record in _objects(text):
        for turn in _turns(record):
            turn["content"] = [block for block in _blocks(turn) if "reasoningContent" not in block]
        yield record


def _from_shared_instructions(text: bytes, _: Channels) -> Iterator[dict[str, Any]]:
    shared = _shared(text[:HEAD_BYTES]) or _Shared("", "")
    for number, record in enumerate(_objects(text), 1):
        turns = _turns(record)
        query = shared.query(_text(turns[0])) if turns else None
        if query is None:
            raise NotConvertible(
                f"record {number} has not the instructions of the first ones in its user turn"
            )
        turns[0]["content"] = [{"text": query}]
        parts = (_system(record), shared.start.strip(), shared.end.strip())
        yield {**record, "system": [{"text": "\n".join(filter(None, parts))}]}


def _from_values(text: bytes, channels: Channels) -> Iterator[dict[str, Any]]:
    """Records of a JSON array, or of objects over several lines, in whatever form each of them is."""
    decoder, source, at = json.JSONDecoder(), text.decode("utf-8", "replace"), 0
    values: list[Any] = []
    while at < len(source):
        if source[at] in " \t\r\n,":
            at += 1
            continue
        try:
            content, at = decoder.raw_decode(source, at)
        except (ValueError, RecursionError) as error:
            raise NotConvertible(f"the JSON cannot be read near character {at + 1}") from error
        values.extend(content if isinstance(content, list) else [content])
    lines = b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)
    form = form_of(lines[:HEAD_BYTES], channels)
    yield from form.convert(lines, channels) if form and form.convert else _objects(lines)


def _from_table(text: bytes, channels: Channels) -> Iterator[dict[str, Any]]:
    columns = _columns(text.split(b"\n")[0], channels)
    if columns is None:
        raise NotConvertible("the first line names no column with queries")
    delimiter, names = columns
    rows = _rows(csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""), delimiter=delimiter))
    next(rows)
    query_at = next(at for at, name in enumerate(names) if name in QUERY_COLUMNS)
    weight_at = {channel: names.index(channel) for channel in channels if channel in names}
    label_at = next((at for at, name in enumerate(names) if name in LABEL_COLUMNS), None)
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(names):
            raise NotConvertible(f"line {line} has {len(row)} columns instead of {len(names)}")
        label: str | None = None
        if len(weight_at) == len(channels) and any(row[at].strip() for at in weight_at.values()):
            weights = {channel: _weight(row[at], line) for channel, at in weight_at.items()}
            reasoning = row[names.index(REASONING)].strip() if REASONING in names else ""
            label = json.dumps(weights | ({REASONING: reasoning} if reasoning else {}), ensure_ascii=False)
        elif label_at is not None:
            label = row[label_at].strip() or None
        yield _conversation(row[query_at].strip(), label)


def _rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV reader with the number of the line at which each ends."""
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise NotConvertible(f"line {reader.line_num} cannot be read as a row: {error}") from error


def _from_frames(text: bytes, channels: Channels) -> Iterator[dict[str, Any]]:
    """The content of an upload in chunks, of which the frames were stored as well."""
    parts, at = [], 0
    while frame := _FRAME_HEAD.match(text, at):
        size = int(frame[1], 16)
        if not size:
            break
        parts.append(text[frame.end() : frame.end() + size])
        at = frame.end() + size + len(b"\r\n")
    lines = b"".join(parts)
    form = form_of(lines[:HEAD_BYTES], channels)
    yield from form.convert(lines, channels) if form and form.convert else _objects(lines)


def _columns(line: bytes, channels: Channels) -> tuple[str, list[str]] | None:
    """The delimiter and the column names of a table's first line; None where it is none."""
    text = line.decode("utf-8", "replace").strip("\r\n")
    if text.lstrip()[:1] in {"{", "["}:
        return None
    for delimiter in DELIMITERS:
        try:
            names = [name.strip().lower() for name in next(csv.reader([text], delimiter=delimiter), [])]
        except csv.Error:
            continue
        others = [name for name in names if name in {*channels, *LABEL_COLUMNS}]
        if len(names) > 1 and others and any(name in QUERY_COLUMNS for name in names):
            return delimiter, names
    return None


def _weight(cell: str, line: int) -> float:
    text = cell.strip()
    percent = text.endswith("%")
    number = text.removesuffix("%").strip()
    if re.fullmatch(r"\d*,\d+", number):
        number = number.replace(",", ".")
    try:
        return float(number or 0) / (100 if percent else 1)
    except ValueError as error:
        raise NotConvertible(f"line {line} has the weight {cell!r}, which is no number") from error


def _label_text(label: Any) -> str | None:
    if isinstance(label, Mapping):
        return json.dumps(label, ensure_ascii=False)
    return label.strip() or None if isinstance(label, str) else None


def _named(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((record[name] for name in names if name in record), None)


def _turns(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    turns = record.get("messages")
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def _blocks(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = turn.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    if isinstance(content, str):
        return content
    return "".join(block["text"] for block in _blocks(turn) if isinstance(block.get("text"), str))


def _system(asked: Mapping[str, Any]) -> str:
    system = asked.get("system")
    if isinstance(system, str):
        return system
    blocks = system if isinstance(system, list) else []
    return "\n".join(
        block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)
    )


_CONVERT = "Convert it: `distillery doctor FILE --fix OUT`."
FORMS: tuple[Form, ...] = (
    Form("a Git LFS pointer, not the data", _is_pointer, None, "Fetch the data: `git lfs pull`."),
    Form("stored with the frames of a chunked upload", _is_framed, _from_frames, _CONVERT),
    Form(
        "a model invocation log of Bedrock",
        _every(lambda record: record.get("schemaType") == "ModelInvocationLog"),
        _from_logs,
        _CONVERT,
    ),
    Form("in OpenAI's chat form", _every(_is_chat), _from_chat, _CONVERT),
    Form("in the prompt and completion form", _every(_is_prompt_and_completion), _from_prompts, _CONVERT),
    Form(
        "in conversation form with reasoning blocks",
        _some(_has_reasoning_blocks),
        _from_reasoning_blocks,
        _CONVERT,
    ),
    Form(
        "in conversation form with the same instructions in every user turn",
        _has_shared_instructions,
        _from_shared_instructions,
        "Move them to 'system': `distillery doctor FILE --fix OUT`. At inference, a turn is only the query.",
        _instructions,
    ),
    Form("a JSON array, not JSON lines", _is_array, _from_values, _CONVERT),
    Form("JSON objects that span lines, not JSON lines", _is_pretty_printed, _from_values, _CONVERT),
    Form("a table (CSV or TSV), not JSON lines", _is_table, _from_table, _CONVERT),
)
"""What is recognised, in the order in which it is looked for."""
