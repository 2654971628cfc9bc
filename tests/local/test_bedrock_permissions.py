"""The local Bedrock holds callers to their policies: what MiniStack's private evaluator is relied on for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.test_bedrock_evaluations import line, request
from tests.local.test_bedrock_jobs import refusal
from tests.local.tools import ACCOUNT, TEACHER, allow, as_user, make_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.cloud import LocalCloud
    from tests.local.tools import Workshop

HERE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}"
ASK = [{"role": "user", "content": [{"text": "red clip"}]}]
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def deployment(workshop: Workshop) -> Iterator[str]:
    """An active deployment."""
    arn = workshop.deployment(workshop.model())
    yield arn
    workshop.bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)


def test_no_operation_is_free(cloud: LocalCloud, workshop: Workshop) -> None:
    nobody = as_user(cloud, "bedrock", [])
    job = f"{HERE}:model-customization-job/amazon.nova-micro-v1:0:128k/{'a' * 12}"
    model = f"{HERE}:custom-model/amazon.nova-micro-v1:0:128k/{'a' * 12}"
    judged = f"{HERE}:evaluation-job/{'a' * 12}"
    for call, params in (
        (nobody.get_foundation_model, {"modelIdentifier": TEACHER}),
        (nobody.list_foundation_models, {}),
        (nobody.create_model_customization_job, workshop.job_request()),
        (nobody.get_model_customization_job, {"jobIdentifier": job}),
        (nobody.list_model_customization_jobs, {}),
        (nobody.stop_model_customization_job, {"jobIdentifier": job}),
        (nobody.get_custom_model, {"modelIdentifier": model}),
        (nobody.list_custom_models, {}),
        (nobody.delete_custom_model, {"modelIdentifier": model}),
        (nobody.create_custom_model_deployment, {"modelDeploymentName": "x", "modelArn": model}),
        (nobody.get_custom_model_deployment, {"customModelDeploymentIdentifier": "x"}),
        (nobody.list_custom_model_deployments, {}),
        (nobody.update_custom_model_deployment, {"customModelDeploymentIdentifier": "x", "modelArn": model}),
        (nobody.delete_custom_model_deployment, {"customModelDeploymentIdentifier": "x"}),
        (nobody.create_evaluation_job, request(workshop, [line("x")])),
        (nobody.get_evaluation_job, {"jobIdentifier": judged}),
        (nobody.list_evaluation_jobs, {}),
        (nobody.stop_evaluation_job, {"jobIdentifier": judged}),
        (nobody.tag_resource, {"resourceARN": job, "tags": []}),
        (nobody.untag_resource, {"resourceARN": job, "tagKeys": []}),
        (nobody.list_tags_for_resource, {"resourceARN": job}),
    ):
        code, message = refusal(call, **params)
        assert code == "AccessDeniedException", call
        assert "is not authorized to perform: bedrock:" in message
    answer = nobody.batch_delete_evaluation_job(jobIdentifiers=[judged])
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


def test_profile_needs_its_model_in_every_region(cloud: LocalCloud) -> None:
    profile = f"{HERE}:inference-profile/us.{HAIKU}"
    here = f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"
    client = as_user(cloud, "bedrock-runtime", [allow("bedrock:InvokeModel", [profile, here])])
    code, message = refusal(client.converse, modelId=f"us.{HAIKU}", messages=ASK)
    assert code == "AccessDeniedException"
    assert "us-east-2" in message
    everywhere = f"arn:aws:bedrock:*::foundation-model/{HAIKU}"
    client = as_user(cloud, "bedrock-runtime", [allow("bedrock:InvokeModel", [profile, everywhere])])
    client.converse(modelId=f"us.{HAIKU}", messages=ASK)


def test_deployment_needs_get_custom_model_too(cloud: LocalCloud, deployment: str) -> None:
    call = allow("bedrock:InvokeModel", deployment)
    client = as_user(cloud, "bedrock-runtime", [call])
    code, message = refusal(client.converse, modelId=deployment, messages=ASK)
    assert code == "AccessDeniedException"
    assert "bedrock:GetCustomModel" in message
    look = allow("bedrock:GetCustomModel", f"{HERE}:custom-model/*")
    as_user(cloud, "bedrock-runtime", [call, look]).converse(modelId=deployment, messages=ASK)


@pytest.mark.parametrize("operation", ["job", "evaluation"])
def test_jobs_need_leave_to_pass_their_role(cloud: LocalCloud, workshop: Workshop, operation: str) -> None:
    client: Any = as_user(cloud, "bedrock", [allow("bedrock:*")])
    if operation == "job":
        code, message = refusal(client.create_model_customization_job, **workshop.job_request())
    else:
        code, message = refusal(client.create_evaluation_job, **request(workshop, [line("x")]))
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message


def test_passing_a_role_can_be_limited_to_bedrock(cloud: LocalCloud, workshop: Workshop) -> None:
    passing = allow("iam:PassRole", workshop.role) | {
        "Condition": {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    }
    client = as_user(cloud, "bedrock", [allow("bedrock:*"), passing])
    arn = client.create_model_customization_job(**workshop.job_request())["jobArn"]
    workshop.ended_job(arn)


def test_tags_at_creation_need_leave_to_tag(cloud: LocalCloud, workshop: Workshop) -> None:
    statements = [allow("bedrock:CreateModelCustomizationJob"), allow("iam:PassRole")]
    client = as_user(cloud, "bedrock", statements)
    wanted = workshop.job_request(jobTags=[{"key": "a", "value": "b"}])
    code, message = refusal(client.create_model_customization_job, **wanted)
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


def test_role_of_another_service_cannot_be_lent(cloud: LocalCloud, workshop: Workshop) -> None:
    role = make_role(cloud, [allow("s3:*")], service="sagemaker.amazonaws.com")
    wanted = workshop.job_request(roleArn=role)
    assert refusal(workshop.bedrock.create_model_customization_job, **wanted)[0] == "ValidationException"
