"""All checks of the whole dataset, in the order in which they run.

To add a check, add its code to CODES in dataset/findings.py, write a function with the code's name that
yields the findings, and list the function in CHECKS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distillery.dataset.checks import coverage, file_summary, label_conflicts, personal_data, repeated_queries
from distillery.dataset.checks.scanned_dataset import ScannedDataset
from distillery.dataset.findings import Finding

Check = Callable[[ScannedDataset], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    file_summary.blank_line,
    repeated_queries.repeated_query,
    file_summary.system_replaced,
    file_summary.mixed_system_prompts,
    file_summary.no_reasoning,
    label_conflicts.off_grid,
    label_conflicts.equal_labels,
    label_conflicts.conflicting_labels,
    repeated_queries.near_duplicates,
    label_conflicts.near_conflicting_labels,
    personal_data.personal_data,
    coverage.template_domination,
    coverage.underrepresented_channel,
    coverage.underrepresented_length,
    coverage.languages_unknown,
    coverage.underrepresented_language,
)


def check_dataset(dataset: ScannedDataset) -> Iterator[Finding]:
    """The findings of every check."""
    for check in CHECKS:
        yield from check(dataset)
