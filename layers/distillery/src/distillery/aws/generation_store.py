"""The generations table and the labels table (DynamoDB).

One transaction stores a label and counts its cost. Each query has exactly one label, a generation's cost is
that of its labels, and a generation that is being assembled gets no label.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from distillery.aws import clients
from distillery.aws.tables import Entries, from_item, to_item
from distillery.errors import Transient
from distillery.generation.states import (
    GENERATION_MOVES,
    Generation,
    GenerationMove,
    GenerationState,
    spec_dataset,
)
from distillery.runs.states import Source, now
from distillery.task.repairs import Repair
from distillery.task.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEYS_PER_CALL = 100
"""DynamoDB's limit for BatchGetItem."""
CONDITION_FAILED = "ConditionalCheckFailed"
"""Code of the reason why a transaction was cancelled when a condition was not met."""
TRANSIENT_REASONS = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"})
"""Codes of reasons after which a later retry can succeed."""


class Label(BaseModel):
    """The teacher's weights for one query. Without weights the query is unlabelled and `reason` says why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    generation_id: str
    number: int
    query: str
    weights: Weights | None = None
    reasoning: str = ""
    reason: str = ""
    repairs: list[Repair] = Field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    labelled_at: AwareDatetime | None = None


class Generations:
    """The generations table."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._entries = Entries(table, "generation_id", client)

    def receive(self, generation_id: str, source: Source, *, step: str, **values: Any) -> Generation:
        """Create a generation in PLANNING, or return the one that an earlier event created."""
        opened = _move(GenerationState.PLANNING, now(), step)
        self._entries.open(
            {
                "generation_id": generation_id,
                "state": GenerationState.PLANNING,
                "dataset": spec_dataset(source.key),
                "source": source.model_dump(),
                "versions": [source.version],
                "history": [opened],
                "updated_at": opened["at"],
                "spent": 0,
                **values,
            }
        )
        return self.get(generation_id)

    def find(self, generation_id: str) -> Generation | None:
        """Return the generation (a consistent read), or None when it does not exist."""
        return _generation(self._entries.find(generation_id))

    def get(self, generation_id: str) -> Generation:
        """Return the generation (a consistent read). Raises Missing when it does not exist."""
        found = self.find(generation_id)
        if found is None:
            raise clients.Missing(f"The generations table has no generation {generation_id}.")
        return found

    def move(
        self,
        generation_id: str,
        to: GenerationState,
        *,
        step: str,
        since: GenerationState | None = None,
        unchanged: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Generation | None:
        """Move a generation to the state `to`. Returns None when its state does not allow the move.

        With `since`, only that state allows it. The attributes in `unchanged` must still have these values.
        """
        at = now()
        expected = [since] if since else [state for state, moves in GENERATION_MOVES.items() if to in moves]
        changed = {"state": to, "updated_at": at.isoformat(), **values}
        entry = _move(to, at, step)
        return _generation(self._entries.move(generation_id, expected, entry, unchanged=unchanged, **changed))

    def drop_again(self, generation_id: str, version: str, **limits: Any) -> Generation | None:
        """Record another upload of the spec, and its limits, which count from now on.

        Returns None when this upload is recorded already.
        """
        values = {"dropped_again": True, "halted": "", "updated_at": now().isoformat(), **limits}
        return _generation(self._entries.append(generation_id, "versions", version, **values))

    def note(self, generation_id: str, **values: Any) -> Generation | None:
        """Set values without a move. Returns None when the generation does not exist."""
        return _generation(self._entries.note(generation_id, updated_at=now().isoformat(), **values))

    def add_spent(self, generation_id: str, usd: float) -> Generation | None:
        """Add the cost of calls that gave no label."""
        return _generation(self._entries.add(generation_id, spent=usd))


def _move(state: GenerationState, at: datetime, step: str) -> dict[str, Any]:
    return GenerationMove(state=state, at=at, step=step).model_dump(mode="json")


def _generation(content: dict[str, Any] | None) -> Generation | None:
    return Generation.model_validate(content) if content is not None else None


class Labels:
    """The labels table."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        self._table = table
        self._client: DynamoDBClient = client or clients.client("dynamodb")
        self._storing = threading.Lock()

    def store(self, label: Label, generations: str) -> bool:
        """Store a label and add its cost to its generation, whose table is named.

        Returns False, and changes nothing, when the query already has a label. Raises Transient while the
        dataset is being assembled: what it contains must not change.
        """
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table,
                "Item": to_item(label.model_dump(mode="json", exclude_none=True)),
                "ConditionExpression": "attribute_not_exists(generation_id)",
            }
        }
        count: TransactWriteItemTypeDef = {
            "Update": {
                "TableName": generations,
                "Key": {"generation_id": {"S": label.generation_id}},
                "UpdateExpression": "ADD spent :cost",
                "ConditionExpression": "attribute_exists(generation_id) AND #state <> :assembling",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": to_item(
                    {":cost": label.cost_usd, ":assembling": GenerationState.ASSEMBLING}
                ),
            }
        }
        # Transactions that count for the same generation refuse each other. One at a time is enough.
        with clients.explained("store the label"), self._storing:
            try:
                self._client.transact_write_items(TransactItems=[put, count])
            except self._client.exceptions.TransactionCanceledException as error:
                has_label, is_closed = (
                    reason.get("Code") for reason in error.response["CancellationReasons"]
                )
                if has_label == CONDITION_FAILED:
                    return False
                if is_closed == CONDITION_FAILED:
                    raise Transient("The dataset is being assembled and takes no label now.") from error
                if TRANSIENT_REASONS.isdisjoint({has_label, is_closed}):
                    raise
                raise Transient(f"Could not store the label: {clients.error_message(error)}") from error
        return True

    def known(self, keys: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return those of the queries (generation and number) that already have a label."""
        found: set[tuple[str, int]] = set()
        waiting: list[Any] = [{"generation_id": {"S": g}, "number": {"N": str(n)}} for g, n in sorted(keys)]
        while waiting:
            keys_of_call, waiting = waiting[:KEYS_PER_CALL], waiting[KEYS_PER_CALL:]
            request = {
                "Keys": keys_of_call,
                "ProjectionExpression": "generation_id, #number",
                "ExpressionAttributeNames": {"#number": "number"},
                "ConsistentRead": True,
            }
            with clients.explained("read the labels"):
                response = self._client.batch_get_item(RequestItems={self._table: request})  # type: ignore[dict-item]
            items = response["Responses"].get(self._table, [])
            found.update((str(item["generation_id"]["S"]), int(item["number"]["N"])) for item in items)
            unprocessed = (response.get("UnprocessedKeys") or {}).get(self._table)
            left = list(unprocessed["Keys"]) if unprocessed else []
            if left and not items:
                raise Transient("The labels table returned none of the requested keys.")
            waiting += left
        return found

    def count(self, generation_id: str) -> int:
        """Count the queries of a generation that have an entry, with weights or without."""
        return sum(page["Count"] for page in self._pages(generation_id, Select="COUNT"))

    def numbers(self, generation_id: str) -> set[int]:
        """Return the numbers of the queries that have an entry, with weights or without."""
        pages = self._pages(
            generation_id, ProjectionExpression="#number", ExpressionAttributeNames={"#number": "number"}
        )
        return {int(item["number"]["N"]) for page in pages for item in page["Items"]}

    def all(self, generation_id: str) -> list[Label]:
        """Return every label of a generation, ordered by number."""
        return [
            Label.model_validate(from_item(item))
            for page in self._pages(generation_id)
            for item in page["Items"]
        ]

    def _pages(self, generation_id: str, **options: Any) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "generation_id = :generation",
            "ExpressionAttributeValues": {":generation": {"S": generation_id}},
            "ConsistentRead": True,
            **options,
        }
        while True:
            with clients.explained("read the labels"):
                page: Any = self._client.query(**request)
            yield page
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
