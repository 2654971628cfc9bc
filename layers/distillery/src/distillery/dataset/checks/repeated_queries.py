"""Findings on queries that occur more than once, equal or nearly so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, new_finding
from distillery.messages import counted, line_list, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distillery.dataset.checks.scanned_dataset import ScannedDataset


def repeated_query(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if records repeat the query of another record."""
    if repeats := len(dataset.kept.keys) - len(dataset.kept.queries):
        verb = "repeats" if repeats == 1 else "repeat"
        message = f"{counted(repeats, 'record')} {verb} the query of another record; all are kept."
        yield new_finding("repeated_query", None, message)


def near_duplicates(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each cluster of near-duplicates, with the lines that hold its queries."""
    lines_of = dataset.kept.lines_by_key(frozenset(key for cluster in dataset.clusters for key in cluster))
    for cluster in dataset.clusters:
        lines = sorted(line for key in cluster for line in lines_of[key])
        first, second = (shown(dataset.kept.queries[key]) for key in cluster[:2])
        message = (
            f"{len(cluster):,} queries are near-duplicates: {first} and {second}, in {line_list(lines)}."
        )
        yield new_finding("near_duplicates", lines[0], message, lines=lines)
