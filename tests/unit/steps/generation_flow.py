"""Runs the steps of a generation in tests, with a teacher that a test can script."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from distillery.aws.bedrock.converse import Converse, Reply
from distillery.aws.idempotent_calls import IdempotentCalls
from distillery.aws.queues import Queue
from distillery.errors import Transient
from distillery.generation.spec import parse_spec
from distillery.generation.states import Generation, generation_id, generation_key, spec_key
from distillery.runs.events import GenerationWatch
from distillery.runs.states import Source, now
from distillery.settings import LabelSettings, PlanSettings
from distillery.steps.assemble_dataset import assemble_dataset
from distillery.steps.generation_steps import GenerationSteps
from distillery.steps.label_queries import QueryLabeller
from distillery.steps.plan_dataset import plan_dataset
from distillery.steps.teacher_queries import TeacherQueryWriter
from distillery.steps.watch_generation import watch_generation
from distillery.task.channels import default_channel_config
from local.models.teacher import Teacher
from tests.specs import spec_text
from tests.unit.fakes import FakeContext

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.unit.fakes import CloudResources

CHANNEL_CONFIG = default_channel_config()
MODEL = "amazon.nova-pro-v1:0"
SMALL = spec_text(records=100, oversample=0.1)
PLANNED = 110
"""Queries planned for SMALL."""


class FakeTeacher(Converse):
    """The local teacher. `script` gets a query and its number of calls; it may return an answer or error."""

    def __init__(self) -> None:
        self._teacher = Teacher(CHANNEL_CONFIG)
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.script: Callable[[str, int], str | Exception | None] = lambda _, __: None

    @property
    def calls(self) -> int:
        return self.asked.total()

    def ask(
        self, model_id: str, system: str, query: str, longest: int = 300, correction: Any = None
    ) -> Reply:
        with self._lock:
            self.asked[query] += 1
            scripted = self.script(query, self.asked[query])
        if isinstance(scripted, Exception):
            raise scripted
        answer = self._teacher.answer(system, query)
        return Reply(scripted or answer.text, answer.input_tokens, answer.output_tokens, 1.0)


class Died(Exception):
    """The function's process ended."""


def die(*_: object, **__: object) -> Any:
    raise Died


def before_first(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, action: Callable[[], Any]
) -> None:
    """Let something happen just before the first call of a method."""
    original, waiting = getattr(target, name), [action]

    def call(*arguments: Any, **named: Any) -> Any:
        if waiting:
            waiting.pop()()
        return original(*arguments, **named)

    monkeypatch.setattr(target, name, call)


class GenerationFlow:
    """The steps of a generation, on the tables and queues of one test."""

    def __init__(self, cloud: CloudResources, teacher: FakeTeacher | None = None) -> None:
        self.cloud, self.teacher = cloud, teacher or FakeTeacher()
        self.settings = PlanSettings.load(cloud.environment)
        self.steps = GenerationSteps.from_settings(self.settings)
        self.dead_letters = Queue(self.settings.dead_letter_queue_url)

    def drop(self, text: str, dataset: str = "small") -> Source:
        """Put a spec into the bucket."""
        key = spec_key(dataset)
        version = boto3.client("s3").put_object(Bucket="data", Key=key, Body=text.encode())["VersionId"]
        return Source(bucket="data", key=key, version_id=version)

    def plan(self, source: Source) -> Generation:
        """Deliver the event about a dropped spec."""
        calls = IdempotentCalls("invent", self.settings.idempotency_table)
        query_writer = TeacherQueryWriter(calls, FakeContext(), self.teacher)  # type: ignore[arg-type]
        return plan_dataset(source, MODEL, self.steps, query_writer)

    def drop_and_plan(self, text: str, dataset: str = "small") -> str:
        """Drop a spec and plan it. Returns the generation's id."""
        return self.plan(self.drop(text, dataset)).generation_id

    def name(self, text: str, dataset: str = "small") -> str:
        return generation_id(dataset, parse_spec(text), CHANNEL_CONFIG, MODEL)

    def generation(self, name: str) -> Generation:
        return self.steps.generations.get(name)

    def labeller(self) -> QueryLabeller:
        return QueryLabeller(LabelSettings.load(self.cloud.environment), converse=self.teacher)

    def receive(self, most: int = 1_000) -> list[dict[str, Any]]:
        """Receive messages of the label queue, in the form that Lambda passes on."""
        client, url = boto3.client("sqs"), self.settings.label_queue_url
        found: list[dict[str, Any]] = []
        while len(found) < most:
            messages = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(10, most - len(found)),
                MessageSystemAttributeNames=["All"],
                VisibilityTimeout=600,
            ).get("Messages", [])
            if not messages:
                break
            found += [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": dict(message["Attributes"]),
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                }
                for message in messages
            ]
        return found

    def label(
        self, records: list[dict[str, Any]] | None = None, context: FakeContext | None = None
    ) -> list[str]:
        """Deliver messages, by default all queued ones. Returns the bodies of those that must be retried."""
        labeller, event = (
            self.labeller(),
            SQSEvent({"Records": self.receive() if records is None else records}),
        )
        batch = labeller.label(event.records, context or FakeContext())  # type: ignore[arg-type]
        retried = []
        for record in event.records:
            try:
                labeller.settle(record, batch)
            except Transient:
                retried.append(record.body)
                continue
            boto3.client("sqs").delete_message(
                QueueUrl=self.settings.label_queue_url, ReceiptHandle=record.receipt_handle
            )
        return retried

    def poll(self, name: str) -> bool:
        """Let the poller poll once."""
        message = GenerationWatch(generation_id=name, deadline=now())
        return watch_generation(message, self.steps, self.dead_letters)

    def assemble(self, name: str) -> Generation:
        return assemble_dataset(name, self.steps)

    def end_time(self, name: str) -> None:
        """Let the deadline of a generation pass."""
        self.steps.generations.note(name, deadline=(now() - timedelta(minutes=1)).isoformat())

    def datasets(self) -> list[str]:
        """The key of every version of every dataset."""
        answer = boto3.client("s3").list_object_versions(Bucket="data", Prefix="datasets/")
        return [version["Key"] for version in answer.get("Versions", [])]

    def dead_letter_reasons(self) -> list[str]:
        """The reasons of the messages in the dead-letter queue."""
        return [
            message["MessageAttributes"]["reason"]["StringValue"]
            for message in self.cloud.messages("DEAD_LETTER_QUEUE_URL")
        ]


def summary(name: str) -> Any:
    """The summary.json of a generation."""
    response = boto3.client("s3").get_object(Bucket="data", Key=generation_key(name, "summary.json"))
    return json.loads(response["Body"].read())


def spent(flow: GenerationFlow, name: str) -> float:
    """The cost of the labels of a generation in USD."""
    return sum(label.cost_usd for label in flow.steps.labels.all(name))
