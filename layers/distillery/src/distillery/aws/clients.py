"""The boto3 clients, their configuration, and the mapping of AWS errors to the package's errors."""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from distillery import __version__
from distillery.errors import Permanent, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Config(
    connect_timeout=2,
    read_timeout=20,
    max_pool_connections=64,
    retries={"mode": "standard", "total_max_attempts": 3},
    user_agent_extra=f"distillery/{__version__}",
)
TRANSIENT_CODES = frozenset(
    {
        "ConflictException",
        "InternalError",
        "InternalFailure",
        "InternalServerException",
        "InternalServerError",
        "ModelErrorException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceQuotaExceededException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
        "TransactionConflictException",
    }
)
SERVER_ERROR = 500
CONFLICT_TRIES = 12
LONGEST_CONFLICT_DELAY = 2.0


class Missing(Permanent):
    """The requested resource does not exist."""


class AccessDenied(Permanent):
    """The role is not allowed to do this."""


@cache
def client(service: str) -> Any:
    """Return the client of a service, with the package's time-outs and retries; one client per process."""
    made = boto3.client(service, config=CONFIG)  # type: ignore[call-overload]  # one factory for all services
    if service == "dynamodb":
        made.meta.events.register("needs-retry.dynamodb", _delay_after_conflict)
    return made


def _delay_after_conflict(
    response: tuple[Any, dict[str, Any]] | None, attempts: int, **_: Any
) -> float | None:
    """Return the seconds until the SDK sends a write again that met an open transaction, else None.

    DynamoDB refuses such a write at once, and the retry modes of the SDK do not include it. A transaction is
    open for milliseconds, so exponential backoff with full jitter is short.
    """
    if response is None or attempts >= CONFLICT_TRIES:
        return None
    parsed = response[1]
    codes = {parsed.get("Error", {}).get("Code")} | {
        reason.get("Code") for reason in parsed.get("CancellationReasons", [])
    }
    if codes.isdisjoint({"TransactionConflictException", "TransactionConflict"}):
        return None
    return random.uniform(0, min(LONGEST_CONFLICT_DELAY, 0.02 * 2**attempts))  # noqa: S311 (spreads retries)


def error_code(error: ClientError) -> str:
    """The error code that AWS returned, such as `ThrottlingException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: ClientError) -> str:
    """The error message that AWS returned."""
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn exceptions of the SDK into Transient, Missing, AccessDenied or Permanent.

    The message is `Could not <action>: <message of AWS>`.
    """
    try:
        yield
    except ClientError as error:
        code, message = error_code(error), f"Could not {action}: {error_message(error)}"
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in TRANSIENT_CODES or status >= SERVER_ERROR:
            raise Transient(message) from error
        if code in {"ResourceNotFoundException", "NoSuchKey", "NoSuchEntity", "404", "ParameterNotFound"}:
            raise Missing(message) from error
        if code in {"AccessDeniedException", "AccessDenied", "403"}:
            raise AccessDenied(message) from error
        raise Permanent(f"{message} ({code})") from error
    except (NoCredentialsError, ParamValidationError) as error:
        raise Permanent(f"Could not {action}: {error}") from error
    except BotoCoreError as error:
        raise Transient(f"Could not {action}: {error}") from error
