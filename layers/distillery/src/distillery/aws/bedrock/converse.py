"""Converse: sends a query to a model and returns the text of its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ConverseResponseTypeDef

LONGEST_ANSWER = 300
"""In tokens. Weights with one or two sentences of reasoning take about 100."""
NOT_RETRIED_BY_SDK = frozenset({"ModelTimeoutException", "ModelErrorException"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer: its text, its tokens, and the latency in milliseconds that Bedrock reports."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_ms: float
    stop_reason: str = "end_turn"
    """Why the model stopped, as Bedrock reports it: `end_turn`, `max_tokens`, `content_filtered`, ..."""


@dataclass(frozen=True, slots=True)
class Correction:
    """An answer that could not be used, and the turn that asks for another one."""

    answer: str
    request: str


class Converse:
    """Calls foundation models and custom models."""

    def __init__(self, client: BedrockRuntimeClient | None = None) -> None:
        self._client: BedrockRuntimeClient = client or clients.client("bedrock-runtime")

    def ask(
        self,
        model_id: str,
        system: str,
        query: str,
        longest: int = LONGEST_ANSWER,
        correction: Correction | None = None,
    ) -> Reply:
        """Send a query to a model; `longest` limits the answer, in tokens.

        With a correction, the model also gets its earlier answer and what was wrong with it.

        Raises Transient, Missing, AccessDenied or Permanent.
        """
        messages = _messages(query, correction)
        with clients.explained(f"call {model_id}"):
            try:
                response = self._call(model_id, system, messages, longest)
            except ClientError as error:
                if clients.error_code(error) not in NOT_RETRIED_BY_SDK:
                    raise
                response = self._call(model_id, system, messages, longest)
        content = response["output"].get("message", {}).get("content", [])
        return Reply(
            text=_text(content),
            input_tokens=response["usage"]["inputTokens"],
            output_tokens=response["usage"]["outputTokens"],
            latency_ms=float(response["metrics"]["latencyMs"]),
            stop_reason=str(response.get("stopReason", "end_turn")),
        )

    def _call(self, model_id: str, system: str, messages: list[Any], longest: int) -> ConverseResponseTypeDef:
        return self._client.converse(
            modelId=model_id,
            system=[{"text": system}],
            messages=messages,
            inferenceConfig={"maxTokens": longest, "temperature": 0.0},
        )


def _messages(query: str, correction: Correction | None) -> list[dict[str, Any]]:
    """The turns of a call. Bedrock refuses an empty turn, so an empty answer is left out."""
    if correction is None:
        turns = [("user", query)]
    elif not correction.answer.strip():
        turns = [("user", f"{query}\n\n{correction.request}")]
    else:
        turns = [("user", query), ("assistant", correction.answer.strip()), ("user", correction.request)]
    return [{"role": role, "content": [{"text": text}]} for role, text in turns]


def _text(content: list[Any]) -> str:
    """Return the text blocks of an answer, or the input of a tool call; reasoning blocks never count."""
    text = "".join(block.get("text", "") for block in content)
    if text.strip():
        return text
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    return json.dumps(calls[-1].get("input"), default=str) if calls else text
