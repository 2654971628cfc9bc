"""The local baseline: the model in use before the first promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.models.emulation import Latency, ModelAnswer, as_json, emulated_answer, fenced, seeded_random
from local.models.keyword_guidelines import Guidelines, from_grid, on_grid
from local.models.labelling import guidelines_of, move_one_step, reasoning_for

if TYPE_CHECKING:
    from distillery.task.channels import ChannelConfig


class Baseline:
    """The model in use before distillation: the same guidelines, a weaker hold on them, mostly clean JSON."""

    latency = Latency(1741, 0.3)
    _prior = 1.2
    _slips = 0.4
    _second_slips = 0.1
    _fences = 0.06

    def __init__(self, channel_config: ChannelConfig) -> None:
        self._guidelines = Guidelines(channel_config)

    def answer(self, system: str, user: str) -> ModelAnswer:
        """JSON, fenced now and then, over the channels that the prompt asks about (or its own)."""
        guidelines = guidelines_of(system) or self._guidelines
        reading = guidelines.read(user, prior=self._prior)
        steps = on_grid(reading.weights, guidelines.channel_config.label_grid)
        rng = seeded_random("baseline", user)
        for likelihood in (self._slips, self._second_slips):
            if rng.random() < likelihood:
                move_one_step(steps, rng)
        weights = from_grid(steps, guidelines.channel_config.names)
        text = as_json(weights, reasoning_for(reading, weights))
        if rng.random() < self._fences:
            text = fenced(text)
        return emulated_answer(text, system, user, self.latency, "baseline")
