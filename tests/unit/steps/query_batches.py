"""What the tests of the batch router share: sending, answering and settling a batch of query messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from distillery.aws.tables import from_item
from distillery.errors import Transient
from distillery.settings import RouteSettings
from distillery.steps.route_queries import Router
from tests.unit.fakes import FakeContext

if TYPE_CHECKING:
    from distillery.aws.bedrock.converse import Converse
    from tests.unit.fakes import CloudResources


def router(cloud: CloudResources, converse: Converse, metrics: Metrics | None = None) -> Router:
    return Router(RouteSettings.load(cloud.environment), metrics or Metrics(), converse=converse)


def records(cloud: CloudResources, *bodies: Any) -> list[dict[str, Any]]:
    """Send messages and receive them as Lambda would."""
    client, url = boto3.client("sqs"), cloud.environment["QUERY_QUEUE_URL"]
    for body in bodies:
        client.send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))
    found: list[dict[str, Any]] = []
    while len(found) < len(bodies):
        response = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], VisibilityTimeout=600
        )
        found += [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message["Attributes"]),
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in response["Messages"]
        ]
    return found


def answer(
    batch_router: Router, batch: list[dict[str, Any]], context: FakeContext | None = None
) -> list[str]:
    """Answer and settle a batch. Returns the bodies of the messages that must be retried."""
    event = SQSEvent({"Records": batch})
    answered = batch_router.answer(event.records, context or FakeContext())  # type: ignore[arg-type]
    retried = []
    for record in event.records:
        try:
            batch_router.settle(record, answered)
        except Transient:
            retried.append(record.body)
    return retried


def results() -> dict[str, dict[str, Any]]:
    """The results table, by query id."""
    items = boto3.client("dynamodb").scan(TableName="ResultsTable")["Items"]
    return {item["query_id"]["S"]: from_item(item) for item in items}


def make_active(model_id: str, run_id: str = "run-1") -> None:
    """Make a distilled model the active model."""
    content = json.dumps({"run_id": run_id, "model_id": model_id, "prompt": "student", "promoted_at": None})
    boto3.client("ssm").put_parameter(
        Name="/stack/active-model", Value=content, Type="String", Overwrite=True
    )
