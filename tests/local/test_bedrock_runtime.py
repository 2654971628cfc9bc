"""Converse and InvokeModel of the Bedrock emulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.cloud import environment
from tests.local.bedrock_resources import TEACHER, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.cloud import LocalCloud
    from tests.local.bedrock_resources import BedrockResources
    from tests.local.control_api import ControlApi

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ASK = [{"role": "user", "content": [{"text": "red clip number 4"}]}]


@pytest.fixture(scope="module")
def deployment(resources: BedrockResources) -> Iterator[str]:
    """An active deployment of a custom model."""
    arn = resources.deployment(resources.model())
    yield arn
    resources.bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)


def test_deployment_answers_with_the_trained_model(runtime: Any, deployment: str) -> None:
    answer = runtime.converse(
        modelId=deployment,
        system=[{"text": "Weigh the channels."}],
        messages=ASK,
        inferenceConfig={"maxTokens": 300, "temperature": 0.0},
    )
    weights = json.loads(answer["output"]["message"]["content"][0]["text"])
    assert weights["visual"] >= 0.8
    usage = answer["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert answer["stopReason"] == "end_turn"
    assert answer["metrics"]["latencyMs"] > 100


def test_custom_model_is_called_by_its_deployment_only(runtime: Any, bedrock: Any, deployment: str) -> None:
    found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment)
    for identifier in (found["modelArn"], found["modelDeploymentName"]):
        assert refusal(runtime.converse, modelId=identifier, messages=ASK)[0] == "ValidationException"
    missing = deployment[:-12] + "0" * 12
    assert refusal(runtime.converse, modelId=missing, messages=ASK)[0] == "ResourceNotFoundException"


def test_deployment_that_is_not_active_is_not_ready(
    runtime: Any, bedrock: Any, deployment: str, control: ControlApi
) -> None:
    control.faults(deployment="never")
    model = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment)["modelArn"]
    created = bedrock.create_custom_model_deployment(modelDeploymentName="not-ready", modelArn=model)
    arn = created["customModelDeploymentArn"]
    assert refusal(runtime.converse, modelId=arn, messages=ASK)[0] == "ModelNotReadyException"
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)


@pytest.mark.parametrize(
    "model", [TEACHER, "us.amazon.nova-pro-v1:0", f"us.{HAIKU}", "amazon.nova-micro-v1:0"]
)
def test_foundation_models_and_profiles_answer(runtime: Any, model: str) -> None:
    answer = runtime.converse(modelId=model, messages=ASK, system=[{"text": "visual and audio weights"}])
    assert answer["output"]["message"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modelId": HAIKU}, "ValidationException"),
        ({"modelId": "amazon.nova-micro-v1:0:128k"}, "ValidationException"),
        ({"modelId": "us.amazon.nova-premier-v1:0"}, "ResourceNotFoundException"),
        ({"modelId": "amazon.nova-ultra-v1:0"}, "ValidationException"),
        ({"messages": []}, "ValidationException"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "ValidationException"),
        ({"messages": [{"role": "user", "content": [{"text": "  "}]}]}, "ValidationException"),
        ({"inferenceConfig": {"temperature": 1.5}}, "ValidationException"),
        ({"inferenceConfig": {"maxTokens": 0}}, "ValidationException"),
    ],
)
def test_invalid_call_is_refused(cloud: LocalCloud, changes: dict[str, Any], code: str) -> None:
    from botocore.config import Config

    # Botocore's validation is off, so that the server validates the request.
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    client = cloud.client("bedrock-runtime", config=config)
    assert refusal(client.converse, **({"modelId": TEACHER, "messages": ASK} | changes))[0] == code


def test_answer_is_truncated_at_max_tokens(runtime: Any) -> None:
    answer = runtime.converse(modelId=TEACHER, messages=ASK, inferenceConfig={"maxTokens": 5})
    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 5


def test_invoke_model_uses_the_schema_of_nova(runtime: Any) -> None:
    body = {"schemaVersion": "messages-v1", "messages": ASK, "inferenceConfig": {"maxTokens": 200}}
    answer = json.load(runtime.invoke_model(modelId=TEACHER, body=json.dumps(body))["body"])
    assert json.loads(answer["output"]["message"]["content"][0]["text"])["visual"] > 0
    assert answer["usage"]["totalTokens"] > 0
    for wrong in (
        {"prompt": "x"},
        body | {"schemaVersion": "v0"},
        body | {"inferenceConfig": {"maxTokens": 0}},
    ):
        code, message = refusal(runtime.invoke_model, modelId=TEACHER, body=json.dumps(wrong))
        assert (code, "Malformed input" in message) == ("ValidationException", True)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("ThrottlingException", 429),
        ("ModelNotReadyException", 429),
        ("ModelTimeoutException", 408),
        ("ModelErrorException", 424),
        ("InternalServerException", 500),
        ("ServiceUnavailableException", 503),
        ("AccessDeniedException", 403),
    ],
)
def test_injected_error_is_returned_once(runtime: Any, control: ControlApi, error: str, status: int) -> None:
    control.faults(calls=[{"error": error, "times": 1, "model": "nova-pro"}])
    with pytest.raises(runtime.exceptions.ClientError) as caught:
        runtime.converse(modelId=TEACHER, messages=ASK)
    response = caught.value.response
    assert response["Error"]["Code"] == error
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    runtime.converse(modelId=TEACHER, messages=ASK)


def test_each_third_call_is_throttled(runtime: Any, control: ControlApi) -> None:
    control.faults(calls=[{"error": "ThrottlingException", "every": 3}])
    outcomes = []
    for _ in range(6):
        try:
            runtime.converse(modelId=TEACHER, messages=ASK)
            outcomes.append("answered")
        except runtime.exceptions.ThrottlingException:
            outcomes.append("throttled")
    assert outcomes == ["answered", "answered", "throttled"] * 2
    assert control.calls("Converse") == 6
    assert control.state()["models_called"] == {TEACHER: 6}


def test_injected_text_replaces_the_answer(runtime: Any, control: ControlApi) -> None:
    control.faults(calls=[{"text": "I'd rather not.", "model": "nova-pro"}])
    answer = runtime.converse(modelId=TEACHER, messages=ASK)
    assert answer["output"]["message"]["content"][0]["text"] == "I'd rather not."


def test_custom_deployments_share_a_quota_per_minute(
    runtime: Any, deployment: str, control: ControlApi
) -> None:
    control.settings(requests_per_minute=2, latency_scale=0.05)
    codes = set()
    for _ in range(3):
        try:
            runtime.converse(modelId=deployment, messages=ASK)
        except runtime.exceptions.ThrottlingException:
            codes.add("throttled")
    assert codes == {"throttled"}


def test_aws_cli_can_call_a_model(cloud: LocalCloud) -> None:
    finished = subprocess.run(
        [
            str(Path(sys.executable).parent / "aws"),
            "bedrock-runtime",
            "converse",
            "--model-id",
            TEACHER,
            "--messages",
            json.dumps(ASK),
        ],
        env=environment(cloud.endpoint),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(finished.stdout)["stopReason"] == "end_turn"


def test_unsupported_operation_is_unknown(bedrock: Any) -> None:
    code, message = refusal(bedrock.list_guardrails)
    assert code == "UnknownOperationException"
    assert "ListGuardrails" in message
