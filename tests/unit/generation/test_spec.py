"""Specs that are accepted, and the message for each one that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.errors import BadInput
from distillery.generation.spec import LARGEST_SPEC, check_channels, parse_spec
from distillery.task.channels import default_channel_config
from samples.make_samples import SPEC
from tests.specs import small_spec, spec_text

GROUP = {"channel": "visual", "templates": ["a {thing}"]}
CYCLE = {"thing": ["{place}"], "place": ["at the {thing}"]}


def test_sample_spec_is_valid() -> None:
    spec = parse_spec(SPEC.read_bytes())
    check_channels(spec, default_channel_config())
    assert spec.planned == 1800


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"records": 99}, "records must be at least 100"),
        ({"records": 15_001}, "records must be at most 15,000"),
        ({"mix": {"visual": 0.5, "audio": 0.4}}, "the shares of mix sum to 0.9 instead of 1"),
        ({"mix": {"visual": 1.5, "audio": -0.5}}, "mix.visual must be at most 1"),
        ({"mix": {}}, "mix must have at least 1 entry"),
        ({"colour": "red"}, "colour is not a known key"),
        ({"words": {"thing": []}}, "words.thing must have at least 1 entry"),
        ({"template_groups": {}}, "template_groups must have at least 1 entry"),
        (
            {
                "template_groups": {
                    **small_spec()["template_groups"],
                    "x": {"channel": "smell", "templates": ["a"]},
                }
            },
            "the template group 'x' has the channel 'smell', which mix does not name",
        ),
        ({"template_groups": {"x": GROUP}}, "mix names 'audio', and no template group has that channel"),
        (
            {
                "template_groups": {
                    **small_spec()["template_groups"],
                    "x": {"channel": "visual", "templates": ["a {wing}"]},
                }
            },
            "template_groups.x has the slot {wing}, and words has no list 'wing'",
        ),
        (
            {"words": {**small_spec()["words"], **CYCLE}},
            "words.thing contains itself: thing -> place -> thing",
        ),
        (
            {"words": {**small_spec()["words"], "place": ["Assistant: here"]}},
            "words.place contains 'Assistant:', with which Bedrock fails a customization job",
        ),
        ({"hard": {"one_word": 0.1}}, "hard.one_word is above 0, and material.one_word has no text"),
        (
            {"hard": {"typos": 0.7, "lower_case": 0.4}},
            "the shares of hard and teacher_queries sum to 1.1, more than 1",
        ),
        ({"hard": {"typoes": 0.1}}, "hard.typoes is not a known key"),
        (
            {"material": {"typos": ["x"]}},
            "material.typos is not used: the queries are respelled ordinary queries",
        ),
        (
            {"material": {"one_word": {"smell": ["rose"]}}},
            "material.one_word names the channel 'smell', which mix does not name",
        ),
        (
            {"words": {**small_spec()["words"], "query": ["a"]}},
            "words.query: the name is reserved for a whole query",
        ),
        ({"max_cost_usd": 0}, "max_cost_usd must be greater than 0"),
        ({"deadline_minutes": 0}, "deadline_minutes must be at least 1"),
    ],
)
def test_invalid_spec_is_refused_naming_the_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_spec(spec_text(**changes))
    assert message in refusal.value.message
    assert refusal.value.fix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"records: [", "is not YAML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"just words", "the file must be a mapping of names to values"),
        (b"", "the file must be a mapping of names to values"),
        (b"[" * 5_000, "is not YAML"),
        (b"a: \x00", "is not YAML"),
        (b"#" * (LARGEST_SPEC + 1), "larger than 1,000,000 bytes"),
    ],
)
def test_file_that_is_not_a_spec_is_refused_in_one_sentence(content: bytes, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_spec(content)
    assert message in refusal.value.message
    assert "\n" not in str(refusal.value)


def test_channel_that_the_channel_config_lacks_is_named() -> None:
    with pytest.raises(BadInput, match=r"no channel 'smell'.*visual, audio, transcription, metadata"):
        check_channels(parse_spec(spec_text(channels=["visual", "smell"])), default_channel_config())


def test_limits_on_cost_and_time_do_not_change_the_identity() -> None:
    first, second = (
        parse_spec(spec_text(max_cost_usd=cap, deadline_minutes=minutes))
        for cap, minutes in ((1, 5), (9, 50))
    )
    assert first.identity() == second.identity()
    assert first.identity() != parse_spec(spec_text(seed=8)).identity()


def test_words_are_taken_as_they_are_written() -> None:
    words = ["yes", "no", "on", "1938", "12:30", "1_000", "1.50", "1e3", "007", "2001-01-01", "true", ".5"]
    spec = parse_spec(SPEC.read_text("utf-8").replace("\nwords:", f"\nwords:\n  on: [{', '.join(words)}]", 1))
    assert spec.words["on"] == tuple(words)
