"""Normalising weights, dominant channels and the weight score."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.task.weights import dominants, normalise, weight_score

CHANNELS = ("picture", "sound", "speech", "file")
GOOD = {"picture": 0.4, "sound": 0.1, "speech": 0.3, "file": 0.2}

unit = st.floats(min_value=0, max_value=1, allow_nan=False)
vectors = st.lists(unit, min_size=4, max_size=4).filter(lambda values: sum(values) > 1e-3)


@given(vectors)
def test_normalised_weights_sum_to_one_and_normalising_again_changes_nothing(values: list[float]) -> None:
    once = normalise(dict(zip(CHANNELS, values, strict=True)), CHANNELS)
    assert abs(math.fsum(once.values()) - 1) < 1e-9
    assert min(once.values()) >= 0
    assert normalise(once, CHANNELS) == once


@pytest.mark.parametrize(
    "values", [[0, 0, 0, 0], [1, -1, 0, 0], [2, -1, 0, 0], [math.inf, 0, 0, 0], [math.nan, 0, 0, 0]]
)
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


@pytest.mark.parametrize(
    ("off", "grade"), [(0.05, 5), (0.051, 4), (0.1, 4), (0.101, 3), (0.15, 3), (0.3, 2), (0.301, 1)]
)
def test_weight_score_changes_just_above_each_bound(off: float, grade: int) -> None:
    reference = {"picture": 0.6, "sound": 0.4, "speech": 0.0, "file": 0.0}
    predicted = {"picture": 0.6 - off, "sound": 0.4 + off, "speech": 0.0, "file": 0.0}
    if grade == 3:
        reference = {"picture": 0.9, "sound": 0.1, "speech": 0.0, "file": 0.0}
        predicted = {"picture": 0.9 - off, "sound": 0.1 + off, "speech": 0.0, "file": 0.0}
    assert weight_score(reference, predicted, CHANNELS) == grade


@pytest.mark.parametrize(("off", "grade"), [(0.29, 3), (0.3, 2)])
def test_weight_score_of_a_matching_dominant_channel_needs_a_mean_error_below_0_15(
    off: float, grade: int
) -> None:
    reference = {"picture": 1.0, "sound": 0.0, "speech": 0.0, "file": 0.0}
    predicted = {"picture": 1.0 - off, "sound": off, "speech": 0.0, "file": 0.0}
    assert math.isclose(sum(abs(reference[c] - predicted[c]) for c in CHANNELS) / 4, off / 2)
    assert weight_score(reference, predicted, CHANNELS) == grade


def test_weights_are_rounded_to_six_decimals_and_the_largest_takes_the_rest() -> None:
    assert normalise({"a": 1, "b": 1, "c": 1}, "abc") == {"a": 0.333334, "b": 0.333333, "c": 0.333333}
