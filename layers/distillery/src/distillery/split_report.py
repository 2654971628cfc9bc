"""What a report says of the split and of near-copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.records import Finding
from distillery.split import MIN_TRAINING_RECORDS, Split
from distillery.wording import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINES_SHOWN = 10
"""Lines named of a cluster of near-copies."""


class Stratum(BaseModel):
    """The held-out records of one dominant facet: how many it is due, and how many it has."""

    wanted: int
    held: int


class SplitReport(BaseModel):
    """How the holdout came about, in records.

    `wanted` is what the rules ask for, `aim` what is left of it where 100 records must be kept for
    training. `strata` is by dominant facet, empty where labels are no reference. `kept` queries were held
    out in an earlier version of the dataset; `left_out` queries are near-copies of them that lack a
    label: on neither side.
    """

    wanted: int
    aim: int
    held: int
    strata: dict[str, Stratum]
    kept: int
    left_out: int


def split_report(split: Split) -> SplitReport:
    """The split in numbers."""
    return SplitReport(
        wanted=split.wanted,
        aim=split.aim,
        held=split.held,
        strata={facet: Stratum(wanted=due, held=held) for facet, (due, held) in split.strata.items()},
        kept=split.kept,
        left_out=len(split.left_out),
    )


def near_duplicates(queries: Sequence[tuple[int, str]]) -> Finding:
    """The finding on one cluster, of (line, text) in the order of the lines."""
    (line, text), (_, other) = queries[:2]
    lines = ", ".join(str(place) for place, _ in queries[:LINES_SHOWN])
    more = f" and {len(queries) - LINES_SHOWN:,} more" if len(queries) > LINES_SHOWN else ""
    return Finding(
        "near_duplicates",
        "warning",
        line,
        f"{len(queries):,} queries are near-copies, in lines {lines}{more}:"
        f" {shown(text)} and {shown(other)}.",
        "Keep one of them, unless the spellings are meant to be learned; they stay on one side of the split.",
    )


def split_findings(split: Split, *, records: int, labelled: int) -> Iterator[Finding]:
    """What the evaluation will rest on, where that is not a holdout of labels of the size wanted."""
    if split.reference == "teacher":
        yield Finding(
            "few_labels" if labelled else "unlabelled",
            "warning" if labelled else "note",
            None,
            f"{labelled:,} of {counted(records, 'record')} labelled: the model will be measured against the"
            " teacher's answers to queries that it is also trained on.",
            "Label more records to measure against labels that it has not seen.",
        )
    elif not split.set_aside:
        yield Finding(
            "holdout_in_training",
            "warning",
            None,
            f"Bedrock needs {MIN_TRAINING_RECORDS} records to train on, so none can be set aside:"
            " the model is measured on records that it has seen, which flatters it.",
            f"Add {split.wanted} or more records.",
        )
    elif split.aim < split.wanted:
        yield Finding(
            "small_holdout",
            "warning",
            None,
            f"{counted(split.held, 'record')} held out instead of {split.wanted:,}: Bedrock needs"
            f" {MIN_TRAINING_RECORDS} to train on.",
            f"Add {split.wanted - split.aim} or more records.",
        )
    if split.reference == "labels" and abs(split.held - split.aim) > 1:
        kept = (
            f", and {counted(split.kept, 'query', 'queries')} held out before stay so" if split.kept else ""
        )
        yield Finding(
            "holdout_size",
            "note",
            None,
            f"{counted(split.held, 'record')} held out where {split.aim:,} were wanted: equal queries and"
            f" near-copies stay together{kept}.",
            "Nothing to do, unless it is too few to judge by: then drop repeats and near-copies.",
        )
