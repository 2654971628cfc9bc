"""Foundation models, custom models and deployments of the Bedrock emulator."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.bedrock_resources import STUDENT, refusal
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from tests.local.bedrock_resources import BedrockResources
    from tests.local.control_api import ControlApi


@pytest.fixture(scope="module")
def model(resources: BedrockResources) -> str:
    """A custom model that is Active."""
    return resources.model()


def test_provider_names_say_that_models_are_emulated(bedrock: Any) -> None:
    summaries = bedrock.list_foundation_models()["modelSummaries"]
    assert {summary["providerName"] for summary in summaries} == {"Emulated (Amazon)", "Emulated (Anthropic)"}
    for summary in summaries:
        details = bedrock.get_foundation_model(modelIdentifier=summary["modelArn"])["modelDetails"]
        assert details["modelId"] == summary["modelId"]


def test_listing_filters_models(bedrock: Any) -> None:
    def ids(**filters: str) -> set[str]:
        return {one["modelId"] for one in bedrock.list_foundation_models(**filters)["modelSummaries"]}

    assert STUDENT in ids(byCustomizationType="DISTILLATION")
    assert STUDENT not in ids(byInferenceType="ON_DEMAND")
    assert ids(byProvider="anthropic") == {"anthropic.claude-haiku-4-5-20251001-v1:0"}


def test_premier_has_an_end_of_life(bedrock: Any) -> None:
    found = bedrock.get_foundation_model(modelIdentifier="amazon.nova-premier-v1:0")["modelDetails"]
    lifecycle = found["modelLifecycle"]
    assert lifecycle["status"] == "LEGACY"
    assert lifecycle["endOfLifeTime"].date().isoformat() == "2026-09-14"


def test_unknown_foundation_model_is_not_found(bedrock: Any) -> None:
    code, _ = refusal(bedrock.get_foundation_model, modelIdentifier="amazon.nova-ultra-v1:0")
    assert code == "ResourceNotFoundException"


def test_custom_model_is_found_by_arn_and_name(bedrock: Any, model: str) -> None:
    found = bedrock.get_custom_model(modelIdentifier=model)
    assert bedrock.get_custom_model(modelIdentifier=found["modelName"])["modelArn"] == model
    listed = bedrock.list_custom_models(nameContains=found["modelName"])["modelSummaries"]
    assert [one["modelArn"] for one in listed] == [model]


def test_deployment_becomes_active_and_can_be_deleted(
    resources: BedrockResources, bedrock: Any, model: str
) -> None:
    name = f"d-{uuid.uuid4().hex[:12]}"
    created = bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model)
    arn = created["customModelDeploymentArn"]
    assert resources.deployment_status(name) == "Creating"
    wait_for(lambda: resources.deployment_status(name) == "Active", "an active deployment")
    listed = bedrock.list_custom_model_deployments(nameContains=name)["modelDeploymentSummaries"]
    assert [(one["customModelDeploymentArn"], one["customModelDeploymentName"]) for one in listed] == [
        (arn, name)
    ]
    assert refusal(bedrock.delete_custom_model, modelIdentifier=model)[0] == "ConflictException"
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    code, _ = refusal(bedrock.get_custom_model_deployment, customModelDeploymentIdentifier=name)
    assert code == "ResourceNotFoundException"


def test_deployment_name_must_be_unused_and_a_repeated_client_token_returns_the_first(
    resources: BedrockResources, bedrock: Any, model: str
) -> None:
    name = f"d-{uuid.uuid4().hex[:12]}"
    request = {"modelDeploymentName": name, "modelArn": model, "clientRequestToken": name}
    arn = bedrock.create_custom_model_deployment(**request)["customModelDeploymentArn"]
    assert bedrock.create_custom_model_deployment(**request)["customModelDeploymentArn"] == arn
    del request["clientRequestToken"]
    assert "currently in use" in refusal(bedrock.create_custom_model_deployment, **request)[1]
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)


def test_only_an_active_model_can_be_deployed(
    resources: BedrockResources, bedrock: Any, control: ControlApi
) -> None:
    control.settings(model_seconds=60)
    job = resources.ended_job(resources.start_job())
    arn = job["outputModelArn"]
    assert bedrock.get_custom_model(modelIdentifier=arn)["modelStatus"] == "Creating"
    code, message = refusal(
        bedrock.create_custom_model_deployment, modelDeploymentName="too-early", modelArn=arn
    )
    assert code == "ValidationException"
    assert "Active" in message
    missing = arn[:-12] + "0" * 12
    code, _ = refusal(bedrock.create_custom_model_deployment, modelDeploymentName="none", modelArn=missing)
    assert code == "ResourceNotFoundException"


def test_quota_is_two_deployments_in_progress(
    resources: BedrockResources, bedrock: Any, model: str, control: ControlApi
) -> None:
    control.faults(deployment="never")
    arns = []
    for _ in range(2):
        name = f"d-{uuid.uuid4().hex[:12]}"
        created = bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model)
        arns.append(created["customModelDeploymentArn"])
    code, message = refusal(
        bedrock.create_custom_model_deployment, modelDeploymentName="third", modelArn=model
    )
    assert code == "ServiceQuotaExceededException"
    assert "in progress" in message
    for arn in arns:
        bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)


def test_failed_deployment_has_a_failure_message(
    resources: BedrockResources, bedrock: Any, model: str, control: ControlApi
) -> None:
    control.faults(deployment="fail")
    name = f"d-{uuid.uuid4().hex[:12]}"
    bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model)
    wait_for(lambda: resources.deployment_status(name) == "Failed", "a failed deployment")
    assert bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=name)["failureMessage"]
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=name)


def test_update_replaces_the_model_and_keeps_the_deployment_arn(
    resources: BedrockResources, bedrock: Any, model: str
) -> None:
    arn = resources.deployment(model)
    other = resources.model()
    bedrock.update_custom_model_deployment(customModelDeploymentIdentifier=arn, modelArn=other)

    def look() -> Any:
        found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
        return found if found["updateDetails"]["updateStatus"] == "UpdateCompleted" else None

    assert wait_for(look, "a completed update")["modelArn"] == other
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    bedrock.delete_custom_model(modelIdentifier=other)
    assert refusal(bedrock.get_custom_model, modelIdentifier=other)[0] == "ResourceNotFoundException"
