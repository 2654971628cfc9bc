"""Calls that are billed, each made once for its key, and retries of the messages whose call failed.

An idempotency record of Powertools guards each call: a message delivered twice at the same time costs one
call, and a delivery after the call returns the stored answer.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)

from distillery.aws import clients
from distillery.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.aws.queues import Queue

RECORD_SECONDS = 3_600
IN_PROGRESS_SECONDS = 10.0
"""Delay before a query is tried again that another function answers.

Fifteen tries with this delay take longer than that function may run.
"""
LAST_START = 65_000
"""Milliseconds that must remain to start a call: for three tries of 20 seconds, and to store the answer."""
FIRST_BACKOFF = 4.0
LONGEST_BACKOFF = 900.0


class CallInProgress(Transient):
    """Another function makes the same call, or stopped while it made it."""


class IdempotentCalls:
    """Makes calls guarded by idempotency records whose keys share one prefix."""

    def __init__(self, prefix: str, table: str, records: BasePersistenceLayer | None = None) -> None:
        self._prefix = prefix
        self._records = records or DynamoDBPersistenceLayer(
            table_name=table, boto3_client=clients.client("dynamodb")
        )

    def once(
        self, key: dict[str, Any], call: Callable[[], dict[str, Any]], config: IdempotencyConfig
    ) -> dict[str, Any]:
        """Return the call's answer, or the answer stored for the key.

        Raises CallInProgress, or Transient when the idempotency record cannot be written. An exception that
        the call raises passes through, and the record is deleted.
        """

        @idempotent_function(  # type: ignore[untyped-decorator]  # Powertools gives it no signature
            data_keyword_argument="key",
            persistence_store=self._records,
            config=config,
            key_prefix=self._prefix,
        )
        def guarded(*, key: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 (read by the decorator)
            return call()

        try:
            answer: dict[str, Any] = guarded(key=key)
        except IdempotencyAlreadyInProgressError as error:
            raise CallInProgress("Another function answers the same query.") from error
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            raise Transient(f"Could not write the idempotency record of the query: {error}") from error
        return answer


def idempotency_config(context: LambdaContext, seconds: int = RECORD_SECONDS) -> IdempotencyConfig:
    """Records of calls in progress expire with the time limit of the invocation, answers after `seconds`."""
    return IdempotencyConfig(expires_after_seconds=seconds, lambda_context=context)


def require_time(context: LambdaContext) -> None:
    """Raise Transient when too little time remains in the invocation to start a call."""
    if context.get_remaining_time_in_millis() < LAST_START:
        raise Transient("The function had no time left for this query.")


def retry_later(queue: Queue, record: SQSRecord, error: Transient) -> None:
    """Delay the next delivery of a message: briefly when its call is in progress, else with backoff."""
    delay = IN_PROGRESS_SECONDS if isinstance(error, CallInProgress) else backoff(receive_count(record))
    queue.hide(record.receipt_handle, delay)


def receive_count(record: SQSRecord) -> int:
    """How often SQS has delivered the message, including this time."""
    return int(record.attributes.approximate_receive_count or 1)


def backoff(receives: int) -> float:
    """Seconds of exponential backoff with full jitter."""
    ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(receives, 10))
    return max(1.0, random.uniform(0, ceiling))  # noqa: S311 (spreads retries, hides nothing)
