"""DynamoDB tables with one entry per run or generation, changed by conditional writes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from distillery.aws import clients

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert JSON-like values to DynamoDB attribute values. Floats become decimals."""
    exact = json.loads(json.dumps(values, default=str), parse_float=Decimal)
    return {name: _SERIALIZER.serialize(value) for name, value in exact.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert DynamoDB attribute values to plain values. Decimals become int or float."""
    return {name: _plain(_DESERIALIZER.deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def condition_failed(error: ClientError) -> bool:
    """Whether the error says that the condition of a conditional write was not met."""
    return clients.error_code(error) == "ConditionalCheckFailedException"


class Entries:
    """A table with one entry per run or generation.

    Methods return the content of the entry, or None when there is no entry or the condition was not met.
    """

    def __init__(self, table: str, key: str, client: DynamoDBClient | None = None) -> None:
        self._table, self._key = table, key
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def open(self, item: Mapping[str, Any]) -> None:
        """Write an entry unless its key exists."""
        with clients.explained(f"write to the table {self._table}"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(item),
                    ConditionExpression=f"attribute_not_exists({self._key})",
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the entry (a consistent read)."""
        with clients.explained(f"read the table {self._table}"):
            response = self._client.get_item(
                TableName=self._table, Key={self._key: {"S": name}}, ConsistentRead=True
            )
        return from_item(response["Item"]) if "Item" in response else None

    def move(
        self,
        name: str,
        expected: Iterable[str],
        entry: Mapping[str, Any],
        *,
        once: str = "",
        unchanged: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> dict[str, Any] | None:
        """Set values and append to the history, if the entry is in one of the expected states.

        With `once` the entry must not have an attribute of that name yet. The attributes in `unchanged` must
        still have these values.
        """
        condition, extra = _expecting(expected, once)
        same = unchanged or {}
        condition = " AND ".join([condition, *(f"#{field} = :same_{field}" for field in same)])
        extra |= {f":same_{field}": value for field, value in same.items()} | {":entry": [entry]}
        return self._update(name, values, condition=condition, extra=extra, history=True, others=same)

    def append(self, name: str, field: str, value: str, **values: Any) -> dict[str, Any] | None:
        """Append to a list of an existing entry and set values, unless the list contains the value."""
        assignments = [
            f"#{field} = list_append(#{field}, :appended)",
            *(f"#{one} = :{one}" for one in values),
        ]
        bound = to_item(_bound(values) | {":appended": [value], ":value": value})
        condition = f"attribute_exists({self._key}) AND NOT contains(#{field}, :value)"
        return self._write(name, f"SET {', '.join(assignments)}", condition, [field, *values], bound)

    def note(
        self, name: str, *, expected: Iterable[str] = (), once: str = "", **values: Any
    ) -> dict[str, Any] | None:
        """Set values of an existing entry. With `expected` it must be in one of those states."""
        condition, states = _expecting(expected, once)
        return self._update(
            name,
            values,
            condition=condition or f"attribute_exists({self._key})",
            extra=states,
            history=False,
        )

    def add(self, name: str, **amounts: float) -> dict[str, Any] | None:
        """Add to numbers of an existing entry. A number that is missing counts as 0."""
        sums = ", ".join(f"#{field} :{field}" for field in amounts)
        return self._write(
            name, f"ADD {sums}", f"attribute_exists({self._key})", list(amounts), to_item(_bound(amounts))
        )

    def _update(
        self,
        name: str,
        values: Mapping[str, Any],
        *,
        condition: str,
        extra: Mapping[str, Any],
        history: bool,
        others: Iterable[str] = (),
    ) -> dict[str, Any] | None:
        names = [*values, *others]
        assignments = [f"#{field} = :{field}" for field in values]
        if history:
            names.append("history")
            assignments.append("#history = list_append(#history, :entry)")
        if "#state" in condition and "state" not in names:
            names.append("state")
        bound = to_item(_bound(values)) | to_item(extra)
        return self._write(name, f"SET {', '.join(assignments)}", condition, names, bound)

    def _write(
        self, name: str, expression: str, condition: str, names: Iterable[str], bound: dict[str, Any]
    ) -> dict[str, Any] | None:
        with clients.explained(f"write to the table {self._table}"):
            try:
                response = self._client.update_item(
                    TableName=self._table,
                    Key={self._key: {"S": name}},
                    UpdateExpression=expression,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={f"#{field}": field for field in names},
                    ExpressionAttributeValues=bound,
                    ReturnValues="ALL_NEW",
                )
            except ClientError as error:
                if condition_failed(error):
                    return None
                raise
        return from_item(response["Attributes"])


def _expecting(states: Iterable[str], once: str) -> tuple[str, dict[str, Any]]:
    """Return the condition "in one of the states, without the attribute `once`", and its values."""
    values: dict[str, Any] = {f":from{at}": state for at, state in enumerate(sorted(states))}
    parts = [f"#state IN ({', '.join(values)})"] if values else []
    if once:
        parts.append(f"attribute_not_exists(#{once})")
    return " AND ".join(parts), values


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f":{field}": value for field, value in values.items()}
