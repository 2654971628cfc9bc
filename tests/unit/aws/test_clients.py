"""How errors of AWS become errors of the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError
from moto.core.botocore_stubber import MockRawResponse

from distillery.aws.clients import (
    CONFIG,
    CONFLICT_TRIES,
    AccessDenied,
    Missing,
    client,
    explained,
)
from distillery.errors import Permanent, Throttled, Transient, Unavailable

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


def client_error(code: str, status: int = 400, message: str = "No.") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


@pytest.mark.parametrize(
    "code",
    [
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceQuotaExceededException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    ],
)
def test_throttling_and_quotas_are_known_by_their_code(code: str) -> None:
    with pytest.raises(Throttled, match=r"^Could not do it: No\.$"), explained("do it"):
        raise client_error(code)


def test_any_answer_with_status_429_is_throttling() -> None:
    with pytest.raises(Throttled), explained("do it"):
        raise client_error("SomethingNew", 429)


@pytest.mark.parametrize(
    ("code", "status"),
    [("ModelNotReadyException", 400), ("ServiceUnavailableException", 400), ("SomethingNew", 503)],
)
def test_unavailable_service_is_not_the_fault_of_the_request(code: str, status: int) -> None:
    with pytest.raises(Unavailable) as caught, explained("do it"):
        raise client_error(code, status)
    assert caught.type is Unavailable


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ConditionalRequestConflict", 409),
        ("ConflictException", 409),
        ("InternalServerException", 400),
        ("ModelErrorException", 424),
        ("ModelTimeoutException", 408),
        ("OperationAborted", 409),
        ("RequestTimeout", 400),
        ("RequestTimeoutException", 400),
        ("TransactionConflictException", 400),
    ],
)
def test_error_that_passes_later_is_transient_and_may_be_the_fault_of_the_request(
    code: str, status: int
) -> None:
    with pytest.raises(Transient, match=r"^Could not do it: No\.$") as caught, explained("do it"):
        raise client_error(code, status)
    assert caught.type is Transient


@pytest.mark.parametrize("status", [500, 502, 599])
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


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Operation not allowed", AccessDenied),
        ("Your account is not authorized to invoke this API operation.", AccessDenied),
        ("The provided model identifier is invalid.", Missing),
        ("Invocation of model ID a.b with on-demand throughput isn't supported. Retry ...", Missing),
        ("The text field in the ContentBlock object is blank.", Permanent),
    ],
)
def test_validation_exception_that_concerns_every_request_is_told_from_one_that_concerns_this(
    message: str, kind: type[Permanent]
) -> None:
    with pytest.raises(Permanent) as caught, explained("do it"):
        raise client_error("ValidationException", message=message)
    assert caught.type is kind


def test_missing_credentials_are_permanent() -> None:
    with pytest.raises(Permanent), explained("do it"):
        raise NoCredentialsError


def test_the_sdk_retries_twice() -> None:
    assert vars(CONFIG)["retries"] == {"mode": "standard", "total_max_attempts": 3}


class Conflicts:
    """Answers of DynamoDB to a transaction, in place of moto's: conflicts, then success."""

    def __init__(self, conflicts: int, *, code: str = "TransactionConflict") -> None:
        self.requests, self._conflicts, self._code = 0, conflicts, code

    def answer(self, **_: Any) -> AWSResponse:
        self.requests += 1
        body: dict[str, Any] = {}
        if self.requests <= self._conflicts:
            body = {
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled",
                "CancellationReasons": [{"Code": "None"}, {"Code": self._code}],
            }
        return AWSResponse(
            "https://dynamodb.us-east-1.amazonaws.com",
            400 if body else 200,
            HTTPHeaders(),
            MockRawResponse(json.dumps(body).encode()),
        )


def transact(conflicts: Conflicts, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Write a transaction; return the delays between the requests."""
    delays: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", delays.append)
    dynamodb = client("dynamodb")
    dynamodb.meta.events.register_first("before-send.dynamodb.TransactWriteItems", conflicts.answer)
    put = {"TableName": "LabelsTable", "Item": {"generation_id": {"S": "g"}, "number": {"N": "1"}}}
    dynamodb.transact_write_items(TransactItems=[{"Put": put}])
    return delays


def test_write_that_met_another_transaction_is_sent_again_soon(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflicts = Conflicts(4)
    delays = transact(conflicts, monkeypatch)
    assert conflicts.requests == 5
    assert len(delays) == 4
    assert max(delays) < 1


@pytest.mark.parametrize(
    ("code", "requests"), [("TransactionConflict", CONFLICT_TRIES), ("ConditionalCheckFailed", 1)]
)
def test_transaction_is_not_sent_again_without_end_or_for_another_reason(
    cloud: CloudResources, monkeypatch: pytest.MonkeyPatch, code: str, requests: int
) -> None:
    conflicts = Conflicts(100, code=code)
    with pytest.raises(ClientError, match="Transaction"):
        transact(conflicts, monkeypatch)
    assert conflicts.requests == requests
