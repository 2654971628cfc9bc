"""Evaluation jobs: a model as judge of answers that were given before (bring your own responses).

Evaluation jobs cannot call a custom-model deployment, so the answers are collected by Converse and the
job is handed them; that also makes latency and tokens belong to the very answers that are judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.bedrock.jobs import NAME_IN_USE

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

METRIC = "OverallQuality"
GRADES = (
    (1.0, "Unusable or unreadable answer"),
    (2.0, "Wrong channel is decisive"),
    (3.0, "Right channel, numbers far"),
    (4.0, "Close to the reference"),
    (5.0, "As good as the reference"),
)


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """An evaluation job as Bedrock tells of it."""

    arn: str
    name: str
    status: str
    failure: str

    @property
    def ended(self) -> bool:
        return self.status in {"Completed", "Failed", "Stopped"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge job is asked to do; `name` names the job and is the request's token."""

    name: str
    candidate: str
    role_arn: str
    judge: str
    instructions: str
    dataset_uri: str
    output_uri: str


class EvaluationJobs:
    """The account's evaluation jobs."""

    def __init__(self, client: BedrockClient | None = None) -> None:
        self._client: BedrockClient = client or clients.client("bedrock")

    def start(self, wanted: Judgement) -> str:
        """Start a judge job, or find the one that carries its name already; returns its ARN."""
        with clients.explained(f"start the evaluation job {wanted.name}"):
            try:
                return self._client.create_evaluation_job(**_request(wanted))["jobArn"]
            except ClientError as error:
                if (
                    NAME_IN_USE not in clients.error_message(error)
                    and clients.error_code(error) != "ConflictException"
                ):
                    raise
                return self._arn_of(wanted.name)

    def get(self, arn: str) -> EvaluationJob:
        """A job by its ARN; raises Missing."""
        with clients.explained(f"find the evaluation job {arn}"):
            details = self._client.get_evaluation_job(jobIdentifier=arn)
        return EvaluationJob(
            arn=details["jobArn"],
            name=details["jobName"],
            status=details["status"],
            failure="; ".join(details.get("failureMessages", [])),
        )

    def stop(self, arn: str) -> None:
        """Stop a job that is still running; one that has ended or is gone is left alone."""
        try:
            if self.get(arn).status == "InProgress":
                with clients.explained(f"stop the evaluation job {arn}"):
                    self._client.stop_evaluation_job(jobIdentifier=arn)
        except clients.Missing:
            return

    def _arn_of(self, name: str) -> str:
        pages = self._client.get_paginator("list_evaluation_jobs").paginate(nameContains=name)
        for page in pages:
            for summary in page.get("jobSummaries", []):
                if summary["jobName"] == name:
                    return summary["jobArn"]
        raise clients.Missing(f"The evaluation job {name} is said to exist but is not listed.")


def _request(wanted: Judgement) -> dict[str, Any]:
    evaluator = {"bedrockEvaluatorModels": [{"modelIdentifier": wanted.judge}]}
    scale = [{"definition": text, "value": {"floatValue": grade}} for grade, text in GRADES]
    metric = {"name": METRIC, "instructions": wanted.instructions, "ratingScale": scale}
    return {
        "jobName": wanted.name,
        "clientRequestToken": wanted.name,
        "applicationType": "ModelEvaluation",
        "roleArn": wanted.role_arn,
        "evaluationConfig": {
            "automated": {
                "datasetMetricConfigs": [
                    {
                        # Works although the enumeration of the service model does not list it.
                        "taskType": "General",
                        "dataset": {"name": "holdout", "datasetLocation": {"s3Uri": wanted.dataset_uri}},
                        "metricNames": [METRIC],
                    }
                ],
                "customMetricConfig": {
                    "customMetrics": [{"customMetricDefinition": metric}],
                    "evaluatorModelConfig": evaluator,
                },
                "evaluatorModelConfig": evaluator,
            }
        },
        "inferenceConfig": {
            "models": [{"precomputedInferenceSource": {"inferenceSourceIdentifier": wanted.candidate}}]
        },
        "outputDataConfig": {"s3Uri": wanted.output_uri},
    }
