"""What is asked of a dataset as a whole, once all lines are read: habits, conflicts, coverage.

Everything here works on distinct queries and distinct labels; what needs a look at the words themselves is
asked of at most 1,000 distinct queries, chosen by hash, so that it costs the same for any dataset.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from distillery.dataset.checks.languages import TOO_SHORT, UNSURE, languages, unavailable
from distillery.dataset.checks.personal_data import personal_data
from distillery.dataset.checks.query_templates import top_shapes
from distillery.dataset.findings import Finding, found
from distillery.dataset.scan import spread
from distillery.dataset.split_summary import near_duplicates
from distillery.dataset.statistics import LENGTHS, Characters, Shape, Statistics, tally
from distillery.messages import counted, cut, told_lines
from distillery.task.weights import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from distillery.dataset.scan import Kept, Scan
    from distillery.dataset.statistics import LabelKey
    from distillery.task.channels import ChannelConfig

SAMPLE = 1_000
"""Distinct queries looked at for languages and shapes."""
LEAST_SAMPLE = 50
"""Fewer queries or labels say nothing of what is thin."""
DOMINATION = 0.5
"""Share of the sample that ten templates may have before they dominate."""
UNDERREPRESENTED_CHANNEL = 0.2
"""A channel is thin below this part of an even share: below 5 % of the labels with four channels."""
UNDERREPRESENTED_SHARE = 0.02
"""A length or a language is thin below this share."""
LEAST_OF_LANGUAGE = 3
"""Fewer queries than this may be mistakes of the model of languages."""
BANDS = ((0, 20), (20, 60), (60, None))
"""Lengths of queries, in characters: above the first, up to the second. Ends are ends of the tally's bins."""
GRID_SLACK = 1e-6
NEAR_CONFLICT_STEPS = 2
"""Labels of nearly equal queries may be this many steps of the grid apart."""


def statistics_of(kept: Kept, channel_config: ChannelConfig) -> Statistics:
    """The numbers of the records kept, with a sample's languages and shapes."""
    labels = Counter(label for label in kept.labels if label is not None)
    off_grid = _off_grid(labels, channel_config.label_grid)
    sample = [kept.queries[key] for key in heapq.nsmallest(SAMPLE, kept.queries)]
    enough = len(sample) >= LEAST_SAMPLE
    counted_languages = languages(sample) if enough and not unavailable() else Counter[str]()
    shapes = top_shapes(sample) if enough else []
    return tally(channel_config, labels, kept.lengths).model_copy(
        update={
            "off_grid": sum(labels[label] for label in off_grid),
            "sampled": len(sample),
            "languages": dict(counted_languages.most_common()),
            "query_characters": Characters(
                total=sum(kept.lengths), beyond_ascii=kept.query_characters_beyond_ascii
            ),
            "reasoning_characters": Characters(
                total=kept.reasoning_characters, beyond_ascii=kept.reasoning_characters_beyond_ascii
            ),
            "shapes": [Shape(shape=shape.shape, queries=shape.queries) for shape in shapes],
        }
    )


def whole_findings(
    scan: Scan,
    channel_config: ChannelConfig,
    statistics: Statistics,
    clusters: Collection[Sequence[bytes]] = (),
) -> Iterator[Finding]:
    """Everything that no single line shows; `clusters` are the keys of near-duplicates."""
    yield from _habits(scan)
    yield from _off_grid_findings(scan.kept, channel_config, statistics)
    yield from _conflicts(scan.kept)
    yield from _near_equal(scan.kept, channel_config, clusters)
    yield from _personal(scan.kept)
    yield from _coverage(statistics, channel_config)


def _habits(scan: Scan) -> Iterator[Finding]:
    kept = scan.kept
    if scan.blank:
        yield found("blank_line", None, f"{counted(scan.blank, 'blank line')} left out.")
    if repeats := len(kept.keys) - len(kept.queries):
        told = f"{counted(repeats, 'record')} repeat the query of another; all are kept."
        yield found("repeated_query", None, told)
    if scan.other_prompts:
        told = f"{counted(scan.other_prompts, 'system prompt')} replaced by the student prompt."
        yield found("system_replaced", None, told)
    if len(scan.prompts) > 1:
        lines = list(scan.prompts.values())
        told = f"{counted(len(lines), 'system prompt')} are used, first in {told_lines(lines)}."
        yield found("mixed_system_prompts", None, told, lines=lines)
    if scan.without_reasoning:
        told = f"{scan.without_reasoning:,} of {counted(kept.labelled, 'label')} without reasoning."
        yield found("no_reasoning", None, told)


def _off_grid(labels: Iterable[LabelKey], grid: float) -> set[LabelKey]:
    steps = 1 / grid
    return {
        label
        for label in labels
        if any(abs(weight * steps - round(weight * steps)) > GRID_SLACK * steps for weight in label)
    }


def _off_grid_findings(
    kept: Kept, channel_config: ChannelConfig, statistics: Statistics
) -> Iterator[Finding]:
    if not statistics.off_grid:
        return
    off_grid = _off_grid({label for label in kept.labels if label is not None}, channel_config.label_grid)
    lines = [line for line, label in zip(kept.lines, kept.labels, strict=True) if label in off_grid]
    told = f"{statistics.off_grid:,} of {counted(statistics.labelled, 'label')} off the grid of"
    yield found("off_grid", None, f"{told} {channel_config.label_grid:g}: {told_lines(lines)}.", lines=lines)


