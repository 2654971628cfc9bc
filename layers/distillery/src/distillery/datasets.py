"""A whole dataset: every line checked in one pass in flat memory, then split into training and holdout.

The first pass spools good records to disk in the form that Bedrock is given and keeps a few dozen bytes of
each; the second copies the spool's lines to their sides. Past Bedrock's limit of records nothing is kept
any more, but every line is still checked and counted.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from pydantic import BaseModel

from distillery.lines import Lines, Readable, Unreadable
from distillery.prompts import student_prompt
from distillery.records import (
    MAX_LINE_BYTES,
    Finding,
    Record,
    Severity,
    check_line,
    line_too_long,
    training_line,
)
from distillery.runs import Source
from distillery.similarity import LONGEST_LOOK, near_duplicate_clusters
from distillery.split import Group, Reference, Split, plan_split, query_key
from distillery.split_report import SplitReport, near_duplicates, split_findings, split_report
from distillery.tally import Statistics, Tally
from distillery.weights import TOLERANCE, dominant
from distillery.wording import counted

if TYPE_CHECKING:
    from collections.abc import Collection

    from distillery.taxonomy import Taxonomy
    from distillery.weights import Weights

MIN_DISTINCT = 100
"""Bedrock wants 100 records; equal prompts teach it nothing, so distinct ones are counted."""
MAX_RECORDS = 15_000
"""Bedrock's limit for one job, not adjustable."""
FINDINGS_PER_CODE = 50
"""Findings kept of each code; all are counted."""
MAX_QUARANTINE_BYTES = 100_000_000
"""Bad lines kept to be mended; whoever drops more junk than this still has it."""
SPOOL_BUFFER_BYTES = 1_000_000
"""Fewer and larger writes than by default."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a stack may set: the holdout's share and bounds in records, the share of bad lines let pass."""

    holdout_share: float = 0.1
    holdout_min: int = 50
    holdout_max: int = 500
    error_tolerance: float = 0.0


class DatasetReport(BaseModel):
    """validation.json.

    `lines` counts all but blank ones, `accepted` those without an error. `distinct`, `labelled` and the
    statistics are of the records kept: the first 15,000. `train` and `holdout` are lines written, both 0
    unless `valid`; `reasons` says in sentences why a dataset is not. `findings` has the first 50 of each
    code, `finding_counts` counts all. `clustered` distinct queries are in `clusters` of near-copies.
    """

    run_id: str | None = None
    dataset: str | None = None
    source: Source | None = None
    valid: bool
    reasons: list[str]
    bytes_read: int
    lines: int
    accepted: int
    labelled: int
    distinct: int
    clusters: int
    clustered: int
    errors: int
    warnings: int
    findings: list[Finding]
    finding_counts: dict[str, int]
    fingerprint: str | None
    reference: Reference
    train: int
    holdout: int
    split: SplitReport
    statistics: Statistics


def validate_dataset(
    stream: Readable,
    *,
    taxonomy: Taxonomy,
    rules: Rules,
    train: IO[bytes],
    holdout: IO[bytes],
    quarantine: IO[bytes] | None = None,
    held_before: Collection[bytes] = (),
    held: set[bytes] | None = None,
) -> DatasetReport:
    """Check the stream to its end and, where it is a dataset, write `train` and `holdout`.

    Queries whose keys are in `held_before` are held out again; `held` is given the keys of all that are.

    Whatever the bytes are, the answer is a report; only the stream and the files may raise. The spool
    needs as much room in the temporary directory as `train` does (240 MB at the very most). Bad lines go
    to `quarantine` with their findings, up to 100 MB of them.
    """
    with tempfile.TemporaryFile(buffering=SPOOL_BUFFER_BYTES) as spool:
        survey = _Survey(taxonomy, spool, quarantine)
        survey.read(stream)
        survey.conclude(rules)
        survey.find_near_copies()
        split = plan_split(
            survey.groups,
            clusters=survey.clusters,
            held_before=held_before,
            share=rules.holdout_share,
            least=rules.holdout_min,
            most=rules.holdout_max,
        )
        valid = not survey.reasons
        sizes = (0, 0)
        if valid:
            survey.tell_of(split)
            sizes = survey.write(split, train, holdout)
            if held is not None:
                held |= split.queries
        return survey.report(split, sizes, valid=valid)


