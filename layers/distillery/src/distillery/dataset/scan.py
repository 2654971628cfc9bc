"""The first pass over a dataset: checks every line and spools the valid records, in bounded memory.

A few dozen bytes are kept of each record, and the text of each distinct query. After Bedrock's limit of
15,000 records nothing more is kept, but every line is still checked and counted.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from typing import IO, TYPE_CHECKING

from distillery.dataset.contradictions import Contradictions
from distillery.dataset.findings import SEVERITIES, Finding, Severity, new_finding
from distillery.dataset.lines import LONGEST_SEEN, Lines, Readable, Unreadable
from distillery.dataset.records import (
    MAX_LINE_BYTES,
    LineReader,
    Record,
    is_fixed,
    line_too_long,
    training_line,
)
from distillery.dataset.split import query_key
from distillery.dataset.texts import beyond_ascii
from distillery.messages import counted
from distillery.task.prompts import student_prompt
from distillery.task.weights import dominants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from distillery.dataset.fixes import Fixes
    from distillery.dataset.labels import LabelKey
    from distillery.task.channels import ChannelConfig

MAX_RECORDS = 15_000
"""Bedrock's limit for one job. The quota is not adjustable."""
FINDINGS_PER_CODE = 50
"""Findings of each code that are kept. All are counted."""
MAX_QUARANTINE_BYTES = 100_000_000
"""Size of quarantine.jsonl after which no more lines are added. The dropped file still has all of them."""
LONGEST_KEPT = 1_000
"""Characters of a query that are kept for the checks of the whole dataset."""
MOST_PROMPTS = 100
"""Distinct system prompts that are remembered at most."""
LONGEST_REASONING = 1_000
"""Characters of a reasoning that are compared with the weights."""
MOST_BAD_LINES = 100_000
"""Lines with errors after which the rest is not read. Bedrock accepts up to 15,000 records, so more than 85 %
of the lines are bad then."""
MOST_BLANK_LINES = 1_000_000
"""Blank lines after which the rest is not read."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class KeptRecords:
    """What is kept of the records, in file order. `queries` maps keys to the texts of distinct queries."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.lines = array("Q")
        self.lengths = array("L")
        self.labels: list[LabelKey | None] = []
        self.digests: list[bytes] = []
        self.queries: dict[bytes, str] = {}
        self.query_characters_beyond_ascii = 0
        self.reasoning_characters = self.reasoning_characters_beyond_ascii = 0
        self._equal_labels: dict[LabelKey, LabelKey] = {}

    def add(self, key: bytes, record: Record, line: bytes) -> None:
        """Keep a record; `line` is the record as it is written for Bedrock."""
        self.keys.append(key)
        self.lines.append(record.line)
        self.lengths.append(len(record.query))
        self.digests.append(hashlib.sha256(line).digest())
        if key not in self.queries:
            self.queries[key] = record.query[:LONGEST_KEPT]
        self.query_characters_beyond_ascii += beyond_ascii(record.query)
        if record.label is not None:
            self.reasoning_characters += len(record.reasoning)
            self.reasoning_characters_beyond_ascii += beyond_ascii(record.reasoning)
        label = None if record.label is None else tuple(record.label.values())
        self.labels.append(None if label is None else self._equal_labels.setdefault(label, label))

    @property
    def labelled(self) -> int:
        """Records with a label."""
        return len(self.labels) - self.labels.count(None)

    def lines_by_key(self, keys: frozenset[bytes]) -> dict[bytes, list[int]]:
        """The lines of each of these queries, in ascending order."""
        lines: dict[bytes, list[int]] = {}
        if not keys:
            return lines
        for key, line in zip(self.keys, self.lines, strict=True):
            if key in keys:
                lines.setdefault(key, []).append(line)
        return lines

    def fingerprint(self) -> str:
        """SHA-256 of all records, independent of their order."""
        return hashlib.sha256(b"".join(sorted(self.digests))).hexdigest()


class Findings:
    """Counts all findings and keeps the first 50 of each code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.severities: Counter[Severity] = Counter()
        self._kept: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is among the first of its code."""
        self.counts[finding.code] += 1
        self.severities[finding.severity] += 1
        if self.counts[finding.code] <= FINDINGS_PER_CODE:
            self._kept.append(finding)

    def __iter__(self) -> Iterator[Finding]:
        """The findings kept, by severity; within one, findings on the file before findings on lines."""
        return iter(sorted(self._kept, key=lambda f: (SEVERITIES.index(f.severity), f.line is not None)))

    def first_error(self) -> Finding | None:
        """The first error on a line."""
        return next((f for f in self._kept if f.severity == "error" and f.line), None)


