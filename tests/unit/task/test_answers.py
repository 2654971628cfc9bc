"""Reading weights from any text that a model answers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UnreadableRouting
from distillery.task.answers import parse_routing
from distillery.task.repairs import Repair
from distillery.task.weights import normalise

CHANNELS = ("picture", "sound", "speech", "file")
GOOD = {"picture": 0.4, "sound": 0.1, "speech": 0.3, "file": 0.2}

unit = st.floats(min_value=0, max_value=1, allow_nan=False)
vectors = st.lists(unit, min_size=4, max_size=4).filter(lambda values: sum(values) > 1e-3)


@pytest.mark.parametrize(
    ("text", "repair"),
    [
        (json.dumps(GOOD), None),
        (f"```json\n{json.dumps(GOOD)}\n```", Repair.SURROUNDINGS),
        (f"Sure, here you go: {json.dumps(GOOD)} Hope it helps {{really}}", Repair.SURROUNDINGS),
        ('{"picture":0.4,"sound":0.1,"speech":0.3,"file":0.2,}', Repair.TRAILING_COMMA),
        ('{"picture":"0.4","sound":"0.1","speech":"0.3","file":"0.2"}', Repair.NUMBER_AS_TEXT),
        ('{"picture":"40%","sound":"10 %","speech":"30%","file":"20%"}', Repair.PERCENTAGE),
        ('{"picture":40,"sound":10,"speech":30,"file":20}', Repair.PERCENTAGE),
        ('{"Picture":0.4,"SOUND":0.1,"speech_weight":0.3,"File weight":0.2}', Repair.KEY_SPELLING),
        ('{"weights":{"picture":0.4,"sound":0.1,"speech":0.3,"file":0.2}}', Repair.NESTED),
        ('{"picture":0.48,"sound":0.12,"speech":0.36,"file":0.24}', Repair.RENORMALISED),
        ('{"note":"{"} then {"picture":0.4,"sound":0.1,"speech":0.3,"file":0.2}', Repair.SURROUNDINGS),
    ],
)
def test_answer_is_read_and_the_repair_is_named(text: str, repair: Repair | None) -> None:
    routing = parse_routing(text, CHANNELS)
    assert routing.weights == GOOD
    assert (repair in routing.repairs) if repair else routing.repairs == ()


def test_missing_channels_are_zero_when_the_rest_sums_to_one() -> None:
    routing = parse_routing('{"picture": 0.7, "speech": 0.3}', CHANNELS)
    assert routing.weights == {"picture": 0.7, "sound": 0.0, "speech": 0.3, "file": 0.0}
    assert routing.repairs == (Repair.MISSING_CHANNEL,)


def test_reasoning_beside_nested_weights_and_within_them_is_read() -> None:
    for text in (
        json.dumps({"weights": GOOD, "reasoning": "why"}),
        json.dumps({"weights": {**GOOD, "reasoning": "why"}}),
    ):
        routing = parse_routing(text, CHANNELS)
        assert (routing.weights, routing.reasoning) == (GOOD, "why")
        assert routing.repairs == (Repair.NESTED,)


def test_weights_after_a_long_text_with_many_braces_are_read() -> None:
    text = "{unclear} " * 40 + "thinking. " * 1_000 + json.dumps(GOOD)
    assert parse_routing(text, CHANNELS).weights == GOOD


def test_sum_of_rounded_weights_is_read_with_a_missing_channel_and_a_larger_gap_is_not() -> None:
    rounded = parse_routing('{"picture": 0.7, "speech": 0.31}', CHANNELS)
    assert rounded.repairs == (Repair.MISSING_CHANNEL, Repair.RENORMALISED)
    with pytest.raises(UnreadableRouting):
        parse_routing('{"picture": 0.7, "speech": 0.33}', CHANNELS)


def test_not_a_number_in_another_field_leaves_the_weights_readable_and_the_text_is_no_json() -> None:
    routing = parse_routing(json.dumps({**GOOD, "confidence": math.nan}), CHANNELS)
    assert routing.weights == GOOD
    assert not routing.was_json


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would look at the picture first.",
        "{}",
        "[0.4, 0.1, 0.3, 0.2]",
        '{"picture": 0.7}',
        '{"picture": NaN, "sound": 0, "speech": 0, "file": 1}',
        '{"picture": -0.5, "sound": 0.5, "speech": 0.5, "file": 0.5}',
        '{"picture": true, "sound": 0, "speech": 0, "file": 0}',
        '{"picture": 0, "sound": 0, "speech": 0, "file": 0}',
        '{"picture": 1e999, "sound": 0, "speech": 0, "file": 0}',
        '{"picture": "much", "sound": 0, "speech": 0, "file": 0}',
        '{"picture": "inf", "sound": "-inf", "speech": 0, "file": 1}',
        '{"picture": 1e308, "sound": 1e308, "speech": 1e308, "file": 1e308}',
        "{" * 20_000,
        '{"a":' * 5_000,
    ],
)
def test_answer_without_usable_weights_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableRouting):
        parse_routing(text, CHANNELS)


@given(st.text(max_size=400))
def test_any_text_is_read_or_raises_unreadable_routing(text: str) -> None:
    try:
        routing = parse_routing(text, CHANNELS)
    except UnreadableRouting:
        return
    assert math.isclose(sum(routing.weights.values()), 1, abs_tol=1e-9)


@given(vectors, st.sampled_from(["{}", "```json\n{}\n```", "Answer: {}."]))
def test_weights_and_reasoning_are_read_back_as_written(values: list[float], around: str) -> None:
    written = normalise(dict(zip(CHANNELS, values, strict=True)), CHANNELS)
    routing = parse_routing(around.replace("{}", json.dumps({**written, "reasoning": "why"})), CHANNELS)
    assert routing.weights == written
    assert routing.reasoning == "why"
