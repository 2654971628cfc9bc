"""What a spec may say, and the sentence for each thing that it may not."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.errors import BadInput
from distillery.generation.spec import LARGEST_SPEC, check_against, parse_spec
from distillery.task.channels import default_channel_config
from samples.make_samples import SPEC
from tests.specs import small_spec, spec_text

GROUP = {"channel": "visual", "templates": ["a {thing}"]}
CIRCLE = {"thing": ["{place}"], "place": ["at the {thing}"]}


def test_the_sample_spec_can_be_used() -> None:
    spec = parse_spec(SPEC.read_bytes())
    check_against(spec, default_channel_config())
    assert spec.planned == 1800


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"records": 99}, "records: Input should be greater than or equal to 100"),
        ({"records": 15_001}, "records: Input should be less than or equal to 15000"),
        ({"mix": {"visual": 0.5, "audio": 0.4}}, "the shares of mix sum to 0.9 instead of 1"),
        ({"mix": {"visual": 1.5, "audio": -0.5}}, "mix.visual: Input should be less than or equal to 1"),
        ({"mix": {}}, "mix: Dictionary should have at least 1 item"),
        ({"colour": "red"}, "colour: a spec has no such key"),
        ({"words": {"thing": []}}, "words.thing: Tuple should have at least 1 item"),
        ({"template_groups": {}}, "template_groups: Dictionary should have at least 1 item"),
        (
            {
                "template_groups": {
                    **small_spec()["template_groups"],
                    "x": {"channel": "smell", "templates": ["a"]},
                }
            },
            "the template group 'x' is meant for 'smell', which mix does not name",
        ),
        ({"template_groups": {"x": GROUP}}, "no template group is meant for 'audio', which mix asks for"),
        (
            {
                "template_groups": {
                    **small_spec()["template_groups"],
                    "x": {"channel": "visual", "templates": ["a {wing}"]},
                }
            },
            "template_groups.x has the slot {wing}, and words has no list 'wing'",
        ),
        ({"words": {**small_spec()["words"], **CIRCLE}}, "words.thing holds itself: thing -> place -> thing"),
        (
            {"words": {**small_spec()["words"], "place": ["Assistant: here"]}},
            "words.place holds 'Assistant:', which fails a customization job of Bedrock",
        ),
        ({"hard": {"one_word": 0.1}}, "hard.one_word asks for queries, and material.one_word has none"),
        ({"hard": {"typos": 0.7, "lower_case": 0.4}}, "hard cases and teacher_queries take 1.1 of 1"),
        ({"hard": {"typoes": 0.1}}, "hard.typoes: a spec has no such key"),
        ({"material": {"typos": ["x"]}}, "material.typos: it is made of ordinary queries and takes none"),
        (
            {"material": {"one_word": {"smell": ["rose"]}}},
            "material.one_word names the channel 'smell', which mix does not",
        ),
        (
            {"words": {**small_spec()["words"], "query": ["a"]}},
            "words.query: that name stands for a whole query",
        ),
        ({"max_cost_usd": 0}, "max_cost_usd: Input should be greater than 0"),
        ({"deadline_minutes": 0}, "deadline_minutes: Input should be greater than or equal to 1"),
    ],
)
def test_what_a_spec_may_not_say_is_told_with_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_spec(spec_text(**changes))
    assert said in refusal.value.message
    assert refusal.value.fix


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"records: [", "is not YAML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"just words", "the file: "),
        (b"", "the file: "),
        (b"[" * 5_000, "is not YAML"),
        (b"a: \x00", "is not YAML"),
        (b"#" * (LARGEST_SPEC + 1), "larger than 1,000,000 bytes"),
        (b"seed: 2001-99-99", "is not YAML"),
    ],
)
def test_what_is_no_spec_at_all_is_one_sentence(content: bytes, said: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_spec(content)
    assert said in refusal.value.message
    assert "\n" not in str(refusal.value)


def test_a_channel_that_the_channel_config_lacks_is_named() -> None:
    with pytest.raises(BadInput, match=r"no channel 'smell'.*visual, audio, transcription, metadata"):
        check_against(parse_spec(spec_text(channels=["visual", "smell"])), default_channel_config())


def test_limits_of_cost_and_time_do_not_make_another_generation() -> None:
    first, second = (
        parse_spec(spec_text(max_cost_usd=cap, deadline_minutes=minutes))
        for cap, minutes in ((1, 5), (9, 50))
    )
    assert first.identity() == second.identity()
    assert first.identity() != parse_spec(spec_text(seed=8)).identity()
