"""What a candidate answered to the holdout: one `Answer` a query, stored as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from distillery.task.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterable


class Answer(BaseModel):
    """One line of `predictions/<candidate>.jsonl`: a query of the holdout and what a model said to it.

    `latency_ms` is Bedrock's own `metrics.latencyMs`: the model's time, without the network or the waiting
    of retries. `reference` is the label (or the teacher's weights), `error` says why there is no `text`.
    """

    model_config = ConfigDict(frozen=True)

    query: str
    reference: Weights | None
    text: str | None
    error: str | None = None
    latency_ms: float = Field(default=0.0, ge=0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


def dump_answers(answers: Iterable[Answer]) -> bytes:
    """Answers as JSON lines."""
    return "".join(f"{answer.model_dump_json()}\n" for answer in answers).encode()


def load_answers(content: bytes) -> list[Answer]:
    """Answers from JSON lines, in their order."""
    return [Answer.model_validate_json(line) for line in content.split(b"\n") if line.strip()]
