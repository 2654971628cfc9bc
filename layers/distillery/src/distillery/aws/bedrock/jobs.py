"""Model customization jobs: start, find by name or ARN, stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

LONGEST_RESPONSE = 1_000
"""Limit of the teacher's answer in tokens. Bedrock documents no bounds; the samples of AWS use 1,000."""
NAME_IN_USE = "currently in use"
"""Part of the error message. Bedrock sends it with ValidationException as well as ConflictException."""


@dataclass(frozen=True, slots=True)
class Job:
    """A customization job as Bedrock reports it."""

    arn: str
    name: str
    status: str
    failure: str
    model_arn: str

    @property
    def ended(self) -> bool:
        return self.status in {"Completed", "Failed", "Stopped"}


@dataclass(frozen=True, slots=True)
class Distillation:
    """The request for a distillation job. `name` names job and model and is the idempotency token."""

    name: str
    teacher: str
    student: str
    role_arn: str
    training_uri: str
    output_uri: str


class CustomizationJobs:
    """The account's customization jobs."""

    def __init__(self, client: BedrockClient | None = None) -> None:
        self._client: BedrockClient = client or clients.client("bedrock")

    def start(self, request: Distillation) -> Job:
        """Start a distillation job, or return the one that has the name.

        Raises Transient when the name is in use but Bedrock does not find the job yet.
        """
        with clients.explained("start the distillation"):
            try:
                arn = self._client.create_model_customization_job(
                    jobName=request.name,
                    customModelName=request.name,
                    roleArn=request.role_arn,
                    clientRequestToken=request.name,
                    baseModelIdentifier=request.student,
                    customizationType="DISTILLATION",
                    trainingDataConfig={"s3Uri": request.training_uri},
                    outputDataConfig={"s3Uri": request.output_uri},
                    customizationConfig={
                        "distillationConfig": {
                            "teacherModelConfig": {
                                "teacherModelIdentifier": request.teacher,
                                "maxResponseLengthForInference": LONGEST_RESPONSE,
                            }
                        }
                    },
                    jobTags=[{"key": "distillery:run", "value": request.name}],
                )["jobArn"]
            except ClientError as error:
                if NAME_IN_USE not in clients.error_message(error):
                    raise
                existing = self.find(request.name)
                if existing is None:
                    raise Transient(f"The job {request.name} exists but is not found yet.") from error
                return existing
        # The job exists and is billed, so its ARN is kept even if a read does not find it yet.
        return self.find(arn) or Job(arn, request.name, "InProgress", failure="", model_arn="")

    def get(self, identifier: str) -> Job:
        """Return a job by name or ARN. Raises Missing."""
        with clients.explained(f"find the customization job {identifier}"):
            details = self._client.get_model_customization_job(jobIdentifier=identifier)
        return Job(
            arn=details["jobArn"],
            name=details["jobName"],
            status=details.get("status", "InProgress"),
            failure=details.get("failureMessage", ""),
            model_arn=details.get("outputModelArn", ""),
        )

    def find(self, identifier: str) -> Job | None:
        """Return a job by name or ARN, or None."""
        try:
            return self.get(identifier)
        except clients.Missing:
            return None

    def count_running(self) -> int:
        """Count the account's jobs in progress."""
        with clients.explained("list the customization jobs"):
            pages = self._client.get_paginator("list_model_customization_jobs").paginate(
                statusEquals="InProgress"
            )
            return sum(len(page.get("modelCustomizationJobSummaries", [])) for page in pages)

    def stop(self, identifier: str) -> None:
        """Stop a running job. Does nothing when it has ended or does not exist."""
        job = self.find(identifier)
        if job is not None and job.status == "InProgress":
            with clients.explained(f"stop the customization job {identifier}"):
                self._client.stop_model_customization_job(jobIdentifier=job.arn)
