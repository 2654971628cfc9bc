"""What was created is kept, even if Bedrock does not find it yet when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from distillery.aws.bedrock.deployments import Deployment, Deployments
from distillery.aws.bedrock.evaluations import EvaluationJobs, Judgement
from distillery.aws.bedrock.jobs import CustomizationJobs, Distillation, Job
from distillery.errors import Permanent, Transient
from tests.unit.fakes import ARN

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = f"{ARN}:model-customization-job/amazon.nova-micro-v1:0:128k/abcdefabcdef"
DEPLOYMENT = f"{ARN}:custom-model-deployment/abcdefabcdef"
MODEL = f"{ARN}:custom-model/amazon.nova-micro-v1:0:128k/abcdefabcdef"
IN_USE = "The provided job name is currently in use."
REQUEST = Distillation(
    "r", "amazon.nova-pro-v1:0", "m", "arn:aws:iam::1:role/b", "s3://data/i", "s3://data/o"
)


@pytest.fixture
def bedrock() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("bedrock", region_name="us-east-1")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_a_job_that_is_not_found_right_after_its_creation_keeps_its_arn(bedrock: Any) -> None:
    client, stubber = bedrock
    stubber.add_response("create_model_customization_job", {"jobArn": JOB})
    stubber.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    assert CustomizationJobs(client).start(REQUEST) == Job(JOB, "r", "InProgress", "", "")


@pytest.mark.parametrize("code", ["ValidationException", "ConflictException"])
def test_a_job_whose_name_is_in_use_but_not_found_is_tried_again(bedrock: Any, code: str) -> None:
    client, stubber = bedrock
    stubber.add_client_error("create_model_customization_job", code, IN_USE)
    stubber.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    with pytest.raises(Transient):
        CustomizationJobs(client).start(REQUEST)


def test_a_deployment_that_is_not_found_right_after_its_creation_keeps_its_arn(bedrock: Any) -> None:
    client, stubber = bedrock
    stubber.add_response("create_custom_model_deployment", {"customModelDeploymentArn": DEPLOYMENT})
    stubber.add_client_error("get_custom_model_deployment", "ResourceNotFoundException")
    assert Deployments(client).start("r", MODEL) == Deployment(DEPLOYMENT, "r", "Creating", "")


@pytest.mark.parametrize(
    ("message", "expected"), [(IN_USE, Transient), ("1 validation error detected", Permanent)]
)
def test_a_deployment_whose_name_is_in_use_but_not_found_is_tried_again(
    bedrock: Any, message: str, expected: type[Exception]
) -> None:
    client, stubber = bedrock
    stubber.add_client_error("create_custom_model_deployment", "ValidationException", message)
    stubber.add_client_error("get_custom_model_deployment", "ResourceNotFoundException")
    with pytest.raises(expected):
        Deployments(client).start("r", MODEL)


def test_a_judge_job_whose_name_is_in_use_but_not_listed_is_tried_again(bedrock: Any) -> None:
    client, stubber = bedrock
    stubber.add_client_error("create_evaluation_job", "ConflictException", IN_USE)
    stubber.add_response("list_evaluation_jobs", {})
    judgement = Judgement(
        "r-base", "untuned", "arn:aws:iam::1:role/b", "m", "i", "s3://data/i", "s3://data/o"
    )
    with pytest.raises(Transient):
        EvaluationJobs(client).start(judgement)


def test_judge_jobs_that_run_at_once_have_metrics_of_different_names(bedrock: Any) -> None:
    client, stubber = bedrock
    requests: list[dict[str, Any]] = []
    client.meta.events.register(
        "provide-client-params.bedrock.CreateEvaluationJob", lambda params, **_: requests.append(params)
    )
    longest = "a" * 40
    for candidate in ("distilled", "untuned", "baseline"):
        stubber.add_response("create_evaluation_job", {"jobArn": f"{ARN}:evaluation-job/abcdefabcdef"})
        for_run = f"{longest}-0123456789ab-{candidate}"
        request = Judgement(
            for_run, candidate, "arn:aws:iam::123456789012:role/b", "m", "i", "s3://d/i", "s3://d/o"
        )
        EvaluationJobs(client).start(request)
    automated = [request["evaluationConfig"]["automated"] for request in requests]
    names = [one["datasetMetricConfigs"][0]["metricNames"][0] for one in automated]
    assert names == [
        f"OverallQuality-0123456789ab-{candidate}" for candidate in ("distilled", "untuned", "baseline")
    ]
    definitions = [
        one["customMetricConfig"]["customMetrics"][0]["customMetricDefinition"] for one in automated
    ]
    assert [definition["name"] for definition in definitions] == names
    assert {request["jobTags"][0]["value"] for request in requests} == {f"{longest}-0123456789ab"}
