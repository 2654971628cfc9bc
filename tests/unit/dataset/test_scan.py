"""The first pass: quarantine, counts and memory."""

from __future__ import annotations

import io
import json
import tracemalloc

import pytest

from distillery.dataset import scan
from distillery.dataset.records import Record, check_line, training_line
from distillery.dataset.scan import FINDINGS_PER_CODE
from distillery.dataset.validation import Rules, validate_dataset
from tests.unit.dataset.datasets import CHANNEL_CONFIG, CHANNELS, LABEL, good_lines, validate


def test_lines_with_errors_within_the_tolerance_are_quarantined() -> None:
    content = good_lines(300)
    content[41] = b'{"schemaVersion": 1}\n'
    done = validate(content, Rules(error_tolerance=0.01))
    assert done.report.valid
    assert done.report.errors == 1
    assert done.report.train + done.report.holdout == 299
    entry = json.loads(done.quarantine[0])
    assert (entry["line"], entry["raw"]) == (42, '{"schemaVersion": 1}')
    assert [finding["code"] for finding in entry["findings"]] == ["missing_field"]
    assert not validate([*content, *[b"{\n"] * 3], Rules(error_tolerance=0.01)).report.valid


def test_quarantine_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_QUARANTINE_BYTES", 2_000)
    done = validate([b"{\n"] * 1_000)
    assert 1 < len(done.quarantine) < 20
    assert done.report.finding_counts["not_json"] == 1_000


def test_line_that_becomes_too_long_with_the_student_prompt_is_an_error() -> None:
    content = good_lines(150)
    content[7] = training_line(Record(0, "x" * 15_700, LABEL, "", ""), "")
    assert check_line(content[7].strip(), 8, CHANNELS).record is not None
    done = validate(content)
    assert done.report.finding_counts["line_too_long"] == 1
    assert done.report.train + done.report.holdout == 149
    assert [json.loads(entry)["line"] for entry in done.quarantine] == [8]


def test_all_findings_are_counted_and_the_first_of_each_code_are_kept() -> None:
    report = validate(good_lines(120) + [b"{\n"] * 1_000).report
    assert report.finding_counts["not_json"] == 1_000
    assert report.errors == 1_001
    assert sum(finding.code == "not_json" for finding in report.findings) == FINDINGS_PER_CODE


class Endless:
    """A stream of `size` bytes that repeats a pattern."""

    def __init__(self, pattern: bytes, size: int) -> None:
        self._pattern, self._left = pattern, size

    def read(self, amt: int) -> bytes:
        amt = min(amt, self._left)
        self._left -= amt
        return (self._pattern * (amt // len(self._pattern) + 1))[:amt]


@pytest.mark.parametrize(
    "pattern",
    [b"x", b'{"schemaVersion":1}'.ljust(400) + b"\n", b" " * 200 + b"\n"],
    ids=["one line", "bad", "blank"],
)
def test_memory_is_bounded(pattern: bytes) -> None:
    tracemalloc.start()
    try:
        report = validate_dataset(
            Endless(pattern, 8_000_000),
            channel_config=CHANNEL_CONFIG,
            rules=Rules(),
            train=io.BytesIO(),
            holdout=io.BytesIO(),
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not report.valid
    assert report.bytes_read == 8_000_000
    assert peak < 6_000_000


def test_hopeless_file_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_BAD_LINES", 50)
    report = validate([*good_lines(120), *[b"x\n"] * 80_000]).report
    assert not report.valid
    assert (report.lines, report.quarantined) == (170, 50)
    (reason,) = report.reasons
    assert reason.startswith(
        "Reading stopped at line 170: 50 lines cannot be used, 0 lines are blank. The first is"
    )
    assert report.finding_counts["hopeless_file"] == 1


def test_file_of_blank_lines_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_BLANK_LINES", 50)
    report = validate([b"\n"] * 80_000).report
    (reason,) = report.reasons
    assert reason.startswith("Reading stopped at line 50: 0 lines cannot be used, 50 lines are blank. Check")
