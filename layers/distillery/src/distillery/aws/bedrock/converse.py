"""Converse: sends a query to a model and returns the text of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


class Converse:
    """Calls foundation models and custom models."""

    def __init__(self, client: BedrockRuntimeClient | None = None) -> None:
        self._client: BedrockRuntimeClient = client or clients.client("bedrock-runtime")

    def ask(self, model_id: str, system: str, query: str, longest: int = LONGEST_ANSWER) -> Reply:
        """Send a query to a model; `longest` limits the answer, in tokens.

        Raises Transient, Missing, AccessDenied or Permanent.
        """
        with clients.explained(f"call {model_id}"):
            try:
                response = self._call(model_id, system, query, longest)
            except ClientError as error:
                if clients.error_code(error) not in NOT_RETRIED_BY_SDK:
                    raise
                response = self._call(model_id, system, query, longest)
        content = response["output"].get("message", {}).get("content", [])
        return Reply(
            text="".join(block.get("text", "") for block in content),
            input_tokens=response["usage"]["inputTokens"],
            output_tokens=response["usage"]["outputTokens"],
            latency_ms=float(response["metrics"]["latencyMs"]),
        )

    def _call(self, model_id: str, system: str, query: str, longest: int) -> ConverseResponseTypeDef:
        return self._client.converse(
            modelId=model_id,
            system=[{"text": system}],
            messages=[{"role": "user", "content": [{"text": query}]}],
            inferenceConfig={"maxTokens": longest, "temperature": 0.0},
        )
