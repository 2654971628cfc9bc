"""The generations table and the labels table (DynamoDB).

A conditional write stores each label, so each query has exactly one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
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
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

KEYS_PER_CALL = 100
"""DynamoDB's limit for BatchGetItem."""


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

    def move(self, generation_id: str, to: GenerationState, *, step: str, **values: Any) -> Generation | None:
        """Move a generation to the state `to`. Returns None when its state does not allow the move."""
        at = now()
        expected = [state for state, targets in GENERATION_MOVES.items() if to in targets]
        changed = {"state": to, "updated_at": at.isoformat(), **values}
        return _generation(self._entries.move(generation_id, expected, _move(to, at, step), **changed))

    def note(self, generation_id: str, **values: Any) -> Generation | None:
        """Set values without a move. Returns None when the generation does not exist."""
        return _generation(self._entries.note(generation_id, updated_at=now().isoformat(), **values))

    def add_spent(self, generation_id: str, usd: float) -> Generation | None:
        """Add to the cost of the labels."""
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

    def store(self, label: Label) -> bool:
        """Store a label. Returns False, and changes nothing, when the query already has one."""
        with clients.explained("store the label"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(label.model_dump(mode="json", exclude_none=True)),
                    ConditionExpression="attribute_not_exists(generation_id)",
                )
            except ClientError as error:
                if clients.error_code(error) != "ConditionalCheckFailedException":
                    raise
                return False
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
