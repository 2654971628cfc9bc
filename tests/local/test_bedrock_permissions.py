"""Callers of the Bedrock emulator need permissions, which MiniStack's private evaluator checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.bedrock_resources import ACCOUNT, TEACHER, refusal
from tests.local.evaluation_jobs import evaluation_record, evaluation_request
from tests.local.permissions import allow, as_user, make_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.cloud import LocalCloud
    from tests.local.bedrock_resources import BedrockResources

HERE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}"
ASK = [{"role": "user", "content": [{"text": "red clip"}]}]
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def deployment(resources: BedrockResources) -> Iterator[str]:
    """An active deployment."""
    arn = resources.deployment(resources.model())
    yield arn
    resources.bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)


def test_every_operation_needs_permission(cloud: LocalCloud, resources: BedrockResources) -> None:
    client = as_user(cloud, "bedrock", [])
    job = f"{HERE}:model-customization-job/amazon.nova-micro-v1:0:128k/{'a' * 12}"
    model = f"{HERE}:custom-model/amazon.nova-micro-v1:0:128k/{'a' * 12}"
    judged = f"{HERE}:evaluation-job/{'a' * 12}"
    for call, params in (
        (client.get_foundation_model, {"modelIdentifier": TEACHER}),
        (client.list_foundation_models, {}),
        (client.create_model_customization_job, resources.job_request()),
        (client.get_model_customization_job, {"jobIdentifier": job}),
        (client.list_model_customization_jobs, {}),
        (client.stop_model_customization_job, {"jobIdentifier": job}),
        (client.get_custom_model, {"modelIdentifier": model}),
        (client.list_custom_models, {}),
        (client.delete_custom_model, {"modelIdentifier": model}),
        (client.create_custom_model_deployment, {"modelDeploymentName": "x", "modelArn": model}),
        (client.get_custom_model_deployment, {"customModelDeploymentIdentifier": "x"}),
        (client.list_custom_model_deployments, {}),
        (client.update_custom_model_deployment, {"customModelDeploymentIdentifier": "x", "modelArn": model}),
        (client.delete_custom_model_deployment, {"customModelDeploymentIdentifier": "x"}),
        (client.create_evaluation_job, evaluation_request(resources, [evaluation_record("x")])),
        (client.get_evaluation_job, {"jobIdentifier": judged}),
        (client.list_evaluation_jobs, {}),
        (client.stop_evaluation_job, {"jobIdentifier": judged}),
        (client.tag_resource, {"resourceARN": job, "tags": []}),
        (client.untag_resource, {"resourceARN": job, "tagKeys": []}),
        (client.list_tags_for_resource, {"resourceARN": job}),
    ):
        code, message = refusal(call, **params)
        assert code == "AccessDeniedException", call
        assert "is not authorized to perform: bedrock:" in message
    answer = client.batch_delete_evaluation_job(jobIdentifiers=[judged])
    assert answer["errors"][0]["code"] == "AccessDeniedException"


def test_converse_needs_invoke_model_on_the_model(cloud: LocalCloud) -> None:
    allowed = allow("bedrock:InvokeModel", f"arn:aws:bedrock:us-east-1::foundation-model/{TEACHER}")
    client = as_user(cloud, "bedrock-runtime", [allowed])
    client.converse(modelId=TEACHER, messages=ASK)
    client.invoke_model(modelId=TEACHER, body='{"messages":[{"role":"user","content":[{"text":"x"}]}]}')
    code, message = refusal(client.converse, modelId="amazon.nova-micro-v1:0", messages=ASK)
    assert code == "AccessDeniedException"
    assert "bedrock:InvokeModel" in message


def test_there_is_no_converse_action(cloud: LocalCloud) -> None:
    client = as_user(cloud, "bedrock-runtime", [allow("bedrock:Converse")])
    assert refusal(client.converse, modelId=TEACHER, messages=ASK)[0] == "AccessDeniedException"


def test_profile_needs_permission_for_its_model_in_every_region(cloud: LocalCloud) -> None:
    profile = f"{HERE}:inference-profile/us.{HAIKU}"
    here = f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"
    client = as_user(cloud, "bedrock-runtime", [allow("bedrock:InvokeModel", [profile, here])])
    code, message = refusal(client.converse, modelId=f"us.{HAIKU}", messages=ASK)
    assert code == "AccessDeniedException"
    assert "us-east-2" in message
    everywhere = f"arn:aws:bedrock:*::foundation-model/{HAIKU}"
    client = as_user(cloud, "bedrock-runtime", [allow("bedrock:InvokeModel", [profile, everywhere])])
    client.converse(modelId=f"us.{HAIKU}", messages=ASK)


def test_calling_a_deployment_also_needs_get_custom_model(cloud: LocalCloud, deployment: str) -> None:
    call = allow("bedrock:InvokeModel", deployment)
    client = as_user(cloud, "bedrock-runtime", [call])
    code, message = refusal(client.converse, modelId=deployment, messages=ASK)
    assert code == "AccessDeniedException"
    assert "bedrock:GetCustomModel" in message
    get = allow("bedrock:GetCustomModel", f"{HERE}:custom-model/*")
    as_user(cloud, "bedrock-runtime", [call, get]).converse(modelId=deployment, messages=ASK)


@pytest.mark.parametrize("operation", ["job", "evaluation"])
def test_jobs_need_permission_to_pass_their_role(
    cloud: LocalCloud, resources: BedrockResources, operation: str
) -> None:
    client: Any = as_user(cloud, "bedrock", [allow("bedrock:*")])
    if operation == "job":
        code, message = refusal(client.create_model_customization_job, **resources.job_request())
    else:
        code, message = refusal(
            client.create_evaluation_job, **evaluation_request(resources, [evaluation_record("x")])
        )
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message


def test_passing_a_role_can_be_limited_to_bedrock(cloud: LocalCloud, resources: BedrockResources) -> None:
    passing = allow("iam:PassRole", resources.role) | {
        "Condition": {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    }
    client = as_user(cloud, "bedrock", [allow("bedrock:*"), passing])
    arn = client.create_model_customization_job(**resources.job_request())["jobArn"]
    resources.ended_job(arn)


def test_tags_at_creation_need_tag_resource(cloud: LocalCloud, resources: BedrockResources) -> None:
    statements = [allow("bedrock:CreateModelCustomizationJob"), allow("iam:PassRole")]
    client = as_user(cloud, "bedrock", statements)
    parameters = resources.job_request(jobTags=[{"key": "a", "value": "b"}])
    code, message = refusal(client.create_model_customization_job, **parameters)
    assert code == "AccessDeniedException"
    assert "bedrock:TagResource" in message


def test_explicit_deny_wins(cloud: LocalCloud) -> None:
    deny = {"Effect": "Deny", "Action": "bedrock:InvokeModel", "Resource": "*"}
    client = as_user(cloud, "bedrock-runtime", [allow("bedrock:*"), deny])
    code, message = refusal(client.converse, modelId=TEACHER, messages=ASK)
    assert code == "AccessDeniedException"
    assert "explicit deny" in message


def test_wrong_secret_and_unknown_key_are_refused(cloud: LocalCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="with-a-key")
    key = iam.create_access_key(UserName="with-a-key")["AccessKey"]["AccessKeyId"]
    for access_key, code in (
        (key, "InvalidSignatureException"),
        ("AKIAUNKNOWN000000000", "UnrecognizedClient"),
    ):
        client = cloud.client("bedrock", aws_access_key_id=access_key, aws_secret_access_key="wrong")
        assert refusal(client.list_custom_models)[0].startswith(code)


def test_role_that_trusts_another_service_is_refused(cloud: LocalCloud, resources: BedrockResources) -> None:
    role = make_role(cloud, [allow("s3:*")], service="sagemaker.amazonaws.com")
    parameters = resources.job_request(roleArn=role)
    assert refusal(resources.bedrock.create_model_customization_job, **parameters)[0] == "ValidationException"


def test_only_a_job_with_the_tag_of_a_run_can_be_stopped_under_the_stacks_condition(
    cloud: LocalCloud, resources: BedrockResources
) -> None:
    condition = {"Null": {"aws:ResourceTag/distillery:run": "false"}}
    stops = {**allow("bedrock:StopModelCustomizationJob"), "Condition": condition}
    client = as_user(cloud, "bedrock", [stops])
    create = resources.bedrock.create_model_customization_job
    untagged = create(**resources.job_request())["jobArn"]
    tagged = create(**resources.job_request(jobTags=[{"key": "distillery:run", "value": "x"}]))["jobArn"]
    code, _ = refusal(client.stop_model_customization_job, jobIdentifier=untagged)
    assert code == "AccessDeniedException"
    client.stop_model_customization_job(jobIdentifier=tagged)
    resources.bedrock.stop_model_customization_job(jobIdentifier=untagged)
