"""Findings on labels that disagree with each other or with the label grid."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, new_finding
from distillery.dataset.statistics import GRID_SLACK, LEAST_SAMPLE, off_grid_labels
from distillery.messages import counted, line_list
from distillery.task.weights import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from distillery.dataset.checks.scanned_dataset import ScannedDataset
    from distillery.dataset.labels import LabelKey

NEAR_CONFLICT_STEPS = 2
"""Labels of near-duplicates may differ by this many steps of the label grid."""


def off_grid(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if weights are not multiples of the label grid."""
    count = dataset.statistics.off_grid
    if not count:
        return
    kept, grid = dataset.kept, dataset.channel_config.label_grid
    labels = off_grid_labels({label for label in kept.labels if label is not None}, grid)
    lines = [line for line, label in zip(kept.lines, kept.labels, strict=True) if label in labels]
    share = f"{count:,} of {counted(dataset.statistics.labelled, 'label')}"
    message = f"{share} are off the label grid of {grid:g}: {line_list(lines)}."
    yield new_finding("off_grid", None, message, lines=lines)


def equal_labels(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if all labels are the same weights."""
    labelled, labels = dataset.kept.labelled, {label for label in dataset.kept.labels if label is not None}
    if labelled < LEAST_SAMPLE or len(labels) > 1:
        return
    pairs = zip(dataset.channel_config.names, next(iter(labels)), strict=True)
    weights = ", ".join(f"{channel} {weight:g}" for channel, weight in pairs)
    yield new_finding("equal_labels", None, f"All {counted(labelled, 'label')} are equal: {weights}.")


def conflicting_labels(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each query that has different labels, the largest difference first."""
    kept = dataset.kept
    repeated = {key for key, count in Counter(kept.keys).items() if count > 1}
    records: dict[bytes, list[tuple[int, LabelKey]]] = {}
    for key, line, label in zip(kept.keys, kept.lines, kept.labels, strict=True):
        if key in repeated and label is not None:
            records.setdefault(key, []).append((line, label))
    differences = {key: _difference(list({label for _, label in found})) for key, found in records.items()}
    conflicts = (key for key, difference in differences.items() if difference > TOLERANCE)
    for key in sorted(conflicts, key=lambda key: -differences[key]):
        lines = [line for line, _ in records[key]]
        message = f"The same query has weights up to {differences[key]:.2g} apart: {line_list(lines)}."
        yield new_finding("conflicting_labels", lines[0], message, lines=lines)


def near_conflicting_labels(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each cluster whose queries' mean labels are far apart, the largest difference first."""
    kept = dataset.kept
    clustered = frozenset(key for cluster in dataset.clusters for key in cluster)
    lines_of = kept.lines_by_key(clustered)
    labels_of: dict[bytes, list[LabelKey]] = {}
    for key, label in zip(kept.keys, kept.labels, strict=True):
        if key in clustered and label is not None:
            labels_of.setdefault(key, []).append(label)
    conflicts: list[tuple[float, list[int]]] = []
    for cluster in dataset.clusters:
        difference = _difference([_mean(labels_of[key]) for key in cluster if key in labels_of])
        if difference > NEAR_CONFLICT_STEPS * dataset.channel_config.label_grid + GRID_SLACK:
            conflicts.append((difference, sorted(line for key in cluster for line in lines_of[key])))
    for difference, lines in sorted(conflicts, key=lambda conflict: -conflict[0]):
        message = f"Near-duplicates have weights up to {difference:.2g} apart: {line_list(lines)}."
        yield new_finding("near_conflicting_labels", lines[0], message, lines=lines)


def _difference(labels: Sequence[LabelKey]) -> float:
    """The largest difference in one weight between any two labels."""
    return max((max(weights) - min(weights) for weights in zip(*labels, strict=True)), default=0.0)


def _mean(labels: Sequence[LabelKey]) -> LabelKey:
    return tuple(sum(weights) / len(labels) for weights in zip(*labels, strict=True))
