"""Evaluation: metrics, intervals, the gate and its sentences, worst queries, what judges read and write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.cost.prices import Price
from distillery.errors import Permanent
from distillery.evaluation.answers import Answer, dump_answers, load_answers
from distillery.evaluation.evaluation import Evaluation
from distillery.evaluation.gate import GateRules, decide
from distillery.evaluation.judging import JudgeGrades, is_judge_output, judge_records, read_judge_outputs
from distillery.evaluation.metrics import CandidateMetrics, candidate_metrics, mean_interval
from distillery.task.channels import default_channel_config
from tests.unit.sample_run import HAIKU, answer, channel_config_of, examined, good, hopeless, label

CHANNEL_CONFIG = default_channel_config()
CHEAP = Price(ids=("m",), input=1, output=1, source="a test")
TEXTS = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.floats(0, 1).map(lambda first: json.dumps(label(CHANNEL_CONFIG, first))),
    st.floats(0, 1).map(lambda first: f"Sure: {json.dumps(label(CHANNEL_CONFIG, first))}"),
)
ANSWERS = st.builds(
    Answer,
    query=st.text(max_size=20),
    reference=st.one_of(st.none(), st.floats(0, 1).map(lambda first: label(CHANNEL_CONFIG, first))),
    text=TEXTS,
    latency_ms=st.floats(0, 1e6),
    input_tokens=st.integers(0, 10_000),
    output_tokens=st.integers(0, 10_000),
)


def metrics(**changes: Any) -> CandidateMetrics:
    """A candidate that passes every rule, but for the changes."""
    passing: dict[str, Any] = candidate_metrics(good(CHANNEL_CONFIG), CHANNEL_CONFIG, CHEAP).model_dump()
    return CandidateMetrics.model_validate(
        passing | {"weight_score_mean": 4.2, "valid_json_rate": 1.0} | changes
    )


# --- answers


@given(st.lists(ANSWERS, max_size=5))
def test_answers_come_back_as_they_were_written(answers: list[Answer]) -> None:
    assert load_answers(dump_answers(answers)) == answers


def test_a_line_separator_within_a_query_does_not_split_a_line() -> None:
    answers = [answer(CHANNEL_CONFIG, 1).model_copy(update={"query": "a\u2028b\u0085c\x0bd"})]
    assert load_answers(dump_answers(answers)) == answers


# --- metrics


@given(st.lists(ANSWERS, max_size=12), st.randoms(use_true_random=False))
def test_metrics_do_not_depend_on_the_order_of_answers(answers: list[Answer], random: Any) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)
    assert candidate_metrics(shuffled, CHANNEL_CONFIG, CHEAP) == candidate_metrics(
        answers, CHANNEL_CONFIG, CHEAP
    )


@given(st.lists(ANSWERS, max_size=12))
def test_metrics_stay_within_their_bounds(answers: list[Answer]) -> None:
    found = candidate_metrics(answers, CHANNEL_CONFIG, CHEAP)
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
        answer(CHANNEL_CONFIG, 2, off=0.1),
        answer(CHANNEL_CONFIG, 3, off=0.4),
        answer(CHANNEL_CONFIG, 4, text="no idea"),
    ]
    found = candidate_metrics(answers, CHANNEL_CONFIG, CHEAP)
    assert found.weight_score_counts == {1: 2, 2: 0, 3: 0, 4: 1, 5: 1}
    assert found.weight_score_mean == pytest.approx(11 / 4)
    # Over the three that can be read, and the four channels: (0 + 0.1 + 0.4) on each of two channels.
    assert found.mae_per_channel["visual"] == pytest.approx(0.5 / 3)
    assert found.mae == pytest.approx(2 * 0.5 / 3 / 4)
    assert found.dominant_agreement == pytest.approx(2 / 4)
    assert found.valid_json_rate == found.readable_rate == pytest.approx(3 / 4)
    assert (found.latency_p50_ms, found.latency_p95_ms) == (102.0, 104.0)
    assert found.cost_per_1000_usd == pytest.approx(0.15)


def test_fenced_json_is_readable_but_not_valid_json() -> None:
    fenced = answer(CHANNEL_CONFIG, 1, text=f"```json\n{json.dumps(label(CHANNEL_CONFIG, 0.6))}\n```")
    found = candidate_metrics([fenced, answer(CHANNEL_CONFIG, 2)], CHANNEL_CONFIG)
    assert (found.valid_json_rate, found.readable_rate) == (0.5, 1.0)


def test_a_candidate_without_one_valid_answer_has_a_weight_score_of_1_and_no_error() -> None:
    found = candidate_metrics(hopeless(CHANNEL_CONFIG), CHANNEL_CONFIG, CHEAP)
    assert (found.weight_score_mean, found.mae, found.mae_per_channel) == (1.0, None, {})
    assert found.valid_json_rate == 0


def test_a_call_that_failed_counts_against_the_weight_score_and_not_in_latency_or_cost() -> None:
    failed = Answer(query="q", reference=label(CHANNEL_CONFIG, 0.6), text=None, error="throttled")
    found = candidate_metrics([answer(CHANNEL_CONFIG, 1), failed], CHANNEL_CONFIG, CHEAP)
    assert (found.answered, found.weight_score_counts[1], found.latency_p50_ms) == (1, 1, 101.0)
    assert found.cost_per_1000_usd == pytest.approx(0.15)


def test_nothing_measured_is_none_and_never_zero() -> None:
    found = candidate_metrics([], CHANNEL_CONFIG, CHEAP)
    for field in (
        "weight_score_mean",
        "mae",
        "valid_json_rate",
        "latency_p50_ms",
        "cost_per_1000_usd",
        "judge_mean",
    ):
        assert getattr(found, field) is None


@given(st.lists(st.integers(1, 5), min_size=2, max_size=50))
def test_more_of_the_same_narrows_the_interval(grades: list[int]) -> None:
    once, often = mean_interval(grades, low=1, high=5), mean_interval(grades * 4, low=1, high=5)
    assert once is not None
    assert often is not None
    assert often.high - often.low <= once.high - once.low + 1e-9


def test_one_answer_has_no_interval() -> None:
    assert mean_interval([5], low=1, high=5) is None


# --- the gate


def test_a_good_student_is_promoted_with_a_sentence_for_every_rule() -> None:
    verdict = decide({"distilled": metrics(), "baseline": metrics(cost_per_1000_usd=9.0)}, GateRules())
    assert verdict.promote
    assert [check.rule for check in verdict.checks] == [
        "weight_score",
        "weight_score_loss",
        "valid_json",
        "cost",
    ]
    assert all(reason.endswith(".") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"weight_score_mean": 3.499}, "weight_score", "3.499"),
        ({"weight_score_mean": 3.9}, "weight_score_loss", "0.30 below the baseline's 4.20"),
        ({"valid_json_rate": 0.97}, "valid_json", "97.0 %"),
        ({"cost_per_1000_usd": 9.0}, "cost", "not below the baseline's $9.0000"),
        ({"cost_per_1000_usd": None}, "cost", "no price is known"),
        ({"weight_score_mean": None}, "weight_score", "not measured"),
    ],
)
def test_each_rule_can_stop_a_promotion_and_says_why(changes: dict[str, Any], rule: str, words: str) -> None:
    baseline = metrics(cost_per_1000_usd=9.0)
    verdict = decide({"distilled": metrics(**changes), "baseline": baseline}, GateRules())
    assert not verdict.promote
    broken = {check.rule: check.reason for check in verdict.checks if not check.met}
    assert words in broken[rule]  # type: ignore[index]


def test_the_thresholds_themselves_pass() -> None:
    edge = metrics(weight_score_mean=3.5, valid_json_rate=0.98)
    verdict = decide(
        {"distilled": edge, "baseline": metrics(weight_score_mean=3.7, cost_per_1000_usd=9.0)}, GateRules()
    )
    assert verdict.promote


def test_without_a_baseline_nothing_is_promoted() -> None:
    verdict = decide({"distilled": metrics()}, GateRules())
    assert [check.met for check in verdict.checks] == [True, False, True, False]


def test_the_rule_on_cost_can_be_left_out() -> None:
    free = GateRules(max_cost_share=None)
    assert decide({"distilled": metrics(cost_per_1000_usd=None), "baseline": metrics()}, free).promote


@given(
    weight_score=st.floats(1, 5),
    better=st.floats(0, 4),
    valid=st.floats(0, 1),
    cost=st.floats(0, 10),
    baseline=st.floats(1, 5),
)
def test_doing_better_never_costs_a_promotion(
    weight_score: float, better: float, valid: float, cost: float, baseline: float
) -> None:
    rival = metrics(weight_score_mean=baseline, cost_per_1000_usd=5.0)
    mine = metrics(weight_score_mean=weight_score, valid_json_rate=valid, cost_per_1000_usd=cost)
    improved = metrics(
        weight_score_mean=min(weight_score + better, 5.0),
        valid_json_rate=min(valid + better, 1.0),
        cost_per_1000_usd=cost / 2,
    )
    before = decide({"distilled": mine, "baseline": rival}, GateRules())
    after = decide({"distilled": improved, "baseline": rival}, GateRules())
    assert after.promote or not before.promote


def test_a_comparison_names_the_interval_of_the_difference_and_doubts_it_where_it_spans_the_limit() -> None:
    distilled = metrics(
        weight_score_mean=4.1, weight_score_lead=-0.1, weight_score_lead_ci95={"low": -0.3, "high": 0.1}
    )
    verdict = decide({"distilled": distilled, "baseline": metrics(cost_per_1000_usd=9.0)}, GateRules())
    assert verdict.promote
    assert "95 % interval of the difference -0.30 to +0.10" in verdict.reasons[1]
    assert "another holdout might decide otherwise" in verdict.reasons[1]


# --- the evaluation


def test_candidates_are_compared_query_by_query_whatever_their_order() -> None:
    mine, theirs = good(CHANNEL_CONFIG), good(CHANNEL_CONFIG)
    found = examined(CHANNEL_CONFIG, {"distilled": list(reversed(mine)), "baseline": theirs})
    distilled = found.candidates["distilled"]
    assert distilled.weight_score_lead == 0.0
    assert distilled.weight_score_lead_ci95 is not None
    assert (distilled.weight_score_lead_ci95.low, distilled.weight_score_lead_ci95.high) == (0.0, 0.0)
    assert found.candidates["baseline"].weight_score_lead is None


def test_equal_queries_with_different_references_are_paired_with_themselves() -> None:
    first, second = answer(CHANNEL_CONFIG, 1), answer(CHANNEL_CONFIG, 1, off=0.4)
    other = second.model_copy(update={"reference": label(CHANNEL_CONFIG, 0.2)})
    found = examined(CHANNEL_CONFIG, {"distilled": [first, other], "baseline": [other, first]})
    assert found.candidates["distilled"].weight_score_lead == 0.0


def test_the_evaluation_comes_back_from_its_json() -> None:
    found = examined(
        CHANNEL_CONFIG, {"distilled": good(CHANNEL_CONFIG), "baseline": hopeless(CHANNEL_CONFIG)}
    )
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_the_worst_queries_are_the_ten_worst_with_unreadable_ones_first() -> None:
    answers = [
        *good(CHANNEL_CONFIG),
        answer(CHANNEL_CONFIG, 98, off=0.5),
        answer(CHANNEL_CONFIG, 99, text="no idea"),
    ]
    worst = examined(CHANNEL_CONFIG, {"distilled": answers}).worst
    assert [query.query for query in worst[:2]] == ["query 99", "query 98"]
    assert (worst[0].predicted, worst[0].text) == (None, "no idea")
    assert worst[1].reasoning == "Reason 98."
    assert len(worst) == 10
    assert [query.weight_score for query in worst] == sorted(query.weight_score for query in worst)


def test_scores_for_the_run_store_leave_out_what_was_not_measured() -> None:
    found = examined(CHANNEL_CONFIG, {"distilled": good(CHANNEL_CONFIG)}, student="somebody.unpriced-v1:0")
    assert set(found.scores()["distilled"]) == {"weight_score", "valid_json", "latency_p50_ms"}


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_any_number_of_channels(channels: int) -> None:
    channel_config = channel_config_of(channels)
    found = examined(channel_config, {"distilled": good(channel_config), "baseline": good(channel_config)})
    assert tuple(found.candidates["distilled"].mae_per_channel) == channel_config.names
    assert found.verdict.promote


def test_the_baseline_is_priced_as_its_profile() -> None:
    found = examined(CHANNEL_CONFIG, {"baseline": good(CHANNEL_CONFIG)}).candidates["baseline"]
    assert found.model_id == HAIKU
    assert found.cost_per_1000_usd == pytest.approx((50 * 1.1 + 100 * 5.5) / 1000)


# --- judges


def test_judge_records_have_the_form_that_bedrock_reads() -> None:
    lines = judge_records(
        [answer(CHANNEL_CONFIG, 1), answer(CHANNEL_CONFIG, 2, text=" ")], "untuned", "Weigh it."
    ).splitlines()
    first, second = map(json.loads, lines)
    assert first["prompt"] == "Weigh it.\n\nQuery: query 1"
    assert json.loads(first["referenceResponse"]) == label(CHANNEL_CONFIG, 0.6)
    assert [list(response) for response in first["modelResponses"]] == [["response", "modelIdentifier"]]
    assert first["modelResponses"][0]["modelIdentifier"] == "untuned"
    assert second["modelResponses"][0]["response"] == "(no answer)"


def test_judge_records_keep_to_a_thousand_prompts_of_4_kb() -> None:
    long = answer(CHANNEL_CONFIG, 0).model_copy(update={"query": "ü" * 2_000})
    lines = judge_records(
        [long, *(answer(CHANNEL_CONFIG, n) for n in range(1_001))], "untuned", "s"
    ).splitlines()
    assert len(lines) == 1_000
    assert all(len(json.loads(line)["prompt"].encode()) <= 4_000 for line in lines)


def test_nothing_to_judge_is_said_and_no_empty_dataset_is_written() -> None:
    unlabelled = answer(CHANNEL_CONFIG, 1).model_copy(update={"reference": None})
    with pytest.raises(Permanent, match="judge"):
        judge_records([unlabelled], "untuned", "s")


def judged(*results: object, metric: str = "OverallQuality") -> bytes:
    """A judge's output with one record a result."""
    records = (
        {
            "automatedEvaluationResult": {"scores": [{"metricName": metric, "result": result}]},
            "inputRecord": {},
        }
        for result in results
    )
    return "\n".join(json.dumps(record) for record in records).encode()


