"""E-mail addresses, phone numbers and card numbers in queries."""

from __future__ import annotations

import pytest

from distillery.dataset.checks.personal_data import (
    ACCOUNT,
    CARD,
    EMAIL,
    MOST_PHONES,
    PHONE,
    SOCIAL_SECURITY,
    find_personal_data,
)
from tests.unit.dataset.datasets import findings_of, line, validate, varied_lines


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("mail to jo.smith+tv@example.org about it", EMAIL),
        ("call 212-555-2368 now", PHONE),
        ("support line +44 20 7946 0958", PHONE),
        ("receipt with 4111 1111 1111 1111 on it", CARD),
        ("card 378282246310005", CARD),
        ("mail jo\uff20example\uff0eorg about it", EMAIL),
        ("write to editor (at) example (dot) org", EMAIL),
        ("ring me on 030 1234567 about the reel", PHONE),
        ("appelle le 06 12 34 56 78 pour la copie", PHONE),
        ("\u96fb\u8a71 03-1234-5678 \u306e\u4f1a\u793e", PHONE),
        ("call 2125552368", PHONE),
        ("call +44 (0)20 7946 0958 after six", PHONE),
        ("office +49 30 901820", PHONE),
        ("office 0049 30 901820", PHONE),
        ("transfer to DE89 3704 0044 0532 0130 00 please", ACCOUNT),
        ("be68 5390 0754 7034 from them", ACCOUNT),
        ("pay GB82WEST12345698765432", ACCOUNT),
        ("her social is 123-45-6789 on the form", SOCIAL_SECURITY),
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
        "final Alder 6-4 3-6 6-1 4-6 7-5",
        "rack 240.212.25.51",
        "scene from 01 22 33 44 to 02 10 09 08",
        "drone pass at 40.7128 -74.0060",
        "ISBN 978-0-306-40615-7",
        "model 415-552-0100-B",
        "file 1747731000.mp4",
        "paid 2 250 550 100 on the tote",
        "frames 3105550123 to 3105550199",
        "cricket 415 for 6, 202 all out, 301 for 9",
        "draw numbers 2 12 25 55 01 99 7",
        "2025550143 moves analysed",
        "transfer to DE88 3704 0044 0532 0130 00",
        "part 000-12-3456",
    ],
)
def test_dates_scores_identifiers_and_handles_are_not_personal_data(query: str) -> None:
    assert find_personal_data([query]) == {}


def test_finding_names_kind_and_lines_and_does_not_repeat_the_data() -> None:
    content = varied_lines(150)
    content[7] = content[99] = line("mail jo@example.org")
    (finding,) = findings_of(validate(content).report, "personal_data")
    assert (finding.severity, finding.line, finding.lines) == ("warning", 8, (8, 100))
    assert finding.message == "1 query contains what looks like an e-mail address: lines 8 and 100."


def test_number_of_phone_searches_is_bounded() -> None:
    found = find_personal_data(f"office 212-555-{number:04}" for number in range(2_000))
    assert len(found[PHONE]) == MOST_PHONES
