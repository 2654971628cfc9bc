"""An AWS account in memory with a virtual clock. Every client call of a function is a fault point.

DynamoDB, S3 and SSM are moto. EventBridge, SQS and Bedrock are the classes below, because deliveries,
visibility timeouts and the progress of jobs follow the virtual clock.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.unit.fakes import ARN, GOOD_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import time_machine

FaultKind = Literal["die before", "die after", "throttle", "time out after", "deny"]
FAULTS: tuple[FaultKind, ...] = ("die before", "die after", "throttle", "time out after")
QUEUES = ("watch", "label", "query")
VISIBILITY = timedelta(seconds=360)
MAX_RECEIVES = 1_000
"""maxReceiveCount of the watch queue. SQS moves a message to the dead-letter queue after as many receives."""
JOB_TIME, DEPLOYMENT_TIME, EVALUATION_TIME = timedelta(hours=1), timedelta(minutes=10), timedelta(minutes=20)


class Died(BaseException):
    """The process of the function has ended. It makes no further call."""


def client_error(code: str, message: str = "", status: int = 400) -> ClientError:
    """The error that botocore raises for an answer of AWS."""
    return ClientError(
        {"Error": {"Code": code, "Message": message or code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "operation",
    )


@dataclass
class Invocation:
    """One invocation of a function: its calls so far, its faults by call number, and where it pauses."""

    faults: dict[int, FaultKind] = field(default_factory=dict)
    pause_at: int | None = None
    dies_at: str = ""
    """The name of the call at which the process ends, whatever its number."""
    calls: list[str] = field(default_factory=list)
    died: bool = False
    paused: threading.Event = field(default_factory=threading.Event)
    resumed: threading.Event = field(default_factory=threading.Event)


@dataclass
class Message:
    """A message of a queue."""

    body: str
    visible_at: datetime
    receipt: str
    receives: int = 0


@dataclass
class Cloud:
    """The account. Calls of an invocation run its faults; calls outside of one never fail."""

    clock: time_machine.Traveller
    queues: dict[str, list[Message]] = field(default_factory=lambda: {name: [] for name in QUEUES})
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    billed: Counter[str] = field(default_factory=Counter)
    outages: dict[str, str] = field(default_factory=dict)
    """Error codes by call, such as `bedrock.get_model_customization_job`, for every invocation."""
    max_models: int = 100
    undeletable_while_creating: bool = False
    on_event: Callable[[str, dict[str, Any]], None] = lambda _kind, _detail: None
    on_job: Callable[[str], None] = lambda _arn: None

    def __post_init__(self) -> None:
        self._local = threading.local()
        self._receipts = itertools.count()
        self.bedrock = Bedrock(self)
        self.runtime = Runtime(self)
        own = {
            "events": Events(self),
            "sqs": Queues(self),
            "bedrock": self.bedrock,
            "bedrock-runtime": self.runtime,
        }
        self._clients = {
            service: Client(self, service, own.get(service) or boto3.client(service))  # type: ignore[call-overload]
            for service in (*own, "dynamodb", "s3", "ssm")
        }

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def client(self, service: str) -> Any:
        """Takes the place of `distillery.aws.clients.client`."""
        return self._clients[service]

    def invoke(self, invocation: Invocation, function: Callable[[], Any]) -> Any:
        """Run a function. Its calls count for the invocation, also those of its own threads."""
        self._local.invocation = invocation
        try:
            return function()
        finally:
            self._local.invocation = None

    def call(self, name: str, operation: Callable[[], Any]) -> Any:
        """Make one client call, with the faults of the current invocation."""
        invocation: Invocation | None = getattr(self._local, "invocation", None)
        if invocation is None:
            return operation()
        if invocation.died:
            raise Died
        number = len(invocation.calls)
        invocation.calls.append(name)
        if number == invocation.pause_at:
            invocation.paused.set()
            assert invocation.resumed.wait(60)
        fault = invocation.faults.get(number)
        if fault == "die before" or name == invocation.dies_at:
            invocation.died = True
            raise Died
        if fault == "throttle" or name in self.outages:
            raise client_error(self.outages.get(name, "ThrottlingException"))
        if fault == "deny":
            raise client_error("AccessDeniedException", status=403)
        answer = operation()
        if fault == "die after":
            invocation.died = True
            raise Died
        if fault == "time out after":
            raise ReadTimeoutError(endpoint_url="https://aws")
        return answer

    def send(self, queue: str, body: str) -> None:
        """Put a message into a queue."""
        self.queues[queue].append(Message(body, self.now, str(next(self._receipts))))

    def receive(self, queue: str, message: Message) -> bool:
        """Receive a message. Returns False when SQS moves it to the dead-letter queue instead."""
        if message.receives >= MAX_RECEIVES:
            self.queues[queue].remove(message)
            self.dead_letters.append({"body": message.body, "reason": ""})
            return False
        message.receives += 1
        message.visible_at = self.now + VISIBILITY
        return True


class Client:
    """A client whose operations are fault points."""

    def __init__(self, cloud: Cloud, service: str, client: Any) -> None:
        self._cloud, self._service, self._client = cloud, service, client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name in {"meta", "exceptions"}:
            return found
        if name == "get_paginator":
            return lambda operation: Paginator(self._cloud, self._service, operation, found(operation))
        return lambda *values, **named: self._cloud.call(
            f"{self._service}.{name}", lambda: found(*values, **named)
        )


@dataclass
class Paginator:
    """A paginator as one call."""

    cloud: Cloud
    service: str
    operation: str
    paginator: Any

    def paginate(self, **named: Any) -> list[Any]:
        return list(
            self.cloud.call(
                f"{self.service}.{self.operation}", lambda: list(self.paginator.paginate(**named))
            )
        )


class Events:
    """EventBridge: hands each event to the harness."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 (a parameter of AWS)
        for entry in Entries:
            detail = json.loads(entry["Detail"])
            self._cloud.published.append((entry["DetailType"], detail))
            self._cloud.on_event(entry["DetailType"], detail)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


