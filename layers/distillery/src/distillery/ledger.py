"""The runs' ledger in DynamoDB: claims, conditional moves, lineage.

Every move is one conditional write from the states it expects, so of several events that ask for the
same move exactly one makes it and the others read what has become of the run.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from distillery import aws
from distillery.errors import Transient
from distillery.runs import MOVES, Move, Run, Source, State, dataset_name, now

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from distillery.runs import Approval

_WAITING = {":waiting": State.AWAITING_APPROVAL}
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
    return aws.error_code(error) == "ConditionalCheckFailedException"


class Ledger:
    """The runs table."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or aws.client("dynamodb")

    def receive(self, run_id: str, source: Source) -> Run:
        """Open a run in RECEIVED, or return the one that an earlier event opened."""
        opened = Move(state=State.RECEIVED, at=now(), step="validate_dataset")
        item = {
            "run_id": run_id,
            "state": State.RECEIVED,
            "dataset": dataset_name(source.key),
            "source": source.model_dump(),
            "history": [opened.model_dump(mode="json")],
            "updated_at": opened.at.isoformat(),
        }
        with aws.explained("open the run"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(item),
                    ConditionExpression="attribute_not_exists(run_id)",
                )
            except ClientError as error:
                if not _condition_failed(error):
                    raise
        return self.get(run_id)

    def find(self, run_id: str) -> Run | None:
        """The run as it is now (a consistent read), or None."""
        with aws.explained("read the run"):
            answer = self._client.get_item(
                TableName=self._table, Key={"run_id": {"S": run_id}}, ConsistentRead=True
            )
        return Run.model_validate(from_item(answer["Item"])) if "Item" in answer else None

    def get(self, run_id: str) -> Run:
        """The run as it is now; raises Missing when this ledger does not know it."""
        run = self.find(run_id)
        if run is None:
            raise aws.Missing(f"The ledger knows no run {run_id}.")
        return run

    def move(
        self, run_id: str, to: State, *, step: str, since: State | None = None, **lineage: Any
    ) -> Run | None:
        """Move a run to `to`, adding lineage; None when it is not in a state that leads there.

        With `since` it is moved from that state only.
        """
        expected = sorted({since} if since else {state for state in State if to in MOVES[state]})
        return self._move(
            run_id,
            to,
            step,
            lineage,
            condition=f"#state IN ({', '.join(f':from{i}' for i in range(len(expected)))})",
            extra={f":from{i}": state for i, state in enumerate(expected)},
        )

    def decide(self, run_id: str, approval: Approval, *, step: str, **lineage: Any) -> Run | None:
        """Record what a person decided on a run that waits for it; a rejection ends the run.

        One decision only: None when there is one already, or the run does not wait.
        """
        lineage = {"approval": approval.model_dump(mode="json"), **lineage}
        condition, extra = "#state = :waiting AND attribute_not_exists(#approval)", _WAITING
        if approval.decision == "rejected":
            return self._move(run_id, State.REJECTED, step, lineage, condition=condition, extra=extra)
        values = {"state": State.AWAITING_APPROVAL, "updated_at": now().isoformat(), **lineage}
        return self._update(run_id, values, condition=condition, extra=extra, append_history=False)

    def _move(
        self,
        run_id: str,
        to: State,
        step: str,
        lineage: Mapping[str, Any],
        *,
        condition: str,
        extra: Mapping[str, Any],
    ) -> Run | None:
        at = now()
        entry = Move(state=to, at=at, step=step).model_dump(mode="json")
        return self._update(
            run_id,
            {"state": to, "updated_at": at.isoformat(), **lineage},
            condition=condition,
            extra={**extra, ":entry": [entry]},
            append_history=True,
        )

    def note(self, run_id: str, **lineage: Any) -> Run | None:
        """Add lineage without a move; None when there is no such run."""
        return self._update(
            run_id,
            {"updated_at": now().isoformat(), **lineage},
            condition="attribute_exists(run_id)",
            extra={},
            append_history=False,
        )

    def _update(
        self,
        run_id: str,
        values: Mapping[str, Any],
        *,
        condition: str,
        extra: Mapping[str, Any],
        append_history: bool,
    ) -> Run | None:
        names = {f"#{name}": name for name in values}
        assignments = [f"#{name} = :{name}" for name in values]
        if append_history:
            names["#history"] = "history"
            assignments.append("#history = list_append(#history, :entry)")
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"run_id": {"S": run_id}},
                UpdateExpression=f"SET {', '.join(assignments)}",
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item({f":{name}": value for name, value in values.items()})
                | to_item(extra),
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _condition_failed(error):
                return None
            with aws.explained("write to the ledger"):
                raise
        return Run.model_validate(from_item(answer["Attributes"]))


class Claims:
    """Things that may belong to one run only, such as a dataset's content."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or aws.client("dynamodb")

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
                with aws.explained("claim the dataset's content"):
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
        self._client: DynamoDBClient = client or aws.client("dynamodb")

    def read(self, dataset: str) -> frozenset[bytes]:
        """The keys of the queries held out so far (a consistent read)."""
        with aws.explained("read what was held out before"):
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
        with aws.explained("remember what is held out"):
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
