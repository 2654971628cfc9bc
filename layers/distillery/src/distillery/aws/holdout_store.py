"""The queries that the versions of a dataset hold out (DynamoDB, claims table)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.tables import condition_failed
from distillery.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_dynamodb import DynamoDBClient


class Holdouts:
    """For each dataset the set of queries that any of its versions held out, as keys of `split.query_key`.

    A set only grows. A key has 16 bytes, so an item of 400 KB holds about 20,000 keys: forty versions with
    the largest holdout and no query in common.
    """

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def read(self, dataset: str) -> frozenset[bytes]:
        """Return the keys of the queries held out so far (a consistent read)."""
        with clients.explained("read the queries held out"):
            response = self._client.get_item(
                TableName=self._table, Key=self._key(dataset), ConsistentRead=True
            )
        return frozenset(response.get("Item", {}).get("queries", {}).get("BS", ()))

    def add(self, dataset: str, keys: Collection[bytes], *, known: Collection[bytes]) -> None:
        """Add keys to the set that was read as `known`.

        Raises Transient when another version has added keys since the read: its holdout must stay out of this
        version's training data, so this version is split again. The set only grows, so its size shows a
        change.
        """
        if not set(keys) - set(known):
            return
        condition = "size(queries) = :known" if known else "attribute_not_exists(queries)"
        values: dict[str, Any] = {":keys": {"BS": sorted(keys)}}
        if known:
            values[":known"] = {"N": str(len(known))}
        with clients.explained("store the queries held out"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key(dataset),
                    UpdateExpression="ADD queries :keys",
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise Transient(f"Another version of {dataset} was split at the same time.") from error

    def _key(self, dataset: str) -> dict[str, Any]:
        return {"claim": {"S": f"holdout/{dataset}"}}
