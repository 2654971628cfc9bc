"""Findings on what the dataset holds too little of: channels, query lengths, languages, wordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, new_finding
from distillery.dataset.languages import TOO_SHORT, UNSURE, unavailable
from distillery.dataset.statistics import LEAST_SAMPLE, LENGTHS
from distillery.messages import counted, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distillery.dataset.checks.scanned_dataset import ScannedDataset

DOMINATION = 0.5
"""Templates dominate if they account for more than this share of the sampled queries."""
UNDERREPRESENTED_CHANNEL = 0.2
"""A channel is under-represented below this part of an even share: below 5 % of the labels with four
channels."""
UNDERREPRESENTED_SHARE = 0.02
"""A length or a language is under-represented below this share of the queries."""
LEAST_OF_LANGUAGE = 3
"""A language with fewer queries may be a mistake of the language model."""
BANDS = ((0, 20), (20, 60), (60, None))
"""Ranges of query lengths in characters: above the first number, up to the second. The numbers are in
LENGTHS."""


def template_domination(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if a few templates account for most of the sampled queries."""
    statistics = dataset.statistics
    shared = sum(template.queries for template in statistics.shapes)
    if statistics.sampled and shared > DOMINATION * statistics.sampled:
        first = statistics.shapes[0]
        message = (
            f"{shared / statistics.sampled:.0%} of {statistics.sampled:,} queries have one of"
            f" {counted(len(statistics.shapes), 'template')}; the most common is {first.shape!r}"
            f" ({first.queries:,})."
        )
        yield new_finding("template_domination", None, message)


def underrepresented_channel(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each channel that is dominant in too few labels."""
    labelled = dataset.statistics.labelled
    if labelled < LEAST_SAMPLE:
        return
    least = UNDERREPRESENTED_CHANNEL / len(dataset.channel_config.channels) * labelled
    for channel, count in dataset.statistics.dominant_counts.items():
        if count < least:
            labels = counted(labelled, "label")
            message = f"{channel} is dominant in {count:,} of {labels} ({count / labelled:.1%})."
            yield new_finding("underrepresented_channel", None, message)


def underrepresented_length(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each range of lengths that holds too few queries."""
    statistics = dataset.statistics
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
            queries = counted(statistics.records, "query", "queries")
            yield new_finding(
                "underrepresented_length", None, f"{count:,} of {queries} have {band} characters."
            )


def languages_unknown(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if the language model could not be loaded."""
    if dataset.statistics.sampled >= LEAST_SAMPLE and not dataset.statistics.languages:
        message = f"Languages were not identified: {cut(unavailable())}."
        yield new_finding("languages_unknown", None, message)


def underrepresented_language(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each language that too few sampled queries are in."""
    statistics = dataset.statistics
    for name, count in statistics.languages.items():
        if name in {TOO_SHORT, UNSURE}:
            continue
        if LEAST_OF_LANGUAGE <= count < UNDERREPRESENTED_SHARE * statistics.sampled:
            message = f"{count:,} of {statistics.sampled:,} sampled queries are in the language {name!r}."
            yield new_finding("underrepresented_language", None, message)
