"""How one query is answered.

Models are asked in order (the active model, then the baseline); a model that cannot be used is passed
over, an answer that cannot be read is asked for once more, and what is left is the channel configuration's fallback.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from distillery.errors import Permanent, UnreadableRouting
from distillery.task.answers import Repair, Routing, parse_routing
from distillery.task.weights import Weights, dominant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from distillery.serving.messages import Query
    from distillery.task.channels import ChannelConfig

READS = 2
"""How often a model is asked before its answer is given up as unreadable."""

Source = Literal["model", "cache", "student", "fallback"]


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
    query: str, targets: Sequence[Target], ask: Callable[[Target, str], Reply], channel_config: ChannelConfig
) -> Routed:
    """Answer one query; raises Transient when the query should go back to the queue."""
    unusable: list[str] = []
    spent = Spent()
    answering = Target("", "")
    routing = None
    for target in targets:
        try:
            routing, answering = readable(query, target, ask, channel_config, spent), target
            break
        except UnreadableRouting as error:
            unusable.append(error.message)
            break
        except Permanent as error:
            unusable.append(error.message)
    return Routed(
        weights=routing.weights if routing else dict(channel_config.fallback),
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
    query: str,
    target: Target,
    ask: Callable[[Target, str], Reply],
    channel_config: ChannelConfig,
    spent: Spent,
) -> Routing:
    """Ask until an answer can be read, `READS` times at most."""
    for _ in range(READS - 1):
        reply = ask(target, query)
        spent.add(reply)
        with suppress(UnreadableRouting):
            return parse_routing(reply.text, channel_config.names)
    reply = ask(target, query)
    spent.add(reply)
    return parse_routing(reply.text, channel_config.names)


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
