"""The local teacher: it labels by the guidelines of its prompt, and writes queries when it is asked to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer, seeded_random
from local.models.keyword_guidelines import Guidelines, from_grid, on_grid
from local.models.labelling import guidelines_of, move_one_step, reasoning_for
from local.models.query_writer import invented_queries, invention_of_prompt

if TYPE_CHECKING:
    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights


class Teacher:
    """A strong model that follows the channel configuration's guidelines and is now and then a step off."""

    latency = Latency(1500, 0.28)
    _prior = 1.6
    _slips = 0.1

    def __init__(self, channel_config: ChannelConfig) -> None:
        self._guidelines = Guidelines(channel_config)

    def label(self, query: str) -> tuple[Weights, str]:
        """Weights on the channel configuration's grid, and the reasoning for them."""
        return self._label(self._guidelines, query)

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Bare JSON, always valid, over the channels that the prompt asks about (or its own, if about none).

        A prompt that asks to invent queries is answered with a list of them.
        """
        wanted = invention_of_prompt(system)
        if wanted:
            invented = json.dumps(invented_queries(wanted, user), ensure_ascii=False)
            return emulated_answer(invented, system, user, self.latency, "teacher")
        weights, reasoning = self._label(guidelines_of(system) or self._guidelines, user)
        return emulated_answer(as_json(weights, reasoning), system, user, self.latency, "teacher")

    def _label(self, guidelines: Guidelines, query: str) -> tuple[Weights, str]:
        channel_config = guidelines.channel_config
        reading = guidelines.read(query, prior=self._prior)
        steps = on_grid(reading.weights, channel_config.label_grid)
        rng = seeded_random("teacher", query)
        if rng.random() < self._slips:
            move_one_step(steps, rng)
        weights = from_grid(steps, channel_config.names)
        return weights, reasoning_for(reading, weights)
