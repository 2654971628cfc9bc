"""Which run owns a training or a verdict, by fingerprint (DynamoDB, claims table)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.tables import condition_failed
from distillery.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ContentOwners:
    """The owners of trainings and verdicts, by fingerprint. Each has one owner, so it is paid for once."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def find(self, content: str) -> str | None:
        """Return the owner (a consistent read), or None."""
        with clients.explained("read the owner of the dataset's content"):
            response = self._client.get_item(
                TableName=self._table, Key={"claim": {"S": content}}, ConsistentRead=True
            )
        return str(response["Item"]["holder"]["S"]) if "Item" in response else None

    def acquire(self, content: str, run_id: str, *, instead_of: str | None = None) -> str:
        """Make the run the owner of the content unless another run is. Returns the owner.

        With `instead_of`, ownership also passes from that run, if it is still the owner.
        """
        condition = "attribute_not_exists(claim) OR holder = :me"
        values = {":me": {"S": run_id}}
        if instead_of is not None:
            condition += " OR holder = :previous"
            values[":previous"] = {"S": instead_of}
        try:
            self._client.put_item(
                TableName=self._table,
                Item={"claim": {"S": content}, "holder": {"S": run_id}},
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if not condition_failed(error):
                with clients.explained("write the owner of the dataset's content"):
                    raise
            owner = self.find(content)
            if owner is None:
                raise Transient(f"The owner of {content} changed while it was read.") from error
            return owner
        return run_id
