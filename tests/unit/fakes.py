"""Bedrock in memory, behind the same methods as the adapters, counting what costs money."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import boto3

from distillery.aws import Missing
from distillery.bedrock.deployments import Deployment, Deployments
from distillery.bedrock.evaluations import EvaluationJob, EvaluationJobs, Judgement
from distillery.bedrock.jobs import CustomizationJobs, Distillation, Job
from distillery.bedrock.models import FoundationModel, FoundationModels

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
    """Every model exists and is active, but for those said otherwise."""

    def __init__(self, *, missing: tuple[str, ...] = (), legacy: tuple[str, ...] = ()) -> None:
        self._missing, self._legacy = missing, legacy

    def get(self, model_id: str) -> FoundationModel:
        if model_id in self._missing:
            raise Missing(f"The model {model_id} does not exist in this region.")
        return FoundationModel(model_id, model_id, "Somebody", model_id not in self._legacy)


class FakeJobs(CustomizationJobs):
    """Customization jobs by name."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.created: Counter[str] = Counter()
        self.stopped: list[str] = []
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
