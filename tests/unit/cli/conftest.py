"""The stack that the commands work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from cli.stack import Stack, Target, find_stack
from tests.unit.cli.stacks import REGION, Bedrock, CloudFormation
from tests.unit.conftest import create_table

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stack(resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A deployed stack in moto, selected with --region."""
    monkeypatch.setenv("COLUMNS", "200")
    client = Stack.client
    with mock_aws():
        s3 = boto3.client("s3", REGION)
        s3.create_bucket(Bucket="data")
        s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
        outputs = {
            "DataBucketName": "data",
            "QueryQueueUrl": boto3.client("sqs", REGION).create_queue(QueueName="queries")["QueueUrl"],
            "RunsTableName": create_table(resources, "RunsTable"),
            "ClaimsTableName": create_table(resources, "ClaimsTable"),
            "ResultsTableName": create_table(resources, "ResultsTable"),
            "EventBusName": "bus",
        }
        boto3.client("events", REGION).create_event_bus(Name="bus")
        fakes = {"cloudformation": CloudFormation(outputs), "bedrock": Bedrock()}
        monkeypatch.setattr(
            Stack, "client", lambda self, service: fakes.get(service) or client(self, service)
        )
        yield find_stack(Target(region=REGION))
