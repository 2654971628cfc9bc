"""Routing of queued queries: what a message must look like, and how one query is answered.

Models are asked in order (the active model, then the baseline); a model that cannot be used is passed
over, an answer that cannot be read is asked for once more, and what is left is the taxonomy's fallback.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from distillery.errors import BadInput, Permanent, UnreadableRouting
from distillery.task.weights import Repair, Routing, Weights, dominant, parse_routing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from distillery.task.channels import Taxonomy

MOST_QUERIES = 100
READS = 2
"""How often a model is asked before its answer is given up as unreadable."""

Source = Literal["model", "cache", "student", "fallback"]
QueryText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
QueryId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class Query(BaseModel):
    """One query to be routed."""

    model_config = ConfigDict(frozen=True)

    query_id: QueryId
    query: QueryText


class _QueuedQuery(BaseModel):
    """A query as it is sent; what else the sender has written beside it is his own."""

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
    """The queries of an SQS message's body; BadInput, with a mend, when it can never be answered.

    A query without an id takes the message's, in a list with its number (`<message id>.<number from 1>`).
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            "The message is not JSON.", mend='Send {"query": "..."} or {"queries": [{...}]}.'
        ) from error
    if not isinstance(content, dict):
        raise BadInput(
            "The message is not a JSON object.", mend='Send {"query": "..."} or {"queries": [{...}]}.'
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
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the message"
        raise BadInput(
            f"{place}: {first['msg']}.",
            mend="A query has 1 to 1,000 characters; a query_id has 1 to 128 of A-Z a-z 0-9 . _ : -; "
            f"a message holds at most {MOST_QUERIES} queries.",
        ) from error
    return [Query(query_id=queued.query_id or message_id, query=queued.query)]


@dataclass(frozen=True, slots=True)
class Target:
    """A model to ask, with the prompt it is asked with; `run_id` is empty for the baseline."""

    model_id: str
    system: str
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer to one query text; tokens are those of every call it took, milliseconds of the last."""

    weights: Weights
    reasoning: str
    source: Source
    model_id: str = ""
    run_id: str = ""
    latency_ms: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    repairs: tuple[Repair, ...] = ()
    unusable: tuple[str, ...] = ()
    """Why models that should have answered were passed over, a sentence each."""


class Reply(Protocol):
    """What comes back from a model."""

    @property
    def text(self) -> str: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def latency_ms(self) -> float: ...


@dataclass(slots=True)
class Spent:
    """What the calls for one query took so far; milliseconds of the last."""

    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: float = 0.0

    def add(self, reply: Reply) -> None:
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens
        self.latency_ms = reply.latency_ms


def route(
    query: str, targets: Sequence[Target], ask: Callable[[Target, str], Reply], taxonomy: Taxonomy
) -> Routed:
    """Answer one query; raises Transient when the query should go back to the queue."""
    unusable: list[str] = []
    spent = Spent()
    answering = Target("", "")
    routing = None
    for target in targets:
        try:
            routing, answering = readable(query, target, ask, taxonomy, spent), target
            break
        except UnreadableRouting as error:
            unusable.append(error.message)
            break
        except Permanent as error:
            unusable.append(error.message)
    return Routed(
        weights=routing.weights if routing else dict(taxonomy.fallback),
        reasoning=routing.reasoning if routing else "No model could answer; these are the fallback weights.",
        source="model" if routing else "fallback",
        model_id=answering.model_id,
        run_id=answering.run_id,
        latency_ms=spent.latency_ms,
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        repairs=routing.repairs if routing else (),
        unusable=tuple(unusable),
    )


def readable(
    query: str, target: Target, ask: Callable[[Target, str], Reply], taxonomy: Taxonomy, spent: Spent
) -> Routing:
    """Ask until an answer can be read, `READS` times at most."""
    for _ in range(READS - 1):
        reply = ask(target, query)
        spent.add(reply)
        with suppress(UnreadableRouting):
            return parse_routing(reply.text, taxonomy.names)
    reply = ask(target, query)
    spent.add(reply)
    return parse_routing(reply.text, taxonomy.names)


def result_entry(query: Query, routed: Routed, *, at: datetime, expires_at: int) -> dict[str, Any]:
    """The result of one query as it is stored."""
    return {
        "query_id": query.query_id,
        "query": query.query,
        "weights": routed.weights,
        "dominant": dominant(routed.weights),
        "reasoning": routed.reasoning,
        "source": routed.source,
        "model_id": routed.model_id,
        "run_id": routed.run_id,
        "latency_ms": routed.latency_ms,
        "input_tokens": routed.input_tokens,
        "output_tokens": routed.output_tokens,
        "repairs": [repair.value for repair in routed.repairs],
        "routed_at": at.isoformat(),
        "expires_at": expires_at,
    }
