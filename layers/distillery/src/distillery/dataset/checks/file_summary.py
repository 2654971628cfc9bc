"""Findings that count what the scan met line by line: blank lines, system prompts, missing reasonings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, new_finding
from distillery.messages import counted, line_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distillery.dataset.checks.scanned_dataset import ScannedDataset


def blank_line(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if the file has blank lines."""
    if blank := dataset.scan.blank:
        yield new_finding("blank_line", None, f"{counted(blank, 'blank line')} removed.")


def system_replaced(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if records have a system prompt other than the student prompt."""
    if replaced := dataset.scan.other_prompts:
        message = f"{counted(replaced, 'system prompt')} replaced by the student prompt."
        yield new_finding("system_replaced", None, message)


def mixed_system_prompts(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if the file has several system prompts, with the first line of each."""
    lines = list(dataset.scan.prompts.values())
    if len(lines) > 1:
        message = f"{counted(len(lines), 'system prompt')} are used, first in {line_list(lines)}."
        yield new_finding("mixed_system_prompts", None, message, lines=lines)


def no_reasoning(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding if labels have no reasoning."""
    if without := dataset.scan.without_reasoning:
        message = f"{without:,} of {counted(dataset.kept.labelled, 'label')} have no reasoning."
        yield new_finding("no_reasoning", None, message)
