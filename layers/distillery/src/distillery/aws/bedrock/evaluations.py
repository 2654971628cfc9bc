"""Evaluation jobs: a judge model grades answers that were collected before ("bring your own responses").

An evaluation job cannot call a custom-model deployment, so Converse collects the answers and the job reads
them. Latency and tokens therefore belong to the answers that are judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.bedrock.jobs import NAME_IN_USE
from distillery.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock.type_defs import EvaluationSummaryTypeDef

METRIC = "OverallQuality"
"""What the name of each job's metric begins with."""
GRADES = (
    (1.0, "Unusable or unreadable answer"),
    (2.0, "Wrong channel is decisive"),
    (3.0, "Right channel, numbers far"),
    (4.0, "Close to the reference"),
    (5.0, "As good as the reference"),
)


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """An evaluation job as Bedrock reports it."""

    arn: str
    name: str
    status: str
    failure: str

    @property
    def ended(self) -> bool:
        return self.status in {"Completed", "Failed", "Stopped"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The request for an evaluation job. `name` is the job's name and the request's idempotency token."""

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

    def start(self, request: Judgement) -> str:
        """Start an evaluation job, or find the one that has the name. Returns its ARN."""
        with clients.explained(f"start the evaluation job {request.name}"):
            try:
                return self._client.create_evaluation_job(**_parameters(request))["jobArn"]
            except ClientError as error:
                if (
                    NAME_IN_USE not in clients.error_message(error)
                    and clients.error_code(error) != "ConflictException"
                ):
                    raise
                return self._arn_of(request.name)

    def get(self, arn: str) -> EvaluationJob:
        """Return a job by its ARN. Raises Missing."""
        with clients.explained(f"find the evaluation job {arn}"):
            details = self._client.get_evaluation_job(jobIdentifier=arn)
        return EvaluationJob(
            arn=details["jobArn"],
            name=details["jobName"],
            status=details["status"],
            failure="; ".join(details.get("failureMessages", [])),
        )

    def stop_all(self, run_id: str) -> None:
        """Stop the running jobs of a run, also those whose ARN was not recorded."""
        with clients.explained(f"stop the evaluation jobs of {run_id}"):
            for summary in self._named(run_id):
                if summary["status"] == "InProgress" and summary["jobName"].startswith(f"{run_id}-"):
                    self._client.stop_evaluation_job(jobIdentifier=summary["jobArn"])

    def _arn_of(self, name: str) -> str:
        for summary in self._named(name):
            if summary["jobName"] == name:
                return summary["jobArn"]
        raise Transient(f"The evaluation job {name} exists according to Bedrock but is not listed.")

    def _named(self, part: str) -> Iterator[EvaluationSummaryTypeDef]:
        for page in self._client.get_paginator("list_evaluation_jobs").paginate(nameContains=part):
            yield from page.get("jobSummaries", [])


def _parameters(request: Judgement) -> dict[str, Any]:
    evaluator = {"bedrockEvaluatorModels": [{"modelIdentifier": request.judge}]}
    scale = [{"definition": text, "value": {"floatValue": grade}} for grade, text in GRADES]
    # AWS asks for names that are unique in an account, and several jobs run at once. A name has at most 63
    # characters, so it ends with the last two parts of the job's name: the run's hash and the candidate.
    name = "-".join([METRIC, *request.name.rsplit("-", 2)[-2:]])
    metric = {"name": name, "instructions": request.instructions, "ratingScale": scale}
    return {
        "jobName": request.name,
        "clientRequestToken": request.name,
        "jobTags": [{"key": "distillery:run", "value": request.name.rpartition("-")[0]}],
        "applicationType": "ModelEvaluation",
        "roleArn": request.role_arn,
        "evaluationConfig": {
            "automated": {
                "datasetMetricConfigs": [
                    {
                        # Bedrock accepts "General" although the enumeration in the service model does not
                        # list it.
                        "taskType": "General",
                        "dataset": {"name": "holdout", "datasetLocation": {"s3Uri": request.dataset_uri}},
                        "metricNames": [name],
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
            "models": [{"precomputedInferenceSource": {"inferenceSourceIdentifier": request.candidate}}]
        },
        "outputDataConfig": {"s3Uri": request.output_uri},
    }
