"""Model customization jobs: started once, asked for by name or ARN, stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from distillery.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

LONGEST_RESPONSE = 1_000
"""Tokens a teacher may answer with; the service states no bounds, AWS's samples use 1,000."""
NAME_IN_USE = "currently in use"
"""Reported under ValidationException as well as ConflictException, so the sentence decides."""


@dataclass(frozen=True, slots=True)
class Job:
    """A customization job as Bedrock tells of it."""

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
    """What a distillation job is asked to do; `name` names job and model and is the request's token."""

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

    def start(self, wanted: Distillation) -> Job:
        """Start the distillation, or find the one that carries its name already."""
        with clients.explained("start the distillation"):
            try:
                self._client.create_model_customization_job(
                    jobName=wanted.name,
                    customModelName=wanted.name,
                    roleArn=wanted.role_arn,
                    clientRequestToken=wanted.name,
                    baseModelIdentifier=wanted.student,
                    customizationType="DISTILLATION",
                    trainingDataConfig={"s3Uri": wanted.training_uri},
                    outputDataConfig={"s3Uri": wanted.output_uri},
                    customizationConfig={
                        "distillationConfig": {
                            "teacherModelConfig": {
                                "teacherModelIdentifier": wanted.teacher,
                                "maxResponseLengthForInference": LONGEST_RESPONSE,
                            }
                        }
                    },
                    jobTags=[{"key": "distillery:run", "value": wanted.name}],
                )
            except ClientError as error:
                if NAME_IN_USE not in clients.error_message(error):
                    raise
        # Which ARN a repeated token answers with is documented nowhere, so the name is asked for.
        return self.get(wanted.name)

    def get(self, identifier: str) -> Job:
        """A job by name or ARN; raises Missing."""
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
        """A job by name or ARN, or None."""
        try:
            return self.get(identifier)
        except clients.Missing:
            return None

    def count_running(self) -> int:
        """How many of the account's jobs are in progress."""
        with clients.explained("list the customization jobs"):
            pages = self._client.get_paginator("list_model_customization_jobs").paginate(
                statusEquals="InProgress"
            )
            return sum(len(page.get("modelCustomizationJobSummaries", [])) for page in pages)

    def stop(self, identifier: str) -> None:
        """Stop a job that is still running; one that has ended or never was is left alone."""
        job = self.find(identifier)
        if job is not None and job.status == "InProgress":
            with clients.explained(f"stop the customization job {identifier}"):
                self._client.stop_model_customization_job(jobIdentifier=job.arn)
