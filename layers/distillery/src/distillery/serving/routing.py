"""Answers one query.

The models are called in order: the active model, then the baseline. A model that cannot be called is
skipped. A model whose answer cannot be read is called once more. If that answer cannot be read either, or if
the last model refuses the query, the query gets the fallback weights of the channel configuration. If the
last model is missing or access to it is denied, the query waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from distillery.errors import BlockedAnswer, Permanent, Unavailable, UnreadableRouting, Unusable
from distillery.task.answers import Routing, parse_routing
from distillery.task.weights import Weights, dominant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from distillery.serving.messages import Query
    from distillery.task.channels import ChannelConfig
    from distillery.task.repairs import Repair

NO_ANSWER = "No model could answer."
BLOCKED = frozenset({"content_filtered", "guardrail_intervened", "refusal"})
"""Stop reasons of an answer that a filter took; the same query is blocked again."""
READS = 2
"""How often a model is called before its answer counts as unreadable."""

Source = Literal["model", "cache", "fallback"]


class NoUsableModel(Unavailable):
    """No model can be called, whatever the query: access may be given later."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model to call and its system prompt. `run_id` is empty for the baseline."""

    model_id: str
    system: str
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer to one query text. Tokens are the sum of all calls, latency is that of the last call."""

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
    """For each model that was skipped or unreadable, why, as a sentence."""


class Reply(Protocol):
    """The answer of a model."""

    @property
    def text(self) -> str: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def latency_ms(self) -> float: ...
    @property
    def stop_reason(self) -> str: ...


Ask = Callable[[Target, str, str | None], Reply]
"""Sends a query to a target; the last argument is an unreadable answer to be corrected, if there was one."""


@dataclass(slots=True)
class Usage:
    """Tokens of all calls for one query so far, and the latency of the last call."""

    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: float = 0.0

    def add(self, reply: Reply) -> None:
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens
        self.latency_ms = reply.latency_ms


def route(query: str, targets: Sequence[Target], ask: Ask, channel_config: ChannelConfig) -> Routed:
    """Answer one query. Raises Transient when the query must be tried again later, such as NoUsableModel."""
    unusable: list[str] = []
    refused: Permanent | None = None
    usage = Usage()
    answering = Target("", "")
    routing = None
    blocked = ""
    for target in targets:
        try:
            routing, answering = ask_until_readable(query, target, ask, channel_config, usage), target
            break
        except UnreadableRouting as error:
            unusable.append(error.logged)
            blocked = error.message if isinstance(error, BlockedAnswer) else ""
            refused = None
            break
        except Permanent as error:
            unusable.append(error.message)
            refused = error
    if routing is None and isinstance(refused, Unusable):
        raise NoUsableModel(f"No model can be called. {' '.join(unusable)}")
    return Routed(
        weights=routing.weights if routing else dict(channel_config.fallback),
        reasoning=routing.reasoning if routing else f"{blocked or NO_ANSWER} These are the fallback weights.",
        source="model" if routing else "fallback",
        model_id=answering.model_id,
        run_id=answering.run_id,
        latency_ms=usage.latency_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        repairs=routing.repairs if routing else (),
        unusable=tuple(unusable),
    )


def ask_until_readable(
    query: str,
    target: Target,
    ask: Ask,
    channel_config: ChannelConfig,
    usage: Usage,
) -> Routing:
    """Call a model until its answer can be read, at most `READS` times.

    At temperature 0 the same call gives the same text, so a later call shows the model its answer and asks
    for a correction. Raises UnreadableRouting. A blocked answer is not requested again.
    """
    answer: str | None = None
    for call in range(READS):
        reply = ask(target, query, answer)
        usage.add(reply)
        if reply.stop_reason in BLOCKED:
            raise BlockedAnswer(f"The answer was blocked (stop reason {reply.stop_reason}).")
        try:
            return parse_routing(reply.text, channel_config.names, given=(target.system, query))
        except UnreadableRouting as error:
            if call == READS - 1:
                cut = " It was cut off at the token limit." if reply.stop_reason == "max_tokens" else ""
                logged = f"The answer has no readable weights ({_fingerprint(reply.text)}).{cut}"
                raise UnreadableRouting(f"{error.message}{cut}", logged=logged) from error
            answer = reply.text
    raise AssertionError("every call returns or raises")


def _fingerprint(text: str) -> str:
    """Length and hash of a model's text, for logs: the text may repeat the query."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{len(text):,} characters, SHA-256 {digest}"


def result_entry(query: Query, routed: Routed, *, at: datetime, expires_at: int) -> dict[str, Any]:
    """Return the result of one query as it is stored in the results table."""
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
