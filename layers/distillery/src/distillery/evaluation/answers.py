"""A candidate's answers to the holdout: one `Answer` for each query, stored as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from distillery.task.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterable


class Answer(BaseModel):
    """One line of `predictions/<candidate>.jsonl`: a query of the holdout and the model's answer.

    `reference` is the label, or the teacher's weights where the dataset has no labels. `text` is None when
    the call failed; `error` then says why. `latency_ms` is `metrics.latencyMs` of Bedrock's response: the
    model's time, without the network and without the waits between retries. The latency of a `warm_up`
    answer is not counted, because a new deployment answers its first calls slowly.
    """

    model_config = ConfigDict(frozen=True)

    query: str
    reference: Weights | None
    text: str | None
    error: str | None = None
    latency_ms: float = Field(default=0.0, ge=0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    warm_up: bool = False


def dump_answers(answers: Iterable[Answer]) -> bytes:
    """Return answers as JSON lines."""
    return "".join(f"{answer.model_dump_json()}\n" for answer in answers).encode()


def load_answers(content: bytes) -> list[Answer]:
    """Read answers from JSON lines, in the order of the file."""
    return [Answer.model_validate_json(line) for line in content.split(b"\n") if line.strip()]
