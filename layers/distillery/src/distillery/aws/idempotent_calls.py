"""Calls that cost money, each made once for its claim, and what becomes of a message whose call failed.

The claim is Powertools' idempotency record: a message delivered twice at once costs one call, and a delivery
after the call finds its answer stored.
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

CLAIM_SECONDS = 3_600
CLAIMED_SECONDS = 10.0
"""Until a claimed query is looked at again: fifteen times outlast the function that holds the claim."""
LAST_START = 65_000
"""Milliseconds that must remain for a call to be started: three tries of twenty seconds, and to store it."""
FIRST_BACKOFF = 4.0
LONGEST_BACKOFF = 900.0


class Claimed(Transient):
    """The same query is being answered elsewhere, or was when that function died."""


class PaidCalls:
    """Makes calls under claims that all begin with one prefix."""

    def __init__(self, prefix: str, table: str, claims: BasePersistenceLayer | None = None) -> None:
        self._prefix = prefix
        self._claims = claims or DynamoDBPersistenceLayer(
            table_name=table, boto3_client=clients.client("dynamodb")
        )

    def once(
        self, claim: dict[str, Any], call: Callable[[], dict[str, Any]], config: IdempotencyConfig
    ) -> dict[str, Any]:
        """The call's answer, or the stored one; raises Claimed, and Transient when no claim could be made.

        What the call itself raises passes through, and leaves no claim behind.
        """

        @idempotent_function(  # type: ignore[untyped-decorator]  # Powertools gives it no signature
            data_keyword_argument="claim",
            persistence_store=self._claims,
            config=config,
            key_prefix=self._prefix,
        )
        def claimed(*, claim: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 (read by the decorator)
            return call()

        try:
            answer: dict[str, Any] = claimed(claim=claim)
        except IdempotencyAlreadyInProgressError as error:
            raise Claimed("The same query is being answered elsewhere.") from error
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            raise Transient(f"The claim on the query could not be made: {error}") from error
        return answer


def claims_of(context: LambdaContext) -> IdempotencyConfig:
    """Claims that end with the function's time where it dies, and after an hour otherwise."""
    return IdempotencyConfig(expires_after_seconds=CLAIM_SECONDS, lambda_context=context)


def require_time(context: LambdaContext) -> None:
    """Raise Transient when no further call may be started."""
    if context.get_remaining_time_in_millis() < LAST_START:
        raise Transient("The function's time was used up before this query's turn.")


def put_back(queue: Queue, record: SQSRecord, error: Transient) -> None:
    """Let a message come back alone: soon when its call is under way elsewhere, else with backoff."""
    wait = CLAIMED_SECONDS if isinstance(error, Claimed) else backoff(received(record))
    queue.hide(record.receipt_handle, wait)


def received(record: SQSRecord) -> int:
    """How often a message was received so far, this time included."""
    return int(record.attributes.approximate_receive_count or 1)


def backoff(receives: int) -> float:
    """Full jitter over a doubling ceiling, in seconds."""
    ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(receives, 10))
    return max(1.0, random.uniform(0, ceiling))  # noqa: S311 (spreads retries, hides nothing)
