"""Visibility timeouts, also of messages that another delivery has deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

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


def test_dead_letter_that_leaves_no_room_for_its_reason_is_sent_without_it() -> None:
    client = boto3.client("sqs", region_name="us-east-1")
    request = {"QueueUrl": "https://sqs/dead", "MessageBody": "x" * 100}
    reason = {"reason": {"DataType": "String", "StringValue": "not JSON"}}
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "send_message",
            service_error_code="InvalidParameterValue",
            expected_params={**request, "MessageAttributes": reason},
        )
        stubber.add_response("send_message", {}, request)
        Queue("https://sqs/dead", client).dead_letter("x" * 100, "not JSON")
        stubber.assert_no_pending_responses()


def test_dead_letter_that_cannot_be_sent_for_another_reason_is_an_error() -> None:
    client = boto3.client("sqs", region_name="us-east-1")
    with Stubber(client) as stubber:
        stubber.add_client_error("send_message", service_error_code="AccessDenied")
        with pytest.raises(Permanent):
            Queue("https://sqs/dead", client).dead_letter("x", "not JSON")


def test_reason_of_a_dead_letter_is_text_that_sqs_accepts(cloud: CloudResources) -> None:
    Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"]).dead_letter("x", "a\x00 \ud83d key\n")
    (message,) = cloud.messages("DEAD_LETTER_QUEUE_URL")
    assert message["MessageAttributes"]["reason"]["StringValue"] == "a  key"
