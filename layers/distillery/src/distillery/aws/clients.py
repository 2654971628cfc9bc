"""The boto3 clients, their configuration, and the mapping of AWS errors to the package's errors."""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker

from distillery import __version__
from distillery.errors import DistilleryError, Permanent, Throttled, Transient, Unavailable, Unusable

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
        "ConditionalRequestConflict",
        "ConflictException",
        "InternalError",
        "InternalFailure",
        "InternalServerException",
        "InternalServerError",
        "ModelErrorException",
        "ModelTimeoutException",
        "OperationAborted",
        "TooManyUpdates",
        "TransactionConflictException",
    }
)
"""Error codes of failures that pass, besides those that the SDK retries.

ConditionalRequestConflict and OperationAborted are S3's, with status 409, for two writes at the same time.
"""
UNAVAILABLE_CODES = frozenset({"ModelNotReadyException", "ServiceUnavailable", "ServiceUnavailableException"})
QUOTA_CODES = frozenset({"ServiceQuotaExceededException"})
"""Error codes of quotas, besides those that the SDK counts as throttling."""
TOO_MANY_REQUESTS, SERVER_ERROR, SERVICE_UNAVAILABLE = 429, 500, 503
MISSING_CODES = frozenset(
    {"ResourceNotFoundException", "NoSuchKey", "NoSuchEntity", "404", "ParameterNotFound"}
)
DENIED_CODES = frozenset({"AccessDeniedException", "AccessDenied", "403"})
ACCOUNT_DENIED = ("Operation not allowed", "Your account is not authorized")
MODEL_MISSING = ("The provided model identifier is invalid", "Invocation of model ID")
"""How messages of Bedrock begin that deny access to the whole account, or say that a model does not exist or
takes no on-demand calls. Their code is ValidationException, as for a request that is not valid."""
_sdk_throttling = ThrottledRetryableChecker()
_sdk_transient = TransientRetryableChecker()
CONFLICT_TRIES = 12
LONGEST_CONFLICT_DELAY = 2.0


class Missing(Unusable):
    """The requested resource does not exist."""


class AccessDenied(Unusable):
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
    """Turn exceptions of the SDK into Transient, Permanent or one of their subclasses.

    The message is `Could not <action>: <message of AWS>`.
    """
    try:
        yield
    except ClientError as error:
        code, message = error_code(error), f"Could not {action}: {error_message(error)}"
        kind = _kind(error)
        raise kind(f"{message} ({code})" if kind is Permanent else message) from error
    except (NoCredentialsError, ParamValidationError) as error:
        raise Permanent(f"Could not {action}: {error}") from error
    except BotoCoreError as error:
        raise Transient(f"Could not {action}: {error}") from error


def _kind(error: ClientError) -> type[DistilleryError]:
    """The exception type for an error that AWS returned."""
    code, status = error_code(error), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    context = RetryContext(attempt_number=1, parsed_response=error.response)
    if status == TOO_MANY_REQUESTS or code in QUOTA_CODES or _sdk_throttling.is_retryable(context):
        return Throttled
    if status == SERVICE_UNAVAILABLE or code in UNAVAILABLE_CODES:
        return Unavailable
    if status >= SERVER_ERROR or code in TRANSIENT_CODES or _sdk_transient.is_retryable(context):
        return Transient
    if code in MISSING_CODES or error_message(error).startswith(MODEL_MISSING):
        return Missing
    if code in DENIED_CODES or error_message(error).startswith(ACCOUNT_DENIED):
        return AccessDenied
    return Permanent
