"""When a message is delivered again, and when it is given up."""

from __future__ import annotations

import heapq
import random
import time
from typing import TYPE_CHECKING

import boto3
import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from distillery.aws import redelivery
from distillery.aws.idempotent_calls import CallInProgress, OutOfTime
from distillery.aws.queues import Queue
from distillery.aws.redelivery import DAY, LONGEST_WAIT, Redelivery, backoff
from distillery.errors import Throttled, Transient, Unavailable

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources

FAILED = Transient("Server error.")


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays until messages are delivered again."""
    seconds: list[float] = []
    monkeypatch.setattr(Queue, "hide", lambda _, __, delay: seconds.append(delay))
    return seconds


def record(*, receives: int = 1, age: float = 0, message_id: str = "m") -> SQSRecord:
    attributes = {
        "ApproximateReceiveCount": str(receives),
        "SentTimestamp": str(int((time.time() - age) * 1_000)),
    }
    return SQSRecord({"messageId": message_id, "receiptHandle": "r", "attributes": attributes})


def of(cloud: CloudResources) -> Redelivery:
    return Redelivery(Queue(cloud.environment["QUERY_QUEUE_URL"]), "IdempotencyTable", 15)


@pytest.mark.parametrize("error", [Throttled("slow down"), Unavailable("denied"), OutOfTime("late")])
def test_message_that_only_has_to_wait_is_never_given_up_for_it(
    cloud: CloudResources, delays: list[float], error: Transient
) -> None:
    for receives in range(1, 200):
        assert of(cloud).retry(record(receives=receives), [error]) == ""
    assert len(delays) == 199


def test_failures_count_however_often_the_message_was_throttled_between_them(
    cloud: CloudResources, delays: list[float]
) -> None:
    for number in range(1, 15):
        assert of(cloud).retry(record(receives=number * 10), [Throttled("slow down")]) == ""
        assert of(cloud).retry(record(receives=number * 10), [FAILED, Throttled("slow down")]) == ""
    assert of(cloud).retry(record(receives=150), [FAILED]) == "Given up after 15 failures."
    assert len(delays) == 28


def test_message_throttled_for_long_is_not_given_up_for_one_failure(
    cloud: CloudResources, delays: list[float]
) -> None:
    assert of(cloud).retry(record(receives=300), [FAILED]) == ""
    assert len(delays) == 1


def test_failures_of_one_message_do_not_count_for_another(cloud: CloudResources, delays: list[float]) -> None:
    for number in range(20):
        assert of(cloud).retry(record(message_id=f"m{number}"), [FAILED]) == ""
    assert len(delays) == 20


def test_count_of_failures_is_deleted_after_the_message(cloud: CloudResources, delays: list[float]) -> None:
    of(cloud).retry(record(), [FAILED])
    (item,) = boto3.client("dynamodb").scan(TableName="IdempotencyTable")["Items"]
    assert int(item["expiration"]["N"]) >= time.time() + LONGEST_WAIT
    assert len(delays) == 1


@pytest.mark.parametrize("error", [Throttled("slow down"), FAILED])
def test_message_is_given_up_before_sqs_deletes_it(
    cloud: CloudResources, delays: list[float], error: Transient
) -> None:
    assert of(cloud).retry(record(age=LONGEST_WAIT - 60), [error]) == ""
    assert of(cloud).retry(record(age=LONGEST_WAIT), [error]) == "Given up after 13 days."
    longest = backoff_at_most(LONGEST_WAIT)
    assert LONGEST_WAIT + longest + 2 * redelivery.LONGEST_BACKOFF < 14 * DAY
    assert len(delays) == 1


def backoff_at_most(age: float) -> float:
    return max(backoff(1_000, age) for _ in range(1_000))


@pytest.mark.parametrize(
    ("errors", "delay"),
    [
        ([OutOfTime("late")], 0),
        ([CallInProgress("elsewhere")], 10),
        ([OutOfTime("late"), CallInProgress("elsewhere")], 10),
        ([OutOfTime("late"), Throttled("slow down")], 8),
    ],
)
def test_delay_is_that_of_the_failure_that_needs_the_longest(
    cloud: CloudResources,
    delays: list[float],
    monkeypatch: pytest.MonkeyPatch,
    errors: list[Transient],
    delay: float,
) -> None:
    monkeypatch.setattr("random.uniform", lambda _, ceiling: ceiling)
    assert of(cloud).retry(record(), errors) == ""
    assert delays == [delay]


def test_no_message_is_received_as_often_as_sqs_allows_before_it_is_too_old() -> None:
    random.seed(1)
    for _ in range(20):
        age, receives = 0.0, 0
        while age < LONGEST_WAIT:
            receives += 1
            age += backoff(receives, age)
        assert receives < 600


@pytest.mark.parametrize(("queries", "calls_a_minute", "hours"), [(5_000, 50, 4), (20_000, 200, 4)])
def test_long_throttling_delays_every_query_and_loses_none(
    queries: int, calls_a_minute: int, hours: float
) -> None:
    """The quota is a bucket that holds the calls of one minute and is filled evenly."""
    random.seed(1)
    due = [(0.0, number, 1) for number in range(queries)]
    tokens, filled, answered, ended, most = float(calls_a_minute), 0.0, 0, 0.0, 0
    while due:
        at, number, receives = heapq.heappop(due)
        tokens = min(calls_a_minute, tokens + (at - filled) * calls_a_minute / 60)
        filled, most = at, max(most, receives)
        if tokens >= 1:
            tokens, answered, ended = tokens - 1, answered + 1, at
        else:
            heapq.heappush(due, (at + backoff(receives, at), number, receives + 1))
    assert answered == queries
    assert most < 1_000
    assert ended < hours * 3_600
