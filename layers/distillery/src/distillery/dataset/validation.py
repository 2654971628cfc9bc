"""A whole dataset: surveyed in one pass in flat memory, judged, then split into training and holdout.

The survey spools good records to disk in the form that Bedrock is given; the second pass copies the spool's
lines to their sides.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from pydantic import BaseModel

from distillery.dataset.checks.whole_set import statistics_of, whole_findings
from distillery.dataset.findings import Finding, found
from distillery.dataset.fixes import Mends
from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.dataset.records import check_line, training_line
from distillery.dataset.scan import MAX_RECORDS, Survey
from distillery.dataset.split import Group, Reference, Split, plan_split
from distillery.dataset.split_summary import SplitReport, split_findings, split_report
from distillery.dataset.statistics import Statistics
from distillery.messages import counted
from distillery.runs.states import Source
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from distillery.dataset.lines import Readable
    from distillery.dataset.scan import Kept
    from distillery.task.channels import Taxonomy

MIN_DISTINCT = 100
"""Bedrock wants 100 records; equal prompts teach it nothing, so distinct ones are counted."""
SPOOL_BUFFER_BYTES = 1_000_000
"""Fewer and larger writes than by default."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a stack may set: the holdout's share and bounds in records, the share of bad lines let pass."""

    holdout_share: float = 0.1
    holdout_min: int = 50
    holdout_max: int = 500
    error_tolerance: float = 0.01


class DatasetReport(BaseModel):
    """validation.json.

    `lines` counts all but blank ones, `accepted` those without an error, `mended` those of them that are
    written otherwise than they say, `quarantined` those with an error. `distinct`, `labelled` and the
    statistics are of the records kept: the first 15,000. `train` and `holdout` are lines written, both 0
    unless `valid`; `reasons` says in sentences why a dataset is not. `clustered` distinct queries are in
    `clusters` of near-copies. `findings` has the first 50 of each code, `finding_counts` counts all. What has
    a default was not in the files of earlier versions, whose runs may still be under way.
    """

    run_id: str | None = None
    dataset: str | None = None
    source: Source | None = None
    valid: bool
    reasons: list[str]
    bytes_read: int
    lines: int
    accepted: int
    mended: int = 0
    quarantined: int = 0
    labelled: int
    distinct: int
    clusters: int = 0
    clustered: int = 0
    errors: int
    warnings: int
    notes: int = 0
    findings: list[Finding]
    finding_counts: dict[str, int]
    fingerprint: str | None
    reference: Reference
    train: int
    holdout: int
    split: SplitReport = SplitReport()
    statistics: Statistics


def validate_dataset(
    stream: Readable,
    *,
    taxonomy: Taxonomy,
    rules: Rules,
    train: IO[bytes],
    holdout: IO[bytes],
    quarantine: IO[bytes] | None = None,
    diff: IO[bytes] | None = None,
    fixed: IO[bytes] | None = None,
    held_before: Collection[bytes] = (),
    held: set[bytes] | None = None,
) -> DatasetReport:
    """Check the stream to its end and, where it is a dataset, write `train` and `holdout`.

    Queries whose keys are in `held_before` are held out again; `held` is given the keys of all that are.

    Whatever the bytes are, the answer is a report; only the stream and the files may raise. The spool
    needs as much room in the temporary directory as `train` does (240 MB at the very most). Bad lines go
    to `quarantine` with their findings, what was mended to `diff`, each up to 100 MB; `fixed` becomes the
    stream with its good lines only, mended where they had to be.
    """
    with tempfile.TemporaryFile(buffering=SPOOL_BUFFER_BYTES) as spool:
        mends = Mends(diff, fixed)
        survey = Survey(taxonomy, spool, quarantine, mends)
        survey.read(stream)
        for finding in _refusals(survey, rules):
            survey.reject(finding)
        valid = not survey.reasons
        statistics = statistics_of(survey.kept, taxonomy)
        clusters = _clusters(survey.kept)
        for finding in whole_findings(survey, taxonomy, statistics, clusters):
            survey.findings.add(finding)
        if not mends.complete:
            survey.findings.add(
                found("diff_left_out", None, "The file of mends is left out: it is too large.")
            )
        split = plan_split(
            _groups(survey.kept, taxonomy),
            clusters=clusters,
            held_before=held_before,
            share=rules.holdout_share,
            least=rules.holdout_min,
            most=rules.holdout_max,
        )
        train_size = holdout_size = 0
        if valid:
            records, labelled = statistics.records, statistics.labelled
            for finding in split_findings(split, records=records, labelled=labelled):
                survey.findings.add(finding)
            train_size, holdout_size = _write(spool, survey.kept, split, taxonomy, train, holdout)
            if held is not None:
                held |= split.queries
    return DatasetReport(
        valid=valid,
        reasons=survey.reasons,
        bytes_read=survey.bytes_read,
        lines=survey.lines,
        accepted=survey.accepted,
        mended=survey.mended,
        quarantined=survey.bad,
        labelled=statistics.labelled,
        distinct=len(survey.kept.queries),
        clusters=len(clusters),
        clustered=sum(map(len, clusters)),
        errors=survey.findings.severities["error"],
        warnings=survey.findings.severities["warning"],
        notes=survey.findings.severities["note"],
        findings=list(survey.findings),
        finding_counts=dict(survey.findings.counts),
        fingerprint=survey.kept.fingerprint() if valid else None,
        reference=split.reference,
        train=train_size,
        holdout=holdout_size,
        split=split_report(split),
        statistics=statistics,
    )


