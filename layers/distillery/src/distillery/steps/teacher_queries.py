"""Queries that the teacher makes up itself, where a spec allows it; each call is claimed, so paid once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.converse import Converse
from distillery.aws.idempotent_calls import PaidCalls, claims_of, require_time
from distillery.generation.planner import parse_written_queries, teacher_query_counts
from distillery.task.channels import text_digest
from distillery.task.prompts import query_writing_prompt

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.cost.prices import Price
    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig

PER_CALL = 20
"""Queries asked for in one call."""
SURPLUS = 1.25
"""So many more are asked for than needed: some are repeated, too long, or near-duplicates."""
LONGEST = 2_000
"""Tokens of an answer."""
logger = Logger(child=True)


@dataclass
class Invented:
    """The teacher's queries by channel, unchecked, and what they cost in USD."""

    queries: dict[str, list[str]] = field(default_factory=dict)
    usd: float = 0.0


class Inventor:
    """Asks the teacher, within one invocation."""

    def __init__(self, paid: PaidCalls, context: LambdaContext, converse: Converse | None = None) -> None:
        self._paid, self._context = paid, context
        self._claims = claims_of(context)
        self._converse = converse or Converse()

    def invent(
        self, generation_id: str, spec: Spec, channel_config: ChannelConfig, teacher: str, price: Price
    ) -> Invented:
        """Ask until there are enough for each channel, or the money is used up; raises what Converse raises."""
        found = Invented()
        for channel, count in teacher_query_counts(spec).items():
            system = query_writing_prompt(channel_config, channel, PER_CALL)
            for part in range(1, math.ceil(count * SURPLUS / PER_CALL) + 1):
                if found.usd >= spec.max_cost_usd:
                    logger.warning("the money is used up by inventing", generation_id=generation_id)
                    return found
                claim = {"generation": generation_id, "system": text_digest(system), "part": part}
                reply = self._paid.once(claim, partial(self._ask, teacher, system, part), self._claims)
                found.queries.setdefault(channel, []).extend(parse_written_queries(reply["text"]))
                found.usd += price.cost(reply["input_tokens"], reply["output_tokens"])
        return found

    def _ask(self, teacher: str, system: str, part: int) -> dict[str, Any]:
        require_time(self._context)
        reply = self._converse.ask(teacher, system, f"Part {part} of the list.", LONGEST)
        return {
            "text": reply.text,
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
        }
