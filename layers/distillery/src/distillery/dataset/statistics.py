"""Statistics of a dataset: the numbers behind the reports' charts and the coverage checks."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.dataset.languages import languages, unavailable
from distillery.dataset.query_templates import QueryTemplate, top_templates
from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distillery.dataset.labels import LabelKey
    from distillery.dataset.scan import KeptRecords
    from distillery.task.channels import ChannelConfig

LENGTHS = (20, 40, 60, 80, 100, 150, 200, 300, 500, 1_000)
"""Upper ends, in characters and inclusive, of the bins of query lengths. One more bin holds longer
queries."""
SAMPLE = 1_000
"""Distinct queries whose languages and templates are counted: a fixed number, so that any dataset takes the
same time. They are the queries with the lowest keys, which are hashes."""
LEAST_SAMPLE = 50
"""Fewer queries or labels are not enough to judge coverage."""
GRID_SLACK = 1e-6
"""A weight this close to a step of the label grid is on the grid."""


class Characters(BaseModel):
    """Total length of texts. Characters beyond ASCII are also counted apart: they take more tokens."""

    total: int = 0
    beyond_ascii: int = 0


class LengthBin(BaseModel):
    """Queries of at most `up_to` characters that are in no earlier bin; None means no upper end."""

    up_to: int | None
    queries: int


class Statistics(BaseModel):
    """Statistics of the records kept. Weights, dominant channels and means cover the labelled records only.

    `weight_bins` are the label grid's steps from 0 to 1; `weight_histograms` counts, for each channel, the
    labels nearest to each step. `dominant_counts` counts a tie for the channel that the channel configuration
    names first. `languages` and `shapes` (query templates) cover `sampled` distinct queries, chosen by hash.
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
    shapes: list[QueryTemplate] = []
    query_characters: Characters = Characters()
    reasoning_characters: Characters = Characters()


def collect_statistics(kept: KeptRecords, channel_config: ChannelConfig) -> Statistics:
    """The statistics of the records kept."""
    channels = channel_config.names
    labels = Counter(label for label in kept.labels if label is not None)
    labelled = labels.total()
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
    sample = [kept.queries[key] for key in heapq.nsmallest(SAMPLE, kept.queries)]
    enough = len(sample) >= LEAST_SAMPLE
    language_counts = languages(sample) if enough and not unavailable() else Counter[str]()
    return Statistics(
        records=len(kept.lengths),
        labelled=labelled,
        weight_bins=[round(step / steps, 4) for step in range(steps + 1)],
        weight_histograms=histograms,
        mean_weights={channel: round(total / labelled, 4) for channel, total in sums.items() if labelled},
        dominant_counts=dominants,
        query_lengths=_length_bins(kept.lengths),
        off_grid=sum(labels[label] for label in off_grid_labels(labels, channel_config.label_grid)),
        sampled=len(sample),
        languages=dict(language_counts.most_common()),
        shapes=top_templates(sample) if enough else [],
        query_characters=Characters(total=sum(kept.lengths), beyond_ascii=kept.query_characters_beyond_ascii),
        reasoning_characters=Characters(
            total=kept.reasoning_characters, beyond_ascii=kept.reasoning_characters_beyond_ascii
        ),
    )


def off_grid_labels(labels: Iterable[LabelKey], grid: float) -> set[LabelKey]:
    """The labels that have a weight between two steps of the grid."""
    steps = 1 / grid
    return {
        label
        for label in labels
        if any(abs(weight * steps - round(weight * steps)) > GRID_SLACK * steps for weight in label)
    }


def _length_bins(lengths: Iterable[int]) -> list[LengthBin]:
    bins = [0] * (len(LENGTHS) + 1)
    for length, count in Counter(lengths).items():
        bins[bisect_left(LENGTHS, length)] += count
    ends = (*LENGTHS, None)
    return [LengthBin(up_to=end, queries=count) for end, count in zip(ends, bins, strict=True)]
