"""What becomes of a message that could not be handled completely: SQS delivers it again, or it is given up.

Deliveries do not count, because throttling can cause hundreds of them. A message is given up after too many
failures that it may have caused itself, or shortly before SQS would delete it.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from distillery.aws import clients
from distillery.aws.idempotent_calls import CallInProgress, OutOfTime
from distillery.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from mypy_boto3_dynamodb import DynamoDBClient

    from distillery.aws.queues import Queue
    from distillery.errors import Transient

DAY = 86_400
LONGEST_WAIT = 13 * DAY
"""Seconds after which a message is given up. SQS deletes it after 14 days, without a trace."""
IN_PROGRESS_SECONDS = 10.0
"""Delay before a query is tried again that another function answers."""
FIRST_BACKOFF = 4.0
LONGEST_BACKOFF = 900.0
"""Seconds; a message that has waited for more than half a day is tried less often, see `backoff`."""
BACKOFFS_IN_AGE = 50


class Redelivery:
    """Delays the next delivery of messages of a queue, and decides when one is given up.

    `table` is the idempotency table. It keeps one entry for each message that had a failure that counts.
    """

    def __init__(
        self, queue: Queue, table: str, give_up_after: int, client: DynamoDBClient | None = None
    ) -> None:
        self._queue, self._table, self._give_up_after = queue, table, give_up_after
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def retry(self, record: SQSRecord, errors: Collection[Transient]) -> str:
        """Delay the next delivery of a message, or return why it is given up instead."""
        age = age_seconds(record)
        if age >= LONGEST_WAIT:
            return f"Given up after {age / DAY:.0f} days."
        if not all(isinstance(error, Unavailable) for error in errors):
            failures = self._count(record.message_id)
            if failures >= self._give_up_after:
                return f"Given up after {failures} failures."
        self._queue.hide(record.receipt_handle, _delay(receive_count(record), age, errors))
        return ""

    def _count(self, message_id: str) -> int:
        """Count one more failure of a message. Returns their number."""
        with clients.explained("count the failures of the message"):
            response = self._client.update_item(
                TableName=self._table,
                Key={"id": {"S": f"failures#{message_id}"}},
                UpdateExpression="ADD #failures :one SET #expiration = :end",
                ExpressionAttributeNames={"#failures": "failures", "#expiration": "expiration"},
                ExpressionAttributeValues={
                    ":one": {"N": "1"},
                    ":end": {"N": str(int(time.time()) + LONGEST_WAIT + DAY)},
                },
                ReturnValues="UPDATED_NEW",
            )
        return int(response["Attributes"]["failures"]["N"])


def receive_count(record: SQSRecord) -> int:
    """How often SQS has delivered the message, including this time."""
    return int(record.attributes.approximate_receive_count or 1)


def age_seconds(record: SQSRecord) -> float:
    """How long ago the message was sent. An event without the time, as written by hand, counts as new."""
    sent = record.attributes.get("SentTimestamp")
    return max(0.0, time.time() - int(sent) / 1_000) if sent else 0.0


def backoff(receives: int, age: float) -> float:
    """Seconds of exponential backoff with full jitter.

    The limit grows with the age of the message, so that SQS, which allows 1,000 receives, delivers it less
    than half as often in 13 days.
    """
    ceiling = min(FIRST_BACKOFF * 2 ** min(receives, 20), max(LONGEST_BACKOFF, age / BACKOFFS_IN_AGE))
    return max(1.0, random.uniform(0, ceiling))  # noqa: S311 (spreads retries, hides nothing)


def _delay(receives: int, age: float, errors: Collection[Transient]) -> float:
    """Seconds until the next delivery: none if only time was missing."""
    if all(isinstance(error, OutOfTime) for error in errors):
        return 0.0
    if all(isinstance(error, OutOfTime | CallInProgress) for error in errors):
        return IN_PROGRESS_SECONDS
    return backoff(receives, age)
