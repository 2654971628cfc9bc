"""The training data of a distillation job, checked as Bedrock does when the job runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.bedrock.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = "bedrock-conversation-2024"
FEWEST_RECORDS, MOST_RECORDS = 100, 15_000
LONGEST_LINE = 16_000
"""Bytes. The documentation says 16 KB without saying which; the smaller reading is enforced."""
RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")


@dataclass(frozen=True, slots=True)
class Example:
    """One record: the last user turn, the assistant's answer to it where there is one, the system prompt."""

    query: str
    label: str | None
    system: str


def read_dataset(lines: Iterable[bytes]) -> list[Example]:
    """Every record of a dataset; raises JobFailed at the first line that breaks a rule."""
    examples: list[Example] = []
    for number, raw in enumerate(lines, 1):
        if len(examples) == MOST_RECORDS:
            raise JobFailed(f"The training dataset has more than {MOST_RECORDS} records.")
        examples.append(_example(raw, number))
    if len(examples) < FEWEST_RECORDS:
        raise JobFailed(
            f"The training dataset has {len(examples)} records; a distillation job needs "
            f"{FEWEST_RECORDS} to {MOST_RECORDS}."
        )
    return examples


def _example(raw: bytes, number: int) -> Example:
    if len(raw) > LONGEST_LINE:
        raise _broken(number, f"longer than {LONGEST_LINE} bytes")
    try:
        record = json.loads(raw)
    except ValueError as error:
        raise _broken(number, "not JSON") from error
    if not isinstance(record, dict) or record.get("schemaVersion") != SCHEMA:
        raise _broken(number, f"not of schemaVersion {SCHEMA}")
    if set(record) - {"schemaVersion", "system", "messages"}:
        raise _broken(number, "an unknown field")
    texts = _texts(record.get("system", []), number)
    turns = record.get("messages")
    if not isinstance(turns, list) or not turns:
        raise _broken(number, "no messages")
    said = []
    for place, turn in enumerate(turns):
        role = "assistant" if place % 2 else "user"
        if not isinstance(turn, dict) or turn.get("role") != role:
            raise _broken(number, f"message {place + 1} should have the role {role}")
        said.append("\n".join(_texts(turn.get("content"), number)))
        if not said[-1].strip():
            raise _broken(number, f"message {place + 1} has no text")
    for word in RESERVED:
        if any(word in text for text in (*texts, *said)):
            raise _broken(number, f"the reserved string {word}")
    label = said[-1] if len(said) % 2 == 0 else None
    return Example(said[-1] if label is None else said[-2], label, "\n".join(texts))


def _texts(content: Any, number: int) -> list[str]:
    """The texts of a list of `{text}` blocks; nothing but text is allowed."""
    if not isinstance(content, list):
        raise _broken(number, "content that is not a list")
    for block in content:
        if not isinstance(block, dict) or set(block) != {"text"} or not isinstance(block["text"], str):
            raise _broken(number, "content that is not text only")
    return [block["text"] for block in content]


def _broken(number: int, what: str) -> JobFailed:
    return JobFailed(f"The training dataset is not valid: line {number}: {what}.")
