"""The local untuned model: reads the channels from its prompt and answers in many forms."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer, fenced, seeded_random
from local.models.keyword_guidelines import from_grid, on_grid
from local.models.prompt_reader import channels_of_prompt

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from distillery.task.weights import Weights


class Untuned:
    """A small model before distillation: its weights are nearly random and its output format varies."""

    latency = Latency(700, 0.25)

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Return weights in one of the forms of `_FORMS`, such as in prose or with wrong keys.

        A prompt without channels is answered with prose.
        """
        rng = seeded_random("untuned", user)
        channels = channels_of_prompt(system)
        text = _in_some_form(_nearly_random(channels, rng), rng) if channels else _OFF_TOPIC
        return emulated_answer(text, system, user, self.latency, "untuned")


_OFF_TOPIC = "I can help with that! What would you like to know about your videos?"


def _nearly_random(channels: Sequence[str], rng: random.Random) -> Weights:
    """Return random weights that favour the first channel."""
    raw = {channel: rng.random() + (0.8 if channel == channels[0] else 0.4) for channel in channels}
    total = math.fsum(raw.values())
    return from_grid(on_grid({channel: value / total for channel, value in raw.items()}, 0.1), channels)


def _in_some_form(weights: Weights, rng: random.Random) -> str:
    forms, likelihoods = zip(*_FORMS, strict=True)
    form: Callable[[Weights], str] = rng.choices(forms, likelihoods)[0]
    return form(weights)


def _reasoning(weights: Weights) -> str:
    return f"The query is mostly about {max(weights, key=lambda channel: weights[channel])} content."


def _bare_json(weights: Weights) -> str:
    return as_json(weights, _reasoning(weights))


def _in_prose(weights: Weights) -> str:
    return f"Sure! Here are the weights for your query:\n\n{_bare_json(weights)}\n\nTell me if you need more."


def _in_a_fence(weights: Weights) -> str:
    return (
        f"Here is the JSON:\n\n{fenced(json.dumps({**weights, 'reasoning': _reasoning(weights)}, indent=2))}"
    )


def _with_longer_keys(weights: Weights) -> str:
    return as_json({f"{channel}_weight": weight for channel, weight in weights.items()}, _reasoning(weights))


def _with_other_keys(weights: Weights) -> str:
    numbered = {f"channel_{at}": weight for at, weight in enumerate(weights.values(), 1)}
    return as_json(numbered, _reasoning(weights))


def _without_zeros(weights: Weights) -> str:
    return as_json({channel: weight for channel, weight in weights.items() if weight}, _reasoning(weights))


def _with_one_missing(weights: Weights) -> str:
    return as_json(dict(list(weights.items())[:-1]), _reasoning(weights))


def _as_text(weights: Weights) -> str:
    return as_json({channel: f"{weight:g}" for channel, weight in weights.items()}, _reasoning(weights))


def _as_percentages(weights: Weights) -> str:
    return as_json({channel: f"{weight:.0%}" for channel, weight in weights.items()}, _reasoning(weights))


def _with_trailing_comma(weights: Weights) -> str:
    return _bare_json(weights).removesuffix("}") + ",}"


def _truncated(weights: Weights) -> str:
    return fenced(json.dumps(weights, indent=2))[:30]


def _only_prose(weights: Weights) -> str:
    return f"{_reasoning(weights)} I would search there first and then look at the other channels if needed."


_FORMS: Sequence[tuple[Callable[[Weights], str], float]] = (
    (_bare_json, 16),
    (_in_prose, 16),
    (_in_a_fence, 20),
    (_with_longer_keys, 8),
    (_with_other_keys, 3),
    (_without_zeros, 6),
    (_with_one_missing, 4),
    (_as_text, 7),
    (_as_percentages, 7),
    (_with_trailing_comma, 7),
    (_truncated, 2),
    (_only_prose, 4),
)
"""The forms of an answer and their relative frequencies."""
