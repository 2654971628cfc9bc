"""What the doctor says of a dataset as a whole: conflicts, prompts, reasonings, coverage, personal data."""

from __future__ import annotations

import io
import json
import random
from typing import TYPE_CHECKING

import pytest

from distillery.dataset.checks import languages
from distillery.dataset.checks.languages import TOO_SHORT, language
from distillery.dataset.checks.personal_data import KINDS, MOST_PHONES, personal_data
from distillery.dataset.checks.query_templates import top_shapes
from distillery.dataset.checks.whole_set import whole_findings
from distillery.dataset.contradictions import Contradictions
from distillery.dataset.findings import CODES, LINES_SHOWN
from distillery.dataset.records import Record, training_line
from distillery.dataset.scan import Kept
from distillery.dataset.split import query_key
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.task.channels import Channel, ChannelConfig, default_channel_config
from distillery.task.prompts import student_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distillery.dataset.findings import Finding

CHANNEL_CONFIG = default_channel_config()
CHANNELS = CHANNEL_CONFIG.names
FIRST, SECOND = CHANNELS[:2]
WORDS = (
    "harbour", "lantern", "orchestra", "glacier", "kettle", "budget", "ladder", "heron", "violin", "talk",
    "trailer", "meadow", "tractor", "accordion", "sermon", "archive", "siren", "staircase", "verdict", "fox",
    "otter", "episode", "river", "choir", "desert", "logo", "kitchen", "banjo", "tutorial", "umbrella",
)  # fmt: skip


def label(first: float = 0.6, **others: float) -> dict[str, float]:
    return {**dict.fromkeys(CHANNELS, 0.0), FIRST: first, SECOND: round(1 - first, 9), **others}


def line(query: str, weights: dict[str, float] | None = None, reasoning: str = "", prompt: str = "") -> bytes:
    record = Record(0, query, label() if weights is None else weights, reasoning, "")
    return training_line(record, prompt or student_prompt(CHANNEL_CONFIG))


def varied(count: int, seed: int = 3) -> list[bytes]:
    """Lines of many shapes and lengths, on all channels."""
    rng = random.Random(seed)  # noqa: S311
    made = []
    for number in range(count):
        query = f"{' '.join(rng.choices(WORDS, k=rng.choice([1, 3, 5, 12])))} {number}"
        made.append(line(query, {**dict.fromkeys(CHANNELS, 0.0), CHANNELS[number % len(CHANNELS)]: 1.0}))
    return made


def examine(content: Iterable[bytes], channel_config: ChannelConfig = CHANNEL_CONFIG) -> DatasetReport:
    return validate_dataset(
        io.BytesIO(b"".join(content)),
        channel_config=channel_config,
        rules=Rules(),
        train=io.BytesIO(),
        holdout=io.BytesIO(),
    )


def of(report: DatasetReport, code: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.code == code]


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for code, kind in CODES.items():
        assert code.islower()
        assert kind.meaning.endswith(".")
        assert kind.fix.endswith((".", '"}].', '"'))


# Conflicts


def test_a_query_labelled_differently_is_one_finding_with_all_its_lines_the_farthest_apart_first() -> None:
    content = varied(150)
    content += [line("red kite", label(0.6)), line("Red  Kite", label(0.5)), line("red kite", label(0.6))]
    content += [line("blue kite", label(0.9)), line("blue kite", label(0.1))]
    found = of(examine(content), "conflicting_labels")
    assert [(finding.line, finding.lines) for finding in found] == [(154, (154, 155)), (151, (151, 152, 153))]
    assert "0.8 apart: lines 154 and 155." in found[0].message
    assert "0.1 apart: lines 151, 152 and 153." in found[1].message


def test_lines_of_a_finding_are_bounded_and_their_number_is_said() -> None:
    content = varied(150) + [line("red kite", label(0.5 + number % 2 / 10)) for number in range(60)]
    (found,) = of(examine(content), "conflicting_labels")
    assert found.lines == tuple(range(151, 151 + LINES_SHOWN))
    assert "and 56 others" in found.message


