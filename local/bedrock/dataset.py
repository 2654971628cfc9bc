"""The training data of a distillation job, validated as Bedrock does when the job runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.bedrock.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = "bedrock-conversation-2024"
MIN_RECORDS, MAX_RECORDS = 100, 15_000
MAX_LINE_BYTES = 16_000
"""The documentation says 16 KB, which is 16,000 or 16,384 bytes. The smaller limit is enforced."""
RESERVED = (
    "User:", "Bot:", "Assistant:", "System:", "USER:", "BOT:", "ASSISTANT:", "SYSTEM:", "Thought:",
    "<image>", "<video>", "[EOS]",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """One record: the last user turn, the assistant's answer to it (None if absent), the system prompt."""

    query: str
    label: str | None
    system: str


def read_dataset(lines: Iterable[bytes]) -> list[Example]:
    """Return every record of a dataset. Raises JobFailed at the first line that is not valid."""
    examples: list[Example] = []
    for number, raw in enumerate(lines, 1):
        if len(examples) == MAX_RECORDS:
            raise JobFailed(f"The training dataset has more than {MAX_RECORDS} records.")
        examples.append(_example(raw, number))
    if len(examples) < MIN_RECORDS:
        raise JobFailed(
            f"The training dataset has {len(examples)} records; a distillation job needs "
            f"{MIN_RECORDS} to {MAX_RECORDS}."
        )
    return examples


def _example(raw: bytes, number: int) -> Example:
    if len(raw) > MAX_LINE_BYTES:
        raise _invalid_line(number, f"longer than {MAX_LINE_BYTES} bytes")
    try:
        record = json.loads(raw)
    except ValueError as error:
        raise _invalid_line(number, "not JSON") from error
    if not isinstance(record, dict) or record.get("schemaVersion") != SCHEMA:
        raise _invalid_line(number, f"not of schemaVersion {SCHEMA}")
    if set(record) - {"schemaVersion", "system", "messages"}:
        raise _invalid_line(number, "an unknown field")
    texts = _texts(record.get("system", []), number)
    turns = record.get("messages")
    if not isinstance(turns, list) or not turns:
        raise _invalid_line(number, "no messages")
    turn_texts: list[str] = []
    for place, turn in enumerate(turns):
        role = "assistant" if place % 2 else "user"
        if not isinstance(turn, dict) or turn.get("role") != role:
            raise _invalid_line(number, f"message {place + 1} should have the role {role}")
        turn_texts.append("\n".join(_texts(turn.get("content"), number)))
        if not turn_texts[-1].strip():
            raise _invalid_line(number, f"message {place + 1} has no text")
    for word in RESERVED:
        if any(word in text for text in (*texts, *turn_texts)):
            raise _invalid_line(number, f"the reserved string {word}")
    label = turn_texts[-1] if len(turn_texts) % 2 == 0 else None
    return Example(turn_texts[-1] if label is None else turn_texts[-2], label, "\n".join(texts))


def _texts(content: Any, number: int) -> list[str]:
    """Return the texts of a list of `{text}` blocks. Other blocks are not allowed."""
    if not isinstance(content, list):
        raise _invalid_line(number, "content that is not a list")
    for block in content:
        if not isinstance(block, dict) or set(block) != {"text"} or not isinstance(block["text"], str):
            raise _invalid_line(number, "content that is not text only")
    return [block["text"] for block in content]


def _invalid_line(number: int, problem: str) -> JobFailed:
    return JobFailed(f"The training dataset is not valid: line {number}: {problem}.")
