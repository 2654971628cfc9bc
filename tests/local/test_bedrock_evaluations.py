"""Evaluation jobs of the local Bedrock with responses that are brought along."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.test_bedrock_jobs import refusal
from tests.local.tools import ENDED, TEACHER, allow, make_role, wait_for

if TYPE_CHECKING:
    from local.cloud import LocalCloud
    from tests.local.tools import Control, Workshop

WEIGHTS = {"visual": 0.7, "audio": 0.1, "transcription": 0.1, "metadata": 0.1}
FLIPPED = {"visual": 0.1, "audio": 0.1, "transcription": 0.1, "metadata": 0.7}


def line(response: str, *, prompt: str = "red car", source: str = "distilled", reference: str = "") -> bytes:
    """A record of an evaluation dataset."""
    content = {
        "prompt": prompt,
        "referenceResponse": reference or json.dumps(WEIGHTS),
        "modelResponses": [{"response": response, "modelIdentifier": source}],
    }
    return json.dumps(content).encode()


def request(workshop: Workshop, lines: list[bytes], **changes: Any) -> dict[str, Any]:
    """Parameters of CreateEvaluationJob."""
    name = f"e-{uuid.uuid4().hex[:12]}"
    evaluator = {"bedrockEvaluatorModels": [{"modelIdentifier": TEACHER}]}
    metric = {
        "name": "OverallQuality",
        "instructions": "Grade. {{prompt}} {{ground_truth}} {{prediction}}",
        "ratingScale": [{"definition": "as good", "value": {"floatValue": 5}}],
    }
    dataset = {"name": "holdout", "datasetLocation": {"s3Uri": workshop.put(lines)}}
    automated = {
        "datasetMetricConfigs": [
            {"taskType": "General", "dataset": dataset, "metricNames": ["OverallQuality"]}
        ],
        "customMetricConfig": {
            "customMetrics": [{"customMetricDefinition": metric}],
            "evaluatorModelConfig": evaluator,
        },
        "evaluatorModelConfig": evaluator,
    }
    source = {"precomputedInferenceSource": {"inferenceSourceIdentifier": "distilled"}}
    return {
        "jobName": name,
        "clientRequestToken": name,
        "applicationType": "ModelEvaluation",
        "roleArn": workshop.role,
        "evaluationConfig": {"automated": automated},
        "inferenceConfig": {"models": [source]},
        "outputDataConfig": {"s3Uri": f"s3://{workshop.bucket}/judged/{name}"},
    } | changes


def ended(workshop: Workshop, arn: str) -> Any:
    """The job once it has ended."""

    def look() -> Any:
        job = workshop.bedrock.get_evaluation_job(jobIdentifier=arn)
        return job if job["status"] in ENDED else None

    return wait_for(look, f"the end of {arn}")


def run(workshop: Workshop, lines: list[bytes], **changes: Any) -> Any:
    """Start a job and wait for its end."""
    created = workshop.bedrock.create_evaluation_job(**request(workshop, lines, **changes))
    return ended(workshop, created["jobArn"])


def test_job_writes_a_judgement_for_each_record(workshop: Workshop) -> None:
    lines = [line(json.dumps(WEIGHTS)), line(json.dumps(FLIPPED)), line("no idea"), line("{}", reference="?")]
    job = run(workshop, lines)
    assert job["status"] == "Completed", job.get("failureMessages")
    s3 = workshop.cloud.client("s3")
    prefix = job["outputDataConfig"]["s3Uri"].removeprefix(f"s3://{workshop.bucket}/")
    (entry,) = s3.list_objects_v2(Bucket=workshop.bucket, Prefix=f"{prefix}/")["Contents"]
    assert entry["Key"].endswith("_output.jsonl")
    body = s3.get_object(Bucket=workshop.bucket, Key=entry["Key"])["Body"].read().decode()
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
        ([line("x", source="baseline")], "is not the inferenceSourceIdentifier"),
        ([line("x", prompt="p" * 4_001)], "longer than 4000 bytes"),
        ([line("x")] * 1_001, "more than 1000 prompts"),
        ([b'{"prompt": "x"}'], "not a prompt with one response"),
        ([b"nonsense"], "line 1"),
    ],
    ids=["source", "long", "many", "no-response", "not-json"],
)
def test_datasets_that_break_a_rule_fail_the_job(workshop: Workshop, lines: list[bytes], part: str) -> None:
    job = run(workshop, lines)
    assert job["status"] == "Failed"
    assert part in job["failureMessages"][0]


def test_role_without_the_judge_fails_the_job(workshop: Workshop, cloud: LocalCloud) -> None:
    role = make_role(cloud, [allow("s3:*", f"arn:aws:s3:::{workshop.bucket}/*")])
    job = run(workshop, [line("x")], roleArn=role)
    assert job["status"] == "Failed"
    assert "bedrock:InvokeModel" in job["failureMessages"][0]


def test_names_and_tokens_are_used_once(workshop: Workshop, bedrock: Any) -> None:
    wanted = request(workshop, [line("x")])
    arn = bedrock.create_evaluation_job(**wanted)["jobArn"]
    assert bedrock.create_evaluation_job(**wanted)["jobArn"] == arn
    code, message = refusal(bedrock.create_evaluation_job, **(wanted | {"clientRequestToken": "another"}))
    assert (code, message) == ("ValidationException", "The provided job name is currently in use.")
    ended(workshop, arn)


def test_a_deployment_cannot_be_evaluated(workshop: Workshop, bedrock: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl"
    config = {"models": [{"bedrockModel": {"modelIdentifier": arn}}]}
    code, message = refusal(
        bedrock.create_evaluation_job, **request(workshop, [line("x")], inferenceConfig=config)
    )
    assert code == "ValidationException"
    assert "regular expression" in message


@pytest.mark.parametrize("name", ["Upper", "under_score", "a" * 64, "ends-"])
def test_job_names_are_lower_case_and_short(workshop: Workshop, bedrock: Any, name: str) -> None:
    wanted = request(workshop, [line("x")], jobName=name)
    assert refusal(bedrock.create_evaluation_job, **wanted)[0] == "ValidationException"


def test_metric_must_be_named_and_show_the_prediction(workshop: Workshop, bedrock: Any) -> None:
    wanted = request(workshop, [line("x")])
    automated = wanted["evaluationConfig"]["automated"]
    automated["datasetMetricConfigs"][0]["metricNames"] = ["Other"]
    assert "metricNames" in refusal(bedrock.create_evaluation_job, **wanted)[1]
    wanted = request(workshop, [line("x")])
    automated = wanted["evaluationConfig"]["automated"]
    automated["customMetricConfig"]["customMetrics"][0]["customMetricDefinition"]["instructions"] = (
        "{{prompt}}"
    )
    assert "{{prediction}}" in refusal(bedrock.create_evaluation_job, **wanted)[1]


def test_jobs_are_listed_in_pages_and_deleted(workshop: Workshop, bedrock: Any, fresh: Control) -> None:
    arns = {bedrock.create_evaluation_job(**request(workshop, [line("x")]))["jobArn"] for _ in range(6)}
    assert len(bedrock.list_evaluation_jobs()["jobSummaries"]) == 5
    pages = bedrock.get_paginator("list_evaluation_jobs").paginate()
    assert {job["jobArn"] for page in pages for job in page["jobSummaries"]} == arns
    for arn in arns:
        ended(workshop, arn)
    missing = "arn:aws:bedrock:us-east-1:123456789012:evaluation-job/000000000000"
    answer = bedrock.batch_delete_evaluation_job(jobIdentifiers=[*arns, missing])
    assert {job["jobIdentifier"] for job in answer["evaluationJobs"]} == arns
    assert [error["code"] for error in answer["errors"]] == ["ResourceNotFoundException"]
    assert bedrock.list_evaluation_jobs().get("jobSummaries", []) == []


def test_job_can_be_stopped(workshop: Workshop, bedrock: Any, control: Control) -> None:
    control.settings(evaluation_seconds=60)
    arn = bedrock.create_evaluation_job(**request(workshop, [line("x")]))["jobArn"]
    bedrock.stop_evaluation_job(jobIdentifier=arn)
    assert ended(workshop, arn)["status"] == "Stopped"


@pytest.mark.parametrize(("fault", "status"), [("fail", "Failed"), ("stop", "Stopped")])
def test_job_can_be_told_how_to_end(workshop: Workshop, control: Control, fault: str, status: str) -> None:
    control.faults(evaluation=fault)
    assert run(workshop, [line("x")])["status"] == status


def test_twenty_jobs_may_run(workshop: Workshop, bedrock: Any, fresh: Control) -> None:
    fresh.settings(evaluation_seconds=600)
    for _ in range(20):
        bedrock.create_evaluation_job(**request(workshop, [line("x")]))
    code, _ = refusal(bedrock.create_evaluation_job, **request(workshop, [line("x")]))
    assert code == "ServiceQuotaExceededException"
