"""What a dataset looks like, in the numbers that the report's charts are drawn from."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.weights import dominant

if TYPE_CHECKING:
    from distillery.records import Record
    from distillery.taxonomy import Taxonomy

LENGTHS = (20, 40, 60, 80, 100, 150, 200, 300, 500, 1_000)
"""Upper ends, in characters and inclusive, of the bins of query lengths; one more bin lies beyond."""


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


class Tally:
    """Counts record by record."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.records = 0
        self.labelled = 0
        self._steps = max(round(1 / taxonomy.label_grid), 1)
        self._histograms = {facet: [0] * (self._steps + 1) for facet in taxonomy.names}
        self._sums = dict.fromkeys(taxonomy.names, 0.0)
        self._dominant = dict.fromkeys(taxonomy.names, 0)
        self._lengths = [0] * (len(LENGTHS) + 1)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.records += 1
        self._lengths[bisect_left(LENGTHS, len(record.query))] += 1
        if record.label is None:
            return
        self.labelled += 1
        self._dominant[dominant(record.label)] += 1
        for facet, weight in record.label.items():
            self._sums[facet] += weight
            self._histograms[facet][round(weight * self._steps)] += 1

    def statistics(self) -> Statistics:
        """What was counted."""
        means = {
            facet: round(total / self.labelled, 4) for facet, total in self._sums.items() if self.labelled
        }
        ends = (*LENGTHS, None)
        return Statistics(
            records=self.records,
            labelled=self.labelled,
            weight_bins=[round(step / self._steps, 4) for step in range(self._steps + 1)],
            weight_histograms=self._histograms,
            mean_weights=means,
            dominant_counts=self._dominant,
            query_lengths=[
                LengthBin(up_to=end, queries=count) for end, count in zip(ends, self._lengths, strict=True)
            ],
        )
