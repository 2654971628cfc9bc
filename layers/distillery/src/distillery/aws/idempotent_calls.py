"""Calls that are billed, each made once for its key.

An idempotency record of Powertools guards each call: a message delivered twice at the same time costs one
call, and a delivery after the call returns the stored answer.
"""

from __future__ import annotations

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
from distillery.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext

RECORD_SECONDS = 3_600
LAST_START = 65_000
"""Milliseconds that must remain to start a call: for three tries of 20 seconds, and to store the answer."""


class CallInProgress(Unavailable):
    """Another function makes the same call, or stopped while it made it."""


class OutOfTime(Unavailable):
    """Too little time remained in the invocation."""


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

        Raises CallInProgress, or Unavailable when the idempotency record cannot be written. An exception
        that the call raises passes through, and the record is deleted.
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
            raise CallInProgress("Another function makes the same call.") from error
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            raise Unavailable(f"Could not write the idempotency record of the query: {error}") from error
        return answer


def idempotency_config(context: LambdaContext, seconds: int = RECORD_SECONDS) -> IdempotencyConfig:
    """Records of calls in progress expire with the invocation's time limit, stored answers in `seconds`."""
    return IdempotencyConfig(expires_after_seconds=seconds, lambda_context=context)


def one_at_a_time(
    prefix: str, table: str, run_id: str, context: LambdaContext, step: Callable[[], object]
) -> None:
    """Run a step of a run unless another invocation runs it; a completed step is not run again for an hour.

    Raises CallInProgress while another invocation runs it, or until the time limit of one that stopped.
    """

    def call() -> dict[str, Any]:
        step()
        return {}

    IdempotentCalls(prefix, table).once({"run_id": run_id}, call, idempotency_config(context))


def require_time(context: LambdaContext) -> None:
    """Raise OutOfTime when too little time remains in the invocation to start a call."""
    if context.get_remaining_time_in_millis() < LAST_START:
        raise OutOfTime("The function had no time left for this query.")
