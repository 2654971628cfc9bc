"""The runs (DynamoDB): conditional moves, lineage, which content belongs to which run, what was held out.

Every move is one conditional write from the states it expects, so of several events that ask for the
same move exactly one makes it and the others read what has become of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillery.aws import clients
from distillery.aws.tables import Entries, condition_failed
from distillery.errors import Transient
from distillery.runs.states import MOVES, Move, Run, Source, State, dataset_name, now

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from distillery.runs.states import Approval


class RunStore:
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
            if not condition_failed(error):
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
                if not condition_failed(error):
                    raise
                raise Transient(f"Another version of {dataset} was split at the same time.") from error

    def _key(self, dataset: str) -> dict[str, Any]:
        return {"claim": {"S": f"holdout/{dataset}"}}
