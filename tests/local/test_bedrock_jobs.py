"""Customization jobs of the Bedrock emulator, called with boto3."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.bedrock_resources import ACCOUNT, STUDENT, TEACHER, labelled, record, refusal
from tests.local.permissions import allow, make_role
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from local.cloud import LocalCloud
    from tests.local.bedrock_resources import BedrockResources
    from tests.local.control_api import ControlApi


def test_job_runs_its_stages_and_creates_an_active_model(
    resources: BedrockResources, bedrock: Any, control: ControlApi
) -> None:
    arn = resources.start_job()
    seen = set()

    def look() -> Any:
        job = bedrock.get_model_customization_job(jobIdentifier=arn)
        details = job["statusDetails"]
        seen.add(
            tuple(
                details[name]["status"]
                for name in ("validationDetails", "dataProcessingDetails", "trainingDetails")
            )
        )
        return job if job["status"] == "Completed" else None

    job = wait_for(look, "a completed job")
    assert ("InProgress", "NotStarted", "NotStarted") in seen
    assert ("Completed", "Completed", "InProgress") in seen
    assert job["outputModelArn"].startswith(f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/{STUDENT}/")
    assert 0 <= job["trainingMetrics"]["trainingLoss"] < 0.2
    assert bedrock.get_custom_model(modelIdentifier=job["outputModelArn"])["modelStatus"] == "Active"
    listed = resources.cloud.client("s3").list_objects_v2(
        Bucket=resources.bucket, Prefix=f"out/{job['jobName']}/"
    )["Contents"]
    folder = f"out/{job['jobName']}/model-customization-job-{arn.rsplit('/', 1)[-1]}"
    assert [entry["Key"] for entry in listed] == [
        f"{folder}/training_artifacts/step_wise_training_metrics.csv"
    ]


def test_job_is_found_by_name_and_in_listings(resources: BedrockResources, bedrock: Any) -> None:
    request = resources.job_request()
    arn = bedrock.create_model_customization_job(**request)["jobArn"]
    assert bedrock.get_model_customization_job(jobIdentifier=request["jobName"])["jobArn"] == arn
    pages = bedrock.get_paginator("list_model_customization_jobs").paginate(nameContains=request["jobName"])
    assert [job["jobArn"] for page in pages for job in page["modelCustomizationJobSummaries"]] == [arn]
    resources.ended_job(arn)


def test_repeated_client_token_returns_the_first_job(resources: BedrockResources, bedrock: Any) -> None:
    token = uuid.uuid4().hex
    request = resources.job_request(clientRequestToken=token)
    first = bedrock.create_model_customization_job(**request)["jobArn"]
    assert bedrock.create_model_customization_job(**request)["jobArn"] == first
    other = bedrock.create_model_customization_job(**resources.job_request(clientRequestToken=token))
    assert other["jobArn"] == first
    resources.ended_job(first)


def test_job_name_and_model_name_must_be_unused(resources: BedrockResources, bedrock: Any) -> None:
    request = resources.job_request()
    arn = bedrock.create_model_customization_job(**request)["jobArn"]
    again = resources.job_request(jobName=request["jobName"])
    code, message = refusal(bedrock.create_model_customization_job, **again)
    assert (code, message) == ("ValidationException", "The provided job name is currently in use.")
    same_model = resources.job_request(customModelName=request["customModelName"])
    assert "model name" in refusal(bedrock.create_model_customization_job, **same_model)[1]
    resources.ended_job(arn)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"jobName": "under_score"}, "'jobName' failed to satisfy constraint: Member must satisfy regular"),
        ({"jobName": "a" * 64}, "less than or equal to 63"),
        ({"jobName": "a" + "-" * 60 + "_"}, "regular expression"),
        ({"customModelName": "two--hyphens"}, "'customModelName'"),
        ({"clientRequestToken": "a_b"}, "'clientRequestToken'"),
        ({"trainingDataConfig": {"s3Uri": "s3://bucket/day=1/train.jsonl"}}, "'trainingDataConfig.s3Uri'"),
        ({"trainingDataConfig": {"s3Uri": "s3://bucket//train.jsonl"}}, "'trainingDataConfig.s3Uri'"),
        ({"customizationType": "DISTILATION"}, "enum value set"),
        ({"customizationType": "FINE_TUNING"}, "DISTILLATION only"),
        ({"baseModelIdentifier": "amazon.nova-micro-v1:0"}, "model identifier is invalid"),
        ({"hyperParameters": {"epochCount": "2"}}, "Hyperparameters"),
        ({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/unknown"}, "Could not assume the provided IAM role"),
        ({"jobTags": [{"key": "bad!", "value": "x"}]}, "'jobTags.1.member.key'"),
    ],
)
def test_invalid_request_is_refused(
    resources: BedrockResources, bedrock: Any, changes: dict[str, Any], part: str
) -> None:
    code, message = refusal(bedrock.create_model_customization_job, **resources.job_request(**changes))
    assert code == "ValidationException"
    assert part in message


@pytest.mark.parametrize(
    ("teacher", "part"),
    [
        ("amazon.nova-premier-v1:0", "inference profile only"),
        ("amazon.nova-lite-v1:0", "not supported for the student"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "not supported for the student"),
        ("amazon.nova-ultra-v1:0", "identifier is invalid"),
    ],
)
def test_unsupported_teacher_is_refused(
    resources: BedrockResources, bedrock: Any, teacher: str, part: str
) -> None:
    config = {"distillationConfig": {"teacherModelConfig": {"teacherModelIdentifier": teacher}}}
    code, message = refusal(
        bedrock.create_model_customization_job, **resources.job_request(customizationConfig=config)
    )
    assert code == "ValidationException"
    assert part in message


def test_role_that_does_not_trust_bedrock_is_refused(
    resources: BedrockResources, bedrock: Any, cloud: LocalCloud
) -> None:
    for role in (
        make_role(cloud, [], service="lambda.amazonaws.com"),
        make_role(cloud, [], condition={"StringEquals": {"aws:SourceAccount": "999999999999"}}),
        make_role(
            cloud, [], condition={"ArnLike": {"aws:SourceArn": "arn:aws:bedrock:*:*:evaluation-job/*"}}
        ),
    ):
        code, message = refusal(bedrock.create_model_customization_job, **resources.job_request(roleArn=role))
        assert code == "ValidationException"
        assert "trust policy" in message


def test_job_fails_when_its_role_may_not_read_the_data(
    resources: BedrockResources, cloud: LocalCloud
) -> None:
    role = make_role(cloud, [allow("s3:PutObject", f"arn:aws:s3:::{resources.bucket}/*")])
    job = resources.ended_job(resources.start_job(roleArn=role))
    assert job["status"] == "Failed"
    assert "AccessDenied" in job["failureMessage"]
    assert job["statusDetails"]["validationDetails"]["status"] == "Failed"
    assert "outputModelArn" not in job


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (labelled(99), "has 99 records"),
        ([*labelled(), record("x" * 16_000)], "longer than 16000 bytes"),
        ([*labelled(), record("look for User: hello")], "reserved string User:"),
        ([*labelled(), b"not json"], "line 121: not JSON"),
        ([*labelled(), b'{"schemaVersion":"bedrock-conversion-2024","messages":[]}'], "schemaVersion"),
        (
            [
                *labelled(),
                json.dumps(
                    {
                        "schemaVersion": "bedrock-conversation-2024",
                        "messages": [{"role": "assistant", "content": [{"text": "x"}]}],
                    }
                ).encode(),
            ],
            "should have the role user",
        ),
        ([*labelled(), record("")], "has no text"),
        (labelled(100) * 151, "more than 15000 records"),
    ],
    ids=["few", "long-line", "reserved", "not-json", "schema", "role-order", "empty", "many"],
)
def test_invalid_dataset_fails_the_job(resources: BedrockResources, lines: list[bytes], part: str) -> None:
    job = resources.ended_job(resources.start_job(lines))
    assert job["status"] == "Failed"
    assert part in job["failureMessage"]


def test_unlabelled_records_are_labelled_by_the_teacher(resources: BedrockResources) -> None:
    job = resources.ended_job(resources.start_job([record(f"a red car, take {at}") for at in range(100)]))
    assert job["status"] == "Completed"


def test_stopped_job_creates_no_model(resources: BedrockResources, bedrock: Any, control: ControlApi) -> None:
    control.settings(job_seconds=60)
    arn = resources.start_job()
    bedrock.stop_model_customization_job(jobIdentifier=arn)
    assert resources.ended_job(arn)["status"] == "Stopped"
    assert refusal(bedrock.stop_model_customization_job, jobIdentifier=arn)[0] == "ConflictException"


def test_quota_is_ten_scheduled_jobs(resources: BedrockResources, bedrock: Any, fresh: ControlApi) -> None:
    fresh.settings(job_seconds=600)
    for _ in range(10):
        resources.start_job()
    code, _ = refusal(bedrock.create_model_customization_job, **resources.job_request())
    assert code == "ServiceQuotaExceededException"


def test_unknown_job_is_not_found(bedrock: Any) -> None:
    assert (
        refusal(bedrock.get_model_customization_job, jobIdentifier="unknown")[0]
        == "ResourceNotFoundException"
    )


@pytest.mark.parametrize(("fault", "status"), [("fail", "Failed"), ("stop", "Stopped")])
def test_injected_fault_decides_the_outcome_of_a_job(
    resources: BedrockResources, control: ControlApi, fault: str, status: str
) -> None:
    control.faults(job=fault)
    assert resources.ended_job(resources.start_job())["status"] == status


@pytest.mark.parametrize("model", [TEACHER, STUDENT])
def test_legacy_model_is_teacher_and_student_until_its_end_of_life(
    resources: BedrockResources, bedrock: Any, control: ControlApi, model: str
) -> None:
    lifecycle = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2999-01-01T00:00:00Z"}
    control.faults(lifecycles={model: lifecycle})
    details = bedrock.get_foundation_model(modelIdentifier=model)["modelDetails"]
    assert details["modelLifecycle"]["status"] == "LEGACY"
    assert details["modelLifecycle"]["endOfLifeTime"].year == 2999
    assert resources.ended_job(resources.start_job())["status"] == "Completed"


@pytest.mark.parametrize("model", [TEACHER, STUDENT])
def test_model_past_its_end_of_life_is_neither_teacher_nor_student(
    resources: BedrockResources, bedrock: Any, control: ControlApi, model: str
) -> None:
    lifecycle = {"legacy_since": "2026-01-01T00:00:00Z", "end_of_life": "2026-02-01T00:00:00Z"}
    control.faults(lifecycles={model: lifecycle})
    code, message = refusal(bedrock.create_model_customization_job, **resources.job_request())
    assert (code, "end of life" in message) == ("ResourceNotFoundException", True)


def test_premier_is_past_its_end_of_life_and_refused_as_teacher(
    resources: BedrockResources, bedrock: Any
) -> None:
    teacher = {"teacherModelIdentifier": "us.amazon.nova-premier-v1:0"}
    config = {"distillationConfig": {"teacherModelConfig": teacher}}
    request = resources.job_request(customizationConfig=config)
    assert refusal(bedrock.create_model_customization_job, **request)[0] == "ResourceNotFoundException"


def test_tags_of_a_job(resources: BedrockResources, bedrock: Any) -> None:
    arn = resources.start_job(jobTags=[{"key": "distillery:run", "value": "one"}])
    bedrock.tag_resource(resourceARN=arn, tags=[{"key": "team", "value": "search"}])
    bedrock.untag_resource(resourceARN=arn, tagKeys=["distillery:run"])
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "search"}]
    many = [{"key": f"k{at}", "value": "v"} for at in range(50)]
    assert refusal(bedrock.tag_resource, resourceARN=arn, tags=many)[0] == "TooManyTagsException"
    resources.ended_job(arn)
