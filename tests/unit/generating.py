"""A generation's surroundings in memory, with a teacher that does as it is told."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from distillery.aws.bedrock.converse import Converse, Reply
from distillery.aws.idempotent_calls import PaidCalls
from distillery.aws.queues import Queue
from distillery.errors import Transient
from distillery.generation.spec import parse_spec
from distillery.generation.states import Generation, generation_id, spec_key
from distillery.runs.events import GenerationWatch
from distillery.runs.states import Source, now
from distillery.settings import LabelSettings, PlanSettings
from distillery.steps.assemble_dataset import assemble_dataset
from distillery.steps.generation_steps import Generating
from distillery.steps.label_queries import Labeller
from distillery.steps.plan_dataset import plan_dataset
from distillery.steps.teacher_queries import Inventor
from distillery.steps.watch_generation import watch_generation
from distillery.task.channels import default_channel_config
from local.models.teacher import Teacher
from tests.unit.steps.test_route_queries import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fakes import Surroundings

CHANNEL_CONFIG = default_channel_config()
MODEL = "amazon.nova-pro-v1:0"


class FakeTeacher(Converse):
    """The local teacher. `script` may answer or raise instead, given the query and how often it was asked."""

    def __init__(self) -> None:
        self._teacher = Teacher(CHANNEL_CONFIG)
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.script: Callable[[str, int], str | Exception | None] = lambda _, __: None

    @property
    def calls(self) -> int:
        return self.asked.total()

    def ask(self, model_id: str, system: str, query: str, longest: int = 300) -> Reply:  # noqa: ARG002
        with self._lock:
            self.asked[query] += 1
            scripted = self.script(query, self.asked[query])
        if isinstance(scripted, Exception):
            raise scripted
        answer = self._teacher.answer(system, query)
        return Reply(scripted or answer.text, answer.input_tokens, answer.output_tokens, 1.0)


class Workshop:
    """Every step of a generation at hand, on the tables and queues of one test."""

    def __init__(self, cloud: Surroundings, teacher: FakeTeacher | None = None) -> None:
        self.cloud, self.teacher = cloud, teacher or FakeTeacher()
        self.settings = PlanSettings.load(cloud.environment)
        self.generating = Generating.of(self.settings)
        self.dead_letters = Queue(self.settings.dead_letter_queue_url)

    def drop(self, text: str, dataset: str = "small") -> Source:
        """Put a spec into the bucket."""
        key = spec_key(dataset)
        version = boto3.client("s3").put_object(Bucket="data", Key=key, Body=text.encode())["VersionId"]
        return Source(bucket="data", key=key, version_id=version)

    def plan(self, source: Source) -> Generation:
        """Deliver the event about a dropped spec."""
        paid = PaidCalls("invent", self.settings.idempotency_table)
        inventor = Inventor(paid, Context(), self.teacher)  # type: ignore[arg-type]
        return plan_dataset(source, MODEL, self.generating, inventor)

    def begun(self, text: str, dataset: str = "small") -> str:
        """Drop a spec and plan it; returns the generation's id."""
        return self.plan(self.drop(text, dataset)).generation_id

    def name(self, text: str, dataset: str = "small") -> str:
        return generation_id(dataset, parse_spec(text), CHANNEL_CONFIG, MODEL)

    def generation(self, name: str) -> Generation:
        return self.generating.generations.get(name)

    def labeller(self) -> Labeller:
        return Labeller(LabelSettings.load(self.cloud.environment), converse=self.teacher)

    def received(self, most: int = 1_000) -> list[dict[str, Any]]:
        """Messages of the label queue, as Lambda is given them."""
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

    def label(self, records: list[dict[str, Any]] | None = None, context: Context | None = None) -> list[str]:
        """Deliver messages (all that are queued); returns the bodies of those that must come back."""
        labeller, event = (
            self.labeller(),
            SQSEvent({"Records": self.received() if records is None else records}),
        )
        batch = labeller.label(event.records, context or Context())  # type: ignore[arg-type]
        back = []
        for record in event.records:
            try:
                labeller.settle(record, batch)
            except Transient:
                back.append(record.body)
                continue
            boto3.client("sqs").delete_message(
                QueueUrl=self.settings.label_queue_url, ReceiptHandle=record.receipt_handle
            )
        return back

    def watch(self, name: str) -> bool:
        """Let the watch look once."""
        message = GenerationWatch(generation_id=name, deadline=now())
        return watch_generation(message, self.generating, self.dead_letters)

    def assemble(self, name: str) -> Generation:
        return assemble_dataset(name, self.generating)

    def datasets(self) -> list[str]:
        """Every version of every dataset that was written."""
        answer = boto3.client("s3").list_object_versions(Bucket="data", Prefix="datasets/")
        return [version["Key"] for version in answer.get("Versions", [])]

    def letters(self) -> list[str]:
        """Why messages were buried."""
        return [
            message["MessageAttributes"]["reason"]["StringValue"]
            for message in self.cloud.received("DEAD_LETTER_QUEUE_URL")
        ]
