"""The steps of a generation over the cloud in memory: deliveries, messages, polls, and what must hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from distillery.aws.generation_store import Generations, Label, Labels
from distillery.aws.idempotent_calls import IdempotentCalls
from distillery.aws.queues import Queue
from distillery.aws.tables import to_item
from distillery.generation.planner import plan
from distillery.generation.spec import parse_spec
from distillery.generation.states import GENERATION_ENDED, Generation, GenerationState, generation_id
from distillery.runs.events import GenerationWatch
from distillery.runs.states import Source
from distillery.settings import LabelSettings, PlanSettings
from distillery.steps.assemble_dataset import assemble_dataset
from distillery.steps.generation_steps import GenerationSteps
from distillery.steps.label_queries import QueryLabeller
from distillery.steps.plan_dataset import plan_dataset
from distillery.steps.teacher_queries import TeacherQueryWriter
from distillery.steps.watch_bedrock import ReceivedWait, poll_wait
from distillery.steps.watch_generation import watch_generation
from distillery.task.channels import default_channel_config
from tests.races.cloud import Died, Invocation
from tests.races.pipeline import Pipeline
from tests.specs import spec_text
from tests.unit.fakes import FakeContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tests.races.cloud import Message

TEACHER = "amazon.nova-pro-v1:0"
CHANNEL_CONFIG = default_channel_config()
KEY = "specs/small.yaml"
LABELLED = 104
"""How many of the 110 queries have a label before the spec is dropped, to keep schedules short."""
CALL_USD = 10 * 0.8e-6 + 5 * 3.2e-6
"""Cost of a call: tokens of the answers of the fake runtime, at the price of the list for TEACHER."""


def spec(**changes: Any) -> str:
    """The spec of every schedule, of which every label becomes a record.

    `changes` are its limits, so that each is the same generation.
    """
    return spec_text(records=110, oversample=0, **changes)


NAME = generation_id("small", parse_spec(spec()), CHANNEL_CONFIG, TEACHER)


@dataclass
class GenerationPipeline(Pipeline):
    """Runs the functions of the generator, one delivery after another in the order of the virtual clock."""

    subjects: dict[str, str] = field(default_factory=dict)
    """The last subject of each function."""

    def __post_init__(self) -> None:
        self.cloud.on_event = self._route
        # Outside of `cloud.client`: what the test does is no call of a function.
        boto3.client("s3").put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
        labelled = plan(parse_spec(spec()), CHANNEL_CONFIG)[:LABELLED]
        labels = [
            Label(generation_id=NAME, number=one.number, query=one.query, weights=CHANNEL_CONFIG.fallback)
            for one in labelled
        ]
        puts: list[Any] = [
            {"PutRequest": {"Item": to_item(label.model_dump(mode="json", exclude_none=True))}}
            for label in labels
        ]
        for at in range(0, len(puts), 25):
            boto3.client("dynamodb").batch_write_item(RequestItems={"LabelsTable": puts[at : at + 25]})

    @property
    def generation_steps(self) -> GenerationSteps:
        return GenerationSteps.from_settings(PlanSettings.load(self.environment))

    @property
    def generation(self) -> Generation:
        return Generations("GenerationsTable").get(NAME)

    def drop(self, key: str = KEY, content: str = "") -> str:
        """Put a spec into the bucket. Returns the subject of its `Object Created` event."""
        version = boto3.client("s3").put_object(Bucket="data", Key=key, Body=(content or spec()).encode())[
            "VersionId"
        ]
        subject = Source(bucket="data", key=key, version_id=version).model_dump_json()
        self.deliver("plan", subject)
        return subject

    def function(self, target: str, subject: str) -> Callable[[], Any]:
        self.subjects[target] = subject
        match target:
            case "plan":
                source = Source.model_validate_json(subject)
                calls = IdempotentCalls("invent", "IdempotencyTable")
                context: Any = FakeContext(900_000)
                return lambda: plan_dataset(
                    source, TEACHER, self.generation_steps, TeacherQueryWriter(calls, context)
                )
            case "assemble":
                return lambda: assemble_dataset(subject, self.generation_steps)
        raise AssertionError(target)

    def step(self) -> bool:
        if super().step():
            return True
        due = [message for message in self.cloud.queues["label"] if message.visible_at <= self.cloud.now]
        if due:
            self.label(due[:10])
        return bool(due)

    def _next(self) -> datetime | None:
        times = [message.visible_at for message in self.cloud.queues["label"]]
        earlier = super()._next()
        return min([*times, *([earlier] if earlier else [])], default=None)

    def poll(self, message: Message, invocation: Invocation | None = None) -> None:
        """Deliver a wait to the poller; delete the message when the wait is over."""
        if not self.cloud.receive("watch", message):
            return
        wait = GenerationWatch.model_validate_json(message.body)
        received = ReceivedWait(wait, message.receipt, message.receives)
        dead = Queue("https://queue/dead")

        def poll() -> None:
            poll_wait(received, lambda: watch_generation(wait, self.generation_steps, dead), self.steps)

        try:
            self.cloud.invoke(invocation or self._invocation("watch"), poll)
        except (Exception, Died):  # noqa: BLE001 (as StillWaiting: the message becomes visible again)
            return
        self.cloud.queues["watch"].remove(message)

    def label(self, messages: list[Message], invocation: Invocation | None = None) -> None:
        """Deliver a batch of label messages; delete those that are settled."""
        for message in messages:
            self.cloud.receive("label", message)
        records = [
            SQSRecord(
                {
                    "messageId": message.receipt,
                    "receiptHandle": message.receipt,
                    "body": message.body,
                    "attributes": {"ApproximateReceiveCount": str(message.receives)},
                }
            )
            for message in messages
        ]
        settled: list[Message] = []

        def label() -> None:
            labeller = QueryLabeller(LabelSettings.load(self.environment))
            context: Any = FakeContext()
            batch = labeller.label(records, context)
            for record, message in zip(records, messages, strict=True):
                try:
                    labeller.settle(record, batch)
                except Exception:  # noqa: BLE001, S112 (the message stays in the queue)
                    continue
                settled.append(message)

        try:
            self.cloud.invoke(invocation or self._invocation("label"), label)
        except (Exception, Died):  # noqa: BLE001 (every message stays in the queue)
            return
        for message in settled:
            self.cloud.queues["label"].remove(message)

    def poll_all(self) -> None:
        """Poll every wait now."""
        for message in list(self.cloud.queues["watch"]):
            self.poll(message)

    def pass_deadline(self) -> None:
        """Let the deadline pass, poll, and make what is then due."""
        self.cloud.clock.shift(timedelta(hours=1))
        self.poll_all()
        self.cloud.clock.shift(timedelta(seconds=1))
        for delivery in [one for one in self.pending if one.target == "assemble"]:
            self.pending.remove(delivery)
            self.invoke(delivery)

    def _route(self, detail_type: str, detail: dict[str, Any]) -> None:
        if detail_type == "Labels Complete" and detail_type not in self.lost_events:
            self.deliver("assemble", detail["generation_id"], timedelta(seconds=1))

    def datasets(self) -> list[str]:
        """The key of every version of every dataset."""
        answer = boto3.client("s3").list_object_versions(Bucket="data", Prefix="datasets/")
        return [version["Key"] for version in answer.get("Versions", [])]

    def generation_violations(self, *, paid_again: int = 0, ends: int = 0) -> Iterator[str]:
        """What does not hold at the end of a schedule; nothing when everything does.

        `paid_again` is how many calls may be paid a second time, `ends` how often the generation must end, if
        that is known.
        """
        for queue in ("watch", "label"):
            if self.cloud.queues[queue]:
                yield f"a message is left in the {queue} queue"
        found = self.generation
        if found.state not in GENERATION_ENDED:
            yield f"it is {found.state} for ever"
        if found.continues:
            yield f"it is {found.state} although the spec was dropped again"
        events = Counter(kind for kind, _ in self.cloud.published)
        ended = Counter(move.state for move in found.history if move.state in GENERATION_ENDED)
        for state, kind in EVENTS.items():
            if events[kind] < ended[state]:
                yield f"it was {state} {ended[state]} times and said so {events[kind]} times"
        if ends and ended.total() != ends:
            yield f"it ended as {', '.join(ended)}"
        datasets = self.datasets()
        made = ended[GenerationState.ASSEMBLED] + ended[GenerationState.STOPPED]
        if len(datasets) > made or found.dataset_key not in [None, *datasets]:
            yield f"{len(datasets)} datasets were made, and it names {found.dataset_key}"
        again = sum(count - 1 for count in self.cloud.billed.values())
        if again > paid_again:
            yield f"{again} calls were paid again"
        cost = sum(label.cost_usd for label in Labels("LabelsTable").all(NAME))
        if abs(found.spent - cost) > CALL_USD / 10:
            yield f"it counts ${found.spent} for labels of ${cost}"


EVENTS = {
    GenerationState.ASSEMBLED: "Dataset Generated",
    GenerationState.STOPPED: "Generation Stopped",
    GenerationState.FAILED: "Generation Failed",
}
