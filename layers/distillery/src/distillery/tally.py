"""What a dataset looks like, in the numbers that the report's charts are drawn from."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.weights import dominant

if TYPE_CHECKING:
    from distillery.records import Record
    from distillery.taxonomy import Taxonomy

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


class Statistics(BaseModel):
    """Of the records kept; weights, dominants and means are of the labelled ones.

    `weight_bins` are the label grid's steps from 0 to 1, `weight_histograms` counts per facet the labels
    nearest to each; `dominant_counts` gives a tie to the facet that the taxonomy names first.
    """

    records: int
    labelled: int
    weight_bins: list[float]
    weight_histograms: dict[str, list[int]]
    mean_weights: dict[str, float]
    dominant_counts: dict[str, int]
    query_lengths: list[LengthBin]
    query_characters: Characters = Characters()
    reasoning_characters: Characters = Characters()


class Tally:
    """Counts record by record."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.labelled = 0
        self._facets = taxonomy.names
        self._steps = max(round(1 / taxonomy.label_grid), 1)
        self._labels: Counter[tuple[float, ...]] = Counter()
        self._lengths: Counter[int] = Counter()
        self._reasoning = self._query_beyond = self._reasoning_beyond = 0

    def add(self, record: Record) -> None:
        """Count one record."""
        self._lengths[len(record.query)] += 1
        self._query_beyond += _beyond_ascii(record.query)
        if record.label is not None:
            self.labelled += 1
            self._reasoning += len(record.reasoning)
            self._reasoning_beyond += _beyond_ascii(record.reasoning)
            # Labels come from a grid, so few are distinct: what they add up to is worked out at the end.
            self._labels[tuple(record.label.values())] += 1

    def statistics(self) -> Statistics:
        """What was counted."""
        histograms = {facet: [0] * (self._steps + 1) for facet in self._facets}
        sums = dict.fromkeys(self._facets, 0.0)
        dominants = dict.fromkeys(self._facets, 0)
        for weights, count in self._labels.items():
            label = dict(zip(self._facets, weights, strict=True))
            dominants[dominant(label)] += count
            for facet, weight in label.items():
                sums[facet] += weight * count
                histograms[facet][round(weight * self._steps)] += count
        lengths = [0] * (len(LENGTHS) + 1)
        for length, count in self._lengths.items():
            lengths[bisect_left(LENGTHS, length)] += count
        means = {facet: round(total / self.labelled, 4) for facet, total in sums.items() if self.labelled}
        ends = (*LENGTHS, None)
        return Statistics(
            records=self._lengths.total(),
            labelled=self.labelled,
            weight_bins=[round(step / self._steps, 4) for step in range(self._steps + 1)],
            weight_histograms=histograms,
            mean_weights=means,
            dominant_counts=dominants,
            query_lengths=[
                LengthBin(up_to=end, queries=count) for end, count in zip(ends, lengths, strict=True)
            ],
            query_characters=Characters(
                total=sum(length * count for length, count in self._lengths.items()),
                beyond_ascii=self._query_beyond,
            ),
            reasoning_characters=Characters(total=self._reasoning, beyond_ascii=self._reasoning_beyond),
        )


def _beyond_ascii(text: str) -> int:
    return 0 if text.isascii() else sum(character > "\x7f" for character in text)
