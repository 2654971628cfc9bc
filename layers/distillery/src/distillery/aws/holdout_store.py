"""The queries that the versions of a dataset hold out (DynamoDB, claims table)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.tables import condition_failed
from distillery.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_dynamodb import DynamoDBClient


class HeldOut(NamedTuple):
    """The keys (`split.query_key`) of the queries held out so far, and the number of items they stand in."""

    keys: frozenset[bytes]
    items: int


class Holdouts:
    """For each dataset the set of queries that any of its versions held out.

    Item 0 has no number in its name; version 0.1.0 kept the whole set in it. Each version that holds out
    further queries writes one item, under the next number. It has at most 1,000 keys of 16 bytes, so no item
    comes near DynamoDB's limit of 400 KB. An item is never removed: `forget` empties it, and the numbers go
    on, so that two versions never write under the same number.
    """

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def read(self, dataset: str) -> HeldOut:
        """Return what was held out so far (consistent reads)."""
        found = set[bytes]()
        number = 0
        # Item 0 is missing where no version of the dataset was split by version 0.1.0.
        while (item := self._item(dataset, number)) is not None or number == 0:
            found.update((item or {}).get("queries", {}).get("BS", ()))
            number += 1
        return HeldOut(frozenset(found), number)

    def add(self, dataset: str, keys: Collection[bytes], *, known: HeldOut) -> None:
        """Add keys to what was read as `known`.

        Raises Transient when another version has added keys since the read: its holdout must stay out of this
        version's training data, so this version is split again. That is checked also if there is nothing to
        add.
        """
        new = sorted(set(keys) - known.keys)
        if not new:
            if self._item(dataset, known.items) is not None:
                raise _changed(dataset)
            return
        with clients.explained("store the queries held out"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={**_key(dataset, known.items), "queries": {"BS": new}},
                    ConditionExpression="attribute_not_exists(claim)",
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise _changed(dataset) from error

    def forget(self, dataset: str) -> int:
        """Empty every item. Returns the number of queries that were held out."""
        held = self.read(dataset)
        for number in range(held.items):
            with clients.explained("forget the queries held out"):
                self._client.put_item(TableName=self._table, Item=_key(dataset, number))
        return len(held.keys)

    def _item(self, dataset: str, number: int) -> dict[str, Any] | None:
        with clients.explained("read the queries held out"):
            response = self._client.get_item(
                TableName=self._table, Key=_key(dataset, number), ConsistentRead=True
            )
        return dict(response["Item"]) if "Item" in response else None


def _key(dataset: str, number: int) -> dict[str, Any]:
    # A dataset's name is one part of an object's key, so it has no slash.
    return {"claim": {"S": f"holdout/{dataset}/{number}" if number else f"holdout/{dataset}"}}


def _changed(dataset: str) -> Transient:
    return Transient(f"Another version of {dataset} was split at the same time.")
