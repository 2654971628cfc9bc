"""Model calls: Converse, and InvokeModel with Nova's `messages-v1` schema."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from distillery.task.channels import default_channel_config
from local.bedrock.catalogue import refuse_past_end_of_life
from local.bedrock.errors import AwsError, invalid, not_found
from local.bedrock.store import now
from local.models.baseline import Baseline
from local.models.emulation import ModelAnswer
from local.models.teacher import Teacher
from local.models.untuned import Untuned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.bedrock.context import Context
    from local.bedrock.faults import CallFault
    from local.bedrock.iam import Caller
    from local.bedrock.store import Deployment

DEPLOYMENT_ARN_PART = ":custom-model-deployment/"
MAX_TOKENS = 10_000
"""The most output tokens that Nova allows."""
INVOKE_FIELDS = {"schemaVersion", "system", "messages", "inferenceConfig"}
INVOKE_SETTINGS = {"maxTokens": (1, MAX_TOKENS), "temperature": (0, 1), "topP": (0, 1), "topK": (0, 128)}


class LocalModel(Protocol):
    """A model of `local.models`."""

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Answer a prompt."""
        ...


class Runtime:
    """The operations that call models. `calls` counts the calls by model id, including those that failed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        # The models use it when their prompt names no channels.
        channel_config = default_channel_config()
        self._local_models: dict[str, LocalModel] = {
            "teacher": Teacher(channel_config),
            "baseline": Baseline(channel_config),
            "untuned": Untuned(),
        }
        self.calls: Counter[str] = Counter()
        self._window = (0.0, 0)

    async def converse(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """Converse with text content."""
        settings = params.get("inferenceConfig", {})
        answer, stop = await self._ask(
            caller,
            "Converse",
            params["modelId"],
            params.get("system", []),
            params.get("messages", []),
            settings.get("maxTokens"),
        )
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": answer.text}]}},
            "stopReason": stop,
            "usage": _usage(answer),
            "metrics": {"latencyMs": round(answer.latency_ms)},
        }

    async def invoke(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """InvokeModel with Nova's request and response."""
        if "anthropic." in params["modelId"]:
            raise invalid("The Bedrock emulator supports InvokeModel for Nova models only. Use Converse.")
        body = _nova_request(params.get("body", b""))
        answer, stop = await self._ask(
            caller,
            "InvokeModel",
            params["modelId"],
            body.get("system", []),
            body["messages"],
            body.get("inferenceConfig", {}).get("maxTokens"),
        )
        message = {"content": [{"text": answer.text}], "role": "assistant"}
        content = {"output": {"message": message}, "stopReason": stop, "usage": _usage(answer)}
        return {"body": json.dumps(content, ensure_ascii=False).encode(), "contentType": "application/json"}

    async def _ask(
        self,
        caller: Caller,
        operation: str,
        model_id: str,
        system: Any,
        messages: Any,
        max_tokens: int | None,
    ) -> tuple[ModelAnswer, str]:
        model = self._resolve(caller, model_id)
        prompt, query = _prompt(system, messages)
        self.calls[model_id] += 1
        fault = self._context.faults.for_call(operation, model_id)
        if fault:
            await _apply(fault)
        if DEPLOYMENT_ARN_PART in model_id:
            self._throttle()
        answer = model.answer(prompt, query)
        if fault and fault.text is not None:
            answer = ModelAnswer(
                fault.text, answer.input_tokens, max(1, len(fault.text) // 4), answer.latency_ms
            )
        await asyncio.sleep(answer.latency_ms / 1000 * self._context.settings.latency_scale)
        if max_tokens is not None and answer.output_tokens > max_tokens:
            kept = answer.text[: max(1, len(answer.text) * max_tokens // answer.output_tokens)]
            return ModelAnswer(kept, answer.input_tokens, max_tokens, answer.latency_ms), "max_tokens"
        return answer, "end_turn"

    def _resolve(self, caller: Caller, model_id: str) -> LocalModel:
        """Return the local model for a model id or ARN, after checking the caller's permissions."""
        if DEPLOYMENT_ARN_PART in model_id:
            return self._deployed(caller, model_id)
        target = self._context.catalogue.target(model_id)
        caller.require("bedrock:InvokeModel", target.arns)
        refuse_past_end_of_life(target.model, now())
        if not (target.model.on_demand or target.through_profile):
            raise invalid(
                f"Invocation of model ID {target.identifier} with on-demand throughput isn't supported. "
                "Retry with the ID or ARN of an inference profile that contains this model."
            )
        return self._local_models[target.model.emulated_by]

    def _deployed(self, caller: Caller, arn: str) -> LocalModel:
        caller.require("bedrock:InvokeModel", [arn])
        deployment = self._store.deployments.get(arn)
        model = self._store.models.get(deployment.model_arn) if deployment else None
        if deployment is None or model is None:
            raise not_found(f"Could not find the custom model deployment {arn}.")
        caller.require("bedrock:GetCustomModel", [model.arn])
        _refuse_unready(deployment)
        return model.model

    def _throttle(self) -> None:
        """Apply the quota over all custom deployments. Its minute is scaled by `latency_scale`."""
        settings = self._context.settings
        started, taken = self._window
        if time.monotonic() - started >= 60 * settings.latency_scale:
            started, taken = time.monotonic(), 0
        self._window = (started, taken + 1)
        if taken >= settings.requests_per_minute:
            raise AwsError("ThrottlingException", "Too many requests, please wait before trying again.")


async def _apply(fault: CallFault) -> None:
    """Wait for the fault's delay and raise its error."""
    await asyncio.sleep(fault.delay_seconds)
    if fault.error:
        raise AwsError(fault.error, fault.message)


def _refuse_unready(deployment: Deployment) -> None:
    if deployment.status == "Creating":
        raise AwsError("ModelNotReadyException", "The model is not ready for inference. Wait and try again.")
    if deployment.status != "Active":
        raise not_found(f"The custom model deployment {deployment.arn} is {deployment.status}.")


def _prompt(system: Any, messages: Any) -> tuple[str, str]:
    """Return the system text and the first user text; a later turn asks to correct the answer to it.

    Raises ValidationException as Nova models do.
    """
    if not messages:
        raise invalid("The messages field must not be empty.")
    for place, message in enumerate(messages):
        role = "assistant" if place % 2 else "user"
        if message["role"] != role:
            raise invalid(
                "A conversation must start with a user message and alternate between user and assistant."
            )
        if not _text(message["content"]).strip():
            raise invalid(f"The text field in the content of message {place} is blank.")
    if messages[-1]["role"] != "user":
        raise invalid("A conversation must end with a user message.")
    return _text(system), _text(messages[0]["content"])


def _text(blocks: Iterable[Any]) -> str:
    texts = []
    for block in blocks:
        if set(block) != {"text"}:
            raise invalid("The local models accept text only.")
        texts.append(block["text"])
    return "\n".join(texts)


def _usage(answer: ModelAnswer) -> dict[str, int]:
    return {
        "inputTokens": answer.input_tokens,
        "outputTokens": answer.output_tokens,
        "totalTokens": answer.input_tokens + answer.output_tokens,
    }


def _nova_request(body: bytes) -> dict[str, Any]:
    """Parse the body of InvokeModel in the schema `messages-v1`. Raises ValidationException."""
    try:
        content = json.loads(body)
    except ValueError as error:
        raise invalid("Malformed input request: the body is not JSON.") from error
    problem = _nova_problem(content)
    if problem:
        raise invalid(f"Malformed input request: {problem}, please reformat your input and try again.")
    result: dict[str, Any] = content
    return result


def _nova_problem(content: Any) -> str | None:
    if not isinstance(content, dict):
        return "the body is not an object"
    stray = sorted(set(content) - INVOKE_FIELDS)
    if stray:
        return f"extraneous key [{stray[0]}] is not permitted"
    if content.get("schemaVersion", "messages-v1") != "messages-v1":
        return "#/schemaVersion: must be messages-v1"
    turns, system = content.get("messages"), content.get("system", [])
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        return "#/messages: required are objects with a role and a content of text blocks"
    if not _is_texts(system):
        return "#/system: required are text blocks"
    settings = content.get("inferenceConfig", {})
    if not isinstance(settings, dict):
        return "#/inferenceConfig: not an object"
    for name, value in settings.items():
        if name == "stopSequences":
            continue
        if name not in INVOKE_SETTINGS:
            return f"#/inferenceConfig: extraneous key [{name}] is not permitted"
        low, high = INVOKE_SETTINGS[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return f"#/inferenceConfig/{name}: {value} is not between {low} and {high}"
    return None


def _is_turn(turn: Any) -> bool:
    return (
        isinstance(turn, dict)
        and set(turn) == {"role", "content"}
        and turn["role"] in {"user", "assistant"}
        and _is_texts(turn["content"])
    )


def _is_texts(blocks: Any) -> bool:
    return isinstance(blocks, list) and all(
        isinstance(block, dict) and set(block) == {"text"} and isinstance(block["text"], str)
        for block in blocks
    )