def test_nearly_equal_queries_are_a_cluster_and_a_conflict_where_their_labels_are_far_apart() -> None:
    class Scanned:
        kept = Kept()
        blank = other_prompts = without_reasoning = 0
        prompts: dict[str, int] = {}  # noqa: RUF012

    queries = [("red kite over sea", 0.9), ("red kite over the sea", 0.2), ("a fox", 0.5), ("the fox", 0.6)]
    for number, (query, first) in enumerate(queries, start=1):
        Scanned.kept.add(query_key(query), Record(number, query, label(first), "", ""), b"")
    report = examine(varied(150))
    clusters = [
        [query_key(query) for query, _ in queries[:2]],
        [query_key(query) for query, _ in queries[2:]],
    ]
    found = list(whole_findings(Scanned, CHANNEL_CONFIG, report.statistics, clusters))  # type: ignore[arg-type]
    assert [(f.code, f.lines) for f in found] == [
        ("near_duplicates", (1, 2)),
        ("near_duplicates", (3, 4)),
        ("near_conflicting_labels", (1, 2)),
    ]
    assert "0.7 apart" in found[-1].message


# Prompts and labels


def test_more_than_one_system_prompt_is_a_warning_with_the_first_line_of_each() -> None:
    content = varied(150)
    content += [line(f"kite {number}", prompt=f"Prompt {number % 2}.") for number in range(6)]
    (found,) = of(examine(content), "mixed_system_prompts")
    assert found.severity == "warning"
    assert found.lines == (1, 151, 152)
    assert not of(examine(varied(150)), "mixed_system_prompts")


def test_labels_off_the_grid_are_a_note_with_their_number_and_lines() -> None:
    content = varied(150)
    content[4:6] = [line("kite", label(0.65)), line("red kite", label(0.333333))]
    report = examine(content)
    (found,) = of(report, "off_grid")
    assert (found.severity, found.lines, report.statistics.off_grid) == ("note", (5, 6), 2)
    assert "2 of 150 labels" in found.message


CLAIMS = {
    "{0} is the most important": True,
    "the query focuses on {0}": True,
    "spoken words, making {0} the dominant channel": True,
    "{0} gets the highest weight": True,
    "this is primarily {0}": True,
    "the most important channel is {0}": True,
    "it focuses on what is seen ({0})": True,
    "{0} is less critical": False,
    "{0} is not the main concern": False,
    "{0} isn't the most important": False,
    "{0} may be the dominant channel": False,
    "{0} is secondary, and so is the focus": False,
    "the query focuses on {0} and {1}": False,
    "{0} supports the {1}, which is key": False,
    "'{0} is the most important' says the query": False,
    "{0} is key for identifying the place": False,
    "the key scene is {0}": False,
    "a mostly quiet scene": False,
}


@pytest.mark.parametrize(("reasoning", "claims"), CLAIMS.items(), ids=CLAIMS)
def test_what_a_reasoning_calls_the_most_important(reasoning: str, claims: bool) -> None:
    named = Contradictions(CHANNELS).named_most(reasoning.format(*CHANNELS).capitalize() + ".")
    assert named == ({FIRST} if claims else set())


def test_channels_of_several_words_are_read_in_both_spellings() -> None:
    read = Contradictions(("on_screen_text", "mood"))
    for spelling in ("on screen text", "on_screen_text"):
        assert read.named_most(f"The {spelling} is the most important.") == {"on_screen_text"}


def test_a_reasoning_that_contradicts_the_weights_is_a_warning_and_a_tie_is_none() -> None:
    content = varied(150)
    content += [
        line("red kite", label(0.6), f"The query focuses on {SECOND}."),
        line("blue kite", label(0.5), f"The query focuses on {SECOND}."),
        line("green kite", label(0.6), f"The query focuses on {FIRST}."),
    ]
    (found,) = of(examine(content), "reasoning_contradicts")
    assert (found.line, found.severity) == (151, "warning")
    assert f"calls {SECOND} the most important; the largest weight is that of {FIRST}" in found.message


# Personal data


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
    assert personal_data(["red kite", query]) == {kind: [1]}


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
def test_dates_sizes_and_handles_are_no_personal_data(query: str) -> None:
    assert personal_data([query]) == {}


