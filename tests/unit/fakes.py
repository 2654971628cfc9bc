"""Bedrock in memory, behind the same methods as the adapters, counting what costs money."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boto3

from distillery.aws.bedrock.deployments import Deployment, Deployments
from distillery.aws.bedrock.evaluations import EvaluationJob, EvaluationJobs, Judgement
from distillery.aws.bedrock.jobs import CustomizationJobs, Distillation, Job
from distillery.aws.bedrock.models import FoundationModels
from distillery.aws.clients import Missing
from distillery.aws.roles import Roles
from distillery.cost.lifecycles import FoundationModel
from distillery.dataset.statistics import Characters, Statistics
from distillery.dataset.validation import DatasetReport

if TYPE_CHECKING:
    from datetime import datetime

ARN = "arn:aws:bedrock:us-east-1:123456789012"


@dataclass(frozen=True)
class Surroundings:
    """The stack's own resources and how the functions are told of them."""

    environment: dict[str, str]

    def received(self, queue: str) -> list[dict[str, Any]]:
        """Everything that lies in a queue."""
        client, messages = boto3.client("sqs"), []
        while batch := client.receive_message(
            QueueUrl=self.environment[queue], MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            messages += batch
        return [dict(message) for message in messages]

    def heard(self) -> Counter[str]:
        """How often each own event was said."""
        url = self.environment["WATCH_QUEUE_URL"].replace("watch", "heard")
        client, types = boto3.client("sqs"), Counter[str]()
        while batch := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            types.update(json.loads(message["Body"])["detail-type"] for message in batch)
        return types


class FakeModels(FoundationModels):
    """Every model exists and is active, but for those said otherwise; a legacy one may have an end."""

    def __init__(
        self,
        *,
        missing: tuple[str, ...] = (),
        legacy: tuple[str, ...] = (),
        end_of_life: datetime | None = None,
    ) -> None:
        self._missing, self._legacy, self._end_of_life = missing, legacy, end_of_life

    def get(self, model_id: str) -> FoundationModel:
        if model_id in self._missing:
            raise Missing(f"The model {model_id} does not exist in this region.")
        legacy = model_id in self._legacy
        return FoundationModel(
            model_id, model_id, "Somebody", legacy=legacy, end_of_life=self._end_of_life if legacy else None
        )


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


class FakeRoles(Roles):
    """One role, which Bedrock may assume and which may do all but what is denied."""

    def __init__(
        self,
        *,
        trust: dict[str, Any] | None = None,
        denied: tuple[str, ...] = (),
        failure: Exception | None = None,
    ) -> None:
        self._trust = TRUST if trust is None else trust
        self._denied, self._failure = denied, failure

    def trust_policy(self, role_arn: str) -> dict[str, Any]:
        assert role_arn
        if self._failure:
            raise self._failure
        return self._trust

    def may(self, role_arn: str, action: str, resource: str) -> bool:
        assert role_arn
        if self._failure:
            raise self._failure
        assert resource.startswith("arn:aws:s3:::data/runs/")
        return action not in self._denied


def validation(
    run_id: str | None = None,
    *,
    records: int = 500,
    labelled: int | None = None,
    holdout: int = 50,
    characters: Characters | None = None,
) -> DatasetReport:
    """A report on a good dataset of so many records, labelled all unless said otherwise."""
    labelled = records if labelled is None else labelled
    return DatasetReport(
        run_id=run_id,
        valid=True,
        reasons=[],
        bytes_read=1,
        lines=records,
        accepted=records,
        labelled=labelled,
        distinct=records,
        errors=0,
        warnings=0,
        findings=[],
        finding_counts={},
        fingerprint="f",
        reference="labels" if labelled else "teacher",
        train=records - holdout if labelled else records,
        holdout=holdout,
        statistics=Statistics(
            records=records,
            labelled=labelled,
            weight_bins=[],
            weight_histograms={},
            mean_weights={},
            dominant_counts={},
            query_lengths=[],
            query_characters=characters or Characters(total=45 * records),
            reasoning_characters=Characters(total=80 * labelled),
        ),
    )


def put_validation(run_id: str) -> None:
    """What validation leaves of a dataset, for a run that is moved there without it."""
    body = validation(run_id).model_dump_json().encode()
    boto3.client("s3").put_object(Bucket="data", Key=f"runs/{run_id}/validation.json", Body=body)


class FakeJobs(CustomizationJobs):
    """Customization jobs by name."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.created: Counter[str] = Counter()
        self.stopped: list[str] = []
        self.others = 0
        self.failure: Exception | None = None

    def start(self, wanted: Distillation) -> Job:
        if self.failure:
            raise self.failure
        if wanted.name not in self.jobs:
            self.created[wanted.name] += 1
            self.jobs[wanted.name] = Job(
                f"{ARN}:model-customization-job/m/{wanted.name}", wanted.name, "InProgress", "", ""
            )
        return self.jobs[wanted.name]

    def get(self, identifier: str) -> Job:
        for job in self.jobs.values():
            if identifier in {job.arn, job.name}:
                return job
        raise Missing(identifier)

    def count_running(self) -> int:
        return self.others + sum(job.status == "InProgress" for job in self.jobs.values())

    def stop(self, identifier: str) -> None:
        self.stopped.append(identifier)

    def end(self, name: str, status: str, failure: str = "") -> str:
        """Let a job end; returns its ARN."""
        model = f"{ARN}:custom-model/m/{name}" if status == "Completed" else ""
        self.jobs[name] = replace(self.jobs[name], status=status, failure=failure, model_arn=model)
        return self.jobs[name].arn


class FakeDeployments(Deployments):
    """Deployments by name; custom models are in `model_state`."""

    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.created: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.model_state = "Active"
        self.others = self.other_models = 0
        self.failure: Exception | None = None

    def model_status(self, model_arn: str) -> str:
        assert model_arn
        return self.model_state

    def start(self, name: str, model_arn: str) -> Deployment:
        assert model_arn
        if self.failure:
            raise self.failure
        if name not in self.deployments:
            self.created[name] += 1
            self.deployments[name] = Deployment(f"{ARN}:custom-model-deployment/{name}", name, "Creating", "")
        return self.deployments[name]

    def get(self, identifier: str) -> Deployment:
        for deployment in self.deployments.values():
            if identifier in {deployment.arn, deployment.name}:
                return deployment
        raise Missing(identifier)

    def count(self) -> int:
        return self.others + len(self.deployments)

    def count_models(self) -> int:
        return self.other_models

    def delete(self, identifier: str) -> None:
        self.deleted.append(identifier)
        self.deployments.pop(identifier, None)

    def become(self, name: str, status: str) -> str:
        """Let a deployment reach a status; returns its ARN."""
        self.deployments[name] = replace(self.deployments[name], status=status)
        return self.deployments[name].arn


class FakeEvaluations(EvaluationJobs):
    """Judge jobs by ARN."""

    def __init__(self) -> None:
        self.jobs: dict[str, EvaluationJob] = {}
        self.created: Counter[str] = Counter()
        self.stopped: list[str] = []

    def start(self, wanted: Judgement) -> str:
        arn = f"{ARN}:evaluation-job/{wanted.name}"
        if arn not in self.jobs:
            self.created[wanted.name] += 1
            self.jobs[arn] = EvaluationJob(arn, wanted.name, "InProgress", "")
        return arn

    def get(self, arn: str) -> EvaluationJob:
        if arn not in self.jobs:
            raise Missing(arn)
        return self.jobs[arn]

    def stop(self, arn: str) -> None:
        self.stopped.append(arn)

    def end(self, status: str, failure: str = "") -> None:
        """Let every job end."""
        self.jobs = {arn: replace(job, status=status, failure=failure) for arn, job in self.jobs.items()}
