"""E-mail addresses, phone numbers and card numbers in queries."""

from __future__ import annotations

import pytest

from distillery.dataset.checks.personal_data import KINDS, MOST_PHONES, find_personal_data
from tests.unit.dataset.datasets import findings_of, line, validate, varied_lines


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("mail to jo.smith+tv@example.org about it", KINDS[0]),
        ("call 212-555-2368 now", KINDS[1]),
        ("support line +44 20 7946 0958", KINDS[1]),
        ("receipt with 4111 1111 1111 1111 on it", KINDS[2]),
        ("card 378282246310005", KINDS[2]),
    ],
)
def test_personal_data_is_found(query: str, kind: str) -> None:
    assert find_personal_data(["red kite", query]) == {kind: [1]}


@pytest.mark.parametrize(
    "query",
    [
        "clip from 2024-01-15 in 1080p",
        "archive 1999-2004, 12 parts",
        "3840x2160 at 60 fps",
        "the handle @newsroom",
        "receipt with 4111 1111 1111 1112 on it",
        "meet me @ 12",
        "season 2 episode 7 of 24",
    ],
)
def test_dates_sizes_and_handles_are_not_personal_data(query: str) -> None:
    assert find_personal_data([query]) == {}


def test_finding_names_kind_and_lines_and_does_not_repeat_the_data() -> None:
    content = varied_lines(150)
    content[7] = content[99] = line("mail jo@example.org")
    (finding,) = findings_of(validate(content).report, "personal_data")
    assert (finding.severity, finding.line, finding.lines) == ("warning", 8, (8, 100))
    assert finding.message == "1 query contains what looks like an e-mail address: lines 8 and 100."


def test_number_of_phone_searches_is_bounded() -> None:
    found = find_personal_data(f"call 212-555-{number:04}" for number in range(2_000))
    assert len(found[KINDS[1]]) == MOST_PHONES
