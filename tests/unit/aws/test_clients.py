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
    TRANSIENT_CODES,
    AccessDenied,
    Missing,
    client,
    explained,
)
from distillery.errors import Permanent, Transient

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


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
