"""Labels that disagree with each other or with the label grid."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from distillery.dataset.checks.label_conflicts import near_conflicting_labels
from distillery.dataset.checks.repeated_queries import near_duplicates
from distillery.dataset.checks.scanned_dataset import ScannedDataset
from distillery.dataset.findings import LINES_SHOWN
from distillery.dataset.fixes import Fixes
from distillery.dataset.records import Record
from distillery.dataset.scan import Scan
from distillery.dataset.split import query_key
from distillery.dataset.statistics import collect_statistics
from tests.unit.dataset.datasets import (
    CHANNEL_CONFIG,
    OTHER_LABEL,
    findings_of,
    good_lines,
    label,
    line,
    validate,
    varied_lines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def scanned(queries: Sequence[tuple[str, float]], clusters: Sequence[Sequence[int]]) -> ScannedDataset:
    """A dataset of queries with the first weight of their labels; clusters are positions of queries."""
    scan = Scan(CHANNEL_CONFIG, io.BytesIO(), None, Fixes(None, None))
    for number, (query, first) in enumerate(queries, start=1):
        scan.kept.add(query_key(query), Record(number, query, label(first), "", ""), b"")
    keys = [[query_key(queries[place][0]) for place in cluster] for cluster in clusters]
    return ScannedDataset(scan, CHANNEL_CONFIG, collect_statistics(scan.kept, CHANNEL_CONFIG), keys)


def test_conflicting_labels_are_one_finding_per_query_largest_difference_first() -> None:
    content = varied_lines(150)
    content += [line("red kite", label(0.6)), line("Red  Kite", label(0.5)), line("red kite", label(0.6))]
    content += [line("blue kite", label(0.9)), line("blue kite", label(0.1))]
    found = findings_of(validate(content).report, "conflicting_labels")
    assert [(finding.line, finding.lines) for finding in found] == [(154, (154, 155)), (151, (151, 152, 153))]
    assert "0.8 apart: lines 154 and 155." in found[0].message
    assert "0.1 apart: lines 151, 152 and 153." in found[1].message


def test_finding_lists_at_most_20_lines_and_gives_their_number() -> None:
    content = varied_lines(150) + [line("red kite", label(0.5 + number % 2 / 10)) for number in range(60)]
    (finding,) = findings_of(validate(content).report, "conflicting_labels")
    assert finding.lines == tuple(range(151, 151 + LINES_SHOWN))
    assert "and 56 others" in finding.message


def test_conflicting_labels_finding_names_both_lines() -> None:
    done = validate([*good_lines(200), line("query number 3", OTHER_LABEL)])
    assert done.report.valid
    assert done.report.finding_counts["conflicting_labels"] == 1
    warning = next(f for f in done.report.findings if f.code == "conflicting_labels")
    assert (warning.line, warning.lines) == (4, (4, 201))
    assert "lines 4 and 201" in warning.message
    assert "0.4" in warning.message


def test_near_duplicates_with_labels_far_apart_are_a_conflict() -> None:
    queries = [("red kite over sea", 0.9), ("red kite over the sea", 0.2), ("a fox", 0.5), ("the fox", 0.6)]
    found = [
        *near_duplicates(scanned(queries, [[0, 1], [2, 3]])),
        *near_conflicting_labels(scanned(queries, [[0, 1], [2, 3]])),
    ]
    assert [(finding.code, finding.lines) for finding in found] == [
        ("near_duplicates", (1, 2)),
        ("near_duplicates", (3, 4)),
        ("near_conflicting_labels", (1, 2)),
    ]
    assert found[0].message == (
        "2 queries are near-duplicates: 'red kite over sea' and 'red kite over the sea', in lines 1 and 2."
    )
    assert found[-1].message == "Near-duplicates have weights up to 0.7 apart: lines 1 and 2."


def test_near_conflicts_start_above_two_steps_of_the_grid() -> None:
    queries = [("red kite", 0.5), ("the red kite", 0.7), ("a fox", 0.5), ("the fox", 0.71)]
    found = near_conflicting_labels(scanned(queries, [[0, 1], [2, 3]]))
    assert [finding.lines for finding in found] == [(3, 4)]


def test_labels_off_the_grid_are_a_note_with_count_and_lines() -> None:
    content = varied_lines(150)
    content[4:6] = [line("kite", label(0.65)), line("red kite", label(0.333333))]
    report = validate(content).report
    (finding,) = findings_of(report, "off_grid")
    assert (finding.severity, finding.lines, report.statistics.off_grid) == ("note", (5, 6), 2)
    assert finding.message == "2 of 150 labels are off the label grid of 0.1: lines 5 and 6."


def test_labels_that_never_differ_are_one_finding() -> None:
    (finding,) = findings_of(validate(good_lines(120)).report, "equal_labels")
    assert finding.severity == "warning"
    assert finding.message.startswith("All 120 labels are equal: ")
    assert " 0.7, " in finding.message
    mixed = [*good_lines(119), line("another query", OTHER_LABEL)]
    assert not findings_of(validate(mixed).report, "equal_labels")
    assert not findings_of(validate(good_lines(120, None)).report, "equal_labels")