class Queues:
    """SQS. The last part of a queue's URL is its name."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def send_message(self, QueueUrl: str, MessageBody: str, **named: Any) -> dict[str, Any]:  # noqa: N803
        name = QueueUrl.rpartition("/")[2]
        if name == "dead":
            reason = named.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
            self._cloud.dead_letters.append({"body": MessageBody, "reason": reason})
        else:
            self._cloud.send(name, MessageBody)
        return {"MessageId": "1"}

    def change_message_visibility(self, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        for message in self._cloud.queues[QueueUrl.rpartition("/")[2]]:
            if message.receipt == ReceiptHandle:
                message.visible_at = self._cloud.now + timedelta(seconds=VisibilityTimeout)


@dataclass
class Resource:
    """A job, a model or a deployment. Its status follows the clock."""

    arn: str
    name: str
    details: dict[str, Any]
    ready_at: datetime
    done: str
    working: str = "InProgress"
    stopped: bool = False

    @property
    def status(self) -> str:
        if self.stopped:
            return "Stopped"
        return self.done if datetime.now(UTC) >= self.ready_at else self.working


class Bedrock:
    """The control plane: customization jobs, custom models, deployments and evaluation jobs."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.jobs: dict[str, Resource] = {}
        self.deployments: dict[str, Resource] = {}
        self.evaluations: dict[str, Resource] = {}
        self.outcome = {"job": "Completed", "deployment": "Active", "evaluation": "Completed"}
        self.other_models = 0
        self.created: Counter[str] = Counter()
        self.deleted: set[str] = set()

    def create_model_customization_job(self, **request: Any) -> dict[str, Any]:
        name = request["jobName"]
        if name in self.jobs:
            raise client_error("ConflictException", f"The job name {name} is currently in use.")
        arn = f"{ARN}:model-customization-job/m/{name}"
        self.jobs[name] = Resource(arn, name, request, self._cloud.now + JOB_TIME, self.outcome["job"])
        self.created[f"job {name}"] += 1
        self._cloud.on_job(arn)
        return {"jobArn": arn}

    def get_model_customization_job(self, jobIdentifier: str) -> dict[str, Any]:  # noqa: N803
        job = self._find(self.jobs, jobIdentifier)
        answer = {"jobArn": job.arn, "jobName": job.name, "status": job.status}
        if job.status == "Completed":
            answer["outputModelArn"] = f"{ARN}:custom-model/m/{job.name}"
        return answer

    def stop_model_customization_job(self, jobIdentifier: str) -> None:  # noqa: N803
        self._find(self.jobs, jobIdentifier).stopped = True

    def get_custom_model(self, modelIdentifier: str) -> dict[str, Any]:  # noqa: N803
        return {"modelStatus": self._find(self.jobs, modelIdentifier.rpartition("/")[2]).status and "Active"}

    def create_custom_model_deployment(self, **request: Any) -> dict[str, Any]:
        name = request["modelDeploymentName"]
        if name in self.deployments:
            raise client_error("ValidationException", f"The name {name} is taken.")
        arn = f"{ARN}:custom-model-deployment/{name}"
        ready = self._cloud.now + DEPLOYMENT_TIME
        self.deployments[name] = Resource(arn, name, request, ready, self.outcome["deployment"], "Creating")
        self.created[f"deployment {name}"] += 1
        return {"customModelDeploymentArn": arn}

    def get_custom_model_deployment(self, customModelDeploymentIdentifier: str) -> dict[str, Any]:  # noqa: N803
        found = self._find(self.deployments, customModelDeploymentIdentifier)
        return {
            "customModelDeploymentArn": found.arn,
            "modelDeploymentName": found.name,
            "status": found.status,
        }

    def delete_custom_model_deployment(self, customModelDeploymentIdentifier: str) -> None:  # noqa: N803
        found = self._find(self.deployments, customModelDeploymentIdentifier)
        if found.status == "Creating" and self._cloud.undeletable_while_creating:
            raise client_error("ConflictException", "The deployment is being created.")
        del self.deployments[found.name]
        self.deleted.add(found.arn)

    def create_evaluation_job(self, **request: Any) -> dict[str, Any]:
        name = request["jobName"]
        if name in self.evaluations:
            raise client_error("ConflictException", f"The job name {name} is currently in use.")
        arn = f"{ARN}:evaluation-job/{name}"
        ready = self._cloud.now + EVALUATION_TIME
        self.evaluations[name] = Resource(arn, name, request, ready, self.outcome["evaluation"])
        self.created[f"evaluation {name}"] += 1
        return {"jobArn": arn}

    def get_evaluation_job(self, jobIdentifier: str) -> dict[str, Any]:  # noqa: N803
        job = self._find(self.evaluations, jobIdentifier)
        return {"jobArn": job.arn, "jobName": job.name, "status": job.status}

    def stop_evaluation_job(self, jobIdentifier: str) -> None:  # noqa: N803
        self._find(self.evaluations, jobIdentifier).stopped = True

    def get_paginator(self, operation: str) -> Any:
        """The lists that the adapters read, each as one page."""
        return _Pages(self, operation)

    def pages(self, operation: str, **filters: Any) -> dict[str, Any]:
        """The one page of a list."""
        running = [job for job in self.jobs.values() if job.status == "InProgress"]
        models = sum(job.status == "Completed" for job in self.jobs.values()) + self.other_models
        pages: dict[str, dict[str, Any]] = {
            "list_model_customization_jobs": {
                "modelCustomizationJobSummaries": [{"jobName": job.name} for job in running]
            },
            "list_custom_models": {"modelSummaries": [{}] * models},
            "list_custom_model_deployments": {"modelDeploymentSummaries": [{}] * len(self.deployments)},
            "list_evaluation_jobs": {
                "jobSummaries": [
                    {"jobName": job.name, "jobArn": job.arn, "status": job.status}
                    for job in self.evaluations.values()
                    if filters.get("nameContains", "") in job.name
                ]
            },
        }
        return pages[operation]

    def _find(self, resources: dict[str, Resource], identifier: str) -> Resource:
        for resource in resources.values():
            if identifier in {resource.name, resource.arn}:
                return resource
        raise client_error("ResourceNotFoundException", identifier, 404)


@dataclass
class _Pages:
    bedrock: Bedrock
    operation: str

    def paginate(self, **filters: Any) -> Iterator[dict[str, Any]]:
        yield self.bedrock.pages(self.operation, **filters)


class Runtime:
    """The models. Each gives a good answer, except those whose id contains a key of `answers`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.answers: dict[str, str] = {}

    def converse(self, **request: Any) -> dict[str, Any]:
        model = request["modelId"]
        query = request["messages"][0]["content"][0]["text"]
        self._cloud.billed[f"{model} {query}"] += 1
        text = next((text for part, text in self.answers.items() if part in model), GOOD_ANSWER)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "usage": {"inputTokens": 10, "outputTokens": 5},
            "metrics": {"latencyMs": 100},
            "stopReason": "end_turn",
        }