def test_personal_data_is_named_by_kind_and_line_and_never_repeated() -> None:
    content = varied(150)
    content[7] = content[99] = line("mail jo@example.org")
    (found,) = of(examine(content), "personal_data")
    assert (found.severity, found.line, found.lines) == ("warning", 8, (8, 100))
    assert "example" not in found.message


def test_a_dataset_full_of_numbers_is_searched_for_phones_in_part() -> None:
    held = personal_data(f"call 212-555-{number:04}" for number in range(2_000))
    assert len(held[KINDS[1]]) == MOST_PHONES


# Coverage


def test_a_dataset_made_from_one_template_says_so() -> None:
    content = [line(f"drone shot of {WORDS[n % 30]} {n} over the {WORDS[n % 29]}s") for n in range(300)]
    report = examine(content)
    (found,) = of(report, "template_domination")
    assert found.message.startswith("100% of 300 queries have one of 1 shape;")
    assert "'drone shot of _ over the _'" in found.message
    assert report.statistics.shapes[0].queries == 300
    assert not of(examine(varied(300)), "template_domination")


def test_a_shape_needs_three_words_that_others_have_too() -> None:
    assert top_shapes([f"the {word} of {other}" for word in WORDS for other in WORDS]) == []
    shapes = top_shapes([f"How to fix a {word}" for word in WORDS] + [f"{word} at sea" for word in WORDS])
    assert [(shape.shape, shape.queries) for shape in shapes] == [("how to fix a _", 30)]


def test_a_channel_that_is_hardly_ever_dominant_is_thin() -> None:
    content = [raw for raw in varied(400) if f'{CHANNELS[-1]}\\": 1.0'.encode() not in raw]
    report = examine([*content, line("last", {**dict.fromkeys(CHANNELS, 0.0), CHANNELS[-1]: 1.0})])
    (found,) = of(report, "underrepresented_channel")
    assert found.message == f"{CHANNELS[-1]} is dominant in 1 of 301 labels (0.3%)."


def test_lengths_that_are_missing_are_a_note() -> None:
    report = examine([line(f"{word} {number}") for word in WORDS for number in range(12)])
    assert [f.message.split(" have ")[1] for f in of(report, "underrepresented_length")] == [
        "21 to 60 characters.",
        "over 60 characters.",
    ]
    assert not of(examine(varied(300)), "underrepresented_length")


def test_a_language_that_is_rare_is_a_note_and_languages_are_counted() -> None:
    english = [line(f"a red kite circles over the old harbour wall number {n}") for n in range(400)]
    german = [line(f"Sonnenuntergang über dem ruhigen Meer mit vielen Möwen {n}") for n in range(4)]
    report = examine([*english, *german])
    (found,) = of(report, "underrepresented_language")
    assert (found.severity, "'de'" in found.message, "4 of 404" in found.message) == ("note", True, True)
    assert report.statistics.languages == {"en": 400, "de": 4}
    assert report.statistics.sampled == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("le chat dort sur le toit rouge de la maison", "fr"),
        ("猫が屋根の上で寝ている動画", "ja"),
        ("кошка спит на красной крыше", "ru"),
        ("A RED KITE CIRCLES\nOVER THE HARBOUR", "en"),
        ("red kite", TOO_SHORT),
        ("4K 60 fps", TOO_SHORT),
        ("", TOO_SHORT),
    ],
)
def test_language_of_a_query(query: str, expected: str) -> None:
    assert language(query) == expected


def test_languages_that_cannot_be_told_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError("libstdc++.so.6: cannot open shared object file")

    monkeypatch.setattr(languages, "_model", fail)
    report = examine(varied(150))
    (found,) = of(report, "languages_unknown")
    assert (found.severity, "libstdc++" in found.message) == ("note", True)
    assert report.statistics.languages == {}
    assert report.valid


def test_the_checks_follow_another_channel_config() -> None:
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
    report = examine(content, channel_config)
    assert report.finding_counts["reasoning_contradicts"] == 150
    assert of(report, "underrepresented_channel")[0].message.startswith("tempo is dominant in 0 of 150")
    json.loads(report.model_dump_json())
