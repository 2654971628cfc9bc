"""The queues (SQS): waits under watch, letters to the dead-letter queue, visibility as back-off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from distillery.aws import clients

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

    from distillery.runs.events import GenerationWatch, WatchMessage

LONGEST_VISIBILITY = 43_200
LONGEST_REASON = 1_000
NOT_IN_FLIGHT = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""What SQS answers for the receipt of a message that was deleted or is visible again; the last is said
of a deleted one, and no other value that is sent can be wrong."""
SENT_AT_ONCE = 16


class Queue:
    """One queue, by its URL."""

    def __init__(self, url: str, client: SQSClient | None = None) -> None:
        self._url = url
        self._client: SQSClient = client or clients.client("sqs")

    def watch(self, message: WatchMessage | GenerationWatch) -> None:
        """Put a wait under watch."""
        with clients.explained("put the wait under watch"):
            self._client.send_message(QueueUrl=self._url, MessageBody=message.model_dump_json())

    def send(self, bodies: Sequence[str]) -> None:
        """Send messages, several at once."""

        def one(body: str) -> None:
            with clients.explained("send a message"):
                self._client.send_message(QueueUrl=self._url, MessageBody=body)

        # Not SendMessageBatch: the local cloud asks for an action of that name, which IAM does not know.
        with ThreadPoolExecutor(SENT_AT_ONCE) as pool:
            list(pool.map(one, bodies))

    def dead_letter(self, body: str, reason: str, attributes: Mapping[str, str] | None = None) -> None:
        """Keep a message as it came, with the reason why it cannot be dealt with (dead-letter queues)."""
        texts = {**(attributes or {}), "reason": reason[:LONGEST_REASON]}
        values: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": text} for name, text in texts.items()
        }
        with clients.explained("send to the dead-letter queue"):
            self._client.send_message(QueueUrl=self._url, MessageBody=body, MessageAttributes=values)

    def hide(self, receipt_handle: str, seconds: float) -> None:
        """Let a received message come back after this many seconds instead of the queue's own timeout.

        One that is gone was dealt with by another delivery, and one that is back needs no hiding.
        """
        with clients.explained("put the message back"):
            try:
                self._client.change_message_visibility(
                    QueueUrl=self._url,
                    ReceiptHandle=receipt_handle,
                    VisibilityTimeout=min(round(seconds), LONGEST_VISIBILITY),
                )
            except ClientError as error:
                if clients.error_code(error).rpartition(".")[2] not in NOT_IN_FLIGHT:
                    raise
