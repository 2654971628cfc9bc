"""Evaluation jobs of the Bedrock emulator with supplied responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.bedrock_resources import refusal
from tests.local.evaluation_jobs import (
    FLIPPED,
    WEIGHTS,
    ended_evaluation,
    evaluation_record,
    evaluation_request,
    run_evaluation,
)
from tests.local.permissions import allow, make_role

if TYPE_CHECKING:
    from local.cloud import LocalCloud
    from tests.local.bedrock_resources import BedrockResources
    from tests.local.control_api import ControlApi


def test_job_writes_a_score_for_each_record(resources: BedrockResources) -> None:
    lines = [
        evaluation_record(json.dumps(WEIGHTS)),
        evaluation_record(json.dumps(FLIPPED)),
        evaluation_record("no idea"),
        evaluation_record("{}", reference="?"),
    ]
    job = run_evaluation(resources, lines)
    assert job["status"] == "Completed", job.get("failureMessages")
    s3 = resources.cloud.client("s3")
    prefix = job["outputDataConfig"]["s3Uri"].removeprefix(f"s3://{resources.bucket}/")
    (entry,) = s3.list_objects_v2(Bucket=resources.bucket, Prefix=f"{prefix}/")["Contents"]
    assert entry["Key"].endswith("_output.jsonl")
    body = s3.get_object(Bucket=resources.bucket, Key=entry["Key"])["Body"].read().decode()
    records = [json.loads(text) for text in body.splitlines()]
    scores = [record["automatedEvaluationResult"]["scores"][0] for record in records]
    assert scores[0]["metricName"] == "OverallQuality"
    assert scores[0]["result"] > scores[1]["result"] >= 0
    assert scores[2]["result"] == 0
    assert scores[3]["result"] is None
    assert scores[0]["evaluatorDetails"][0]["explanation"]
    assert records[0]["inputRecord"]["prompt"] == "red car"
    assert records[0]["modelResponses"][0]["modelIdentifier"] == "distilled"


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ([evaluation_record("x", source="baseline")], "is not the inferenceSourceIdentifier"),
        ([evaluation_record("x", prompt="p" * 4_001)], "longer than 4000 bytes"),
        ([evaluation_record("x")] * 1_001, "more than 1000 prompts"),
        ([b'{"prompt": "x"}'], "not a prompt with one response"),
        ([b"nonsense"], "line 1"),
    ],
    ids=["source", "long", "many", "no-response", "not-json"],
)
def test_invalid_dataset_fails_the_job(resources: BedrockResources, lines: list[bytes], part: str) -> None:
    job = run_evaluation(resources, lines)
    assert job["status"] == "Failed"
    assert part in job["failureMessages"][0]


def test_role_without_permission_for_the_judge_fails_the_job(
    resources: BedrockResources, cloud: LocalCloud
) -> None:
    role = make_role(cloud, [allow("s3:*", f"arn:aws:s3:::{resources.bucket}/*")])
    job = run_evaluation(resources, [evaluation_record("x")], roleArn=role)
    assert job["status"] == "Failed"
    assert "bedrock:InvokeModel" in job["failureMessages"][0]


def test_job_name_must_be_unused_and_a_repeated_client_token_returns_the_first(
    resources: BedrockResources, bedrock: Any
) -> None:
    parameters = evaluation_request(resources, [evaluation_record("x")])
    arn = bedrock.create_evaluation_job(**parameters)["jobArn"]
    assert bedrock.create_evaluation_job(**parameters)["jobArn"] == arn
    code, message = refusal(bedrock.create_evaluation_job, **(parameters | {"clientRequestToken": "another"}))
    assert (code, message) == ("ValidationException", "The provided job name is currently in use.")
    ended_evaluation(resources, arn)


def test_a_deployment_cannot_be_evaluated(resources: BedrockResources, bedrock: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl"
    config = {"models": [{"bedrockModel": {"modelIdentifier": arn}}]}
    code, message = refusal(
        bedrock.create_evaluation_job,
        **evaluation_request(resources, [evaluation_record("x")], inferenceConfig=config),
    )
    assert code == "ValidationException"
    assert "regular expression" in message


@pytest.mark.parametrize("name", ["Upper", "under_score", "a" * 64, "ends-"])
def test_job_names_are_lower_case_and_short(resources: BedrockResources, bedrock: Any, name: str) -> None:
    parameters = evaluation_request(resources, [evaluation_record("x")], jobName=name)
    assert refusal(bedrock.create_evaluation_job, **parameters)[0] == "ValidationException"


def test_metric_must_be_in_metric_names_and_use_the_prediction(
    resources: BedrockResources, bedrock: Any
) -> None:
    parameters = evaluation_request(resources, [evaluation_record("x")])
    automated = parameters["evaluationConfig"]["automated"]
    automated["datasetMetricConfigs"][0]["metricNames"] = ["Other"]
    assert "metricNames" in refusal(bedrock.create_evaluation_job, **parameters)[1]
    parameters = evaluation_request(resources, [evaluation_record("x")])
    automated = parameters["evaluationConfig"]["automated"]
    automated["customMetricConfig"]["customMetrics"][0]["customMetricDefinition"]["instructions"] = (
        "{{prompt}}"
    )
    assert "{{prediction}}" in refusal(bedrock.create_evaluation_job, **parameters)[1]


def test_jobs_are_listed_in_pages_and_deleted(
    resources: BedrockResources, bedrock: Any, fresh: ControlApi
) -> None:
    arns = {
        bedrock.create_evaluation_job(**evaluation_request(resources, [evaluation_record("x")]))["jobArn"]
        for _ in range(6)
    }
    assert len(bedrock.list_evaluation_jobs()["jobSummaries"]) == 5
    pages = bedrock.get_paginator("list_evaluation_jobs").paginate()
    assert {job["jobArn"] for page in pages for job in page["jobSummaries"]} == arns
    for arn in arns:
        ended_evaluation(resources, arn)
    missing = "arn:aws:bedrock:us-east-1:123456789012:evaluation-job/000000000000"
    answer = bedrock.batch_delete_evaluation_job(jobIdentifiers=[*arns, missing])
    assert {job["jobIdentifier"] for job in answer["evaluationJobs"]} == arns
    assert [error["code"] for error in answer["errors"]] == ["ResourceNotFoundException"]
    assert bedrock.list_evaluation_jobs().get("jobSummaries", []) == []


def test_job_can_be_stopped(resources: BedrockResources, bedrock: Any, control: ControlApi) -> None:
    control.settings(evaluation_seconds=60)
    arn = bedrock.create_evaluation_job(**evaluation_request(resources, [evaluation_record("x")]))["jobArn"]
    bedrock.stop_evaluation_job(jobIdentifier=arn)
    assert ended_evaluation(resources, arn)["status"] == "Stopped"


@pytest.mark.parametrize(("fault", "status"), [("fail", "Failed"), ("stop", "Stopped")])
def test_injected_fault_decides_the_outcome_of_a_job(
    resources: BedrockResources, control: ControlApi, fault: str, status: str
) -> None:
    control.faults(evaluation=fault)
    assert run_evaluation(resources, [evaluation_record("x")])["status"] == status


def test_quota_is_twenty_running_jobs(resources: BedrockResources, bedrock: Any, fresh: ControlApi) -> None:
    fresh.settings(evaluation_seconds=600)
    for _ in range(20):
        bedrock.create_evaluation_job(**evaluation_request(resources, [evaluation_record("x")]))
    code, _ = refusal(
        bedrock.create_evaluation_job, **evaluation_request(resources, [evaluation_record("x")])
    )
    assert code == "ServiceQuotaExceededException"
