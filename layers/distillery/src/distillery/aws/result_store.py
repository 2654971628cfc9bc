"""The results table (DynamoDB). A conditional write stores each result, so each query id has exactly one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.tables import to_item
from distillery.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

_DESERIALIZER = TypeDeserializer()
KEYS_PER_CALL = 100
"""DynamoDB's limit for BatchGetItem."""


class Results:
    """The results table."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def known(self, query_ids: Collection[str]) -> dict[str, str]:
        """Return those of the ids that already have a result, with the query that it answers."""
        found: dict[str, str] = {}
        waiting = sorted(set(query_ids))
        while waiting:
            ids_of_call, waiting = waiting[:KEYS_PER_CALL], waiting[KEYS_PER_CALL:]
            with clients.explained("read the results"):
                response = self._client.batch_get_item(
                    RequestItems={
                        self._table: {
                            "Keys": [{"query_id": {"S": query_id}} for query_id in ids_of_call],
                            "ProjectionExpression": "query_id, #query",
                            "ExpressionAttributeNames": {"#query": "query"},
                            "ConsistentRead": True,
                        }
                    }
                )
            items = response["Responses"].get(self._table, [])
            found.update((item["query_id"]["S"], item["query"]["S"]) for item in items)
            unprocessed = response.get("UnprocessedKeys") or {}
            left = unprocessed[self._table]["Keys"] if self._table in unprocessed else []
            if left and not items:
                raise Transient("The results table returned none of the requested keys.")
            waiting += [_DESERIALIZER.deserialize(key["query_id"]) for key in left]
        return found

    def store(self, result: Mapping[str, Any]) -> bool:
        """Store a result. Returns False, and changes nothing, when the query id already has one."""
        with clients.explained("store the result"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(result),
                    ConditionExpression="attribute_not_exists(query_id)",
                )
            except ClientError as error:
                if clients.error_code(error) != "ConditionalCheckFailedException":
                    raise
                return False
        return True
