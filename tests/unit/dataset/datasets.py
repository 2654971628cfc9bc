"""Datasets and lines for the tests of this folder."""

from __future__ import annotations

import io
import json
import random
from typing import TYPE_CHECKING

from distillery.dataset.records import Record, training_line
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.task.channels import default_channel_config
from distillery.task.prompts import student_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distillery.dataset.findings import Finding
    from distillery.task.channels import ChannelConfig

CHANNEL_CONFIG = default_channel_config()
CHANNELS = CHANNEL_CONFIG.names
FIRST, SECOND = CHANNELS[:2]
PROMPT = student_prompt(CHANNEL_CONFIG)
WORDS = (
    "harbour", "lantern", "orchestra", "glacier", "kettle", "budget", "ladder", "heron", "violin", "talk",
    "trailer", "meadow", "tractor", "accordion", "sermon", "archive", "siren", "staircase", "verdict", "fox",
    "otter", "episode", "river", "choir", "desert", "logo", "kitchen", "banjo", "tutorial", "umbrella",
)  # fmt: skip
COVERAGE = {
    "equal_labels",
    "underrepresented_channel",
    "underrepresented_length",
    "underrepresented_language",
    "template_domination",
}
"""Codes that every generated dataset has. The coverage tests look for them, other tests ignore them."""


def label(first: float) -> dict[str, float]:
    """A label with the weight `first` on the first channel and the rest on the second."""
    return {**dict.fromkeys(CHANNELS, 0.0), FIRST: first, SECOND: round(1 - first, 9)}


LABEL = label(0.7)
OTHER_LABEL = label(0.3)


def line(
    query: str, weights: dict[str, float] | None = LABEL, reasoning: str = "Seen.", prompt: str = PROMPT
) -> bytes:
    """A line of a dataset; without a label if `weights` is None."""
    return training_line(Record(0, query, weights, reasoning, ""), prompt)


def good_lines(count: int, weights: dict[str, float] | None = LABEL) -> list[bytes]:
    """Valid lines with distinct queries of one template."""
    return [line(f"query number {number}", weights) for number in range(count)]


def varied_lines(count: int, seed: int = 3) -> list[bytes]:
    """Valid lines with queries of many templates and lengths, labels on all channels."""
    rng = random.Random(seed)  # noqa: S311 -- made-up data
    lines = []
    for number in range(count):
        query = f"{' '.join(rng.choices(WORDS, k=rng.choice([1, 3, 5, 12])))} {number}"
        lines.append(line(query, {**dict.fromkeys(CHANNELS, 0.0), CHANNELS[number % len(CHANNELS)]: 1.0}))
    return lines


class Validated:
    """The report on a dataset, and the files written."""

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
        """Codes of the findings except those on coverage."""
        return set(self.report.finding_counts) - COVERAGE


def validate(
    content: bytes | Iterable[bytes],
    rules: Rules | None = None,
    channel_config: ChannelConfig = CHANNEL_CONFIG,
) -> Validated:
    """Validate a dataset, by default with the default rules."""
    return Validated(content, rules or Rules(), channel_config)


def findings_of(report: DatasetReport, code: str) -> list[Finding]:
    """The report's findings of one code."""
    return [finding for finding in report.findings if finding.code == code]


def queries(written: Sequence[bytes]) -> list[str]:
    """The queries of written lines."""
    return [json.loads(raw)["messages"][0]["content"][0]["text"] for raw in written]
