"""Metrics of a candidate: known values, bounds, intervals, and figures that were not measured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.cost.prices import Price
from distillery.evaluation.answers import Answer
from distillery.evaluation.judging import JudgeGrades
from distillery.evaluation.metrics import difference_to_baseline, mean_interval, score_answers
from distillery.task.channels import default_channel_config
from tests.unit.evaluation.strategies import ANSWERS
from tests.unit.sample_evaluations import (
    accurate_answers,
    answer,
    channel_config_of,
    label,
    metrics_of,
    unreadable_answers,
)

CHANNEL_CONFIG = default_channel_config()
CHEAP = Price(ids=("m",), input=1, output=1, source="a test")


@given(st.lists(ANSWERS, max_size=12), st.randoms(use_true_random=False))
def test_metrics_do_not_depend_on_the_order_of_answers(answers: list[Answer], random: Any) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)
    assert metrics_of(shuffled, CHANNEL_CONFIG, CHEAP) == metrics_of(answers, CHANNEL_CONFIG, CHEAP)


@given(st.lists(ANSWERS, max_size=12))
def test_metrics_stay_within_their_bounds(answers: list[Answer]) -> None:
    found = metrics_of(answers, CHANNEL_CONFIG, CHEAP)
    assert found.answered <= found.answers == len(answers)
    assert sum(found.weight_score_counts.values()) == found.compared
    for rate in (found.valid_json_rate, found.readable_rate, found.dominant_agreement):
        assert rate is None or 0 <= rate <= 1
    if found.valid_json_rate is not None and found.readable_rate is not None:
        assert found.valid_json_rate <= found.readable_rate
    if found.weight_score_mean is not None:
        assert 1 <= found.weight_score_mean <= 5
    if found.weight_score_mean is not None and found.weight_score_ci95 is not None:
        assert 1 <= found.weight_score_ci95.low <= found.weight_score_mean + 1e-9
        assert found.weight_score_mean - 1e-9 <= found.weight_score_ci95.high <= 5
    if found.latency_p50_ms is not None and found.latency_p95_ms is not None:
        assert found.latency_p50_ms <= found.latency_p95_ms
    assert all(0 <= error <= 1 for error in found.mae_per_channel.values())


def test_metrics_of_known_answers() -> None:
    answers = [
        answer(CHANNEL_CONFIG, 1),
        answer(CHANNEL_CONFIG, 2, error=0.1),
        answer(CHANNEL_CONFIG, 3, error=0.4),
        answer(CHANNEL_CONFIG, 4, text="no idea"),
    ]
    found = metrics_of(answers, CHANNEL_CONFIG, CHEAP)
    assert found.weight_score_counts == {1: 2, 2: 0, 3: 0, 4: 1, 5: 1}
    assert found.weight_score_mean == pytest.approx(11 / 4)
    # Three answers are readable. Their errors 0, 0.1 and 0.4 are on two of four channels.
    assert found.mae_per_channel["visual"] == pytest.approx(0.5 / 3)
    assert found.mae == pytest.approx(2 * 0.5 / 3 / 4)
    assert found.dominant_agreement == pytest.approx(2 / 4)
    assert found.valid_json_rate == found.readable_rate == pytest.approx(3 / 4)
    assert (found.latency_p50_ms, found.latency_p95_ms) == (102.0, 104.0)
    assert found.cost_per_1000_usd == pytest.approx(0.15)


def test_latencies_are_the_50th_and_95th_percentile() -> None:
    answers = [answer(CHANNEL_CONFIG, number) for number in range(1, 101)]
    found = metrics_of(answers, CHANNEL_CONFIG)
    assert (found.latency_p50_ms, found.latency_p95_ms) == (150.0, 195.0)


def test_fenced_json_is_readable_but_not_valid_json() -> None:
    fenced = answer(CHANNEL_CONFIG, 1, text=f"```json\n{json.dumps(label(CHANNEL_CONFIG, 0.6))}\n```")
    found = metrics_of([fenced, answer(CHANNEL_CONFIG, 2)], CHANNEL_CONFIG)
    assert (found.valid_json_rate, found.readable_rate) == (0.5, 1.0)


def test_an_answer_that_lacks_a_channel_has_a_weight_score_of_1_although_it_is_readable() -> None:
    found = metrics_of([answer(CHANNEL_CONFIG, 1, text='{"visual": 0.6, "audio": 0.4}')], CHANNEL_CONFIG)
    assert (found.weight_score_mean, found.readable_rate, found.dominant_agreement) == (1.0, 1.0, 1.0)


def test_a_candidate_without_one_valid_answer_has_a_weight_score_of_1_and_no_error() -> None:
    found = metrics_of(unreadable_answers(CHANNEL_CONFIG), CHANNEL_CONFIG, CHEAP)
    assert (found.weight_score_mean, found.mae, found.mae_per_channel) == (1.0, None, {})
    assert found.valid_json_rate == 0


def test_a_failed_call_lowers_the_weight_score_and_has_no_part_in_latency_tokens_and_cost() -> None:
    failed = Answer(
        query="q",
        reference=label(CHANNEL_CONFIG, 0.6),
        text=None,
        error="throttled",
        input_tokens=7,
        output_tokens=7,
    )
    found = metrics_of([answer(CHANNEL_CONFIG, 1), failed], CHANNEL_CONFIG, CHEAP)
    assert (found.answered, found.weight_score_counts[1], found.latency_p50_ms) == (1, 1, 101.0)
    assert (found.input_tokens, found.output_tokens) == (50, 100)
    assert found.cost_per_1000_usd == pytest.approx(0.15)


def test_a_figure_that_was_not_measured_is_none_and_never_zero() -> None:
    found = metrics_of([], CHANNEL_CONFIG, CHEAP)
    for field in (
        "weight_score_mean",
        "weight_score_difference",
        "mae",
        "valid_json_rate",
        "latency_p50_ms",
        "cost_per_1000_usd",
        "judge_mean",
    ):
        assert getattr(found, field) is None


def test_missing_judge_grades_are_counted_against_all_answers() -> None:
    found = metrics_of(
        accurate_answers(CHANNEL_CONFIG), CHANNEL_CONFIG, grades=JudgeGrades((5.0,) * 50, missing=3)
    )
    assert (found.judge_mean, found.judge_grades, found.judge_missing) == (5.0, 50, 10)


def test_the_mean_judge_grade_has_an_interval() -> None:
    found = metrics_of(
        accurate_answers(CHANNEL_CONFIG, 4), CHANNEL_CONFIG, grades=JudgeGrades((2.0, 4.0) * 2)
    )
    assert found.judge_ci95 == mean_interval([2, 4, 2, 4], low=1, high=5)
    assert found.judge_ci95 is not None


# --- intervals


def test_an_interval_has_the_width_of_1_96_standard_errors() -> None:
    found = mean_interval([1.0, 5.0], low=-10, high=10)
    assert found is not None
    # The standard deviation is 8 ** 0.5, so the standard error of the mean is 2.
    assert (found.low, found.high) == pytest.approx((3 - 1.959964 * 2, 3 + 1.959964 * 2))


def test_an_interval_ends_where_the_scale_ends() -> None:
    found = mean_interval([1.0, 5.0], low=1, high=5)
    assert found is not None
    assert (found.low, found.high) == (1, 5)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=50))
def test_more_answers_of_the_same_kind_narrow_the_interval(scores: list[int]) -> None:
    few, many = mean_interval(scores, low=1, high=5), mean_interval(scores * 4, low=1, high=5)
    assert few is not None
    assert many is not None
    assert many.high - many.low <= few.high - few.low + 1e-9


def test_one_answer_has_no_interval() -> None:
    assert mean_interval([5], low=1, high=5) is None


# --- difference to the baseline


def difference(candidate: list[Answer], baseline: list[Answer]) -> tuple[float, float, float]:
    """The mean difference with the two ends of its interval."""
    channels = CHANNEL_CONFIG.names
    found = difference_to_baseline(score_answers(candidate, channels), score_answers(baseline, channels))
    assert found is not None
    mean, interval = found
    assert interval is not None
    return mean, interval.low, interval.high


def test_a_worse_candidate_has_a_negative_difference_and_a_better_one_a_positive() -> None:
    # Weight scores 5 and 1, against 5 and 5: the differences are 0 and -4.
    worse = [answer(CHANNEL_CONFIG, 1), answer(CHANNEL_CONFIG, 2, error=0.4)]
    better = [answer(CHANNEL_CONFIG, 1), answer(CHANNEL_CONFIG, 2)]
    assert difference(worse, better) == pytest.approx((-2, -4, -2 + 1.959964 * 2))
    assert difference(better, worse) == pytest.approx((2, 2 - 1.959964 * 2, 4))


def test_repeated_queries_with_the_same_reference_are_compared_one_by_one() -> None:
    channels = CHANNEL_CONFIG.names
    repeated = [answer(CHANNEL_CONFIG, 1), answer(CHANNEL_CONFIG, 1, error=0.4)]
    once = [answer(CHANNEL_CONFIG, 1)]
    found = difference_to_baseline(score_answers(repeated, channels), score_answers(once * 2, channels))
    assert found is not None
    assert found[0] == -2


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_any_number_of_channels_can_be_measured(channels: int) -> None:
    channel_config = channel_config_of(channels)
    found = metrics_of(accurate_answers(channel_config), channel_config)
    assert tuple(found.mae_per_channel) == channel_config.names
