"""The local teacher: labels queries by the guidelines of its prompt, and writes queries on request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer, seeded_random
from local.models.keyword_guidelines import Guidelines, from_grid, on_grid
from local.models.labelling import guidelines_of, move_one_step, reasoning_for
from local.models.query_writer import query_request_of_prompt, write_queries

if TYPE_CHECKING:
    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights


class Teacher:
    """A strong model that follows the channel configuration's guidelines.

    For a tenth of the queries (`_move_rate`) one step of the grid is moved to another channel.
    """

    latency = Latency(1500, 0.28)
    _prior = 1.6
    _move_rate = 0.1

    def __init__(self, channel_config: ChannelConfig) -> None:
        self._guidelines = Guidelines(channel_config)

    def label(self, query: str) -> tuple[Weights, str]:
        """Return weights on the channel configuration's grid, and the reasoning for them."""
        return self._label(self._guidelines, query)

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Return bare JSON that is always valid, with weights for the prompt's channels.

        A prompt without channels is answered for the channel configuration of this model. A query-writing
        prompt is answered with a JSON list of queries.
        """
        request = query_request_of_prompt(system)
        if request:
            queries = json.dumps(write_queries(request, user), ensure_ascii=False)
            return emulated_answer(queries, system, user, self.latency, "teacher")
        weights, reasoning = self._label(guidelines_of(system) or self._guidelines, user)
        return emulated_answer(as_json(weights, reasoning), system, user, self.latency, "teacher")

    def _label(self, guidelines: Guidelines, query: str) -> tuple[Weights, str]:
        channel_config = guidelines.channel_config
        reading = guidelines.read(query, prior=self._prior)
        steps = on_grid(reading.weights, channel_config.label_grid)
        rng = seeded_random("teacher", query)
        if rng.random() < self._move_rate:
            move_one_step(steps, rng)
        weights = from_grid(steps, channel_config.names)
        return weights, reasoning_for(reading, weights)