def _conflicts(kept: Kept) -> Iterator[Finding]:
    """One finding for each query with labels that differ, those farthest apart first."""
    records: dict[bytes, list[tuple[int, LabelKey]]] = {}
    often = {key for key, count in Counter(kept.keys).items() if count > 1}
    for key, line, label in zip(kept.keys, kept.lines, kept.labels, strict=True):
        if key in often and label is not None:
            records.setdefault(key, []).append((line, label))
    apart = {key: spread(list({label for _, label in repeated})) for key, repeated in records.items()}
    for key in sorted((key for key in apart if apart[key] > TOLERANCE), key=lambda key: -apart[key]):
        lines = [line for line, _ in records[key]]
        told = f"The same query with weights up to {apart[key]:.2g} apart: {told_lines(lines)}."
        yield found("conflicting_labels", lines[0], told, lines=lines)


def _near_equal(
    kept: Kept, channel_config: ChannelConfig, clusters: Collection[Sequence[bytes]]
) -> Iterator[Finding]:
    """One finding for each cluster, and one more where the mean labels of its queries are far apart."""
    wanted = frozenset(key for cluster in clusters for key in cluster)
    lines_of = kept.lines_by_key(wanted)
    labels_of: dict[bytes, list[LabelKey]] = {}
    for key, label in zip(kept.keys, kept.labels, strict=True):
        if key in wanted and label is not None:
            labels_of.setdefault(key, []).append(label)
    conflicts: list[tuple[float, list[int]]] = []
    for cluster in clusters:
        lines = sorted(line for key in cluster for line in lines_of[key])
        yield near_duplicates([kept.queries[key] for key in cluster], lines)
        apart = spread([_mean(labels_of[key]) for key in cluster if key in labels_of])
        if apart > NEAR_CONFLICT_STEPS * channel_config.label_grid + GRID_SLACK:
            conflicts.append((apart, lines))
    for apart, lines in sorted(conflicts, key=lambda conflict: -conflict[0]):
        told = f"Near-duplicates with weights up to {apart:.2g} apart: {told_lines(lines)}."
        yield found("near_conflicting_labels", lines[0], told, lines=lines)


def _mean(labels: Sequence[LabelKey]) -> LabelKey:
    return tuple(sum(weights) / len(labels) for weights in zip(*labels, strict=True))


def _personal(kept: Kept) -> Iterator[Finding]:
    keys = list(kept.queries)
    for kind, positions in personal_data(kept.queries.values()).items():
        by_key = kept.lines_by_key(frozenset(keys[position] for position in positions))
        lines = sorted(line for lines in by_key.values() for line in lines)
        told = f"{counted(len(positions), 'query holds', 'queries hold')} what looks like {kind}"
        yield found("personal_data", lines[0], f"{told}: {told_lines(lines)}.", lines=lines)


def _coverage(statistics: Statistics, channel_config: ChannelConfig) -> Iterator[Finding]:
    shared = sum(shape.queries for shape in statistics.shapes)
    if statistics.sampled and shared > DOMINATION * statistics.sampled:
        first = statistics.shapes[0]
        told = (
            f"{shared / statistics.sampled:.0%} of {statistics.sampled:,} queries have one of"
            f" {counted(len(statistics.shapes), 'shape')}; the commonest is {first.shape!r}"
            f" ({first.queries:,})."
        )
        yield found("template_domination", None, told)
    enough = statistics.labelled >= LEAST_SAMPLE
    least = UNDERREPRESENTED_CHANNEL / len(channel_config.channels) * statistics.labelled if enough else 0
    for channel, count in statistics.dominant_counts.items():
        if count < least:
            share = count / statistics.labelled
            told = f"{channel} is dominant in {count:,} of {counted(statistics.labelled, 'label')} ({share:.1%})."
            yield found("underrepresented_channel", None, told)
    yield from _underrepresented_lengths(statistics)
    yield from _underrepresented_languages(statistics)


def _underrepresented_lengths(statistics: Statistics) -> Iterator[Finding]:
    bins = {
        up_to: part.queries for up_to, part in zip((*LENGTHS, None), statistics.query_lengths, strict=True)
    }
    for above, up_to in BANDS:
        count = sum(
            queries
            for end, queries in bins.items()
            if (end is None or end > above) and (up_to is None or (end is not None and end <= up_to))
        )
        if count < UNDERREPRESENTED_SHARE * statistics.records:
            band = f"over {above}" if up_to is None else f"{above + 1} to {up_to}"
            told = f"{count:,} of {counted(statistics.records, 'query', 'queries')} have {band} characters."
            yield found("underrepresented_length", None, told)


def _underrepresented_languages(statistics: Statistics) -> Iterator[Finding]:
    if statistics.sampled >= LEAST_SAMPLE and not statistics.languages:
        yield found("languages_unknown", None, f"Languages were not looked at: {cut(unavailable())}.")
    told_apart = {
        name: count for name, count in statistics.languages.items() if name not in {TOO_SHORT, UNSURE}
    }
    for name, count in told_apart.items():
        if LEAST_OF_LANGUAGE <= count < UNDERREPRESENTED_SHARE * statistics.sampled:
            told = f"{count:,} of {statistics.sampled:,} queries looked at are in the language {name!r}."
            yield found("underrepresented_language", None, told)
