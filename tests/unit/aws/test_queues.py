"""Visibility timeouts, also of messages that another delivery has deleted."""

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


def test_hidden_message_becomes_visible_after_the_delay(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    Queue(url).hide(received(url), 0)
    assert len(cloud.messages("QUERY_QUEUE_URL")) == 1


def test_hiding_a_message_that_another_delivery_has_deleted_does_nothing(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    receipt = received(url)
    boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=receipt)
    Queue(url).hide(receipt, 30)
    assert cloud.messages("QUERY_QUEUE_URL") == []


def test_hiding_a_message_that_is_visible_again_does_nothing(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    receipt = received(url)
    Queue(url).hide(receipt, 0)
    Queue(url).hide(receipt, 30)


def test_queue_that_does_not_exist_is_an_error(cloud: CloudResources) -> None:
    url = cloud.environment["QUERY_QUEUE_URL"]
    receipt = received(url)
    with pytest.raises(Permanent):
        Queue(f"{url}-gone").hide(receipt, 30)
