"""Assembles a dataset from labelled queries: chooses the records and writes the file.

The dataset has as many records as the spec asks for, or all labelled queries if there are fewer. The shares
of the leading channels keep the spec's mix as far as the labels allow. The choice depends on the plan and the
labels only.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distillery.generation.planner import apportion, near_duplicates
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distillery.generation.planner import Planned
    from distillery.generation.spec import Spec
    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights

LEEWAY = 0.02
"""Largest difference between a channel's share and the mix that is not reported."""
MIN_RECORDS = 100
"""Smallest number of records that Bedrock accepts for distillation."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A planned query with the teacher's answer."""

    planned: Planned
    weights: Weights
    reasoning: str

    @property
    def leads(self) -> str:
        """The channel with the largest weight."""
        return dominant(self.weights)


@dataclass(frozen=True, slots=True)
class Choice:
    """The records of the dataset, their shares by leading channel, and remarks for the user."""

    chosen: list[Labelled]
    mix: dict[str, float]
    near_duplicates: int
    remarks: list[str]


def choose(labelled: Sequence[Labelled], spec: Spec, channel_config: ChannelConfig) -> Choice:
    """Choose `spec.records` of the labelled queries, or all of them if there are fewer."""
    pool, duplicates = _within_limit(labelled, spec)
    by_channel: dict[str, list[Labelled]] = {channel: [] for channel in channel_config.names}
    for one in pool:
        by_channel[one.leads].append(one)
    counts = _counts({channel: len(found) for channel, found in by_channel.items()}, spec)
    chosen = [one for channel, found in by_channel.items() for one in found[: counts[channel]]]
    chosen.sort(key=lambda one: one.planned.number)
    kept = [one for one in chosen if one.planned.number in duplicates]
    too_many = len(kept) - math.floor(spec.near_duplicates * len(chosen) + 1e-9)
    if too_many > 0:
        dropped = {one.planned.number for one in kept[-too_many:]}
        chosen = [one for one in chosen if one.planned.number not in dropped]
    leading = Counter(one.leads for one in chosen)
    mix = {channel: leading[channel] / len(chosen) if chosen else 0.0 for channel in channel_config.names}
    return Choice(chosen, mix, len(kept) - max(0, too_many), _remarks(mix, len(chosen), spec))


def record_line(query: str, weights: Weights, reasoning: str, channel_config: ChannelConfig) -> str:
    """One labelled line of a distillation dataset (bedrock-conversation-2024), ending in a newline."""
    label = json.dumps({**weights, "reasoning": reasoning}, ensure_ascii=False)
    record = {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": student_prompt(channel_config)}],
        "messages": [
            {"role": "user", "content": [{"text": query}]},
            {"role": "assistant", "content": [{"text": label}]},
        ],
    }
    return f"{json.dumps(record, ensure_ascii=False)}\n"


def dataset_bytes(chosen: Iterable[Labelled], channel_config: ChannelConfig) -> bytes:
    """The content of the dataset's file."""
    return "".join(
        record_line(one.planned.query, one.weights, one.reasoning, channel_config) for one in chosen
    ).encode()


def dataset_key(dataset: str, content: bytes) -> str:
    """The key of a generated dataset, with a hash of its content: the same dataset is one object."""
    return f"datasets/{dataset}/generated-{hashlib.sha256(content).hexdigest()[:12]}.jsonl"


def _within_limit(labelled: Sequence[Labelled], spec: Spec) -> tuple[list[Labelled], set[int]]:
    """The labelled queries without near-duplicates beyond the limit, and the numbers of those that remain."""
    duplicates = near_duplicates([one.planned.query for one in labelled])
    limit = math.floor(spec.near_duplicates * min(spec.records, len(labelled)) + 1e-9)
    beyond = set(duplicates[limit:])
    pool = [one for index, one in enumerate(labelled) if index not in beyond]
    return pool, {labelled[index].planned.number for index in duplicates[:limit]}


def _counts(available: Mapping[str, int], spec: Spec) -> dict[str, int]:
    """How many records each channel leads.

    The mix decides. Where a channel has too few labels, the others fill up: first within the leeway, then
    freely.
    """
    total = min(spec.records, sum(available.values()))
    shares = apportion(spec.mix, total)
    counts = {channel: min(shares.get(channel, 0), found) for channel, found in available.items()}
    leeway = {
        channel: math.floor((spec.mix.get(channel, 0.0) + LEEWAY) * total + 1e-9) for channel in available
    }
    for limit in (leeway, available):
        while (missing := total - sum(counts.values())) > 0:
            room = {
                channel: min(limit[channel], available[channel]) - count for channel, count in counts.items()
            }
            room = {channel: free for channel, free in room.items() if free > 0}
            if not room:
                break
            for channel, more in apportion(room, min(missing, sum(room.values()))).items():
                counts[channel] += more
    return counts


def _remarks(mix: Mapping[str, float], chosen: int, spec: Spec) -> list[str]:
    remarks = []
    if chosen < spec.records:
        remarks.append(f"The dataset has {chosen} records instead of {spec.records}.")
    off = [
        f"{channel} {share:.0%} instead of {spec.mix.get(channel, 0.0):.0%}"
        for channel, share in mix.items()
        if abs(share - spec.mix.get(channel, 0.0)) > LEEWAY + 1e-9
    ]
    if off and chosen:
        remarks.append(f"The labels do not allow the mix: {', '.join(off)}.")
    return remarks
