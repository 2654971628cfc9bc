"""All checks together."""

from __future__ import annotations

import json

from distillery.dataset.checks.all_checks import CHECKS
from distillery.dataset.findings import CODES
from distillery.dataset.records import Record, training_line
from distillery.task.channels import Channel, ChannelConfig
from distillery.task.prompts import student_prompt
from tests.unit.dataset.datasets import findings_of, validate


def test_checks_use_the_channels_of_the_channel_config() -> None:
    channel_config = ChannelConfig(
        subject="music search",
        channels=(Channel(name="mood", description="m"), Channel(name="tempo", description="t")),
        fallback={"mood": 0.5, "tempo": 0.5},
        label_grid=0.25,
    )
    content = []
    for number in range(150):
        record = Record(0, f"song {number}", {"mood": 1.0, "tempo": 0.0}, "It focuses on tempo.", "")
        content.append(training_line(record, student_prompt(channel_config)))
    report = validate(content, channel_config=channel_config).report
    assert report.finding_counts["reasoning_contradicts"] == 150
    (finding,) = findings_of(report, "underrepresented_channel")
    assert finding.message.startswith("tempo is dominant in 0 of 150")
    json.loads(report.model_dump_json())


def test_every_check_has_the_name_of_its_code() -> None:
    assert {check.__name__ for check in CHECKS} <= CODES.keys()
