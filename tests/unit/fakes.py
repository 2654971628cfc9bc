"""In-memory Bedrock with the methods of the adapters. Counts the calls that are billed on AWS."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boto3

from distillery.aws.bedrock.converse import Converse, Reply
from distillery.aws.bedrock.deployments import Deployment, Deployments
from distillery.aws.bedrock.evaluations import EvaluationJob, EvaluationJobs, Judgement
from distillery.aws.bedrock.jobs import CustomizationJobs, Distillation, Job
from distillery.aws.bedrock.models import FoundationModels
from distillery.aws.clients import Missing
from distillery.aws.roles import Roles
from distillery.cost.lifecycles import FoundationModel
from distillery.dataset.statistics import Characters, Statistics
from distillery.dataset.validation import DatasetReport
from distillery.task.channels import default_channel_config

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

ARN = "arn:aws:bedrock:us-east-1:123456789012"
GOOD_ANSWER = json.dumps({**default_channel_config().fallback, "reasoning": "because"})


@dataclass(frozen=True)
class CloudResources:
    """The resources of the stack, in memory, and the environment variables that name them."""

    environment: dict[str, str]

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Receive every message of a queue."""
        client, messages = boto3.client("sqs"), []
        while batch := client.receive_message(
            QueueUrl=self.environment[queue], MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            messages += batch
        return [dict(message) for message in messages]

    def published(self) -> Counter[str]:
        """Count the events published since the last call, by detail type."""
        url = self.environment["WATCH_QUEUE_URL"].replace("watch", "published")
        client, detail_types = boto3.client("sqs"), Counter[str]()
        while batch := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            detail_types.update(json.loads(message["Body"])["detail-type"] for message in batch)
        return detail_types


class FakeModels(FoundationModels):
    """Every model exists, is active and may be used, except those named.

    A legacy model may have an end of life. `failures` has what a call to a model raises.
    """

    def __init__(
        self,
        *,
        missing: tuple[str, ...] = (),
        legacy: tuple[str, ...] = (),
        end_of_life: datetime | None = None,
        without_access: Mapping[str, list[str]] | None = None,
        failures: Mapping[str, Exception] | None = None,
    ) -> None:
        self._missing, self._legacy, self._end_of_life = missing, legacy, end_of_life
        self._without_access, self._failures = without_access or {}, failures or {}

    def lacking(self, model_id: str) -> list[str]:
        return self._without_access.get(model_id, [])

    def try_out(self, model_id: str) -> None:
        if model_id in self._failures:
            raise self._failures[model_id]

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
    """One role, which Bedrock may assume and which may do everything except the denied actions."""

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

    def is_allowed(self, role_arn: str, action: str, resource: str) -> bool:
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
    """Return the report of a valid dataset. All records are labelled unless `labelled` is given."""
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
    """Write the validation.json of a run that a test moves to VALIDATED without a dataset."""
    body = validation(run_id).model_dump_json().encode()
    boto3.client("s3").put_object(Bucket="data", Key=f"runs/{run_id}/validation.json", Body=body)


class FakeJobs(CustomizationJobs):
    """Customization jobs by name. `requests` has every request to start one."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.requests: list[Distillation] = []
        self.created: Counter[str] = Counter()
        self.stopped: list[str] = []
        self.others = 0
        self.failure: Exception | None = None

    def start(self, request: Distillation) -> Job:
        self.requests.append(request)
        if self.failure:
            raise self.failure
        if request.name not in self.jobs:
            self.created[request.name] += 1
            self.jobs[request.name] = Job(
                f"{ARN}:model-customization-job/m/{request.name}", request.name, "InProgress", "", ""
            )
        return self.jobs[request.name]

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
        """Let a job end. Returns its ARN."""
        model = f"{ARN}:custom-model/m/{name}" if status == "Completed" else ""
        self.jobs[name] = replace(self.jobs[name], status=status, failure=failure, model_arn=model)
        return self.jobs[name].arn


class FakeDeployments(Deployments):
    """Deployments by name. Every custom model has the status `model_state`."""

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
        """Let a deployment reach a status. Returns its ARN."""
        self.deployments[name] = replace(self.deployments[name], status=status)
        return self.deployments[name].arn


class FakeEvaluations(EvaluationJobs):
    """Evaluation jobs by ARN. `requests` has every request to start one."""

    def __init__(self) -> None:
        self.jobs: dict[str, EvaluationJob] = {}
        self.requests: list[Judgement] = []
        self.created: Counter[str] = Counter()
        self.stopped: list[str] = []

    def start(self, request: Judgement) -> str:
        self.requests.append(request)
        arn = f"{ARN}:evaluation-job/{request.name}"
        if arn not in self.jobs:
            self.created[request.name] += 1
            self.jobs[arn] = EvaluationJob(arn, request.name, "InProgress", "")
        return arn

    def get(self, arn: str) -> EvaluationJob:
        if arn not in self.jobs:
            raise Missing(arn)
        return self.jobs[arn]

    def stop_all(self, run_id: str) -> None:
        self.stopped += [arn for arn, job in self.jobs.items() if job.name.startswith(f"{run_id}-")]

    def end(self, status: str, failure: str = "", *, arns: Collection[str] | None = None) -> None:
        """Let jobs end; all of them unless `arns` names some."""
        for arn in list(self.jobs) if arns is None else arns:
            self.jobs[arn] = replace(self.jobs[arn], status=status, failure=failure)


class FakeContext:
    """The part of Lambda's context that the functions use."""

    function_name = "route_queries"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:route_queries"
    aws_request_id = "1"

    def __init__(self, remaining: int = 120_000) -> None:
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining


class FakeConverse(Converse):
    """Gives a good answer to every query, except those scripted by their first word or by their model."""

    def __init__(self, **scripted: str | Exception) -> None:
        self.scripted = scripted
        self.asked: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.systems: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def ask(
        self, model_id: str, system: str, query: str, longest: int = 300, correction: Any = None
    ) -> Reply:
        with self._lock:
            self.asked[query] += 1
            self.models[model_id] += 1
            self.systems.setdefault(model_id, set()).add(system)
        answer = self.scripted.get(query.split()[0], self.scripted.get(model_id.split(".")[0], GOOD_ANSWER))
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, 10, 5, 100.0)
