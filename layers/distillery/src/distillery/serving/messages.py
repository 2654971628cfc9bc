"""Query messages: one query, or a list of at most 100 queries."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from distillery.dataset.strict_json import RepeatedKey, parse
from distillery.dataset.texts import cleaned, without_ignorable
from distillery.errors import BadInput
from distillery.messages import counted, shown
from distillery.validation_messages import first_problem, problems

MOST_QUERIES = 100
MOST_ENVELOPES = 4
"""Envelopes that are opened at most: an EventBridge event may reach the queue through an SNS topic."""
REFUSED_SHOWN = 5
"""Refused queries of one message that a reason names."""
_FORMS = 'Send {"query": "..."} or {"queries": [{...}]}.'
_LIMITS = (
    "A query has 1 to 1,000 characters; a query_id has 1 to 128 of A-Z a-z 0-9 . _ : -; "
    f"a message holds at most {MOST_QUERIES} queries."
)


def _visible(text: Any) -> Any:
    """The text without control characters and invisible ones; empty if nothing can be seen."""
    if not isinstance(text, str):
        return text
    clean = cleaned(text, "query", 0, [])
    return clean if without_ignorable(clean).strip() else ""


QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000),
    BeforeValidator(_visible),
]
QueryId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class Query(BaseModel):
    """One query to answer."""

    model_config = ConfigDict(frozen=True)

    query_id: QueryId
    query: QueryText


class Message(NamedTuple):
    """The queries of a message that can be answered, and a reason for each that cannot.

    Both are empty for a message that asks nothing.
    """

    queries: list[Query]
    refused: list[str]


class _QueuedQuery(BaseModel):
    """A query in a message. Other fields that the sender adds are ignored."""

    query_id: QueryId | None = None
    query: QueryText


class _QueuedQueries(BaseModel):
    queries: list[_QueuedQuery] = Field(min_length=1, max_length=MOST_QUERIES)


def parse_message(body: str, message_id: str) -> Message:
    """Read the body of an SQS message. Raises BadInput, with a fix, when no query of it can ever be answered.

    A query without an ID gets the ID of the message; in a list it gets `<message id>.<number from 1>`. The
    envelopes of SNS and EventBridge are opened. The test event that S3 sends to a new target asks nothing.
    """
    content = _opened(body)
    if content.get("Event") == "s3:TestEvent":
        return Message([], [])
    _check_keys(content)
    try:
        if "queries" in content:
            return _several(content, message_id)
        queued = _QueuedQuery.model_validate(content)
    except ValidationError as error:
        raise BadInput(
            f"The message cannot be answered: {first_problem(error, 'the message')}.", fix=_LIMITS
        ) from error
    return Message([Query(query_id=queued.query_id or message_id, query=queued.query)], [])


def refusal(reasons: list[str], queries: int) -> str:
    """One sentence about the queries of a message that are not answered. `queries` counts all of them."""
    told = "; ".join(reasons[:REFUSED_SHOWN]) + ("; ..." if len(reasons) > REFUSED_SHOWN else "")
    return f"{counted(len(reasons), 'query', 'queries')} of {queries:,} cannot be answered: {told}."


def _several(content: dict[str, Any], message_id: str) -> Message:
    """The queries of a list. Raises ValidationError when none of them, or the list itself, can be used."""
    entries = content["queries"]
    bad: dict[int, str] = {}
    try:
        _QueuedQueries.model_validate(content)
    except ValidationError as error:
        places = {found["loc"][1] if len(found["loc"]) > 1 else None for found in error.errors()}
        bad = {place: "" for place in places if isinstance(place, int)}
        if None in places or len(bad) == len(entries):
            raise
        bad = {place: _reason(entries[place], place) for place in sorted(bad)}
    refused = list(bad.values())
    texts: dict[str, str] = {}
    queries: list[Query] = []
    for place, entry in enumerate(entries):
        if place in bad:
            continue
        queued = _QueuedQuery.model_validate(entry)
        query = Query(query_id=queued.query_id or f"{message_id}.{place + 1}", query=queued.query)
        if texts.setdefault(query.query_id, query.query) != query.query:
            refused.append(f"two queries share the query_id {shown(query.query_id)}")
        else:
            queries.append(query)
    return Message(queries, refused)


def _reason(entry: Any, place: int) -> str:
    """Why one entry of a list cannot be answered, with its place and its query_id."""
    try:
        _QueuedQuery.model_validate(entry)
    except ValidationError as error:
        query_id = entry.get("query_id") if isinstance(entry, Mapping) else None
        named = f" (query_id {shown(query_id)})" if isinstance(query_id, str) else ""
        return f"queries.{place}{named}: {next(problems(error, 'the entry'))}"
    raise AssertionError("the entry is valid")  # the caller found it invalid


def _opened(body: str) -> dict[str, Any]:
    """The object in a body, out of the envelopes around it. Raises BadInput when there is none."""
    content: Any = _json(body)
    for _ in range(MOST_ENVELOPES):
        if isinstance(content, str):
            try:
                content = parse(content, constants=True)
            except (ValueError, RecursionError):
                break
        elif not isinstance(content, dict):
            break
        elif content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
            content = content["Message"]
        elif "detail-type" in content and isinstance(content.get("detail"), dict):
            content = content["detail"]
        else:
            return content
    if not isinstance(content, dict):
        raise BadInput("The message is not a JSON object.", fix=_FORMS)
    return content


def _json(body: str) -> Any:
    text = body.removeprefix("\ufeff")
    try:
        return parse(text, constants=True)
    except RepeatedKey as error:
        raise BadInput(
            f"The message has the key {shown(str(error))} twice.", fix="Send one of the two."
        ) from error
    except (ValueError, RecursionError) as error:
        if _is_base64(text):
            raise BadInput("The message is Base64, not JSON.", fix="Send the text without Base64.") from error
        raise BadInput("The message is not JSON.", fix=_FORMS) from error


def _is_base64(text: str) -> bool:
    try:
        json.loads(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return True


def _check_keys(content: dict[str, Any]) -> None:
    """Raise BadInput for an object that is no query message, with what it is instead."""
    if "query" in content and "queries" in content:
        raise BadInput("The message has both 'query' and 'queries'.", fix="Send one of the two.")
    if "query" in content or "queries" in content:
        return
    records = content.get("Records")
    if isinstance(records, list) and any("s3" in record for record in records if isinstance(record, dict)):
        raise BadInput(
            "The message is a notification of an S3 bucket, not a query.",
            fix="Point the bucket's notifications at another queue.",
        )
    for key in content:
        close = get_close_matches(key.strip().lower(), ("query", "queries"), 1, 0.7)
        if close:
            raise BadInput(f"The message has {shown(key)} instead of {close[0]!r}.", fix=_FORMS)
