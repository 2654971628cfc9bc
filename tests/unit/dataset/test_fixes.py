"""Fixes are written to the fixed file and to a diff that `patch` can apply."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from distillery.dataset import fixes, lines
from distillery.dataset.records import Record, training_line
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.task.channels import default_channel_config
from distillery.task.prompts import student_prompt
from tests.unit.patching import apply

CHANNEL_CONFIG = default_channel_config()
CHANNELS = CHANNEL_CONFIG.names
PROMPT = student_prompt(CHANNEL_CONFIG)
LABEL = {**dict.fromkeys(CHANNELS, 0.0), CHANNELS[0]: 0.6, CHANNELS[1]: 0.4}


class Fixed:
    """The result of validating and fixing a file."""

    def __init__(self, content: bytes) -> None:
        train, holdout, diff, fixed = (io.BytesIO() for _ in range(4))
        self.report: DatasetReport = validate_dataset(
            io.BytesIO(content),
            channel_config=CHANNEL_CONFIG,
            rules=Rules(error_tolerance=1.0),
            train=train,
            holdout=holdout,
            diff=diff,
            fixed=fixed,
        )
        self.written = train.getvalue() + holdout.getvalue()
        self.diff, self.fixed = diff.getvalue(), fixed.getvalue()
        if "diff_left_out" not in self.report.finding_counts:
            assert apply(self.diff, content) == self.fixed


def line(query: str, label: dict[str, float] | None = None, **more: Any) -> bytes:
    content = json.loads(training_line(Record(0, query, label or LABEL, "", ""), PROMPT))
    return json.dumps(content | more).encode() + b"\n"


GOOD = [line(f"query {number}") for number in range(120)]


def test_clean_file_has_no_fixes() -> None:
    fixed = Fixed(b"".join(GOOD))
    assert (fixed.diff, fixed.fixed) == (b"", b"".join(GOOD))
    assert (fixed.report.fixed, fixed.report.quarantined) == (0, 0)


def test_lines_without_fixes_stay_byte_for_byte() -> None:
    content = [*GOOD]
    content[3] = line("query\x00 3")
    content[7] = b"{}\n"
    content[9] = b'  {"schemaVersion" :' + GOOD[9].split(b":", 1)[1]
    fixed = Fixed(b"".join(content))
    kept = fixed.fixed.splitlines(keepends=True)
    assert kept[:3] + kept[4:] == content[:3] + content[4:7] + content[8:]
    assert json.loads(kept[3]) == json.loads(GOOD[3])
    assert (fixed.report.fixed, fixed.report.quarantined) == (1, 1)


def test_fixed_records_are_written_to_training_and_holdout() -> None:
    off = {**LABEL, CHANNELS[1]: 0.43}
    fixed = Fixed(b"".join([*GOOD[1:], line("query\x07 0", off)]))
    assert fixed.report.finding_counts["weights_renormalised"] == 1
    record = next(raw for raw in fixed.written.splitlines() if b"query 0" in raw)
    label = json.loads(json.loads(record)["messages"][1]["content"][0]["text"])
    assert sum(label[channel] for channel in CHANNELS) == pytest.approx(1, abs=1e-12)
    assert label[CHANNELS[0]] == pytest.approx(0.6 / 1.03, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n").replace(b"query 5", b"query\\u0000 5"),
        lambda content: content.replace(b"\n", b"\n\n \n"),
        lambda content: content.removesuffix(b"\n").replace(b"query 119", b"query\\u0000 119"),
        lambda content: content + b"not JSON",
        lambda content: b"not JSON\n" + content,
        lambda content: content.replace(b"query 5", b"query\\u0007 5").replace(b"0.6", b"0.9"),
        lambda content: content.replace(b'"messages"', b'"id": 1, "messages"'),
    ],
    ids=[
        "byte order mark",
        "carriage returns",
        "blank lines",
        "no newline at the end of a fixed line",
        "no newline at the end of a removed line",
        "the first line removed",
        "consecutive lines",
        "unknown fields",
    ],
)
def test_diff_gives_a_file_that_needs_no_fixes(change: Any) -> None:
    content = change(b"".join(GOOD))
    fixed = Fixed(content)
    assert fixed.diff
    again = Fixed(fixed.fixed)
    assert (again.diff, again.fixed) == (b"", fixed.fixed)
    assert again.report.accepted == fixed.report.accepted
    assert Fixed(content).diff == fixed.diff


def test_fixed_line_keeps_its_system_prompt() -> None:
    content = [line(f"query {number}", system=[{"text": "Weigh."}]) for number in range(120)]
    content[4] = line("query\x1b 4", system=[{"text": "Weigh."}])
    again = Fixed(Fixed(b"".join(content)).fixed)
    assert "mixed_system_prompts" not in again.report.finding_counts


def test_diff_shows_old_and_new_lines() -> None:
    content = [*GOOD]
    content[3], content[4] = line("query\x00 3"), b"nothing\n"
    assert Fixed(b"".join(content)).diff.splitlines()[:6] == [
        b"--- dropped",
        b"+++ fixed",
        b"@@ -4,2 +4,1 @@",
        b"-" + content[3].strip(),
        b"-nothing",
        b"+" + training_line(Record(0, "query 3", LABEL, "", ""), PROMPT).strip(),
    ]


def test_diff_over_the_size_limit_is_not_written_but_the_fixed_file_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fixes, "MAX_DIFF_BYTES", 1_000)
    fixed = Fixed(b"".join(GOOD).replace(b"query", b"query\\u0000"))
    assert fixed.diff == b""
    assert fixed.report.finding_counts["diff_left_out"] == 1
    assert Fixed(fixed.fixed).report.fixed == 0


def test_diff_is_not_written_if_a_line_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 10_000)
    fixed = Fixed(GOOD[0] + b"x" * 1_000_000 + b"\n" + b"".join(GOOD[1:]))
    assert fixed.report.finding_counts["line_too_long"] == 1
    assert fixed.report.finding_counts["diff_left_out"] == 1
    assert fixed.fixed == b"".join(GOOD)
