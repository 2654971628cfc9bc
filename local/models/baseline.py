"""The local baseline: the model in use before the first promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer, fenced, seeded_random
from local.models.keyword_guidelines import Guidelines, from_grid, on_grid
from local.models.labelling import guidelines_of, move_one_step, reasoning_for

if TYPE_CHECKING:
    from distillery.task.channels import ChannelConfig


class Baseline:
    """A model that follows the teacher's guidelines less closely and mostly answers bare JSON.

    Rates are shares of the answers: up to two moves of one grid step, and a JSON code fence.
    """

    latency = Latency(1741, 0.3)
    _prior = 1.2
    _first_move_rate = 0.4
    _second_move_rate = 0.1
    _fence_rate = 0.06

    def __init__(self, channel_config: ChannelConfig) -> None:
        self._guidelines = Guidelines(channel_config)

    def answer(self, system: str, user: str) -> ModelAnswer:
        """Return JSON, sometimes in a code fence, with weights for the prompt's channels.

        A prompt without channels is answered for the channel configuration of this model.
        """
        guidelines = guidelines_of(system) or self._guidelines
        reading = guidelines.read(user, prior=self._prior)
        steps = on_grid(reading.weights, guidelines.channel_config.label_grid)
        rng = seeded_random("baseline", user)
        for likelihood in (self._first_move_rate, self._second_move_rate):
            if rng.random() < likelihood:
                move_one_step(steps, rng)
        weights = from_grid(steps, guidelines.channel_config.names)
        text = as_json(weights, reasoning_for(reading, weights))
        if rng.random() < self._fence_rate:
            text = fenced(text)
        return emulated_answer(text, system, user, self.latency, "baseline")
