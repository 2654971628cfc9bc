"""Under-represented channels, lengths and languages, and templates that dominate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.dataset import languages
from tests.unit.dataset.datasets import CHANNELS, WORDS, findings_of, line, validate, varied_lines

if TYPE_CHECKING:
    import pytest


def test_template_that_dominates_is_a_warning() -> None:
    content = [line(f"drone shot of {WORDS[n % 30]} {n} over the {WORDS[n % 29]}s") for n in range(300)]
    report = validate(content).report
    (finding,) = findings_of(report, "template_domination")
    assert finding.message.startswith("100% of 300 queries have one of 1 template;")
    assert "'drone shot of _ over the _'" in finding.message
    assert report.statistics.shapes[0].queries == 300
    assert not findings_of(validate(varied_lines(300)).report, "template_domination")


def test_channel_that_is_rarely_dominant_is_underrepresented() -> None:
    content = [raw for raw in varied_lines(400) if f'{CHANNELS[-1]}\\": 1.0'.encode() not in raw]
    report = validate([*content, line("last", {**dict.fromkeys(CHANNELS, 0.0), CHANNELS[-1]: 1.0})]).report
    (finding,) = findings_of(report, "underrepresented_channel")
    assert finding.message == f"{CHANNELS[-1]} is dominant in 1 of 301 labels (0.3%)."


def test_missing_lengths_are_underrepresented() -> None:
    report = validate(line(f"{word} {number}") for word in WORDS for number in range(12)).report
    assert [f.message.split(" have ")[1] for f in findings_of(report, "underrepresented_length")] == [
        "21 to 60 characters.",
        "over 60 characters.",
    ]
    assert not findings_of(validate(varied_lines(300)).report, "underrepresented_length")


def test_rare_language_is_underrepresented() -> None:
    english = [line(f"a red kite circles over the old harbour wall number {n}") for n in range(400)]
    german = [line(f"Sonnenuntergang über dem ruhigen Meer mit vielen Möwen {n}") for n in range(4)]
    report = validate([*english, *german]).report
    (finding,) = findings_of(report, "underrepresented_language")
    assert finding.severity == "note"
    assert finding.message == "4 of 404 sampled queries are in the language 'de'."
    assert report.statistics.languages == {"en": 400, "de": 4}
    assert report.statistics.sampled == 404


def test_missing_language_model_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError("libstdc++.so.6: cannot open shared object file")

    monkeypatch.setattr(languages, "_model", fail)
    report = validate(varied_lines(150)).report
    (finding,) = findings_of(report, "languages_unknown")
    assert (finding.severity, "libstdc++" in finding.message) == ("note", True)
    assert report.statistics.languages == {}
    assert report.valid
