"""Query messages: one query, or a list of at most 100 queries."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from distillery.dataset.strict_json import RepeatedKey, Trailing, parse
from distillery.dataset.texts import cleaned, without_ignorable
from distillery.errors import BadInput
from distillery.messages import counted, shown
from distillery.validation_messages import first_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_QUERIES = 100
MOST_ENVELOPES = 4
"""Envelopes that are opened at most: an EventBridge event may reach the queue through an SNS topic."""
SMALL_LETTER = 200_000
"""Bytes; SQS takes a message of this size with its reason."""
REASONS_SHOWN = 5
"""Queries of one message that a reason names."""
_FORMS = 'Send {"query": "..."} or {"queries": [{...}]}.'
_LIMITS = (
    "A query has 1 to 1,000 characters; a query_id has 1 to 128 of A-Z a-z 0-9 . _ : -; "
    f"a message holds at most {MOST_QUERIES} queries."
)
_TOPIC_MESSAGES = {
    "SubscriptionConfirmation": "Confirm the subscription: open the SubscribeURL of the message.",
    "UnsubscribeConfirmation": "Subscribe the queue to the topic again if it should get its queries.",
}
"""What SNS itself sends to a queue, and what to do about it."""
_not_in_an_id = re.compile("[^A-Za-z0-9._:-]")


def _visible(text: Any) -> Any:
    """The text without control characters and invisible ones; empty if nothing can be seen."""
    if not isinstance(text, str):
        return text
    clean = cleaned(text, "query", 0, [])
    return clean if without_ignorable(clean).strip() else ""


def _id_text(value: Any) -> Any:
    """An ID as a text. Raises ValueError that names the first character that is not allowed."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and (found := _not_in_an_id.search(value)):
        character = f"{found[0]!r} (U+{ord(found[0]):04X})"
        raise ValueError(f"the character {character} at position {found.start() + 1} is not allowed")
    return value


QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000),
    BeforeValidator(_visible),
]
QueryId = Annotated[str, StringConstraints(min_length=1, max_length=128), BeforeValidator(_id_text)]


class Query(BaseModel):
    """One query to answer. `number` is its place in the message, from 1."""

    model_config = ConfigDict(frozen=True)

    query_id: QueryId
    query: QueryText
    number: int = 1


@dataclass(frozen=True, slots=True)
class Message:
    """The queries of a message that can be answered, and for the numbers of the others the reason.

    Both are empty for a message that asks nothing. `entries` are those of a list, each with its `query_id`.
    """

    body: str
    queries: list[Query]
    refused: dict[int, str] = field(default_factory=dict)
    entries: list[Any] | None = None

    def letter(self, reasons: Mapping[int, str]) -> tuple[str, str]:
        """Body and reason of the dead letter about the queries with these numbers.

        The body is the message as it came, or a list of those of its queries.
        """
        if self.entries is None:
            return self.body, reasons[1]
        body = self.body
        if len(reasons) < len(self.entries):
            listed = json.dumps({"queries": [self.entries[number - 1] for number in sorted(reasons)]})
            # Escapes can make it longer than the body, which SQS is known to take.
            if len(listed) <= max(SMALL_LETTER, len(body.encode())):
                body = listed
        told = [
            f"query {number}{_named(self.entries[number - 1])}: {reasons[number].rstrip('.')}"
            for number in sorted(reasons)
        ]
        listing = "; ".join(told[:REASONS_SHOWN]) + ("; ..." if len(told) > REASONS_SHOWN else ".")
        queries = counted(len(told), "query", "queries")
        return body, f"{queries} of {len(self.entries):,} cannot be answered: {listing}"


class _QueuedQuery(BaseModel):
    """A query in a message. Other fields that the sender adds are ignored."""

    query_id: QueryId | None = None
    query: QueryText


class _QueuedQueries(BaseModel):
    queries: list[Any] = Field(min_length=1, max_length=MOST_QUERIES)


class _Repeating(dict[str, Any]):
    """An object that has a key twice. Its items are those of the text, both values included."""

    def __init__(self, pairs: list[tuple[str, Any]], key: str) -> None:
        super().__init__(pairs)
        self._pairs, self.key = pairs, key

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]  # json.dumps only iterates over it
        return self._pairs


def parse_message(body: str, message_id: str) -> Message:
    """Read the body of an SQS message. Raises BadInput, with a fix, when it has no query or list of queries.

    A query without an ID gets the ID of the message; in a list it gets `<message id>.<number from 1>`. The
    envelopes of SNS and EventBridge are opened. The test event that S3 sends to a new target asks nothing.
    """
    content = _opened(body)
    if content.get("Event") == "s3:TestEvent":
        return Message(body, [])
    _check_kind(content)
    if "queries" in content:
        return _several(body, content, message_id)
    queued = _queued(content)
    if isinstance(queued, str):
        raise BadInput(f"The message cannot be answered: {queued}.", fix=_LIMITS)
    return Message(body, [Query(query_id=queued.query_id or message_id, query=queued.query)])


