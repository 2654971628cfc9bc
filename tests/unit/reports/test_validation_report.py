"""The validation report: self-contained, safe for any text, and complete for an unusable file."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.reports.validation_report import render_validation
from distillery.runs.states import Source
from tests.unit.reports.test_run_report import HOSTILE, Page
from tests.unit.sample_evaluations import channel_config_of, validation_report

if TYPE_CHECKING:
    from distillery.task.channels import ChannelConfig

FOUR = channel_config_of(4)


def report_of(content: bytes, channel_config: ChannelConfig = FOUR) -> DatasetReport:
    return validate_dataset(
        io.BytesIO(content),
        channel_config=channel_config,
        rules=Rules(),
        train=io.BytesIO(),
        holdout=io.BytesIO(),
    )


def hostile_line(number: int) -> bytes:
    line = {
        "schemaVersion": HOSTILE,
        "messages": [{"role": "user", "content": [{"text": f"{HOSTILE} {number}"}]}],
    }
    return json.dumps(line).encode() + b"\n"


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_every_channel_is_shown_for_any_number_of_channels(channels: int) -> None:
    channel_config = channel_config_of(channels)
    report = validation_report(channel_config)
    assert report.split.strata
    page = Page(render_validation(report, channel_config))
    assert all(name in page.texts for name in channel_config.names)
    coverage = 2 + bool(report.statistics.languages) + bool(report.statistics.shapes)
    assert page.tags.count("svg") == channels + coverage + bool(report.finding_counts) + 1


def test_the_page_loads_and_runs_nothing_and_is_always_the_same() -> None:
    text = render_validation(validation_report(FOUR), FOUR)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "img", "image", "use"} & set(page.tags)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert text == render_validation(validation_report(FOUR), FOUR)


def test_markup_in_lines_and_names_is_escaped() -> None:
    report = report_of(b"".join(hostile_line(number) for number in range(120)))
    assert report.finding_counts["schema_version"] == 120
    source = Source(bucket="data", key=f"datasets/{HOSTILE}/a.jsonl", etag="e")
    report = report.model_copy(update={"dataset": HOSTILE, "source": source})
    text = render_validation(report, FOUR)
    page = Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "<script>alert(1)</script>" not in text


@pytest.mark.parametrize("content", [b"", b"\x89PNG\0", b"{}\n", b"\xff\xfea\0"], ids=repr)
def test_an_unusable_file_still_has_a_page(content: bytes) -> None:
    report = report_of(content)
    texts = Page(render_validation(report, FOUR)).texts
    assert "Rejected" in texts
    assert all(" ".join(reason.split()) in texts for reason in report.reasons)


def test_the_first_findings_of_a_code_are_listed_and_the_others_are_counted() -> None:
    report = report_of(b"".join(b'{"schemaVersion": 1}\n' for _ in range(30)))
    texts = Page(render_validation(report, FOUR)).texts
    assert "missing_field" in texts
    assert "Add 'messages' to the line." in texts
    assert "and 20 more" in texts


def test_a_dataset_without_labels_says_so() -> None:
    assert "The dataset has no labels." in render_validation(validation_report(FOUR, labelled=False), FOUR)
