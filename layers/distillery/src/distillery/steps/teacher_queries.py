"""Queries that the teacher writes, where a spec allows it. An idempotency record guards each call."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.converse import Converse
from distillery.aws.idempotent_calls import IdempotentCalls, idempotency_config, require_time
from distillery.generation.planner import teacher_query_counts
from distillery.task.channels import text_digest
from distillery.task.prompts import query_writing_prompt
from distillery.task.query_lists import parse_query_list

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.cost.prices import Price
    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig

PER_CALL = 20
"""Number of queries that one call requests."""
SURPLUS = 1.25
"""Factor by which more queries are requested than needed: some are repeated, too long, or near-duplicates."""
LONGEST = 2_000
"""Limit of an answer, in tokens."""
KEPT_SECONDS = 365 * 86_400
"""How long an answer is kept, as long as somebody may drop the spec again after planning failed."""
logger = Logger(child=True)


@dataclass
class TeacherQueries:
    """The queries that the teacher wrote, by channel and unchecked, and their cost in USD."""

    queries: dict[str, list[str]] = field(default_factory=dict)
    usd: float = 0.0


class TeacherQueryWriter:
    """Lets the teacher write queries, within one invocation of a function."""

    def __init__(
        self, calls: IdempotentCalls, context: LambdaContext, converse: Converse | None = None
    ) -> None:
        self._calls, self._context = calls, context
        self._config = idempotency_config(context, KEPT_SECONDS)
        self._converse = converse or Converse()

    def write(
        self, generation_id: str, spec: Spec, channel_config: ChannelConfig, teacher: str, price: Price
    ) -> TeacherQueries:
        """Call the teacher until each channel has enough queries or the cost cap is reached.

        Raises what Converse raises.
        """
        written = TeacherQueries()
        for channel, count in teacher_query_counts(spec).items():
            system = query_writing_prompt(channel_config, channel, PER_CALL)
            for part in range(1, math.ceil(count * SURPLUS / PER_CALL) + 1):
                if written.usd >= spec.max_cost_usd:
                    logger.warning("cost cap reached by teacher-written queries", generation_id=generation_id)
                    return written
                key = {"generation": generation_id, "system": text_digest(system), "part": part}
                reply = self._calls.once(key, partial(self._ask, teacher, system, part), self._config)
                written.queries.setdefault(channel, []).extend(parse_query_list(reply["text"]))
                written.usd += price.cost(reply["input_tokens"], reply["output_tokens"])
        return written

    def _ask(self, teacher: str, system: str, part: int) -> dict[str, Any]:
        require_time(self._context)
        reply = self._converse.ask(teacher, system, f"Part {part} of the list.", LONGEST)
        return {
            "text": reply.text,
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
        }
