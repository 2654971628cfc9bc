"""Query messages: one query, or a list of at most 100 queries."""

from __future__ import annotations

import json
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from distillery.errors import BadInput
from distillery.validation_messages import first_problem

MOST_QUERIES = 100
QueryText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
QueryId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class Query(BaseModel):
    """One query to answer."""

    model_config = ConfigDict(frozen=True)

    query_id: QueryId
    query: QueryText


class _QueuedQuery(BaseModel):
    """A query in a message. Other fields that the sender adds are ignored."""

    query_id: QueryId | None = None
    query: QueryText


class _QueuedQueries(BaseModel):
    queries: list[_QueuedQuery] = Field(min_length=1, max_length=MOST_QUERIES)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [query.query_id for query in self.queries if query.query_id]
        if len(set(ids)) < len(ids):
            raise ValueError("two queries share a query_id")
        return self


def parse_message(body: str, message_id: str) -> list[Query]:
    """Return the queries of an SQS message body. Raises BadInput, with a fix, when it can never be answered.

    A query without an id gets the id of the message; in a list it gets `<message id>.<number from 1>`.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            "The message is not JSON.", fix='Send {"query": "..."} or {"queries": [{...}]}.'
        ) from error
    if not isinstance(content, dict):
        raise BadInput(
            "The message is not a JSON object.", fix='Send {"query": "..."} or {"queries": [{...}]}.'
        )
    try:
        if "queries" in content:
            several = _QueuedQueries.model_validate(content).queries
            return [
                Query(query_id=queued.query_id or f"{message_id}.{number}", query=queued.query)
                for number, queued in enumerate(several, start=1)
            ]
        queued = _QueuedQuery.model_validate(content)
    except ValidationError as error:
        raise BadInput(
            f"The message cannot be answered: {first_problem(error, 'the message')}.",
            fix="A query has 1 to 1,000 characters; a query_id has 1 to 128 of A-Z a-z 0-9 . _ : -; "
            f"a message holds at most {MOST_QUERIES} queries.",
        ) from error
    return [Query(query_id=queued.query_id or message_id, query=queued.query)]