class _Survey:
    """What the first pass learns, in memory that does not grow with the file."""

    def __init__(self, taxonomy: Taxonomy, spool: IO[bytes], quarantine: IO[bytes] | None) -> None:
        self.groups: dict[bytes, Group] = {}
        self.clusters: list[list[bytes]] = []
        self.reasons: list[str] = []
        self._facets = taxonomy.names
        self._prompt = student_prompt(taxonomy)
        self._spool = spool
        self._quarantine = quarantine
        self._findings: list[Finding] = []
        self._counts: Counter[str] = Counter()
        self._severities: Counter[Severity] = Counter()
        self._tally = Tally(taxonomy)
        self._lines = self._blank = self._bad = self._bytes = 0
        self._kept: list[bytes] = []
        self._digests: list[bytes] = []
        self._first_labels: dict[bytes, tuple[int, Weights]] = {}
        self._first_lines: dict[bytes, tuple[int, str]] = {}
        self._other_prompts = self._without_reasoning = 0

    @property
    def _accepted(self) -> int:
        return self._lines - self._bad

    def read(self, stream: Readable) -> None:
        """The first pass."""
        lines = Lines(stream)
        try:
            for number, raw in enumerate(lines, start=1):
                self._take(number, raw)
        except Unreadable as error:
            self._reject(error.finding)
        self._bytes = lines.bytes_read

    def _take(self, number: int, raw: bytes) -> None:
        raw = raw.removesuffix(b"\r")
        if number == 1 and raw.startswith(BYTE_ORDER_MARK):
            raw = raw.removeprefix(BYTE_ORDER_MARK)
            mend = "Save the file as UTF-8 without a byte order mark."
            self._add(
                Finding("byte_order_mark", "warning", 1, "The file starts with a byte order mark.", mend)
            )
        if not raw or raw.isspace():
            self._blank += 1
            return
        self._lines += 1
        record, findings = check_line(raw, number, self._facets)
        if record is not None and self._accepted <= MAX_RECORDS:
            line = training_line(record, self._prompt)
            if len(line) - 1 > MAX_LINE_BYTES:
                record, findings = None, [*findings, line_too_long(number)]
            else:
                self._keep(record, line)
        if not findings:
            return
        for finding in findings:
            self._add(finding)
        if record is None:
            self._bad += 1
            self._set_apart(number, raw, [finding for finding in findings if finding.severity == "error"])

    def _keep(self, record: Record, line: bytes) -> None:
        key = query_key(record.query)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group()
            self._first_lines[key] = record.line, record.query[:LONGEST_LOOK]
        group.records += 1
        self._kept.append(key)
        self._digests.append(hashlib.sha256(line).digest())
        self._spool.write(line)
        self._tally.add(record)
        self._other_prompts += bool(record.system) and record.system != self._prompt
        if record.label is None:
            return
        group.labelled += 1
        group.dominants[dominant(record.label)] += 1
        self._without_reasoning += not record.reasoning
        # Not the record: its reasoning may be kilobytes long.
        line_of_first, first = self._first_labels.setdefault(key, (record.line, record.label))
        if first == record.label:
            return
        apart = max(abs(first[facet] - weight) for facet, weight in record.label.items())
        if apart > TOLERANCE:
            self._add(
                Finding(
                    "conflicting_labels",
                    "warning",
                    record.line,
                    f"The query of line {line_of_first} again, with weights up to {apart:.2g} apart.",
                    "Keep the better label, unless the spread of the teacher is meant to be learned.",
                )
            )

    def _set_apart(self, number: int, raw: bytes, findings: list[Finding]) -> None:
        if self._quarantine is None or self._quarantine.tell() > MAX_QUARANTINE_BYTES:
            return
        entry = {
            "line": number,
            "findings": [{"code": f.code, "message": f.message, "mend": f.mend} for f in findings],
            "raw": raw[:MAX_LINE_BYTES].decode(errors="replace"),
        }
        self._quarantine.write(f"{json.dumps(entry, ensure_ascii=False)}\n".encode())

    def conclude(self, rules: Rules) -> None:
        """Judge the file as a whole."""
        if self._blank:
            message = f"{counted(self._blank, 'blank line')} left out."
            self._add(Finding("blank_line", "note", None, message, ""))
        if self._bad > rules.error_tolerance * self._lines:
            self._reject(
                Finding(
                    "bad_lines",
                    "error",
                    None,
                    f"{counted(self._bad, 'line')} of {self._lines:,} cannot be used"
                    f" (share tolerated: {rules.error_tolerance:g}).{self._first_error()}",
                    "Mend or remove the lines found.",
                )
            )
        if self._accepted > MAX_RECORDS:
            self._reject(
                Finding(
                    "too_many_records",
                    "error",
                    None,
                    f"{self._accepted:,} records; Bedrock takes up to {MAX_RECORDS:,} in a job.",
                    "Drop records, repeated queries first.",
                )
            )
        if self.reasons and not self._lines:
            return
        if not self._lines:
            self._reject(
                Finding("empty_file", "error", None, "The file has no lines.", "Write one record a line.")
            )
        elif len(self.groups) < MIN_DISTINCT:
            self._reject(
                Finding(
                    "too_few_distinct",
                    "error",
                    None,
                    f"{counted(len(self.groups), 'distinct query', 'distinct queries')} in"
                    f" {counted(self._accepted, 'usable record')}; at least {MIN_DISTINCT} are needed.",
                    f"Add {MIN_DISTINCT - len(self.groups)} or more other queries.",
                )
            )
        self._note_habits()

    def _first_error(self) -> str:
        first = next((f for f in self._findings if f.severity == "error" and f.line), None)
        return f" The first is line {first.line}: {first.message}" if first else ""

    def _note_habits(self) -> None:
        repeats = len(self._kept) - len(self.groups)
        labelled = self._tally.labelled
        if repeats:
            message = f"{counted(repeats, 'record')} repeat the query of another; all are kept."
            self._add(Finding("repeated_query", "note", None, message, ""))
        if self._other_prompts:
            message = f"{counted(self._other_prompts, 'system prompt')} replaced by the student prompt."
            mend = "Nothing to do: the student is trained on the prompt that it is asked with."
            self._add(Finding("system_replaced", "note", None, message, mend))
        if self._without_reasoning:
            message = f"{self._without_reasoning:,} of {counted(labelled, 'label')} without reasoning."
            mend = "Add it if the router's results should say why."
            self._add(Finding("no_reasoning", "note", None, message, mend))

    def find_near_copies(self) -> None:
        """Find the clusters of distinct queries, and tell of each."""
        keys = list(self._first_lines)
        found = near_duplicate_clusters([text for _, text in self._first_lines.values()])
        self.clusters = [[keys[place] for place in cluster] for cluster in found]
        for cluster in self.clusters:
            self._add(near_duplicates([self._first_lines[key] for key in cluster]))

    def tell_of(self, split: Split) -> None:
        """Say what the evaluation will rest on, where that is not a holdout of labels of the size wanted."""
        for finding in split_findings(split, records=len(self._kept), labelled=self._tally.labelled):
            self._add(finding)

    def write(self, split: Split, train: IO[bytes], holdout: IO[bytes]) -> tuple[int, int]:
        """The second pass; returns the number of lines written to each side."""
        self._spool.seek(0)
        trained = held = 0
        prompts = set(split.queries)
        for key, line in zip(self._kept, self._spool, strict=True):
            held_out = key in split.queries
            if not (held_out and split.set_aside) and key not in split.left_out:
                train.write(line)
                trained += 1
            if held_out and split.reference == "labels":
                holdout.write(line)
                held += 1
            elif key in prompts:
                # The teacher is asked once for each query, and few labels are no reference.
                record = check_line(line, 0, self._facets).record
                if record is not None:
                    holdout.write(training_line(record, self._prompt, labelled=False))
                    held += 1
                prompts.discard(key)
        return trained, held

    def report(self, split: Split, sizes: tuple[int, int], *, valid: bool) -> DatasetReport:
        """Everything learned."""
        order: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
        fingerprint = hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()
        return DatasetReport(
            valid=valid,
            reasons=self.reasons,
            bytes_read=self._bytes,
            lines=self._lines,
            accepted=self._accepted,
            labelled=self._tally.labelled,
            distinct=len(self.groups),
            clusters=len(self.clusters),
            clustered=sum(map(len, self.clusters)),
            errors=self._severities["error"],
            warnings=self._severities["warning"],
            findings=sorted(self._findings, key=lambda f: (order[f.severity], f.line or 0)),
            finding_counts=dict(self._counts),
            fingerprint=fingerprint if valid else None,
            reference=split.reference,
            train=sizes[0],
            holdout=sizes[1],
            split=split_report(split),
            statistics=self._tally.statistics(),
        )

    def _reject(self, finding: Finding) -> None:
        self._add(finding)
        self.reasons.append(f"{finding.message} {finding.mend}".strip())

    def _add(self, finding: Finding) -> None:
        self._counts[finding.code] += 1
        self._severities[finding.severity] += 1
        if self._counts[finding.code] <= FINDINGS_PER_CODE:
            self._findings.append(finding)
