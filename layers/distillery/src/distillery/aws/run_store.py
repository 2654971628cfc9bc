"""The ledgers in DynamoDB: claims, conditional moves, lineage.

Every move is one conditional write from the states it expects, so of several events that ask for the
same move exactly one makes it and the others read what has become of the run.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.errors import Transient
from distillery.runs.states import MOVES, Move, Run, Source, State, dataset_name, now

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from distillery.runs.states import Approval

_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """DynamoDB's attribute values of JSON-like content; floats become decimals."""
    exact = json.loads(json.dumps(values, default=str), parse_float=Decimal)
    return {name: _SERIALIZER.serialize(value) for name, value in exact.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain content of DynamoDB's attribute values; decimals become int or float."""
    return {name: _plain(_DESERIALIZER.deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _condition_failed(error: ClientError) -> bool:
    return clients.error_code(error) == "ConditionalCheckFailedException"


class Entries:
    """A table with one entry per piece of work: opened once, moved by conditional writes, annotated.

    Every method answers with the entry's content, or None where there is none or the condition failed.
    """

    def __init__(self, table: str, key: str, client: DynamoDBClient | None = None) -> None:
        self._table, self._key = table, key
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def open(self, item: Mapping[str, Any]) -> None:
        """Write an entry unless there is one under its key."""
        with clients.explained("open the entry"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(item),
                    ConditionExpression=f"attribute_not_exists({self._key})",
                )
            except ClientError as error:
                if not _condition_failed(error):
                    raise

    def find(self, name: str) -> dict[str, Any] | None:
        """The entry as it is now (a consistent read)."""
        with clients.explained("read the ledger"):
            answer = self._client.get_item(
                TableName=self._table, Key={self._key: {"S": name}}, ConsistentRead=True
            )
        return from_item(answer["Item"]) if "Item" in answer else None

    def move(
        self, name: str, expected: Iterable[str], entry: Mapping[str, Any], *, once: str = "", **values: Any
    ) -> dict[str, Any] | None:
        """Set values and append to the history, from one of the expected states only.

        With `once` an attribute of that name must not be there yet.
        """
        condition, states = _expecting(expected, once)
        return self._update(
            name, values, condition=condition, extra=states | {":entry": [entry]}, history=True
        )

    def note(
        self, name: str, *, expected: Iterable[str] = (), once: str = "", **values: Any
    ) -> dict[str, Any] | None:
        """Set values of an entry that exists and, where states are expected, is in one of them."""
        condition, states = _expecting(expected, once)
        return self._update(
            name,
            values,
            condition=condition or f"attribute_exists({self._key})",
            extra=states,
            history=False,
        )

    def add(self, name: str, **amounts: float) -> dict[str, Any] | None:
        """Add to numbers of an entry that exists; one that is missing counts as 0."""
        sums = ", ".join(f"#{field} :{field}" for field in amounts)
        return self._write(
            name, f"ADD {sums}", f"attribute_exists({self._key})", list(amounts), to_item(_bound(amounts))
        )

    def _update(
        self, name: str, values: Mapping[str, Any], *, condition: str, extra: Mapping[str, Any], history: bool
    ) -> dict[str, Any] | None:
        names = list(values)
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
        with clients.explained("write to the ledger"):
            try:
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={self._key: {"S": name}},
                    UpdateExpression=expression,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={f"#{field}": field for field in names},
                    ExpressionAttributeValues=bound,
                    ReturnValues="ALL_NEW",
                )
            except ClientError as error:
                if _condition_failed(error):
                    return None
                raise
        return from_item(answer["Attributes"])


def _expecting(states: Iterable[str], once: str) -> tuple[str, dict[str, str]]:
    """The condition that an entry is in one of the states and lacks an attribute, and its values."""
    values = {f":from{at}": state for at, state in enumerate(sorted(states))}
    parts = [f"#state IN ({', '.join(values)})"] if values else []
    if once:
        parts.append(f"attribute_not_exists(#{once})")
    return " AND ".join(parts), values


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f":{field}": value for field, value in values.items()}


class Ledger:
    """The runs table."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._entries = Entries(table, "run_id", client)

    def receive(self, run_id: str, source: Source) -> Run:
        """Open a run in RECEIVED, or return the one that an earlier event opened."""
        opened = Move(state=State.RECEIVED, at=now(), step="validate_dataset")
        self._entries.open(
            {
                "run_id": run_id,
                "state": State.RECEIVED,
                "dataset": dataset_name(source.key),
                "source": source.model_dump(),
                "history": [opened.model_dump(mode="json")],
                "updated_at": opened.at.isoformat(),
            }
        )
        return self.get(run_id)

    def find(self, run_id: str) -> Run | None:
        """The run as it is now (a consistent read), or None."""
        return _run(self._entries.find(run_id))

    def get(self, run_id: str) -> Run:
        """The run as it is now; raises Missing when this ledger does not know it."""
        run = self.find(run_id)
        if run is None:
            raise clients.Missing(f"The ledger knows no run {run_id}.")
        return run

    def move(
        self, run_id: str, to: State, *, step: str, since: State | None = None, **lineage: Any
    ) -> Run | None:
        """Move a run to `to`, adding lineage; None when it is not in a state that leads there.

        With `since` it is moved from that state only.
        """
        expected = {since} if since else {state for state in State if to in MOVES[state]}
        return self._move(run_id, to, step, lineage, expected)

    def decide(self, run_id: str, approval: Approval, *, step: str, **lineage: Any) -> Run | None:
        """Record what a person decided on a run that waits for it; a rejection ends the run.

        One decision only: None when there is one already, or the run does not wait.
        """
        lineage = {"approval": approval.model_dump(mode="json"), **lineage}
        waiting = {State.AWAITING_APPROVAL}
        if approval.decision == "rejected":
            return self._move(run_id, State.REJECTED, step, lineage, waiting, once="approval")
        values = {"updated_at": now().isoformat(), **lineage}
        return _run(self._entries.note(run_id, expected=waiting, once="approval", **values))

    def _move(
        self,
        run_id: str,
        to: State,
        step: str,
        lineage: Mapping[str, Any],
        expected: Iterable[State],
        *,
        once: str = "",
    ) -> Run | None:
        at = now()
        entry = Move(state=to, at=at, step=step).model_dump(mode="json")
        values = {"state": to, "updated_at": at.isoformat(), **lineage}
        return _run(self._entries.move(run_id, expected, entry, once=once, **values))

    def note(self, run_id: str, **lineage: Any) -> Run | None:
        """Add lineage without a move; None when there is no such run."""
        return _run(self._entries.note(run_id, updated_at=now().isoformat(), **lineage))


def _run(content: dict[str, Any] | None) -> Run | None:
    return Run.model_validate(content) if content is not None else None


class Claims:
    """Things that may belong to one run only, such as a dataset's content."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def claim(self, name: str, run_id: str, *, instead_of: str | None = None) -> str:
        """Claim `name` for a run and return its holder: this run, or the one that was first.

        With `instead_of` the claim is taken over from that holder, if it still is the holder.
        """
        condition = "attribute_not_exists(claim) OR holder = :me"
        values = {":me": {"S": run_id}}
        if instead_of is not None:
            condition += " OR holder = :previous"
            values[":previous"] = {"S": instead_of}
        try:
            self._client.put_item(
                TableName=self._table,
                Item={"claim": {"S": name}, "holder": {"S": run_id}},
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if not _condition_failed(error):
                with clients.explained("claim the dataset's content"):
                    raise
            answer = self._client.get_item(
                TableName=self._table, Key={"claim": {"S": name}}, ConsistentRead=True
            )
            return str(answer["Item"]["holder"]["S"])
        return run_id


class Holdouts:
    """Which queries of a dataset's versions were ever held out, by the keys that `split.query_key` gives.

    One set of 16-byte keys for each dataset, in the claims table beside what else may belong to one only;
    it grows. An item's 400 KB hold some 20,000 keys: forty versions with the largest holdout and no query
    in common.
    """

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")

    def read(self, dataset: str) -> frozenset[bytes]:
        """The keys of the queries held out so far (a consistent read)."""
        with clients.explained("read what was held out before"):
            answer = self._client.get_item(TableName=self._table, Key=self._key(dataset), ConsistentRead=True)
        return frozenset(answer.get("Item", {}).get("queries", {}).get("BS", ()))

    def add(self, dataset: str, keys: Collection[bytes], *, known: Collection[bytes]) -> None:
        """Remember more, unless another version has added some to those `known`: then Transient.

        That version's holdout is not yet in this one's, which has to be split anew. As the set only grows,
        its size says whether it has changed.
        """
        if not set(keys) - set(known):
            return
        condition = "size(queries) = :known" if known else "attribute_not_exists(queries)"
        values: dict[str, Any] = {":keys": {"BS": sorted(keys)}}
        if known:
            values[":known"] = {"N": str(len(known))}
        with clients.explained("remember what is held out"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key(dataset),
                    UpdateExpression="ADD queries :keys",
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if not _condition_failed(error):
                    raise
                raise Transient(f"Another version of {dataset} was split at the same time.") from error

    def _key(self, dataset: str) -> dict[str, Any]:
        return {"claim": {"S": f"holdout/{dataset}"}}
