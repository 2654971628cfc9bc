"""Sending queries to the query queue and reading their results from the results table."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cli.files import read_text
from distillery.aws import clients
from distillery.aws.tables import from_item
from distillery.errors import BadInput, DistilleryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cli.stack import Stack

T = TypeVar("T")

SEND_BATCH = 10
"""Messages in one SendMessageBatch."""
GET_BATCH = 100
"""Keys in one BatchGetItem."""
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class RoutedQueries:
    """Results in the order of the queries, and the queries without a result when the timeout expired."""

    results: list[dict[str, Any]]
    unanswered: list[str]


def read_queries(file: Path) -> list[str]:
    """The queries in a file. Each line is a JSON object with `query`, or a query as plain text."""
    lines = read_text(file).splitlines()
    return [_read_query(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _read_query(file: Path, number: int, line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line.strip()
    try:
        return str(json.loads(line)["query"])
    except (ValueError, KeyError) as error:
        raise BadInput(
            f'{file}, line {number}: not a JSON object with the key "query".',
            fix='Write {"query": "..."}, or the query as plain text.',
        ) from error


def route_queries(
    stack: Stack,
    queries: Sequence[str],
    *,
    timeout: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> RoutedQueries:
    """Send the queries with new IDs, and wait at most `timeout` seconds for their results."""
    batch = uuid.uuid4().hex[:12]
    sent = {f"cli-{batch}-{number}": query for number, query in enumerate(queries)}
    _send(stack, sent)
    found: dict[str, dict[str, Any]] = {}
    deadline = clock() + timeout
    while True:
        found |= _read_results(stack, [query_id for query_id in sent if query_id not in found])
        if len(found) == len(sent) or clock() >= deadline:
            return RoutedQueries(
                [found[query_id] for query_id in sent if query_id in found],
                [query for query_id, query in sent.items() if query_id not in found],
            )
        pause(POLL_SECONDS)


def _send(stack: Stack, queries: dict[str, str]) -> None:
    sqs, url = stack.client("sqs"), stack.output("QueryQueueUrl")
    for part in _batches(list(queries.items()), SEND_BATCH):
        entries = [
            {"Id": str(place), "MessageBody": json.dumps({"query_id": query_id, "query": query})}
            for place, (query_id, query) in enumerate(part)
        ]
        with clients.explained("send the queries"):
            response = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        for failure in response.get("Failed", []):
            message = failure.get("Message", failure["Code"])
            raise DistilleryError(f"The query queue did not accept a query: {message}.")


def _read_results(stack: Stack, query_ids: list[str]) -> dict[str, dict[str, Any]]:
    table, dynamodb = stack.output("ResultsTableName"), stack.client("dynamodb")
    found: dict[str, dict[str, Any]] = {}
    for part in _batches(query_ids, GET_BATCH):
        keys = [{"query_id": {"S": query_id}} for query_id in part]
        with clients.explained("read the results"):
            response = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})
        # The next poll requests the keys that DynamoDB returned as unprocessed.
        for item in response["Responses"].get(table, []):
            result = from_item(item)
            found[result["query_id"]] = result
    return found


def _batches(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
