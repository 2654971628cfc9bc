"""Bedrock's events on the default bus, which depend on a private function of MiniStack, and their faults."""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.bedrock_resources import ACCOUNT
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.cloud import LocalCloud
    from tests.local.bedrock_resources import BedrockResources
    from tests.local.control_api import ControlApi


class EventQueue:
    """A queue that receives every customization event of the account."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._sqs = cloud.client("sqs")
        self._events = cloud.client("events")
        self._name = f"events-{uuid.uuid4().hex[:12]}"
        self._url = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self._name}"
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                }
            ],
        }
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})
        pattern = {"source": ["aws.bedrock"], "detail-type": ["Model Customization Job State Change"]}
        self._events.put_rule(Name=self._name, EventPattern=json.dumps(pattern))
        self._events.put_targets(Rule=self._name, Targets=[{"Id": "queue", "Arn": arn}])
        self._seen: list[dict[str, Any]] = []

    def of_job(self, arn: str) -> list[dict[str, Any]]:
        """Return the events of a job so far, in the order of their arrival."""
        while found := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self._seen.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return [event for event in self._seen if event["detail"]["jobArn"] == arn]

    def statuses(self, arn: str) -> list[str]:
        return sorted(event["detail"]["jobStatus"] for event in self.of_job(arn))

    def remove(self) -> None:
        self._events.remove_targets(Rule=self._name, Ids=["queue"])
        self._events.delete_rule(Name=self._name)
        self._sqs.delete_queue(QueueUrl=self._url)


@pytest.fixture
def events(cloud: LocalCloud) -> Iterator[EventQueue]:
    """A queue behind a rule on the default bus."""
    queue = EventQueue(cloud)
    yield queue
    queue.remove()


def test_job_publishes_an_event_when_it_starts_and_when_it_ends(
    resources: BedrockResources, events: EventQueue
) -> None:
    arn = resources.start_job()
    job = resources.ended_job(arn)
    wait_for(lambda: events.statuses(arn) == ["Completed", "InProgress"], "two events")
    event = next(one for one in events.of_job(arn) if one["detail"]["jobStatus"] == "Completed")
    assert event["source"] == "aws.bedrock"
    assert event["account"] == ACCOUNT
    assert event["region"] == "us-east-1"
    assert event["resources"] == [arn]
    assert event["detail"]["jobName"] == job["jobName"]
    assert event["detail"]["outputModelArn"] == job["outputModelArn"]
    assert event["detail"]["trainingDataConfig"] == job["trainingDataConfig"]
    assert event["detail"]["endTime"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("doubled", ["Completed", "Completed", "InProgress", "InProgress"]),
        ("premature", ["Completed", "Completed", "InProgress"]),
        ("lost", []),
    ],
)
def test_events_can_be_lost_doubled_or_premature(
    resources: BedrockResources, events: EventQueue, control: ControlApi, mode: str, expected: list[str]
) -> None:
    control.faults(events=mode)
    arn = resources.start_job()
    resources.ended_job(arn)
    control.event(foreign=True)
    # The foreign event follows all events of the job, so an event that is missing by then was not sent.
    wait_for(lambda: any("somebody" in e["detail"]["jobName"] for e in all_of(events)), "the foreign event")
    wait_for(lambda: events.statuses(arn) == expected, f"events {expected}")


def all_of(events: EventQueue) -> list[dict[str, Any]]:
    """Return every event that the queue has received."""
    events.of_job("")
    return events._seen


def test_events_can_be_late(resources: BedrockResources, events: EventQueue, control: ControlApi) -> None:
    control.faults(events="late", event_delay_seconds=6)
    arn = resources.start_job()
    resources.ended_job(arn)
    assert "Completed" not in events.statuses(arn)
    wait_for(lambda: "Completed" in events.statuses(arn), "the late event")


def test_event_of_a_known_job_can_be_repeated(
    resources: BedrockResources, events: EventQueue, control: ControlApi
) -> None:
    arn = resources.start_job()
    job = resources.ended_job(arn)
    control.event(job=job["jobName"], status="Failed", times=3)
    wait_for(lambda: events.statuses(arn).count("Failed") == 3, "three events")


def test_put_events_refuses_aws_as_source(cloud: LocalCloud) -> None:
    entry = {"Source": "aws.bedrock", "DetailType": "x", "Detail": "{}"}
    answer = cloud.client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_cloud_answers_calls_during_training(resources: BedrockResources, runtime: Any) -> None:
    arn = resources.start_job()
    done = threading.Event()
    answered = 0
    messages = [{"role": "user", "content": [{"text": "red clip"}]}]
    while not done.is_set():
        runtime.converse(modelId="amazon.nova-pro-v1:0", messages=messages)
        answered += 1
        if resources.bedrock.get_model_customization_job(jobIdentifier=arn)["status"] != "InProgress":
            done.set()
    assert answered > 5
