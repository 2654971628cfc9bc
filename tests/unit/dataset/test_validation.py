"""A dataset is accepted or rejected, split, and identified by its content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.split import query_key
from distillery.dataset.validation import DatasetReport, Rules
from distillery.task.channels import ChannelConfig
from tests.unit.dataset.datasets import (
    CHANNELS,
    LABEL,
    OTHER_LABEL,
    good_lines,
    line,
    queries,
    validate,
)

if TYPE_CHECKING:
    import random


# Accepted


def test_labelled_dataset_is_split_without_losing_a_record() -> None:
    content = good_lines(1_000)
    done = validate(content)
    assert done.report.valid
    assert done.report.reasons == []
    assert done.codes == set()
    assert sorted(done.train + done.holdout) == sorted(content)
    assert (len(done.train), len(done.holdout)) == (done.report.train, done.report.holdout) == (900, 100)
    assert done.report.reference == "labels"
    assert done.report.accepted == done.report.labelled == done.report.distinct == done.report.lines == 1_000


def test_report_is_read_back_from_json() -> None:
    report = validate([*good_lines(150), b"{}\n"]).report
    assert DatasetReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("count", "held"), [(100, 0), (101, 1), (140, 40), (150, 50), (600, 60), (5_000, 500), (8_000, 500)]
)
def test_at_least_100_records_are_kept_for_training(count: int, held: int) -> None:
    done = validate(good_lines(count))
    assert done.report.valid
    assert done.report.train == count - held
    assert done.report.train >= 100
    if held:
        assert done.report.holdout == held
        assert ("small_holdout" in done.codes) is (held < 50)
        assert not set(done.train) & set(done.holdout)
    else:
        # No record can be held out: the holdout is trained on, and the report has a finding.
        assert "holdout_in_training" in done.codes
        assert done.report.holdout == 50
        assert set(done.holdout) < set(done.train)


def test_all_records_of_an_unlabelled_dataset_are_trained_on() -> None:
    content = good_lines(300, weights=None)
    done = validate([*content, content[0]])
    assert done.report.valid
    assert done.report.reference == "teacher"
    assert sorted(done.train) == sorted([*content, content[0]])
    assert len(set(done.holdout)) == len(done.holdout) == 50
    assert set(done.holdout) <= set(content)
    assert done.report.labelled == 0
    assert "unlabelled" in done.codes


def test_few_labelled_records_are_trained_on() -> None:
    done = validate(good_lines(10) + good_lines(300, weights=None)[10:])
    assert done.report.valid
    assert (done.report.labelled, done.report.train, done.report.holdout) == (10, 300, 50)
    assert done.report.reference == "teacher"
    assert "few_labels" in done.codes
    assert all(len(json.loads(raw)["messages"]) == 1 for raw in done.holdout)


def test_only_labelled_records_are_held_out() -> None:
    content = good_lines(600) + [line(f"prompt {number}", None) for number in range(400)]
    content += [line("query number 3", None)]
    done = validate(content)
    assert done.report.reference == "labels"
    assert done.report.holdout == 60
    assert all(len(json.loads(raw)["messages"]) == 2 for raw in done.holdout)
    assert "query number 3" not in queries(done.holdout)
    assert sorted(done.train + done.holdout) == sorted(content)


def test_windows_line_endings_blank_lines_and_byte_order_mark_are_accepted() -> None:
    content = b"\xef\xbb\xbf" + b"".join(good_lines(150)).replace(b"\n", b"\r\n\r\n").removesuffix(
        b"\r\n\r\n"
    )
    done = validate(content)
    assert done.report.valid
    assert done.codes == {"byte_order_mark", "blank_line"}
    assert done.report.lines == 150
    assert done.report.fingerprint == validate(good_lines(150)).report.fingerprint


def test_labels_are_checked_against_the_channel_config() -> None:
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


# Rejected


def test_120_identical_queries_are_fewer_than_100_distinct_ones() -> None:
    done = validate([line("red kite")] * 120)
    assert not done.report.valid
    assert done.report.distinct == 1
    assert "too_few_distinct" in done.codes
    assert "1 distinct query" in done.report.reasons[0]


@pytest.mark.parametrize(("count", "valid"), [(99, False), (100, True), (15_000, True), (15_001, False)])
def test_number_of_records_is_limited(count: int, valid: bool) -> None:
    report = validate(good_lines(count)).report
    assert report.valid is valid
    assert report.accepted == count
    assert ("too_many_records" in report.finding_counts) is (count > 15_000)
    assert ("too_few_distinct" in report.finding_counts) is (count < 100)


def test_line_with_an_error_rejects_the_dataset_if_none_is_tolerated() -> None:
    content = good_lines(300)
    content[41] = line("red kite", {**LABEL, CHANNELS[0]: 0.4})
    done = validate(content, Rules(error_tolerance=0))
    assert not done.report.valid
    assert [(f.code, f.line) for f in done.report.findings if f.line] == [("weights_sum", 42)]
    assert "line 42" in done.report.reasons[0]
    assert "0.7" in done.report.reasons[0]
    assert (done.report.lines, done.report.accepted) == (300, 299)


def test_tolerance_does_not_allow_fewer_than_100_distinct_queries() -> None:
    content = good_lines(100)
    content[0] = b"{}\n"
    assert "too_few_distinct" in validate(content, Rules(error_tolerance=0.5)).codes


# Fingerprint and split


def test_fingerprint_depends_on_the_content_only() -> None:
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
def test_order_of_lines_does_not_change_fingerprint_or_split(rng: random.Random, count: int) -> None:
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
def test_equal_queries_are_never_divided(numbers: list[int], share: float) -> None:
    spellings = (str.upper, str.title, "  {}".format, lambda text: text.replace(" ", "\u00a0 "))
    content = [
        line(spellings[position % 4](f"query number {number}")) for position, number in enumerate(numbers)
    ]
    done = validate(content, Rules(holdout_share=share))
    if done.report.valid:
        sides = [{query_key(query) for query in queries(side)} for side in (done.train, done.holdout)]
        assert not sides[0] & sides[1]
        assert done.report.train >= 100


# Arbitrary input


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes_give_a_report(content: bytes) -> None:
    done = validate(content)
    assert not done.report.valid
    assert done.report.reasons
    assert done.report.model_dump_json()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_dataset_gives_a_report(data: st.DataObject) -> None:
    content = bytearray(b"".join(good_lines(103)))
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 40))
        content[start : start + length] = data.draw(st.binary(max_size=20))
    done = validate(bytes(content), Rules(error_tolerance=data.draw(st.sampled_from([0.0, 0.05, 1.0]))))
    assert done.report.valid == (not done.report.reasons)
    assert done.report.train == len(done.train)
    assert done.report.model_dump_json()