def test_normalised_results_become_grades_and_null_is_missing_not_zero() -> None:
    grades = read_judge_outputs({"distilled": [judged(0.0, 0.25, None), judged(1)]}, "OverallQuality")[
        "distilled"
    ]
    assert grades == JudgeGrades((1.0, 2.0, 5.0), missing=1, scale="normalised")
    assert grades.mean == pytest.approx(8 / 3)


def test_results_that_are_grades_already_are_left_alone_for_every_candidate() -> None:
    grades = read_judge_outputs(
        {"distilled": [judged(5, 4)], "untuned": [judged(1, 1, 0.5)]}, "OverallQuality"
    )
    assert grades["distilled"].grades == (5.0, 4.0)
    assert grades["untuned"] == JudgeGrades((1.0, 1.0), missing=1, scale="grades")


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"automatedEvaluationResult":{"scores":[]}}',
        b'{"automatedEvaluationResult":{"scores":null}}',
        judged("0.5"),
        judged(True),
        judged(-0.5),
        judged(0.5, metric="Helpfulness"),
        b"\xff\xfe",
        b'{"automatedEvaluationResult":{"scores":[{"metricName":"OverallQuality","result":NaN}]}}',
    ],
)
def test_a_record_without_a_usable_result_is_missing(line: bytes) -> None:
    grades = read_judge_outputs({"untuned": [line]}, "OverallQuality")["untuned"]
    assert (grades.grades, grades.missing, grades.mean) == ((), 1, None)


def test_no_output_at_all_is_no_grades() -> None:
    assert read_judge_outputs({"untuned": []}, "OverallQuality") == {"untuned": JudgeGrades()}


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20))
def test_grades_are_on_the_scale_and_none_is_lost(results: list[float | None]) -> None:
    grades = read_judge_outputs({"untuned": [judged(*results)]}, "OverallQuality")["untuned"]
    assert len(grades.grades) + grades.missing == len(results)
    assert all(1 <= grade <= 5 for grade in grades.grades)


def test_missing_grades_are_counted_against_all_answers() -> None:
    found = candidate_metrics(
        good(CHANNEL_CONFIG), CHANNEL_CONFIG, grades=JudgeGrades((5.0,) * 50, missing=3)
    )
    assert (found.judge_mean, found.judge_grades, found.judge_missing) == (5.0, 50, 10)


def test_only_output_objects_are_read() -> None:
    assert is_judge_output("runs/x/bedrock/a/b/uuid_output.jsonl")
    assert not is_judge_output("runs/x/bedrock/a/permission-check")
