"""The split in the report, and the findings on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from distillery.dataset.findings import Finding, new_finding
from distillery.dataset.split import MIN_TRAINING_RECORDS, Split
from distillery.messages import counted

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stratum(BaseModel):
    """The held-out records of one dominant channel: its proportional share, and the actual number."""

    wanted: int
    held: int


class SplitReport(BaseModel):
    """The holdout in numbers of records.

    `wanted` is the size that the rules request, `aim` what remains of it when 100 records are kept for
    training, `held` the actual size. `strata` is by dominant channel, empty if the model is not measured
    against labels. `kept` queries were held out in an earlier version of the dataset. `left_out` queries are
    neither trained on nor held out: unlabelled near-duplicates of them, and queries held out earlier that the
    largest holdout has no room for.
    """

    wanted: int = 0
    aim: int = 0
    held: int = 0
    strata: dict[str, Stratum] = {}
    kept: int = 0
    left_out: int = 0


def split_report(split: Split) -> SplitReport:
    """The numbers of a split."""
    return SplitReport(
        wanted=split.wanted,
        aim=split.aim,
        held=split.held,
        strata={channel: Stratum(wanted=due, held=held) for channel, (due, held) in split.strata.items()},
        kept=split.kept,
        left_out=len(split.left_out),
    )


def split_findings(split: Split, *, records: int, labelled: int) -> Iterator[Finding]:
    """Findings if the evaluation is not based on a labelled holdout of the requested size."""
    if split.reference == "teacher":
        yield new_finding(
            "few_labels" if labelled else "unlabelled",
            None,
            f"{labelled:,} of {counted(records, 'record')} have a label: the model is measured against the"
            " teacher's answers to queries that it is also trained on.",
        )
    elif not split.set_aside:
        yield new_finding(
            "holdout_in_training",
            None,
            f"Bedrock needs {MIN_TRAINING_RECORDS} records to train on, so none can be held out:"
            " the model is measured on records that it was trained on, so its scores look too good.",
            fix=f"Add at least {split.wanted} records.",
        )
    elif split.aim < split.wanted:
        yield new_finding(
            "small_holdout",
            None,
            f"{counted(split.held, 'record')} held out instead of {split.wanted:,}: Bedrock needs"
            f" {MIN_TRAINING_RECORDS} to train on.",
            fix=f"Add at least {counted(split.wanted - split.aim, 'record')}.",
        )
    if split.reference == "labels" and abs(split.held - split.aim) > 1:
        kept = (
            f", and {counted(split.kept, 'query', 'queries')} held out before stay held out"
            if split.kept
            else ""
        )
        yield new_finding(
            "holdout_size",
            None,
            f"{counted(split.held, 'record')} held out instead of {split.aim:,}: equal queries and"
            f" near-duplicates stay together{kept}.",
        )
