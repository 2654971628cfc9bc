"""How AWS is called: one configuration for all clients, and one reading of what its failures mean."""

from __future__ import annotations

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


class Missing(Permanent):
    """What was asked for does not exist."""


class AccessDenied(Permanent):
    """The role may not do this."""


@cache
def client(service: str) -> Any:
    """The process's client of a service, with the project's time-outs and retries."""
    return boto3.client(service, config=CONFIG)  # type: ignore[call-overload]  # one factory for all services


def error_code(error: ClientError) -> str:
    """The code AWS gave, e.g. `ThrottlingException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: ClientError) -> str:
    """The sentence AWS gave."""
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn the SDK's exceptions into the project's: `Could not <action>: <what AWS said>`."""
    try:
        yield
    except ClientError as error:
        code, sentence = error_code(error), f"Could not {action}: {error_message(error)}"
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in TRANSIENT_CODES or status >= SERVER_ERROR:
            raise Transient(sentence) from error
        if code in {"ResourceNotFoundException", "NoSuchKey", "NoSuchEntity", "404", "ParameterNotFound"}:
            raise Missing(sentence) from error
        if code in {"AccessDeniedException", "AccessDenied", "403"}:
            raise AccessDenied(sentence) from error
        raise Permanent(f"{sentence} ({code})") from error
    except (NoCredentialsError, ParamValidationError) as error:
        raise Permanent(f"Could not {action}: {error}") from error
    except BotoCoreError as error:
        raise Transient(f"Could not {action}: {error}") from error