def _refusals(survey: Survey, rules: Rules) -> Iterator[Finding]:
    """Why the file as a whole is no dataset."""
    if survey.bad > rules.error_tolerance * survey.lines:
        first = survey.findings.first_error()
        yield found(
            "bad_lines",
            None,
            f"{counted(survey.bad, 'line')} of {survey.lines:,} cannot be used"
            f" (share tolerated: {rules.error_tolerance:g})."
            + (f" The first is line {first.line}: {first.message}" if first else ""),
        )
    if survey.accepted > MAX_RECORDS:
        told = f"{survey.accepted:,} records; Bedrock takes up to {MAX_RECORDS:,} in a job."
        yield found("too_many_records", None, told)
    distinct = len(survey.kept.queries)
    if not survey.lines:
        if not survey.reasons:
            yield found("empty_file", None, "The file has no lines.")
    elif distinct < MIN_DISTINCT:
        yield found(
            "too_few_distinct",
            None,
            f"{counted(distinct, 'distinct query', 'distinct queries')} in"
            f" {counted(survey.accepted, 'usable record')}; at least {MIN_DISTINCT} are needed.",
            mend=f"Add {MIN_DISTINCT - distinct} or more other queries.",
        )


def _clusters(kept: Kept) -> list[list[bytes]]:
    """The keys of queries that are near-copies of each other."""
    keys = list(kept.queries)
    found = near_duplicate_clusters(list(kept.queries.values()))
    return [[keys[place] for place in cluster] for cluster in found]


def _groups(kept: Kept, taxonomy: Taxonomy) -> dict[bytes, Group]:
    facets = {
        label: dominant(dict(zip(taxonomy.names, label, strict=True)))
        for label in set(kept.labels)
        if label is not None
    }
    # Most queries have one record, and those of one facet share what is said of it.
    single = {facet: Counter([facet]) for facet in taxonomy.names}
    groups: dict[bytes, Group] = {}
    for key, label in zip(kept.keys, kept.labels, strict=True):
        group = groups.get(key)
        if group is None:
            groups[key] = Group(1, 1, single[facets[label]]) if label is not None else Group(1)
            continue
        group.records += 1
        if label is not None:
            group.labelled += 1
            group.dominants = group.dominants + single[facets[label]]
    return groups


def _write(
    spool: IO[bytes], kept: Kept, split: Split, taxonomy: Taxonomy, train: IO[bytes], holdout: IO[bytes]
) -> tuple[int, int]:
    """The second pass; returns the number of lines written to each side."""
    spool.seek(0)
    trained = held = 0
    prompts = set(split.queries)
    for key, line in zip(kept.keys, spool, strict=True):
        held_out = key in split.queries
        if not (held_out and split.set_aside) and key not in split.left_out:
            train.write(line)
            trained += 1
        if held_out and split.reference == "labels":
            holdout.write(line)
            held += 1
        elif key in prompts:
            # The teacher is asked once for each query, and few labels are no reference.
            record = check_line(line, 0, taxonomy.names).record
            if record is not None:
                holdout.write(training_line(record, student_prompt(taxonomy), labelled=False))
                held += 1
            prompts.discard(key)
    return trained, held
