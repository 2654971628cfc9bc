"""What a report says of the split and of near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.dataset.findings import Finding, found
from distillery.dataset.split import MIN_TRAINING_RECORDS, Split
from distillery.messages import counted, shown, told_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Stratum(BaseModel):
    """The held-out records of one dominant channel: how many it is due, and how many it has."""

    wanted: int
    held: int


class SplitReport(BaseModel):
    """How the holdout came about, in records.

    `wanted` is what the rules ask for, `aim` what is left of it where 100 records must be kept for
    training. `strata` is by dominant channel, empty where labels are no reference. `kept` queries were held
    out in an earlier version of the dataset; `left_out` queries are near-duplicates of them that lack a
    label: on neither side.
    """

    wanted: int = 0
    aim: int = 0
    held: int = 0
    strata: dict[str, Stratum] = {}
    kept: int = 0
    left_out: int = 0


def split_report(split: Split) -> SplitReport:
    """The split in numbers."""
    return SplitReport(
        wanted=split.wanted,
        aim=split.aim,
        held=split.held,
        strata={channel: Stratum(wanted=due, held=held) for channel, (due, held) in split.strata.items()},
        kept=split.kept,
        left_out=len(split.left_out),
    )


def near_duplicates(queries: Sequence[str], lines: Sequence[int]) -> Finding:
    """The finding on one cluster: its queries in the order of the file, and the lines that have them."""
    told = f"{len(queries):,} queries are near-duplicates: {shown(queries[0])} and {shown(queries[1])}"
    return found("near_duplicates", lines[0], f"{told}, in {told_lines(lines)}.", lines=lines)


def split_findings(split: Split, *, records: int, labelled: int) -> Iterator[Finding]:
    """What the evaluation will rest on, where that is not a holdout of labels of the size wanted."""
    if split.reference == "teacher":
        yield found(
            "few_labels" if labelled else "unlabelled",
            None,
            f"{labelled:,} of {counted(records, 'record')} labelled: the model will be measured against the"
            " teacher's answers to queries that it is also trained on.",
        )
    elif not split.set_aside:
        yield found(
            "holdout_in_training",
            None,
            f"Bedrock needs {MIN_TRAINING_RECORDS} records to train on, so none can be set aside:"
            " the model is measured on records that it has seen, which flatters it.",
            fix=f"Add {split.wanted} or more records.",
        )
    elif split.aim < split.wanted:
        yield found(
            "small_holdout",
            None,
            f"{counted(split.held, 'record')} held out instead of {split.wanted:,}: Bedrock needs"
            f" {MIN_TRAINING_RECORDS} to train on.",
            fix=f"Add {split.wanted - split.aim} or more records.",
        )
    if split.reference == "labels" and abs(split.held - split.aim) > 1:
        kept = (
            f", and {counted(split.kept, 'query', 'queries')} held out before stay so" if split.kept else ""
        )
        yield found(
            "holdout_size",
            None,
            f"{counted(split.held, 'record')} held out where {split.aim:,} were wanted: equal queries and"
            f" near-duplicates stay together{kept}.",
        )
