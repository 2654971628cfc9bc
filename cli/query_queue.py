"""Sending queries to the query queue and reading their results from the results table."""

from __future__ import annotations

import json
import os
import time
import unicodedata
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cli.files import read_text
from distillery.aws import clients
from distillery.aws.tables import from_item
from distillery.dataset.records import MAX_QUERY_CHARACTERS
from distillery.dataset.strict_json import parse
from distillery.errors import BadInput, DistilleryError
from distillery.messages import cause, cut

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
class QueryToSend:
    """A query, and the other fields of its line in a file; they are kept in the result."""

    query: str
    fields: dict[str, Any] = field(default_factory=dict)

    def with_result(self, result: dict[str, Any]) -> dict[str, Any]:
        """The result with the fields of the line. Only the line's `query_id` replaces one of the result."""
        kept = {
            name: value for name, value in self.fields.items() if name not in result or name == "query_id"
        }
        return result | kept


@dataclass(frozen=True, slots=True)
class RoutedQueries:
    """Results in the order of the queries, and the queries without a result when the timeout expired."""

    results: list[dict[str, Any]]
    unanswered: list[str]


def read_queries(file: Path) -> list[QueryToSend]:
    """The queries in a file, one a line: JSON objects with `query`, or plain text.

    Outside `.jsonl` files, a line that begins with a brace and is not an object with a query is plain text
    too: people search for braces. Raises BadInput for the first line that cannot be sent.
    """
    is_jsonl = file.suffix.lower() == ".jsonl"
    queries = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if line.strip():
            queries.append(_read_line(line.strip(), f"{file}, line {number}", is_jsonl=is_jsonl))
    return queries


def check_query(query: object, place: str) -> str:
    """The query without white space around it; BadInput if the stack cannot answer it."""
    if not isinstance(query, str):
        written = cut(json.dumps(query))
        raise BadInput(f"{place}: the query is {written}, not a text.", fix="Put it in quotation marks.")
    text = query.strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{place}: the query is not valid Unicode text.", fix="Save it as UTF-8.") from error
    if not any(_is_visible(character) for character in text):
        raise BadInput(f"{place}: the query is empty.", fix="Remove it, or write a query.")
    if len(text) > MAX_QUERY_CHARACTERS:
        raise BadInput(
            f"{place}: the query has {len(text):,} characters.",
            fix=f"Shorten it to at most {MAX_QUERY_CHARACTERS:,}.",
        )
    return text


def decoded(argument: str) -> str:
    """An argument of the command line as UTF-8, whatever the locale of the shell."""
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that the locale's encoding does not have
        return os.fsencode(argument).decode("utf-8", "surrogateescape")
    return argument


def _is_visible(character: str) -> bool:
    """Whether a character shows: no white space, control or format character (such as a zero-width space)."""
    return not character.isspace() and unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def _read_line(line: str, place: str, *, is_jsonl: bool) -> QueryToSend:
    if not line.startswith("{"):
        return QueryToSend(check_query(line, place))
    try:
        content = parse(line)
    except ValueError as error:
        if not is_jsonl:
            return QueryToSend(check_query(line, place))
        raise BadInput(f"{place}: {cause(error)}.", fix='Write {"query": "..."}.') from error
    if not isinstance(content, dict) or "query" not in content:
        if not is_jsonl:
            return QueryToSend(check_query(line, place))
        raise BadInput(f'{place}: not a JSON object with the key "query".', fix='Write {"query": "..."}.')
    fields = {name: value for name, value in content.items() if name != "query"}
    return QueryToSend(check_query(content["query"], place), fields)


def route_queries(
    stack: Stack,
    queries: Sequence[QueryToSend],
    *,
    timeout: float,
    progress: Callable[[int], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> RoutedQueries:
    """Send the queries with new IDs, and wait at most `timeout` seconds for their results.

    `progress` gets the number of results after each poll. A result has the fields of its line; the line's
    `query_id` replaces the new one.
    """
    batch = uuid.uuid4().hex[:12]
    sent = {f"cli-{batch}-{number}": query for number, query in enumerate(queries)}
    _send(stack, {query_id: query.query for query_id, query in sent.items()})
    found: dict[str, dict[str, Any]] = {}
    deadline = clock() + timeout
    while True:
        found |= _read_results(stack, [query_id for query_id in sent if query_id not in found])
        progress(len(found))
        if len(found) == len(sent) or clock() >= deadline:
            return RoutedQueries(
                [query.with_result(found[query_id]) for query_id, query in sent.items() if query_id in found],
                [query.query for query_id, query in sent.items() if query_id not in found],
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
