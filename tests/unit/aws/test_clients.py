"""How errors of AWS become errors of the package."""

from __future__ import annotations

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

from distillery.aws.clients import CONFIG, TRANSIENT_CODES, AccessDenied, Missing, explained
from distillery.errors import Permanent, Transient


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "No."}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


@pytest.mark.parametrize("code", sorted(TRANSIENT_CODES))
def test_error_that_passes_later_is_transient(code: str) -> None:
    with pytest.raises(Transient, match=r"^Could not do it: No\.$"), explained("do it"):
        raise client_error(code)


@pytest.mark.parametrize(
    "code",
    [
        "ModelErrorException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "ProvisionedThroughputExceededException",
        "ServiceQuotaExceededException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "TooManyRequestsException",
    ],
)
def test_throttling_quotas_and_time_outs_are_among_the_transient_errors(code: str) -> None:
    assert code in TRANSIENT_CODES


@pytest.mark.parametrize("status", [500, 503, 599])
def test_unknown_server_error_is_transient(status: int) -> None:
    with pytest.raises(Transient), explained("do it"):
        raise client_error("SomethingNew", status)


@pytest.mark.parametrize(
    "error", [BotoCoreError(), EndpointConnectionError(endpoint_url="https://example.com")]
)
def test_broken_connection_is_transient(error: BotoCoreError) -> None:
    with pytest.raises(Transient), explained("do it"):
        raise error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", Missing),
        ("NoSuchKey", Missing),
        ("ParameterNotFound", Missing),
        ("AccessDeniedException", AccessDenied),
        ("ValidationException", Permanent),
    ],
)
def test_error_that_does_not_pass_is_permanent(code: str, kind: type[Permanent]) -> None:
    with pytest.raises(kind), explained("do it"):
        raise client_error(code)


def test_missing_credentials_are_permanent() -> None:
    with pytest.raises(Permanent), explained("do it"):
        raise NoCredentialsError


def test_the_sdk_retries_twice() -> None:
    assert vars(CONFIG)["retries"] == {"mode": "standard", "total_max_attempts": 3}
