"""A whole dataset: surveyed in one pass in flat memory, judged, then split into training and holdout.

The survey spools good records to disk in the form that Bedrock is given; the second pass copies the spool's
lines to their sides.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pydantic import BaseModel, model_validator

from distillery import earlier_names
from distillery.dataset.checks.whole_set import statistics_of, whole_findings
from distillery.dataset.findings import Finding, found
from distillery.dataset.fixes import Fixes
from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.dataset.records import check_line, training_line
from distillery.dataset.scan import MAX_RECORDS, Scan
from distillery.dataset.split import Group, Reference, Split, plan_split
from distillery.dataset.split_summary import SplitReport, split_findings, split_report
from distillery.dataset.statistics import Statistics
from distillery.earlier_names import renamed
from distillery.messages import counted
from distillery.runs.states import Source
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from distillery.dataset.lines import Readable
    from distillery.dataset.scan import Kept
    from distillery.task.channels import ChannelConfig

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

    `lines` counts all but blank ones, `accepted` those without an error, `fixed` those of them that are
    written otherwise than they say, `quarantined` those with an error. `distinct`, `labelled` and the
    statistics are of the records kept: the first 15,000. `train` and `holdout` are lines written, both 0
    unless `valid`; `reasons` says in sentences why a dataset is not. `clustered` distinct queries are in
    `clusters` of near-duplicates. `findings` has the first 50 of each code, `finding_counts` counts all. What has
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
    fixed: int = 0
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

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        content = renamed(content, earlier_names.DATASET_REPORT)
        if not isinstance(content, dict):
            return content
        counts = {"finding_counts": renamed(content.get("finding_counts"), earlier_names.FINDING_CODES)}
        findings = {"findings": [_finding(entry) for entry in content.get("findings", ())]}
        return {**content, **counts, **findings}


def _finding(entry: Any) -> Any:
    """A finding with the names of today, where it was stored under earlier ones."""
    entry = renamed(entry, earlier_names.FINDING)
    if isinstance(entry, dict) and entry.get("code") in earlier_names.FINDING_CODES:
        return {**entry, "code": earlier_names.FINDING_CODES[entry["code"]]}
    return entry


def validate_dataset(
    stream: Readable,
    *,
    channel_config: ChannelConfig,
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
    to `quarantine` with their findings, what was fixed to `diff`, each up to 100 MB; `fixed` becomes the
    stream with its good lines only, fixed where they had to be.
    """
    with tempfile.TemporaryFile(buffering=SPOOL_BUFFER_BYTES) as spool:
        fixes = Fixes(diff, fixed)
        scan = Scan(channel_config, spool, quarantine, fixes)
        scan.read(stream)
        for finding in _refusals(scan, rules):
            scan.reject(finding)
        valid = not scan.reasons
        statistics = statistics_of(scan.kept, channel_config)
        clusters = _clusters(scan.kept)
        for finding in whole_findings(scan, channel_config, statistics, clusters):
            scan.findings.add(finding)
        if not fixes.complete:
            scan.findings.add(found("diff_left_out", None, "The file of fixes is left out: it is too large."))
        split = plan_split(
            _groups(scan.kept, channel_config),
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
                scan.findings.add(finding)
            train_size, holdout_size = _write(spool, scan.kept, split, channel_config, train, holdout)
            if held is not None:
                held |= split.queries
    return DatasetReport(
        valid=valid,
        reasons=scan.reasons,
        bytes_read=scan.bytes_read,
        lines=scan.lines,
        accepted=scan.accepted,
        fixed=scan.fixed,
        quarantined=scan.bad,
        labelled=statistics.labelled,
        distinct=len(scan.kept.queries),
        clusters=len(clusters),
        clustered=sum(map(len, clusters)),
        errors=scan.findings.severities["error"],
        warnings=scan.findings.severities["warning"],
        notes=scan.findings.severities["note"],
        findings=list(scan.findings),
        finding_counts=dict(scan.findings.counts),
        fingerprint=scan.kept.fingerprint() if valid else None,
        reference=split.reference,
        train=train_size,
        holdout=holdout_size,
        split=split_report(split),
        statistics=statistics,
    )


def _refusals(scan: Scan, rules: Rules) -> Iterator[Finding]:
    """Why the file as a whole is no dataset."""
    if scan.bad > rules.error_tolerance * scan.lines:
        first = scan.findings.first_error()
        yield found(
            "bad_lines",
            None,
            f"{counted(scan.bad, 'line')} of {scan.lines:,} cannot be used"
            f" (share tolerated: {rules.error_tolerance:g})."
            + (f" The first is line {first.line}: {first.message}" if first else ""),
        )
    if scan.accepted > MAX_RECORDS:
        told = f"{scan.accepted:,} records; Bedrock takes up to {MAX_RECORDS:,} in a job."
        yield found("too_many_records", None, told)
    distinct = len(scan.kept.queries)
    if not scan.lines:
        if not scan.reasons:
            yield found("empty_file", None, "The file has no lines.")
    elif distinct < MIN_DISTINCT:
        yield found(
            "too_few_distinct",
            None,
            f"{counted(distinct, 'distinct query', 'distinct queries')} in"
            f" {counted(scan.accepted, 'usable record')}; at least {MIN_DISTINCT} are needed.",
            fix=f"Add {MIN_DISTINCT - distinct} or more other queries.",
        )


def _clusters(kept: Kept) -> list[list[bytes]]:
    """The keys of queries that are near-duplicates of each other."""
    keys = list(kept.queries)
    found = near_duplicate_clusters(list(kept.queries.values()))
    return [[keys[place] for place in cluster] for cluster in found]


def _groups(kept: Kept, channel_config: ChannelConfig) -> dict[bytes, Group]:
    channels = {
        label: dominant(dict(zip(channel_config.names, label, strict=True)))
        for label in set(kept.labels)
        if label is not None
    }
    # Most queries have one record, and those of one channel share what is said of it.
    single = {channel: Counter([channel]) for channel in channel_config.names}
    groups: dict[bytes, Group] = {}
    for key, label in zip(kept.keys, kept.labels, strict=True):
        group = groups.get(key)
        if group is None:
            groups[key] = Group(1, 1, single[channels[label]]) if label is not None else Group(1)
            continue
        group.records += 1
        if label is not None:
            group.labelled += 1
            group.dominants = group.dominants + single[channels[label]]
    return groups


def _write(
    spool: IO[bytes],
    kept: Kept,
    split: Split,
    channel_config: ChannelConfig,
    train: IO[bytes],
    holdout: IO[bytes],
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
            record = check_line(line, 0, channel_config.names).record
            if record is not None:
                holdout.write(training_line(record, student_prompt(channel_config), labelled=False))
                held += 1
            prompts.discard(key)
    return trained, held
