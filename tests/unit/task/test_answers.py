"""Reading weights out of whatever a model answers, normalising them, and the weight score."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UnreadableRouting
from distillery.task.answers import parse_routing
from distillery.task.repairs import Repair
from distillery.task.weights import dominants, normalise, weight_score

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
    assert Repair.MISSING_CHANNEL in routing.repairs


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
        "{" * 20_000,
        '{"a":' * 5_000,
    ],
)
def test_answer_without_usable_weights_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableRouting):
        parse_routing(text, CHANNELS)


@given(st.text(max_size=400))
def test_any_text_is_read_or_called_unreadable(text: str) -> None:
    try:
        routing = parse_routing(text, CHANNELS)
    except UnreadableRouting:
        return
    assert math.isclose(sum(routing.weights.values()), 1, abs_tol=1e-9)


@given(vectors, st.sampled_from(["{}", "```json\n{}\n```", "Answer: {}."]))
def test_what_was_written_is_what_is_read(values: list[float], around: str) -> None:
    written = normalise(dict(zip(CHANNELS, values, strict=True)), CHANNELS)
    routing = parse_routing(around.replace("{}", json.dumps({**written, "reasoning": "why"})), CHANNELS)
    assert routing.weights == written
    assert routing.reasoning == "why"


@given(vectors)
def test_normalised_weights_sum_to_one_and_normalising_again_changes_nothing(values: list[float]) -> None:
    once = normalise(dict(zip(CHANNELS, values, strict=True)), CHANNELS)
    assert abs(math.fsum(once.values()) - 1) < 1e-9
    assert min(once.values()) >= 0
    assert normalise(once, CHANNELS) == once


@pytest.mark.parametrize("values", [[0, 0, 0, 0], [1, -1, 0, 0], [math.inf, 0, 0, 0], [math.nan, 0, 0, 0]])
def test_weights_that_cannot_be_scaled_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        normalise(dict(zip(CHANNELS, values, strict=True)), CHANNELS)


@pytest.mark.parametrize(
    ("predicted", "grade"),
    [
        ([0.4, 0.1, 0.3, 0.2], 5),
        ([0.45, 0.05, 0.3, 0.2], 5),
        ([0.5, 0.1, 0.2, 0.2], 4),
        ([0.6, 0.1, 0.2, 0.1], 3),
        ([0.2, 0.1, 0.5, 0.2], 2),
        ([0.8, 0.0, 0.1, 0.1], 1),
    ],
)
def test_weight_score_grades_by_largest_error_then_dominant_channel(
    predicted: list[float], grade: int
) -> None:
    assert weight_score(GOOD, dict(zip(CHANNELS, predicted, strict=True)), CHANNELS) == grade


def test_weight_score_gives_one_to_an_unreadable_answer_and_to_a_missing_channel() -> None:
    assert weight_score(GOOD, None, CHANNELS) == 1
    assert weight_score(GOOD, {"picture": 0.4, "sound": 0.1, "speech": 0.5}, CHANNELS) == 1


def test_weight_score_counts_a_tie_in_the_reference_as_agreement() -> None:
    tied = {"picture": 0.4, "sound": 0.1, "speech": 0.4, "file": 0.1}
    speech_first = {"picture": 0.2, "sound": 0.1, "speech": 0.5, "file": 0.2}
    assert dominants(tied) == {"picture", "speech"}
    assert weight_score(tied, speech_first, CHANNELS) == 3


def test_weight_score_needs_a_mean_error_below_its_bound() -> None:
    reference = {"picture": 0.6, "sound": 0.4, "speech": 0.0, "file": 0.0}
    far = {"picture": 0.5, "sound": 0.1, "speech": 0.2, "file": 0.2}
    assert weight_score(reference, far, CHANNELS) == 2


@given(vectors, vectors)
def test_weight_score_is_always_a_grade_and_perfect_for_the_same(
    first: list[float], second: list[float]
) -> None:
    reference = normalise(dict(zip(CHANNELS, first, strict=True)), CHANNELS)
    predicted = normalise(dict(zip(CHANNELS, second, strict=True)), CHANNELS)
    assert weight_score(reference, predicted, CHANNELS) in range(1, 6)
    assert weight_score(reference, reference, CHANNELS) == 5
