"""What a local model understands of a prompt: which channels it is asked about, and what they hold.

A model behind Bedrock knows nothing of the stack but what its prompt says, so neither do the stand-ins: they
read the channel configuration back out of the prompts that `distillery.prompts` renders.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from distillery.task.channels import REASONING, Channel, ChannelConfig, default_channel_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CHANNEL_LIST = re.compile(r"((?:[a-z][a-z0-9_]*, )*[a-z][a-z0-9_]*,? (?:and )?[a-z][a-z0-9_]*) weights\b")
_CHANNEL = re.compile(
    r"^- (?P<name>[a-z][a-z0-9_]*): (?P<description>.*)"
    r"(?:\n  Typical cues: (?P<cues>.*)\.)?(?:\n  Typical queries: (?P<examples>.*)\.)?$",
    re.MULTILINE,
)
_SUBJECT = re.compile(r"\bhow a (.+?) system should weigh\b")
_GRID = re.compile(r"\bUse steps of ([0-9.]+);")
_GRIDS = (0.1, 0.05, 0.01)
_ON_GRID = 1e-6
_SPOKEN_FOR = 0.95
"""Share of the labels that must lie on a grid for it to be taken as theirs."""


@lru_cache(64)
def channel_config_of_prompt(system: str) -> ChannelConfig | None:
    """The channel configuration that a teacher or student prompt was rendered from, as far as it tells; None for others.

    A student prompt names the channels only. What the shipped channel configuration knows of them is general knowledge; any
    other channel is understood by its name.
    """
    channels = tuple(
        Channel(
            name=channel["name"],
            description=channel["description"],
            cues=_parts(channel["cues"], ", "),
            examples=_parts(channel["examples"], "; "),
        )
        for channel in _CHANNEL.finditer(system)
    )
    subject, grid = _SUBJECT.search(system), _GRID.search(system)
    if len(channels) < 2 or not subject or not grid:
        return channel_config_of_names(channels_of_prompt(system))
    shape = json.loads(system.splitlines()[-1])
    fallback = {channel.name: float(shape[channel.name]) for channel in channels}
    return ChannelConfig(subject=subject[1], channels=channels, fallback=fallback, label_grid=float(grid[1]))


def channels_of_prompt(system: str) -> tuple[str, ...]:
    """The channels that a student prompt lists before the word "weights"; empty when it lists none."""
    match = _CHANNEL_LIST.search(system)
    if match is None:
        return ()
    return tuple(name for name in re.split(r",\s*(?:and )?|\s+and\s+", match[1]) if name)


def channel_config_of_names(names: Sequence[str], label_grid: float | None = None) -> ChannelConfig | None:
    """A channel configuration of which only the channels' names are known; None where they are fewer than two."""
    known = default_channel_config()
    if tuple(names) == known.names and label_grid in {None, known.label_grid}:
        return known
    if len(names) < 2:
        return None
    by_name = {channel.name: channel for channel in known.channels}
    return ChannelConfig(
        subject=known.subject,
        channels=tuple(by_name.get(name) or _called(name) for name in names),
        fallback=dict.fromkeys(names, 1 / len(names)),
        label_grid=label_grid or known.label_grid,
    )


def channels_of_label(text: str) -> tuple[str, ...]:
    """The channels that a label weighs; empty when it is no JSON object of numbers."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(content, dict):
        return ()
    weights = {name: value for name, value in content.items() if name != REASONING}
    numbers = all(isinstance(value, int | float) for value in weights.values())
    return tuple(weights) if numbers else ()


def channel_config_of_examples(examples: Iterable[tuple[str, Mapping[str, float]]]) -> ChannelConfig:
    """What a set of labelled queries shows of its channel configuration: the channels, and the grid that the labels lie on.

    Raises ValueError when there are no examples, or fewer than two channels.
    """
    labels = Counter(tuple(weights.items()) for _, weights in examples)
    if not labels:
        raise ValueError("no examples")
    grids = [grid for grid in _GRIDS if _share_on(grid, labels) >= _SPOKEN_FOR]
    names = [name for name, _ in next(iter(labels))]
    channel_config = channel_config_of_names(names, grids[0] if grids else _GRIDS[-1])
    if channel_config is None:
        raise ValueError("fewer than two channels")
    return channel_config


def _share_on(grid: float, labels: Counter[tuple[tuple[str, float], ...]]) -> float:
    on = sum(
        count
        for label, count in labels.items()
        if all(abs(weight / grid - round(weight / grid)) < _ON_GRID for _, weight in label)
    )
    return on / labels.total()


def _called(name: str) -> Channel:
    words = name.replace("_", " ")
    return Channel(name=name, description=words, cues=(words,))


def _parts(text: str | None, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()
