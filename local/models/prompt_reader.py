"""Parses the channels and their descriptions out of the prompts and labels that a local model receives.

A model behind Bedrock sees only its prompt. The local models do the same: they read the channel configuration
from the prompts that `distillery.task.prompts` renders.
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
_GRID_TOLERANCE = 1e-6
_SHARE_ON_GRID = 0.95
"""Share of the labels that must lie on a grid for the grid to be accepted."""


@lru_cache(64)
def channel_config_of_prompt(system: str) -> ChannelConfig | None:
    """Return the channel configuration that a teacher or student prompt was rendered from, or None.

    A student prompt holds the channel names only. Channels of the default configuration keep its description
    and cues; any other channel gets its name as its only cue.
    """
    channels = tuple(
        Channel(
            name=channel["name"],
            description=channel["description"],
            cues=_split(channel["cues"], ", "),
            examples=_split(channel["examples"], "; "),
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
    """Return the channels that a student prompt lists before the word "weights", if any."""
    match = _CHANNEL_LIST.search(system)
    if match is None:
        return ()
    return tuple(name for name in re.split(r",\s*(?:and )?|\s+and\s+", match[1]) if name)


def channel_config_of_names(names: Sequence[str], label_grid: float | None = None) -> ChannelConfig | None:
    """Return a channel configuration for channel names, or None for fewer than two names."""
    known = default_channel_config()
    if tuple(names) == known.names and label_grid in {None, known.label_grid}:
        return known
    if len(names) < 2:
        return None
    by_name = {channel.name: channel for channel in known.channels}
    return ChannelConfig(
        subject=known.subject,
        channels=tuple(by_name.get(name) or _channel_from_name(name) for name in names),
        fallback=dict.fromkeys(names, 1 / len(names)),
        label_grid=label_grid or known.label_grid,
    )


def channels_of_label(text: str) -> tuple[str, ...]:
    """Return the channels of a label; empty when the label is not a JSON object of numbers."""
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
    """Return the channel configuration of labelled queries: their channels, and the grid of their weights.

    Raises ValueError when there are no examples, or fewer than two channels.
    """
    labels = Counter(tuple(weights.items()) for _, weights in examples)
    if not labels:
        raise ValueError("no examples")
    grids = [grid for grid in _GRIDS if _share_on(grid, labels) >= _SHARE_ON_GRID]
    names = [name for name, _ in next(iter(labels))]
    channel_config = channel_config_of_names(names, grids[0] if grids else _GRIDS[-1])
    if channel_config is None:
        raise ValueError("fewer than two channels")
    return channel_config


def _share_on(grid: float, labels: Counter[tuple[tuple[str, float], ...]]) -> float:
    on = sum(
        count
        for label, count in labels.items()
        if all(abs(weight / grid - round(weight / grid)) < _GRID_TOLERANCE for _, weight in label)
    )
    return on / labels.total()


def _channel_from_name(name: str) -> Channel:
    words = name.replace("_", " ")
    return Channel(name=name, description=words, cues=(words,))


def _split(text: str | None, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()
