"""What a dataset looks like, in the numbers that the reports' charts are drawn from."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from distillery.task.channels import ChannelConfig

LabelKey = tuple[float, ...]
"""The weights of a label in the channel configuration's order."""
LENGTHS = (20, 40, 60, 80, 100, 150, 200, 300, 500, 1_000)
"""Upper ends, in characters and inclusive, of the bins of query lengths; one more bin lies beyond."""


class Characters(BaseModel):
    """How long texts are together. Those beyond ASCII are counted too: they take other numbers of tokens."""

    total: int = 0
    beyond_ascii: int = 0


class LengthBin(BaseModel):
    """Queries of at most `up_to` characters that are in no bin before; None has no upper end."""

    up_to: int | None
    queries: int


class Shape(BaseModel):
    """A template that queries share (see shapes.py), and how many of the sample have it."""

    shape: str
    queries: int


class Statistics(BaseModel):
    """Of the records kept; weights, dominants and means are of the labelled ones.

    `weight_bins` are the label grid's steps from 0 to 1, `weight_histograms` counts per channel the labels
    nearest to each; `dominant_counts` gives a tie to the channel that the channel configuration names first. `languages`
    and `shapes` are of `sampled` distinct queries, chosen by hash.
    """

    records: int
    labelled: int
    weight_bins: list[float]
    weight_histograms: dict[str, list[int]]
    mean_weights: dict[str, float]
    dominant_counts: dict[str, int]
    query_lengths: list[LengthBin]
    off_grid: int = 0
    sampled: int = 0
    languages: dict[str, int] = {}
    shapes: list[Shape] = []
    query_characters: Characters = Characters()
    reasoning_characters: Characters = Characters()


def tally(
    channel_config: ChannelConfig, labels: Mapping[LabelKey, int], lengths: Iterable[int]
) -> Statistics:
    """Count; `labels` are distinct labels with their records, `lengths` those of all queries."""
    channels = channel_config.names
    labelled = sum(labels.values())
    steps = max(round(1 / channel_config.label_grid), 1)
    histograms = {channel: [0] * (steps + 1) for channel in channels}
    sums = dict.fromkeys(channels, 0.0)
    dominants = dict.fromkeys(channels, 0)
    for weights, count in labels.items():
        label = dict(zip(channels, weights, strict=True))
        dominants[dominant(label)] += count
        for channel, weight in label.items():
            sums[channel] += weight * count
            histograms[channel][round(weight * steps)] += count
    bins = [0] * (len(LENGTHS) + 1)
    records = 0
    for length, count in Counter(lengths).items():
        bins[bisect_left(LENGTHS, length)] += count
        records += count
    ends = (*LENGTHS, None)
    return Statistics(
        records=records,
        labelled=labelled,
        weight_bins=[round(step / steps, 4) for step in range(steps + 1)],
        weight_histograms=histograms,
        mean_weights={channel: round(total / labelled, 4) for channel, total in sums.items() if labelled},
        dominant_counts=dominants,
        query_lengths=[LengthBin(up_to=end, queries=count) for end, count in zip(ends, bins, strict=True)],
    )


def beyond_ascii(text: str) -> int:
    """Characters of a text that are not ASCII."""
    return 0 if text.isascii() else sum(character > "\x7f" for character in text)
