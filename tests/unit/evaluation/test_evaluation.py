"""The evaluation: candidates compared with the baseline, worst queries, and evaluation.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from distillery import earlier_names
from distillery.evaluation.answers import Answer
from distillery.evaluation.evaluation import Evaluation
from distillery.evaluation.gate import GateRules
from distillery.evaluation.judging import JudgeGrades
from distillery.runs.states import CANDIDATES
from distillery.task.channels import default_channel_config
from tests.unit.sample_evaluations import (
    HAIKU,
    accurate_answers,
    answer,
    channel_config_of,
    evaluation_of,
    label,
    unreadable_answers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANNEL_CONFIG = default_channel_config()


def earlier(content: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A mapping with its keys under the names of version 0.1.0."""
    old_names = {new: old for old, new in names.items()}
    return {old_names.get(key, key): value for key, value in content.items()}


def as_version_0_1_0_wrote_it(evaluation: Evaluation) -> str:
    """evaluation.json under the names of version 0.1.0."""
    content = evaluation.model_dump(mode="json")
    content["candidates"] = earlier(
        {
            name: earlier(metrics, earlier_names.CANDIDATE_METRICS)
            for name, metrics in content["candidates"].items()
        },
        earlier_names.CANDIDATES,
    )
    content["gate"] = earlier(content["gate"], earlier_names.GATE_RULES)
    rules = {new: old for old, new in earlier_names.RULE_NAMES.items()}
    for check in content["verdict"]["checks"]:
        check["rule"] = rules.get(check["rule"], check["rule"])
    content["worst"] = [earlier(query, earlier_names.WORST_QUERY) for query in content["worst"]]
    return json.dumps(content)


def test_candidates_are_compared_query_by_query_in_any_order() -> None:
    answers, baseline = accurate_answers(CHANNEL_CONFIG), accurate_answers(CHANNEL_CONFIG)
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": list(reversed(answers)), "baseline": baseline})
    distilled = found.candidates["distilled"]
    assert distilled.weight_score_difference == 0.0
    assert distilled.weight_score_difference_ci95 is not None
    assert distilled.weight_score_difference_ci95.low == distilled.weight_score_difference_ci95.high == 0.0
    assert found.candidates["baseline"].weight_score_difference is None


def test_a_worse_model_has_a_negative_difference_to_the_baseline() -> None:
    found = evaluation_of(
        CHANNEL_CONFIG,
        {"distilled": unreadable_answers(CHANNEL_CONFIG), "baseline": accurate_answers(CHANNEL_CONFIG)},
    )
    baseline_mean = found.candidates["baseline"].weight_score_mean
    assert baseline_mean is not None
    assert found.candidates["distilled"].weight_score_difference == pytest.approx(1 - baseline_mean)


def test_equal_queries_with_different_references_are_not_compared_with_each_other() -> None:
    first, second = answer(CHANNEL_CONFIG, 1), answer(CHANNEL_CONFIG, 1, error=0.4)
    other = second.model_copy(update={"reference": label(CHANNEL_CONFIG, 0.2)})
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": [first, other], "baseline": [other, first]})
    assert found.candidates["distilled"].weight_score_difference == 0.0


def test_an_evaluation_is_read_as_it_was_written() -> None:
    found = evaluation_of(
        CHANNEL_CONFIG,
        {"distilled": accurate_answers(CHANNEL_CONFIG), "baseline": unreadable_answers(CHANNEL_CONFIG)},
    )
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_an_evaluation_written_by_version_0_1_0_is_read() -> None:
    found = evaluation_of(
        CHANNEL_CONFIG,
        {name: accurate_answers(CHANNEL_CONFIG) for name in CANDIDATES},
        rules=GateRules(min_weight_score=3.2, max_weight_score_loss=0.4),
    )
    written = as_version_0_1_0_wrote_it(found)
    for name in ("weight_score", "mae_per_channel", "untuned"):
        assert f'"{name}' not in written
        assert f'"{name}' in found.model_dump_json()
    assert Evaluation.model_validate_json(written) == found


def test_the_worst_queries_are_the_ten_worst_with_unreadable_ones_first() -> None:
    answers = [
        *accurate_answers(CHANNEL_CONFIG),
        answer(CHANNEL_CONFIG, 98, error=0.5),
        answer(CHANNEL_CONFIG, 99, text="no idea"),
    ]
    worst = evaluation_of(CHANNEL_CONFIG, {"distilled": answers}).worst
    assert [query.query for query in worst[:2]] == ["query 99", "query 98"]
    assert (worst[0].predicted, worst[0].text) == (None, "no idea")
    assert worst[1].reasoning == "Reason 98."
    assert len(worst) == 10
    assert [query.weight_score for query in worst] == sorted(query.weight_score for query in worst)


