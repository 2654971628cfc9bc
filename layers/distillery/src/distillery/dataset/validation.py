"""Validates a whole dataset and splits it into training and holdout, in bounded memory.

The first pass (scan.py) checks every line and spools the valid records to disk in Bedrock's format. The
checks of the whole dataset follow, then the split. The second pass copies the spooled lines to training and
holdout.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pydantic import BaseModel, model_validator

from distillery import earlier_names
from distillery.dataset.checks.all_checks import check_dataset
from distillery.dataset.checks.scanned_dataset import ScannedDataset
from distillery.dataset.findings import Finding, new_finding
from distillery.dataset.fixes import Fixes
from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.dataset.records import check_line, training_line
from distillery.dataset.scan import MAX_RECORDS, Scan
from distillery.dataset.split import Group, Reference, Split, plan_split
from distillery.dataset.split_summary import SplitReport, split_findings, split_report
from distillery.dataset.statistics import Statistics, collect_statistics
from distillery.earlier_names import renamed
from distillery.messages import counted
from distillery.runs.states import Source
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from distillery.dataset.lines import Readable
    from distillery.dataset.scan import KeptRecords
    from distillery.task.channels import ChannelConfig

MIN_DISTINCT = 100
"""Bedrock requires 100 records. Equal prompts teach the student nothing, so distinct queries are counted."""
SPOOL_BUFFER_BYTES = 1_000_000
"""Larger than the default, for fewer writes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of a stack: the holdout's share and limits in records, the tolerated share of bad lines."""

    holdout_share: float = 0.1
    holdout_min: int = 50
    holdout_max: int = 500
    error_tolerance: float = 0.01


class DatasetReport(BaseModel):
    """validation.json.

    `lines` counts all lines except blank ones, `accepted` those without an error, `fixed` the accepted lines
    that were changed, `quarantined` those with an error. `distinct`, `labelled` and the statistics cover the
    records kept, the first 15,000. `train` and `holdout` are the lines written, both 0 unless `valid`;
    `reasons` explains in sentences why a dataset is not valid. `clustered` distinct queries are in `clusters`
    of near-duplicates. `findings` has the first 50 of each code, `finding_counts` counts all. Fields with a
    default are missing in files that earlier versions wrote, whose runs may still be active.
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

    @property
    def trained_on_holdout(self) -> bool:
        """Whether the student is trained on the queries that it is evaluated with."""
        return self.reference == "teacher" or "holdout_in_training" in self.finding_counts

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
    """A finding with today's names, which may have been stored under earlier ones."""
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
    """Check the whole stream and, if it is a valid dataset, write `train` and `holdout`.

    Queries whose keys are in `held_before` are held out again. The keys of all queries held out are added to
    `held`.

    Any bytes result in a report; only the stream and the files can raise. The spool needs as much space in
    the temporary directory as `train` does (at most 240 MB). Lines with errors are written to `quarantine`
    with their findings, fixes to `diff`, each up to 100 MB. `fixed` receives the accepted lines, with their
    fixes.
    """
    with tempfile.TemporaryFile(buffering=SPOOL_BUFFER_BYTES) as spool:
        fixes = Fixes(diff, fixed)
        scan = Scan(channel_config, spool, quarantine, fixes)
        scan.read(stream)
        for finding in _file_errors(scan, rules):
            scan.reject(finding)
        valid = not scan.reasons
        statistics = collect_statistics(scan.kept, channel_config)
        clusters = _clusters(scan.kept)
        for finding in check_dataset(ScannedDataset(scan, channel_config, statistics, clusters)):
            scan.findings.add(finding)
        if not fixes.complete:
            message = "The diff of the fixes is not written: it or one of its lines is too long."
            scan.findings.add(new_finding("diff_left_out", None, message))
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


def _file_errors(scan: Scan, rules: Rules) -> Iterator[Finding]:
    """The errors of the file as a whole. A file whose reading stopped has its error already."""
    if scan.stopped:
        return
    if scan.bad > rules.error_tolerance * scan.lines:
        first = scan.findings.first_error()
        yield new_finding(
            "bad_lines",
            None,
            f"{counted(scan.bad, 'line')} of {scan.lines:,} cannot be used"
            f" (share tolerated: {rules.error_tolerance:g})."
            + (f" The first is line {first.line}: {first.message}" if first else ""),
        )
    if scan.accepted > MAX_RECORDS:
        message = f"The file has {scan.accepted:,} records; Bedrock accepts up to {MAX_RECORDS:,} in one job."
        yield new_finding("too_many_records", None, message)
    distinct = len(scan.kept.queries)
    if not scan.lines:
        if not scan.reasons:
            yield new_finding("empty_file", None, "The file has no lines.")
    elif distinct < MIN_DISTINCT:
        yield new_finding(
            "too_few_distinct",
            None,
            f"{counted(distinct, 'distinct query', 'distinct queries')} in"
            f" {counted(scan.accepted, 'usable record')}; at least {MIN_DISTINCT} are needed.",
            fix=f"Add at least {MIN_DISTINCT - distinct} other queries. If the file is one of several parts,"
            " join them: each file is a dataset of its own.",
        )


def _clusters(kept: KeptRecords) -> list[list[bytes]]:
    """The keys of queries that are near-duplicates of each other."""
    keys = list(kept.queries)
    clusters = near_duplicate_clusters(list(kept.queries.values()))
    return [[keys[place] for place in cluster] for cluster in clusters]


def _groups(kept: KeptRecords, channel_config: ChannelConfig) -> dict[bytes, Group]:
    channels = {
        label: dominant(dict(zip(channel_config.names, label, strict=True)))
        for label in set(kept.labels)
        if label is not None
    }
    # Most queries have one record; those with the same dominant channel share one counter.
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
    kept: KeptRecords,
    split: Split,
    channel_config: ChannelConfig,
    train: IO[bytes],
    holdout: IO[bytes],
) -> tuple[int, int]:
    """The second pass. Returns the number of lines written to training and to the holdout."""
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
            # Without a labelled holdout, the teacher answers each held-out query once.
            record = check_line(line, 0, channel_config.names).record
            if record is not None:
                holdout.write(training_line(record, student_prompt(channel_config), labelled=False))
                held += 1
            prompts.discard(key)
    return trained, held
