"""What the local teacher and the baseline share: prompt guidelines, random deviations, the reasoning."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from local.models.keyword_guidelines import Guidelines
from local.models.prompt_reader import channel_config_of_prompt

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from local.models.keyword_guidelines import Reading


@lru_cache(64)
def guidelines_of(system: str) -> Guidelines | None:
    """Return the guidelines that a prompt holds, or None when it names no channels."""
    channel_config = channel_config_of_prompt(system)
    return Guidelines(channel_config) if channel_config else None


def move_one_step(steps: dict[str, int], rng: random.Random) -> None:
    """Move one step of the grid from a channel with weight to another channel."""
    source = rng.choice([channel for channel, count in steps.items() if count])
    target = rng.choice([channel for channel in steps if channel != source])
    steps[source] -= 1
    steps[target] += 1


def reasoning_for(reading: Reading, weights: Mapping[str, float]) -> str:
    """Return the reasoning for weights: the cues found for each channel, highest weight first."""
    ranked = sorted(weights, key=lambda channel: -weights[channel])
    parts = [
        f"{channel} for {' and '.join(repr(text) for text in reading.found[channel][:2])}"
        for channel in ranked
        if weights[channel] and reading.found[channel]
    ]
    if not parts:
        return "Nothing in the query points to one channel, so the usual weights apply."
    lead = "The query asks for " + ", then ".join(parts) + "."
    without_weight = [channel for channel in ranked if not weights[channel]]
    return f"{lead} Nothing points to {' or '.join(without_weight)}." if without_weight else lead
