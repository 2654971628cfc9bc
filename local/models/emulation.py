"""What the local models share: answers with estimated tokens and emulated latency, and seeded randomness.

An answer depends only on the model and the prompt, so a run can be repeated exactly. Token counts are
estimates (four characters a token). Latencies are drawn at random, not measured: the means of the distilled
model and the baseline are those of AWS's article on distilling search intent (833 ms and 1,741 ms); those
of the teacher and the untuned model are guesses of the same order. None of these numbers describes Amazon
Nova.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model's answer, with estimated token counts and an emulated latency in milliseconds."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal latency: its mean in milliseconds and the standard deviation of its logarithm."""

    mean_ms: float
    sigma: float

    def draw(self, rng: random.Random) -> float:
        """Draw one latency in milliseconds."""
        centre = math.log(self.mean_ms) - self.sigma**2 / 2
        return round(rng.lognormvariate(centre, self.sigma), 1)


def emulated_answer(text: str, system: str, user: str, latency: Latency, name: str) -> ModelAnswer:
    """Return an answer with its tokens estimated and its latency drawn for this model name and query."""
    return ModelAnswer(
        text=text,
        input_tokens=estimated_tokens(system + user),
        output_tokens=estimated_tokens(text),
        latency_ms=latency.draw(seeded_random("latency", name, user)),
    )


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text; at least one."""
    return max(1, math.ceil(len(text) / CHARACTERS_PER_TOKEN))


def seeded_random(*keys: str) -> random.Random:
    """Return a generator that is the same for the same keys on every machine (a text seed is hashed)."""
    return random.Random("\x1f".join(keys))


def as_json(weights: Mapping[str, object], reasoning: str) -> str:
    """Return an answer's JSON: the weights by channel, then the reasoning."""
    return json.dumps({**weights, "reasoning": reasoning}, ensure_ascii=False)


def fenced(text: str) -> str:
    """Return a text inside a JSON code fence."""
    return f"```json\n{text}\n```"
