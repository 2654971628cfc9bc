"""The SQS queues: sends messages, moves messages to the dead-letter queue, delays their next delivery."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.safe_text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

    from distillery.runs.events import GenerationWatch, WatchMessage

LONGEST_VISIBILITY = 43_200
LONGEST_REASON = 1_000
NOT_IN_FLIGHT = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""Error codes of SQS for the receipt of a message that was deleted or is visible again.

SQS returns InvalidParameterValue for a deleted message. No other parameter of the request can be invalid.
"""
TOO_LARGE = frozenset({"InvalidParameterValue", "InvalidMessageContents"})
"""Error codes of SQS for a message that is too large with its attributes."""
SENT_AT_ONCE = 16

logger = Logger(child=True)


class Queue:
    """One queue, by its URL."""

    def __init__(self, url: str, client: SQSClient | None = None) -> None:
        self._url = url
        self._client: SQSClient = client or clients.client("sqs")

    def watch(self, message: WatchMessage | GenerationWatch) -> None:
        """Send a wait to the watch queue, where the poller handles it until the wait is over."""
        with clients.explained("send to the watch queue"):
            self._client.send_message(QueueUrl=self._url, MessageBody=message.model_dump_json())

    def send(self, bodies: Sequence[str]) -> None:
        """Send messages concurrently."""

        def one(body: str) -> None:
            with clients.explained("send a message"):
                self._client.send_message(QueueUrl=self._url, MessageBody=body)

        # SendMessageBatch would need an IAM action of that name in the local cloud; IAM has no such action.
        with ThreadPoolExecutor(SENT_AT_ONCE) as pool:
            list(pool.map(one, bodies))

    def dead_letter(self, body: str, reason: str, attributes: Mapping[str, str] | None = None) -> None:
        """Send a message, unchanged, to this dead-letter queue with the attribute `reason`.

        A message that is as large as SQS allows leaves no room for attributes: it is sent without them, and
        the reason is logged.
        """
        texts = {**(attributes or {}), "reason": safe_text(reason)[:LONGEST_REASON]}
        values: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": text} for name, text in texts.items()
        }
        with clients.explained("send to the dead-letter queue"):
            try:
                self._client.send_message(QueueUrl=self._url, MessageBody=body, MessageAttributes=values)
            except ClientError as error:
                if clients.error_code(error).rpartition(".")[2] not in TOO_LARGE:
                    raise
                logger.warning("dead letter without its reason, for which it has no room", reason=reason)
                self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def hide(self, receipt_handle: str, seconds: float) -> None:
        """Make a received message visible again after this many seconds instead of the queue's own timeout.

        Does nothing for a message that another delivery deleted, or that is visible again.
        """
        with clients.explained("change the visibility of the message"):
            try:
                self._client.change_message_visibility(
                    QueueUrl=self._url,
                    ReceiptHandle=receipt_handle,
                    VisibilityTimeout=min(round(seconds), LONGEST_VISIBILITY),
                )
            except ClientError as error:
                if clients.error_code(error).rpartition(".")[2] not in NOT_IN_FLIGHT:
                    raise
