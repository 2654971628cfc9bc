"""The run table: an error of a conditional write is not taken for a condition that was not met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import pytest
from botocore.exceptions import ClientError

from distillery.aws.clients import Missing
from distillery.aws.content_owners import ContentOwners
from distillery.aws.run_store import RunStore
from distillery.errors import Transient
from distillery.runs.states import Source, State

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources

SOURCE = Source(bucket="data", key="datasets/set/a.jsonl", version_id="1")


def throttled(**_: Any) -> NoReturn:
    raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Slow down."}}, "Write")


def test_throttled_writes_are_transient(cloud: CloudResources, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("dynamodb")
    store, owners = RunStore("RunsTable", client), ContentOwners("ClaimsTable", client)
    store.receive("run-1", SOURCE)
    monkeypatch.setattr(client, "put_item", throttled)
    monkeypatch.setattr(client, "update_item", throttled)
    with pytest.raises(Transient):
        store.receive("run-2", SOURCE)
    with pytest.raises(Transient):
        store.move("run-1", State.VALIDATED, step="test")
    with pytest.raises(Transient):
        owners.acquire("fingerprint/f", "run-1")


def test_run_that_does_not_exist_is_missing(cloud: CloudResources) -> None:
    assert RunStore("RunsTable").find("run-1") is None
    with pytest.raises(Missing, match="has no run run-1"):
        RunStore("RunsTable").get("run-1")