class Scan:
    """The first pass: valid records go to `spool` in Bedrock's format, lines with errors to `quarantine`."""

    def __init__(
        self, channel_config: ChannelConfig, spool: IO[bytes], quarantine: IO[bytes] | None, fixes: Fixes
    ) -> None:
        self.findings = Findings()
        self.kept = KeptRecords()
        self.reasons: list[str] = []
        self.lines = self.blank = self.bad = self.fixed = self.bytes_read = 0
        self.other_prompts = self.without_reasoning = 0
        self.stopped = False
        self.prompts: dict[str, int] = {}
        self._prompt = student_prompt(channel_config)
        self._channels = channel_config.names
        self._reader = LineReader(channel_config.names)
        self._contradictions = Contradictions(channel_config.names)
        self._spool, self._quarantine, self._fixes = spool, quarantine, fixes

    @property
    def accepted(self) -> int:
        """Lines without an error."""
        return self.lines - self.bad

    def read(self, stream: Readable) -> None:
        """Check every line of the stream."""
        lines = Lines(stream, self._channels)
        try:
            for number, raw in enumerate(lines, start=1):
                if number == 1 and lines.old_line_ends:
                    self.findings.add(
                        new_finding("carriage_returns", None, "The lines end in carriage returns only.")
                    )
                    self._fixes.omit_diff()
                self._check_line(number, raw, lines.end)
                if self.bad >= MOST_BAD_LINES or self.blank >= MOST_BLANK_LINES:
                    self._give_up(number)
                    break
        except Unreadable as error:
            self.reject(error.finding)
        self._fixes.end()
        self.bytes_read = lines.bytes_read

    def _give_up(self, number: int) -> None:
        first = self.findings.first_error()
        example = f" The first is line {first.line}: {first.message}" if first else ""
        message = (
            f"Reading stopped at line {number:,}: {counted(self.bad, 'line')} cannot be used,"
            f" {counted(self.blank, 'line')} are blank.{example}"
        )
        self.stopped = True
        self.reject(new_finding("hopeless_file", None, message))

    def reject(self, finding: Finding) -> None:
        """Add a finding that makes the dataset unusable."""
        self.findings.add(finding)
        self.reasons.append(f"{finding.message} {finding.fix}".strip())

    def _check_line(self, number: int, dropped: bytes, end: bytes) -> None:
        raw = dropped.removesuffix(b"\r")
        has_mark = number == 1 and raw.startswith(BYTE_ORDER_MARK)
        if has_mark:
            raw = raw.removeprefix(BYTE_ORDER_MARK)
            self.findings.add(new_finding("byte_order_mark", 1, "The file starts with a byte order mark."))
        if not raw or raw.isspace():
            self.blank += 1
            self._fixes.change(number, dropped + end, None, cut=len(dropped) >= LONGEST_SEEN)
            return
        self.lines += 1
        record, findings = self._reader.check(raw, number)
        if record is not None and len(self.kept.keys) < MAX_RECORDS:
            line = training_line(record, self._prompt)
            if len(line) - 1 > MAX_LINE_BYTES:
                record, findings = None, [*findings, line_too_long(number)]
            else:
                self._keep(record, line)
        for finding in findings:
            self.findings.add(finding)
        if record is None:
            self.bad += 1
            self._quarantine_line(
                number, raw, [finding for finding in findings if finding.severity == "error"]
            )
            self._fixes.change(number, dropped + end, None, cut=len(dropped) >= LONGEST_SEEN)
        elif has_mark or (findings and is_fixed(findings)):
            self.fixed += 1
            ended = dropped[len(dropped.removesuffix(b"\r")) :] + end
            fixed = training_line(record, record.system)[:-1] if is_fixed(findings) else raw
            self._fixes.change(number, dropped + end, fixed + ended)
        else:
            self._fixes.keep(dropped, end)

    def _keep(self, record: Record, line: bytes) -> None:
        self.kept.add(query_key(record.query), record, line)
        self._spool.write(line)
        system, reasoning = record.system, record.reasoning
        if system:
            self.other_prompts += system != self._prompt
            if system not in self.prompts and len(self.prompts) < MOST_PROMPTS:
                self.prompts[system] = record.line
        if record.label is None:
            return
        if not reasoning:
            self.without_reasoning += 1
            return
        named = self._contradictions.named_most(reasoning[:LONGEST_REASONING])
        if named and not named & dominants(record.label):
            called, largest = (" and ".join(sorted(names)) for names in (named, dominants(record.label)))
            message = (
                f"The reasoning calls {called} the most important; the largest weight is that of {largest}."
            )
            self.findings.add(new_finding("reasoning_contradicts", record.line, message))

    def _quarantine_line(self, number: int, raw: bytes, findings: Sequence[Finding]) -> None:
        if self._quarantine is None or self._quarantine.tell() > MAX_QUARANTINE_BYTES:
            return
        entry = {
            "line": number,
            "findings": [{"code": f.code, "message": f.message, "fix": f.fix} for f in findings],
            "raw": raw[:MAX_LINE_BYTES].decode(errors="replace"),
        }
        self._quarantine.write(f"{json.dumps(entry, ensure_ascii=False)}\n".encode())
