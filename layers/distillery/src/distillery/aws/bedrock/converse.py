"""Converse: one query in, a model's text out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from distillery.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ConverseResponseTypeDef

LONGEST_ANSWER = 300
"""Tokens; weights with one or two sentences of reasoning take about a hundred."""
NOT_RETRIED_BY_SDK = frozenset({"ModelTimeoutException", "ModelErrorException"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer: its text, tokens, and the milliseconds Bedrock says it took."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_ms: float


class Converse:
    """Calls models, foundation and custom ones alike."""

    def __init__(self, client: BedrockRuntimeClient | None = None) -> None:
        self._client: BedrockRuntimeClient = client or clients.client("bedrock-runtime")

    def ask(self, model_id: str, system: str, query: str, longest: int = LONGEST_ANSWER) -> Reply:
        """Ask a model for at most so many tokens; raises Transient, Missing, AccessDenied or Permanent."""
        with clients.explained(f"ask {model_id}"):
            try:
                answer = self._call(model_id, system, query, longest)
            except ClientError as error:
                if clients.error_code(error) not in NOT_RETRIED_BY_SDK:
                    raise
                answer = self._call(model_id, system, query, longest)
        content = answer["output"].get("message", {}).get("content", [])
        return Reply(
            text="".join(block.get("text", "") for block in content),
            input_tokens=answer["usage"]["inputTokens"],
            output_tokens=answer["usage"]["outputTokens"],
            latency_ms=float(answer["metrics"]["latencyMs"]),
        )

    def _call(self, model_id: str, system: str, query: str, longest: int) -> ConverseResponseTypeDef:
        return self._client.converse(
            modelId=model_id,
            system=[{"text": system}],
            messages=[{"role": "user", "content": [{"text": query}]}],
            inferenceConfig={"maxTokens": longest, "temperature": 0.0},
        )