def test_a_worst_query_without_an_answer_gives_the_error_or_an_empty_text() -> None:
    failed = [
        Answer(query=f"q{error}", reference=label(CHANNEL_CONFIG, 0.6), text=None, error=error)
        for error in (None, "throttled")
    ]
    worst = evaluation_of(CHANNEL_CONFIG, {"distilled": failed}).worst
    assert [(query.query, query.text) for query in worst] == [("qNone", ""), ("qthrottled", "throttled")]


def test_the_run_table_gets_the_headline_figures_of_each_candidate() -> None:
    found = evaluation_of(
        CHANNEL_CONFIG,
        {"distilled": accurate_answers(CHANNEL_CONFIG, 4)},
        {"distilled": JudgeGrades((4.0, 5.0))},
    )
    cost = found.candidates["distilled"].cost_per_1000_usd
    assert cost
    assert found.scores() == {
        "distilled": {
            "weight_score": 4.0,
            "dominant_agreement": 0.75,
            "judge": 4.5,
            "valid_json": 1.0,
            "latency_p50_ms": 101.0,
            "cost_per_1000_usd": round(cost, 6),
        }
    }


def test_scores_that_were_not_measured_are_not_written_to_the_run_table() -> None:
    found = evaluation_of(
        CHANNEL_CONFIG, {"distilled": accurate_answers(CHANNEL_CONFIG)}, student="somebody.unpriced-v1:0"
    )
    assert set(found.scores()["distilled"]) == {
        "weight_score",
        "dominant_agreement",
        "valid_json",
        "latency_p50_ms",
    }


def test_answers_of_a_model_without_a_price_are_named_and_left_out_of_the_measured_cost() -> None:
    answers = accurate_answers(CHANNEL_CONFIG, 10)
    found = evaluation_of(
        CHANNEL_CONFIG, {"distilled": answers, "baseline": answers}, student="somebody.unpriced-v1:0"
    )
    cost = found.measured_cost()
    assert cost is not None
    assert cost.usd == pytest.approx((500 * 1.1 + 1_000 * 5.5) / 1e6)
    assert cost.unknown == ["evaluation of the distilled model"]


def test_queries_without_an_answer_use_no_tokens() -> None:
    failed = Answer(query="q", reference=label(CHANNEL_CONFIG, 0.6), text=None, error="throttled")
    (usage,) = evaluation_of(CHANNEL_CONFIG, {"distilled": [answer(CHANNEL_CONFIG, 1), failed]}).usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (1, 50, 100)


def test_the_teacher_is_part_of_the_cost_when_its_answers_are_the_reference() -> None:
    answers = accurate_answers(CHANNEL_CONFIG, 10)
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": answers}, teacher=answers)
    assert [usage.name for usage in found.usage] == [
        "evaluation of the distilled model",
        "evaluation of the teacher model",
    ]


def test_an_evaluation_of_an_earlier_version_has_no_measured_cost() -> None:
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": accurate_answers(CHANNEL_CONFIG)})
    assert Evaluation.model_validate(found.model_dump(exclude={"usage"})).measured_cost() is None


@pytest.mark.parametrize(("compared", "small"), [(0, False), (1, True), (99, True), (100, False)])
def test_a_holdout_of_fewer_than_a_hundred_answers_is_a_caveat(compared: int, small: bool) -> None:
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": accurate_answers(CHANNEL_CONFIG, compared)})
    caveats = found.caveats(trained_on_holdout=False)
    assert [caveat.startswith("The holdout is small") for caveat in caveats] == [True] * small


def test_a_small_holdout_is_described_by_what_one_answer_changes_and_by_the_interval() -> None:
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": accurate_answers(CHANNEL_CONFIG, 60)})
    (caveat,) = found.caveats(trained_on_holdout=False)
    assert "60 answers of the distilled model were compared, so one answer changes a share by 1.7%" in caveat
    assert caveat.endswith("the mean weight score is known to within 0.31.")


def test_a_student_that_was_trained_on_the_holdout_is_a_caveat() -> None:
    found = evaluation_of(CHANNEL_CONFIG, {"distilled": accurate_answers(CHANNEL_CONFIG, 200)})
    (caveat,) = found.caveats(trained_on_holdout=True)
    assert "too high" in caveat


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_candidates_can_be_evaluated_for_any_number_of_channels(channels: int) -> None:
    channel_config = channel_config_of(channels)
    answers = accurate_answers(channel_config)
    found = evaluation_of(channel_config, {"distilled": answers, "baseline": answers})
    assert tuple(found.candidates["distilled"].mae_per_channel) == channel_config.names
    assert found.verdict.promote


def test_the_baseline_has_the_price_of_its_inference_profile() -> None:
    found = evaluation_of(CHANNEL_CONFIG, {"baseline": accurate_answers(CHANNEL_CONFIG)})
    baseline = found.candidates["baseline"]
    assert baseline.model_id == HAIKU
    assert baseline.cost_per_1000_usd == pytest.approx((50 * 1.1 + 100 * 5.5) / 1000)
