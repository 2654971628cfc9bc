"""A dataset is validated in one stream, split by hash, and identified by its content."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import unicodedata
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset import lines, scan
from distillery.dataset.records import Record, check_line, training_line
from distillery.dataset.scan import FINDINGS_PER_CODE
from distillery.dataset.split import Group, plan_split, query_key
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.task.channels import ChannelConfig, default_channel_config
from distillery.task.prompts import student_prompt

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

CHANNEL_CONFIG = default_channel_config()
CHANNELS = CHANNEL_CONFIG.names
LABEL = {
    channel: 0.7 if channel == CHANNELS[0] else 0.3 if channel == CHANNELS[1] else 0.0 for channel in CHANNELS
}
OTHER_LABEL = {**LABEL, CHANNELS[0]: 0.3, CHANNELS[1]: 0.7}
PROMPT = student_prompt(CHANNEL_CONFIG)
COVERAGE = {
    "underrepresented_channel",
    "underrepresented_length",
    "underrepresented_language",
    "template_domination",
}
"""True of every dataset that is made up here, and tested where it is what the test is about."""


def line(query: str, label: dict[str, float] | None = LABEL, reasoning: str = "Seen.") -> bytes:
    return training_line(Record(0, query, label, reasoning, ""), PROMPT)


def good_lines(count: int, label: dict[str, float] | None = LABEL) -> list[bytes]:
    return [line(f"query number {number}", label) for number in range(count)]


class Validated:
    """A report with the files that were written."""

    def __init__(self, content: bytes | Iterable[bytes], rules: Rules, channel_config: ChannelConfig) -> None:
        train, holdout, quarantine = io.BytesIO(), io.BytesIO(), io.BytesIO()
        joined = content if isinstance(content, bytes) else b"".join(content)
        self.report: DatasetReport = validate_dataset(
            io.BytesIO(joined),
            channel_config=channel_config,
            rules=rules,
            train=train,
            holdout=holdout,
            quarantine=quarantine,
        )
        self.train, self.holdout, self.quarantine = (
            file.getvalue().splitlines(keepends=True) for file in (train, holdout, quarantine)
        )

    @property
    def codes(self) -> set[str]:
        """Codes of the findings, but for those on coverage."""
        return set(self.report.finding_counts) - COVERAGE


def validate(
    content: bytes | Iterable[bytes],
    rules: Rules | None = None,
    channel_config: ChannelConfig = CHANNEL_CONFIG,
) -> Validated:
    return Validated(content, rules or Rules(), channel_config)


def queries(written: Sequence[bytes]) -> list[str]:
    return [json.loads(raw)["messages"][0]["content"][0]["text"] for raw in written]


# What is accepted


def test_labelled_dataset_is_split_and_nothing_is_lost() -> None:
    content = good_lines(1_000)
    done = validate(content)
    assert done.report.valid
    assert done.report.reasons == []
    assert done.codes == set()
    assert sorted(done.train + done.holdout) == sorted(content)
    assert (len(done.train), len(done.holdout)) == (done.report.train, done.report.holdout) == (900, 100)
    assert done.report.reference == "labels"
    assert done.report.accepted == done.report.labelled == done.report.distinct == done.report.lines == 1_000


def test_report_survives_json() -> None:
    report = validate([*good_lines(150), b"{}\n"]).report
    assert DatasetReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("count", "held"), [(100, 0), (101, 1), (140, 40), (150, 50), (600, 60), (5_000, 500), (8_000, 500)]
)
def test_holdout_size_leaves_a_hundred_to_train_on(count: int, held: int) -> None:
    done = validate(good_lines(count))
    assert done.report.valid
    assert done.report.train == count - held
    assert done.report.train >= 100
    if held:
        assert done.report.holdout == held
        assert ("small_holdout" in done.codes) is (held < 50)
        assert not set(done.train) & set(done.holdout)
    else:
        # Nothing can be set aside: the holdout is trained on, and the report says so.
        assert "holdout_in_training" in done.codes
        assert done.report.holdout == 50
        assert set(done.holdout) < set(done.train)


def test_unlabelled_dataset_goes_to_training_whole() -> None:
    content = good_lines(300, label=None)
    done = validate([*content, content[0]])
    assert done.report.valid
    assert done.report.reference == "teacher"
    assert sorted(done.train) == sorted([*content, content[0]])
    assert len(set(done.holdout)) == len(done.holdout) == 50
    assert set(done.holdout) <= set(content)
    assert done.report.labelled == 0
    assert "unlabelled" in done.codes


def test_few_labels_stay_in_training() -> None:
    done = validate(good_lines(10) + good_lines(300, label=None)[10:])
    assert done.report.valid
    assert (done.report.labelled, done.report.train, done.report.holdout) == (10, 300, 50)
    assert done.report.reference == "teacher"
    assert "few_labels" in done.codes
    assert all(len(json.loads(raw)["messages"]) == 1 for raw in done.holdout)


def test_holdout_takes_labelled_records_only() -> None:
    content = good_lines(600) + [line(f"prompt {number}", None) for number in range(400)]
    content += [line("query number 3", None)]
    done = validate(content)
    assert done.report.reference == "labels"
    assert done.report.holdout == 60
    assert all(len(json.loads(raw)["messages"]) == 2 for raw in done.holdout)
    assert "query number 3" not in queries(done.holdout)
    assert sorted(done.train + done.holdout) == sorted(content)


def test_system_prompt_becomes_the_student_prompt() -> None:
    foreign = [training_line(Record(0, f"query {n}", LABEL, "", ""), "Other words.") for n in range(120)]
    done = validate(foreign)
    assert done.report.valid
    assert done.report.finding_counts["system_replaced"] == 1
    assert {json.loads(raw)["system"][0]["text"] for raw in done.train + done.holdout} == {PROMPT}
    assert "120" in next(f.message for f in done.report.findings if f.code == "system_replaced")


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_are_read() -> None:
    content = b"\xef\xbb\xbf" + b"".join(good_lines(150)).replace(b"\n", b"\r\n\r\n").removesuffix(
        b"\r\n\r\n"
    )
    done = validate(content)
    assert done.report.valid
    assert done.codes == {"byte_order_mark", "blank_line"}
    assert done.report.lines == 150
    assert done.report.fingerprint == validate(good_lines(150)).report.fingerprint


def test_other_channels_are_checked_by_their_channel_config() -> None:
    channel_config = ChannelConfig.model_validate(
        {
            "subject": "music search",
            "channels": [{"name": "mood", "description": "m"}, {"name": "tempo", "description": "t"}],
            "fallback": {"mood": 0.5, "tempo": 0.5},
            "label_grid": 0.25,
        }
    )
    content = [line(f"song {number}", {"mood": 0.75, "tempo": 0.25}) for number in range(150)]
    done = validate(content, channel_config=channel_config)
    assert done.report.valid
    assert done.report.statistics.weight_bins == [0, 0.25, 0.5, 0.75, 1]
    assert done.report.statistics.weight_histograms == {"mood": [0, 0, 0, 150, 0], "tempo": [0, 150, 0, 0, 0]}
    assert validate(content).report.finding_counts == {
        "unknown_channel": 150,
        "bad_lines": 1,
        "too_few_distinct": 1,
    }


# What is rejected


UNREADABLE: dict[str, tuple[str, bytes]] = {
    "empty": ("empty_file", b""),
    "blank lines only": ("empty_file", b"\n \r\n\n"),
    "a byte order mark only": ("empty_file", b"\xef\xbb\xbf"),
    "binary": ("binary_file", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "UTF-16": ("not_utf8", b"".join(good_lines(120)).decode().encode("utf-16")),
    "Latin-1": ("not_utf8", b"".join(line(f"caf\xe9 {n}") for n in range(120)).decode().encode("latin-1")),
    "compressed": ("compressed_file", gzip.compress(b"".join(good_lines(120)), mtime=1)),
    "CSV": ("not_json", b"query,visual,audio\nred kite,0.9,0.1\n" * 80),
    "a JSON array": ("not_json", json.dumps([json.loads(raw) for raw in good_lines(120)], indent=1).encode()),
}


@pytest.mark.parametrize(("code", "content"), UNREADABLE.values(), ids=UNREADABLE)
def test_file_that_is_no_dataset(code: str, content: bytes) -> None:
    done = validate(content)
    assert not done.report.valid
    assert code in done.codes or "binary_file" in done.codes
    assert done.report.reasons
    assert all(reason.endswith(".") for reason in done.report.reasons)
    assert (done.train, done.holdout, done.report.fingerprint) == ([], [], None)


def test_120_identical_prompts_are_fewer_than_100_distinct() -> None:
    done = validate([line("red kite")] * 120)
    assert not done.report.valid
    assert done.report.distinct == 1
    assert "too_few_distinct" in done.codes
    assert "1 distinct query" in done.report.reasons[0]


@pytest.mark.parametrize(("count", "valid"), [(99, False), (100, True), (15_000, True), (15_001, False)])
def test_number_of_records(count: int, valid: bool) -> None:
    report = validate(good_lines(count)).report
    assert report.valid is valid
    assert report.accepted == count
    assert ("too_many_records" in report.finding_counts) is (count > 15_000)
    assert ("too_few_distinct" in report.finding_counts) is (count < 100)


def test_one_bad_line_rejects_the_dataset_where_none_is_tolerated_and_is_named() -> None:
    content = good_lines(300)
    content[41] = line("red kite", {**LABEL, CHANNELS[0]: 0.4})
    done = validate(content, Rules(error_tolerance=0))
    assert not done.report.valid
    assert [(f.code, f.line) for f in done.report.findings if f.line] == [("weights_sum", 42)]
    assert "line 42" in done.report.reasons[0]
    assert "0.7" in done.report.reasons[0]
    assert (done.report.lines, done.report.accepted) == (300, 299)


def test_bad_lines_within_the_tolerance_go_to_quarantine() -> None:
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


def test_tolerance_never_goes_below_100_distinct() -> None:
    content = good_lines(100)
    content[0] = b"{}\n"
    assert "too_few_distinct" in validate(content, Rules(error_tolerance=0.5)).codes


def test_line_that_the_student_prompt_makes_too_long() -> None:
    content = good_lines(150)
    content[7] = training_line(Record(0, "x" * 15_700, LABEL, "", ""), "")
    assert check_line(content[7].strip(), 8, CHANNELS).record is not None
    done = validate(content)
    assert done.report.finding_counts["line_too_long"] == 1
    assert done.report.train + done.report.holdout == 149
    assert [json.loads(entry)["line"] for entry in done.quarantine] == [8]


def test_file_over_the_limit_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_FILE_BYTES", 100_000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 10_000)
    report = validate(good_lines(1_000)).report
    assert not report.valid
    assert "file_too_large" in report.finding_counts
    assert report.bytes_read == 110_000


def test_findings_are_counted_in_full_and_kept_in_part() -> None:
    report = validate(good_lines(120) + [b"{\n"] * 1_000).report
    assert report.finding_counts["not_json"] == 1_000
    assert report.errors == 1_001
    assert sum(finding.code == "not_json" for finding in report.findings) == FINDINGS_PER_CODE


class Endless:
    """So many bytes of a pattern, made as they are read."""

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
def test_memory_is_flat(pattern: bytes) -> None:
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


# Duplicates


def test_repeats_are_kept_and_counted() -> None:
    content = good_lines(200) + [line("Query  NUMBER 3")] * 2
    done = validate(content)
    assert done.report.valid
    assert (done.report.accepted, done.report.distinct) == (202, 200)
    assert done.codes == {"repeated_query"}


def test_conflicting_labels_are_a_warning_with_both_lines() -> None:
    done = validate([*good_lines(200), line("query number 3", OTHER_LABEL)])
    assert done.report.valid
    assert done.report.finding_counts["conflicting_labels"] == 1
    warning = next(f for f in done.report.findings if f.code == "conflicting_labels")
    assert (warning.line, warning.lines) == (4, (4, 201))
    assert "lines 4 and 201" in warning.message
    assert "0.4" in warning.message


# Statistics


def test_statistics() -> None:
    content = good_lines(150) + [line(f"other {n}", OTHER_LABEL) for n in range(50)]
    content += [line("x" * 1_500, None)]
    statistics = validate(content).report.statistics
    assert statistics.weight_bins == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert statistics.weight_histograms[CHANNELS[0]] == [0, 0, 0, 50, 0, 0, 0, 150, 0, 0, 0]
    assert statistics.weight_histograms[CHANNELS[2]][0] == 200
    assert statistics.mean_weights[CHANNELS[0]] == pytest.approx(0.6)
    assert statistics.dominant_counts == dict.fromkeys(CHANNELS, 0) | {CHANNELS[0]: 150, CHANNELS[1]: 50}
    assert (statistics.records, statistics.labelled) == (201, 200)
    assert sum(part.queries for part in statistics.query_lengths) == 201
    assert (statistics.query_lengths[-1].up_to, statistics.query_lengths[-1].queries) == (None, 1)


# Fingerprint and split


def test_fingerprint_is_of_the_content() -> None:
    content = good_lines(150)
    fingerprint = validate(content).report.fingerprint
    spaced = [
        json.dumps(json.loads(raw), indent=None, separators=(" , ", " : ")).encode() + b"\n"
        for raw in content
    ]
    assert validate(spaced).report.fingerprint == fingerprint
    assert validate([*content, content[0]]).report.fingerprint != fingerprint
    assert validate([*content[1:], line("query number 0", OTHER_LABEL)]).report.fingerprint != fingerprint


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(100, 400))
def test_shuffling_keeps_fingerprint_and_split(rng: random.Random, count: int) -> None:
    content = [
        line(f"query {rng.randrange(count)}", rng.choice([LABEL, OTHER_LABEL])) for _ in range(3 * count)
    ]
    first = validate(content)
    rng.shuffle(content)
    second = validate(content)
    assert first.report.fingerprint == second.report.fingerprint
    assert sorted(first.train) == sorted(second.train)
    assert sorted(first.holdout) == sorted(second.holdout)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=300, max_size=900), st.sampled_from([0.05, 0.1, 0.3]))
def test_equal_queries_never_straddle(numbers: list[int], share: float) -> None:
    spellings = (str.upper, str.title, "  {}".format, lambda text: text.replace(" ", "\u00a0 "))
    content = [
        line(spellings[position % 4](f"query number {number}")) for position, number in enumerate(numbers)
    ]
    done = validate(content, Rules(holdout_share=share))
    if done.report.valid:
        sides = [{query_key(query) for query in queries(side)} for side in (done.train, done.holdout)]
        assert not sides[0] & sides[1]
        assert done.report.train >= 100


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_query_key_ignores_case_spacing_and_unicode_form(
    text: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    key = query_key(text)
    assert query_key(unicodedata.normalize(form, text)) == key
    assert query_key(f"  {text}\n") == key
    assert query_key(unicodedata.normalize("NFD", text).casefold()) == key


@given(st.integers(100, 400), st.integers(0, 400))
def test_growing_a_dataset_moves_the_cut_only(before: int, more: int) -> None:
    def held_out(count: int) -> frozenset[bytes]:
        groups = {query_key(f"query {number}"): Group(records=1, labelled=1) for number in range(count)}
        return plan_split(groups, share=0.1, least=20, most=30).queries

    old_keys = {query_key(f"query {number}") for number in range(before)}
    old, new = held_out(before), held_out(before + more) & old_keys
    assert new <= old or old <= new


def test_a_query_larger_than_the_holdout_stays_in_training() -> None:
    groups = {bytes([0]): Group(1_000, 1_000)}
    groups |= {bytes([1, number]): Group(1, 1) for number in range(200)}
    split = plan_split(groups, share=0.1, least=50, most=120)
    assert bytes([0]) not in split.queries
    assert len(split.queries) == 120


# Anything


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes_get_a_report(content: bytes) -> None:
    done = validate(content)
    assert not done.report.valid
    assert done.report.reasons
    assert done.report.model_dump_json()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mutated_dataset_gets_a_report(data: st.DataObject) -> None:
    content = bytearray(b"".join(good_lines(103)))
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 40))
        content[start : start + length] = data.draw(st.binary(max_size=20))
    done = validate(bytes(content), Rules(error_tolerance=data.draw(st.sampled_from([0.0, 0.05, 1.0]))))
    assert done.report.valid == (not done.report.reasons)
    assert done.report.train == len(done.train)
    assert done.report.model_dump_json()
