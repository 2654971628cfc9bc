"""Near-duplicates among queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.split import query_key

if TYPE_CHECKING:
    from collections.abc import Sequence


def near_duplicate_clusters(queries: Sequence[str]) -> list[list[int]]:
    """Indexes of queries that are near-duplicates of each other, clusters of two or more."""
    clusters: dict[bytes, list[int]] = {}
    for index, query in enumerate(queries):
        clusters.setdefault(query_key(query), []).append(index)
    return [cluster for cluster in clusters.values() if len(cluster) > 1]
