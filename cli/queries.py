"""Sending queries to the router and collecting its results."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from distillery.aws import clients
from distillery.aws.tables import from_item
from distillery.errors import BadInput, DistilleryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cli.stack import Stack

T = TypeVar("T")

SEND_BATCH = 10
GET_BATCH = 100
"""What SQS takes in one send, and DynamoDB gives in one read."""
LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class Routed:
    """Results in the order of the queries, and the queries that had none when time was up."""

    results: list[dict[str, Any]]
    unanswered: list[str]


def read_queries(file: Path) -> list[str]:
    """The queries of a JSONL file: each line an object with `query`, or a plain text."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read as UTF-8 text.") from error
    return [_query(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _query(file: Path, number: int, line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line.strip()
    try:
        return str(json.loads(line)["query"])
    except (ValueError, KeyError) as error:
        raise BadInput(f'{file}, line {number}: this is no object with a "query".') from error


def route(
    stack: Stack,
    queries: Sequence[str],
    *,
    timeout: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Routed:
    """Queue the queries under fresh ids and wait for their results, at most `timeout` seconds."""
    batch = uuid.uuid4().hex[:12]
    wanted = {f"cli-{batch}-{number}": query for number, query in enumerate(queries)}
    _send(stack, wanted)
    found: dict[str, dict[str, Any]] = {}
    deadline = clock() + timeout
    while True:
        found |= _results(stack, [query_id for query_id in wanted if query_id not in found])
        if len(found) == len(wanted) or clock() >= deadline:
            return Routed(
                [found[query_id] for query_id in wanted if query_id in found],
                [query for query_id, query in wanted.items() if query_id not in found],
            )
        pause(LOOK_EVERY)


def _send(stack: Stack, wanted: dict[str, str]) -> None:
    sqs, url = stack.client("sqs"), stack.output("QueryQueueUrl")
    for part in _parts(list(wanted.items()), SEND_BATCH):
        entries = [
            {"Id": str(place), "MessageBody": json.dumps({"query_id": query_id, "query": query})}
            for place, (query_id, query) in enumerate(part)
        ]
        with clients.explained("queue the queries"):
            answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        for failure in answer.get("Failed", []):
            raise DistilleryError(f"The queue refused a query: {failure.get('Message', failure['Code'])}.")


def _results(stack: Stack, query_ids: list[str]) -> dict[str, dict[str, Any]]:
    table, dynamodb = stack.output("ResultsTableName"), stack.client("dynamodb")
    found: dict[str, dict[str, Any]] = {}
    for part in _parts(query_ids, GET_BATCH):
        keys = [{"query_id": {"S": query_id}} for query_id in part]
        with clients.explained("read the results"):
            answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})
        # Keys that DynamoDB left unprocessed are simply asked for again at the next look.
        for item in answer["Responses"].get(table, []):
            result = from_item(item)
            found[result["query_id"]] = result
    return found


def _parts(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