def _several(body: str, content: dict[str, Any], message_id: str) -> Message:
    """The queries of a list. Raises BadInput when the list itself cannot be used."""
    try:
        listed = _QueuedQueries.model_validate(content).queries
    except ValidationError as error:
        problem = first_problem(error, "the message")
        raise BadInput(f"The message cannot be answered: {problem}.", fix=_LIMITS) from error
    queries: list[Query] = []
    refused: dict[int, str] = {}
    entries: list[Any] = []
    for number, entry in enumerate(listed, 1):
        default_id = f"{message_id}.{number}"
        queued = _queued(entry)
        takes_id = type(entry) is dict and entry.get("query_id") is None and not _misspelt_id(entry)
        entries.append(entry | {"query_id": default_id} if takes_id else entry)
        if isinstance(queued, str):
            refused[number] = queued
        else:
            query_id = queued.query_id or default_id
            queries.append(Query(query_id=query_id, query=queued.query, number=number))
    return Message(body, queries, refused, entries)


def _queued(entry: Any) -> _QueuedQuery | str:
    """The query in an object, or why it has none."""
    if isinstance(entry, _Repeating):
        return f"the key {shown(entry.key)} is there twice"
    if isinstance(entry, dict) and (found := _misspelt(entry, "query") or _misspelt_id(entry)):
        return f"it has {found}"
    try:
        return _QueuedQuery.model_validate(entry)
    except ValidationError as error:
        return first_problem(error, "the query")


def _named(entry: Any) -> str:
    query_id = entry.get("query_id") if isinstance(entry, dict) else None
    return "" if query_id is None else f" (query_id {shown(query_id)})"


def _opened(body: str) -> dict[str, Any]:
    """The object in a body, out of the envelopes around it. Raises BadInput when there is none."""
    content: Any = _json(body)
    for _ in range(MOST_ENVELOPES):
        if isinstance(content, str):
            try:
                content = _parsed(content)
            except (ValueError, RecursionError):
                break
        elif not isinstance(content, dict):
            break
        elif content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
            content = content["Message"]
        elif "detail-type" in content and isinstance(content.get("detail"), dict):
            content = content["detail"]
        else:
            break
    if isinstance(content, _Repeating):
        raise BadInput(f"The message has the key {shown(content.key)} twice.", fix="Send one of the two.")
    if not isinstance(content, dict):
        raise BadInput("The message is not a JSON object.", fix=_FORMS)
    return content


def _json(body: str) -> Any:
    text = body.removeprefix("\ufeff")
    try:
        return _parsed(text)
    except Trailing as error:
        raise BadInput("The message has more text after its JSON object.", fix=_FORMS) from error
    except (ValueError, RecursionError) as error:
        if _is_base64(text):
            raise BadInput("The message is Base64, not JSON.", fix="Send the text without Base64.") from error
        raise BadInput("The message is not JSON.", fix=_FORMS) from error


def _parsed(text: str) -> Any:
    """The JSON value of a text; ValueError or RecursionError if there is none."""
    try:
        return parse(text, constants=True)
    except RepeatedKey:
        return json.loads(text, object_pairs_hook=_marked)


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, marked if it has a key twice."""
    content = dict(pairs)
    if len(content) == len(pairs):
        return content
    counts = Counter(name for name, _ in pairs)
    return _Repeating(pairs, next(name for name in content if counts[name] > 1))


def _is_base64(text: str) -> bool:
    try:
        json.loads(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return True


def _check_kind(content: dict[str, Any]) -> None:
    """Raise BadInput for an object that is no query message, with what it is instead."""
    if "query" in content and "queries" in content:
        raise BadInput("The message has both 'query' and 'queries'.", fix="Send one of the two.")
    if "query" in content or "queries" in content:
        return
    if content.get("Type") in _TOPIC_MESSAGES and "TopicArn" in content:
        kind = content["Type"]
        raise BadInput(f"The message is the {kind} of an SNS topic, not a query.", fix=_TOPIC_MESSAGES[kind])
    records = content.get("Records")
    if isinstance(records, list) and any("s3" in record for record in records if isinstance(record, dict)):
        raise BadInput(
            "The message is a notification of an S3 bucket, not a query.",
            fix="Point the bucket's notifications at another queue.",
        )
    if found := _misspelt(content, "query", "queries"):
        raise BadInput(f"The message has {found}.", fix=_FORMS)


def _misspelt(content: Mapping[str, Any], *names: str) -> str:
    """A key and the name that it seems to stand for, in words, if the object has none of the names."""
    if any(name in content for name in names):
        return ""
    for key in content:
        close = get_close_matches(key.strip().lower(), names, 1, 0.7)
        if close:
            return f"{shown(key)} instead of {close[0]!r}"
    return ""


def _misspelt_id(content: Mapping[str, Any]) -> str:
    """A key that differs from `query_id` in capitals and signs only, in words, if there is no `query_id`."""
    if "query_id" in content:
        return ""
    same = (key for key in content if re.sub("[^a-z]", "", key.lower()) == "queryid")
    return next((f"{shown(key)} instead of 'query_id'" for key in same), "")
