"""Visibility as back-off: also for a message that another delivery has dealt with meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

from distillery.aws.queues import Queue
from distillery.errors import Permanent

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


def received(url: str) -> str:
    client = boto3.client("sqs")
    client.send_message(QueueUrl=url, MessageBody="a query")
    return client.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"][0]["ReceiptHandle"]


def test_message_comes_back_when_it_is_told_to(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    Queue(url).hide(received(url), 0)
    assert len(cloud.messages("QUERY_QUEUE_URL")) == 1


def test_message_that_another_delivery_has_deleted_needs_no_hiding(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    receipt = received(url)
    boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=receipt)
    Queue(url).hide(receipt, 30)
    assert cloud.messages("QUERY_QUEUE_URL") == []


def test_message_that_is_back_already_needs_no_hiding(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    receipt = received(url)
    Queue(url).hide(receipt, 0)
    Queue(url).hide(receipt, 30)


def test_queue_that_is_not_there_is_told(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    receipt = received(url)
    with pytest.raises(Permanent):
        Queue(f"{url}-gone").hide(receipt, 30)
