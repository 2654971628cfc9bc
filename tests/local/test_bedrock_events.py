"""Bedrock's events: what MiniStack's private emitter is relied on for, and how events can go wrong."""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.tools import ACCOUNT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.cloud import LocalCloud
    from tests.local.tools import Control, Workshop


class WakeUp:
    """A queue that every customization event of the account lands in."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._sqs = cloud.client("sqs")
        self._events = cloud.client("events")
        self._name = f"bell-{uuid.uuid4().hex[:12]}"
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

    def rings(self, arn: str) -> list[dict[str, Any]]:
        """Events about a job so far, in the order of their arrival."""
        while found := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self._seen.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return [event for event in self._seen if event["detail"]["jobArn"] == arn]

    def statuses(self, arn: str) -> list[str]:
        return sorted(event["detail"]["jobStatus"] for event in self.rings(arn))

    def remove(self) -> None:
        self._events.remove_targets(Rule=self._name, Ids=["queue"])
        self._events.delete_rule(Name=self._name)
        self._sqs.delete_queue(QueueUrl=self._url)


@pytest.fixture
def wake_up(cloud: LocalCloud) -> Iterator[WakeUp]:
    """A queue behind a rule on the default bus."""
    bell = WakeUp(cloud)
    yield bell
    bell.remove()


def test_job_rings_at_its_beginning_and_end(workshop: Workshop, wake_up: WakeUp) -> None:
    arn = workshop.start_job()
    job = workshop.ended_job(arn)
    wait_for(lambda: wake_up.statuses(arn) == ["Completed", "InProgress"], "two events")
    event = next(one for one in wake_up.rings(arn) if one["detail"]["jobStatus"] == "Completed")
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
def test_events_can_be_lost_doubled_or_untrue(
    workshop: Workshop, wake_up: WakeUp, control: Control, mode: str, expected: list[str]
) -> None:
    control.faults(events=mode)
    arn = workshop.start_job()
    workshop.ended_job(arn)
    control.event(foreign=True)
    # The foreign event comes after all of the job's own, so what has not come by then was never sent.
    wait_for(lambda: any("somebody" in e["detail"]["jobName"] for e in all_of(wake_up)), "the foreign event")
    wait_for(lambda: wake_up.statuses(arn) == expected, f"events {expected}")


def all_of(wake_up: WakeUp) -> list[dict[str, Any]]:
    """Every event that the doorbell has seen."""
    wake_up.rings("")
    return wake_up._seen


def test_events_can_be_late(workshop: Workshop, wake_up: WakeUp, control: Control) -> None:
    control.faults(events="late", event_delay_seconds=1.5)
    arn = workshop.start_job()
    workshop.ended_job(arn)
    assert "Completed" not in wake_up.statuses(arn)
    wait_for(lambda: "Completed" in wake_up.statuses(arn), "the late event")


def test_event_of_a_known_job_can_be_repeated(workshop: Workshop, wake_up: WakeUp, control: Control) -> None:
    arn = workshop.start_job()
    job = workshop.ended_job(arn)
    control.event(job=job["jobName"], status="Failed", times=3)
    wait_for(lambda: wake_up.statuses(arn).count("Failed") == 3, "three events")


def test_nobody_else_may_publish_as_aws(cloud: LocalCloud) -> None:
    entry = {"Source": "aws.bedrock", "DetailType": "x", "Detail": "{}"}
    answer = cloud.client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_cloud_answers_while_it_trains(workshop: Workshop, runtime: Any) -> None:
    """Training has its own process, so calls go on being answered."""
    arn = workshop.start_job()
    done = threading.Event()
    answered = 0
    ask = [{"role": "user", "content": [{"text": "red clip"}]}]
    while not done.is_set():
        runtime.converse(modelId="amazon.nova-pro-v1:0", messages=ask)
        answered += 1
        if workshop.bedrock.get_model_customization_job(jobIdentifier=arn)["status"] != "InProgress":
            done.set()
    assert answered > 5
