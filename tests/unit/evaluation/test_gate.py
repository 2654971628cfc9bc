"""The gate: each rule, its threshold, and the sentence that explains the result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distillery.cost.prices import Price
from distillery.evaluation.gate import GateRules, apply_gate
from distillery.evaluation.metrics import CandidateMetrics
from distillery.task.channels import default_channel_config
from tests.unit.sample_evaluations import accurate_answers, metrics_of

CHANNEL_CONFIG = default_channel_config()
CHEAP = Price(ids=("m",), input=1, output=1, source="a test")


def metrics(**changes: Any) -> CandidateMetrics:
    """A candidate that meets every rule, with these fields changed."""
    passing: dict[str, Any] = metrics_of(accurate_answers(CHANNEL_CONFIG), CHANNEL_CONFIG, CHEAP).model_dump()
    return CandidateMetrics.model_validate(
        passing | {"weight_score_mean": 4.2, "valid_json_rate": 1.0} | changes
    )


def reason(rule: str, distilled: CandidateMetrics, rules: GateRules | None = None) -> str:
    """The sentence of one rule, against a baseline of weight score 4.20 and cost $9."""
    verdict = apply_gate(
        {"distilled": distilled, "baseline": metrics(cost_per_1000_usd=9.0)}, rules or GateRules()
    )
    return next(check.reason for check in verdict.checks if check.rule == rule)


def test_an_accurate_model_is_promoted_with_a_sentence_for_every_rule() -> None:
    verdict = apply_gate({"distilled": metrics(), "baseline": metrics(cost_per_1000_usd=9.0)}, GateRules())
    assert verdict.promote
    assert [check.rule for check in verdict.checks] == [
        "weight_score",
        "weight_score_loss",
        "valid_json",
        "cost",
    ]
    assert all(sentence.endswith(".") for sentence in verdict.reasons)


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"weight_score_mean": 3.499}, "weight_score", "below the required 3.500."),
        ({"weight_score_mean": 3.9}, "weight_score_loss", "0.30 below the baseline's 4.20"),
        ({"valid_json_rate": 0.97}, "valid_json", "97.0% of its answers"),
        ({"valid_json_rate": 0.97}, "valid_json", "below the required 98.0%."),
        ({"cost_per_1000_usd": 9.0}, "cost", "$9.0000, not below the baseline's $9.0000"),
        ({"cost_per_1000_usd": None}, "cost", "no price for the distilled model."),
        ({"weight_score_mean": None}, "weight_score", "not measured"),
        ({"weight_score_mean": None}, "weight_score_loss", "cannot be compared"),
        ({"valid_json_rate": None}, "valid_json", "no answers"),
    ],
)
def test_each_rule_can_prevent_a_promotion_and_says_why(
    changes: dict[str, Any], rule: str, words: str
) -> None:
    baseline = metrics(cost_per_1000_usd=9.0)
    verdict = apply_gate({"distilled": metrics(**changes), "baseline": baseline}, GateRules())
    assert not verdict.promote
    missed = {str(check.rule): check.reason for check in verdict.checks if not check.met}
    assert words in missed[rule]


def test_a_model_exactly_at_the_thresholds_is_promoted() -> None:
    distilled = metrics(weight_score_mean=3.5, valid_json_rate=0.98)
    baseline = metrics(weight_score_mean=3.7, cost_per_1000_usd=9.0)
    assert apply_gate({"distilled": distilled, "baseline": baseline}, GateRules()).promote


def test_without_a_baseline_no_model_is_promoted() -> None:
    verdict = apply_gate({"distilled": metrics()}, GateRules())
    assert [check.met for check in verdict.checks] == [True, False, True, False]


def test_the_cost_rule_can_be_turned_off() -> None:
    rules = GateRules(max_cost_share=None)
    assert apply_gate({"distilled": metrics(cost_per_1000_usd=None), "baseline": metrics()}, rules).promote


@pytest.mark.parametrize(
    ("cost", "share", "met"),
    [(4.0, 1.0, True), (4.0, 0.5, True), (4.6, 0.5, False), (9.5, 1.0, False), (9.5, 2.0, True)],
)
def test_the_cost_limit_is_a_share_of_the_baselines_cost(cost: float, share: float, met: bool) -> None:
    verdict = apply_gate(
        {"distilled": metrics(cost_per_1000_usd=cost), "baseline": metrics(cost_per_1000_usd=9.0)},
        GateRules(max_cost_share=share),
    )
    assert verdict.promote is met


def test_the_cost_sentence_names_the_share_and_both_costs() -> None:
    assert reason("cost", metrics(cost_per_1000_usd=4.0), GateRules(max_cost_share=0.5)) == (
        "Its cost per 1,000 queries is $4.0000, below 50% of the baseline's $9.0000."
    )


def test_the_cost_sentence_names_every_model_without_a_price() -> None:
    unpriced = metrics(cost_per_1000_usd=None)
    verdict = apply_gate({"distilled": unpriced, "baseline": unpriced}, GateRules())
    assert verdict.reasons[-1].endswith("has no price for the distilled model or the baseline.")


@pytest.mark.parametrize(
    ("mean", "words"),
    [(4.2, "is equal to the baseline's 4.20"), (4.45, "is 0.25 above the baseline's 4.20")],
)
def test_the_comparison_says_equal_and_above(mean: float, words: str) -> None:
    assert words in reason("weight_score_loss", metrics(weight_score_mean=mean))


def test_numbers_get_only_as_many_decimals_as_they_need_to_differ() -> None:
    assert "is 4.20 (" in reason("weight_score", metrics())
    assert "is 3.499 (" in reason("weight_score", metrics(weight_score_mean=3.499))


def test_a_single_compared_answer_gives_sentences_without_an_interval() -> None:
    single = metrics_of(accurate_answers(CHANNEL_CONFIG, 1), CHANNEL_CONFIG, CHEAP)
    verdict = apply_gate({"distilled": single, "baseline": single}, GateRules(max_cost_share=None))
    assert verdict.reasons[0] == (
        "The distilled model's mean weight score is 5.00 over 1 answers, at least the required 3.50."
    )
    assert "interval" not in " ".join(verdict.reasons)


def test_a_comparison_gives_the_interval_and_warns_when_the_limit_lies_within_it() -> None:
    distilled = metrics(
        weight_score_mean=4.1,
        weight_score_difference=-0.1,
        weight_score_difference_ci95={"low": -0.3, "high": 0.1},
    )
    verdict = apply_gate({"distilled": distilled, "baseline": metrics(cost_per_1000_usd=9.0)}, GateRules())
    assert verdict.promote
    assert "95% interval of the difference -0.30 to +0.10" in verdict.reasons[1]
    assert "another holdout could give the opposite result" in verdict.reasons[1]


@pytest.mark.parametrize(
    "rules",
    [
        {"min_weight_score": 5.1},
        {"min_weight_score": 0.9},
        {"max_weight_score_loss": 4.1},
        {"min_valid_json": 1.1},
        {"max_cost_share": 0},
    ],
)
def test_a_threshold_that_cannot_be_reached_is_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GateRules.model_validate(rules)


@given(
    weight_score=st.floats(1, 5),
    better=st.floats(0, 4),
    valid=st.floats(0, 1),
    cost=st.floats(0, 10),
    baseline=st.floats(1, 5),
)
def test_a_better_model_is_promoted_whenever_a_worse_one_is(
    weight_score: float, better: float, valid: float, cost: float, baseline: float
) -> None:
    compared_with = metrics(weight_score_mean=baseline, cost_per_1000_usd=5.0)
    distilled = metrics(weight_score_mean=weight_score, valid_json_rate=valid, cost_per_1000_usd=cost)
    improved = metrics(
        weight_score_mean=min(weight_score + better, 5.0),
        valid_json_rate=min(valid + better, 1.0),
        cost_per_1000_usd=cost / 2,
    )
    before = apply_gate({"distilled": distilled, "baseline": compared_with}, GateRules())
    after = apply_gate({"distilled": improved, "baseline": compared_with}, GateRules())
    assert after.promote or not before.promote


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"baseline": 1 / 150}, "the baseline gave readable answers to 0.7% of the queries; "),
        ({"baseline": 0.949999}, "the baseline gave readable answers to 94.9999% of the queries; "),
        ({"distilled": 0.9}, "the distilled model gave readable answers to 90.0% of the queries; "),
        (
            {"baseline": 0.0, "distilled": 0.5},
            "0.0% of the queries and the distilled model gave readable answers to 50.0% of the queries; ",
        ),
    ],
)
def test_nothing_is_compared_while_a_model_hardly_answered(changed: dict[str, float], words: str) -> None:
    shares = {"baseline": 1.0, "distilled": 1.0} | changed
    baseline = metrics(weight_score_mean=1.03, cost_per_1000_usd=9.0, readable_rate=shares["baseline"])
    distilled = metrics(readable_rate=shares["distilled"])
    verdict = apply_gate({"distilled": distilled, "baseline": baseline}, GateRules())
    missed = {str(check.rule): check.reason for check in verdict.checks if not check.met}
    assert set(missed) == {"weight_score_loss", "cost"}
    assert all(words in reason and "a comparison needs 95" in reason for reason in missed.values())


def test_a_model_that_answered_just_enough_is_compared() -> None:
    enough = metrics(readable_rate=0.95, cost_per_1000_usd=9.0)
    assert apply_gate({"distilled": metrics(readable_rate=0.95), "baseline": enough}, GateRules()).promote


def test_a_baseline_that_answered_in_prose_does_not_let_a_model_pass() -> None:
    good, prose = accurate_answers(CHANNEL_CONFIG, 150), accurate_answers(CHANNEL_CONFIG, 150)
    refused = [
        answer.model_copy(update={"text": "I would look at the pictures first."}) for answer in prose[1:]
    ]
    verdict = apply_gate(
        {
            "distilled": metrics_of(good, CHANNEL_CONFIG, CHEAP),
            "baseline": metrics_of([prose[0], *refused], CHANNEL_CONFIG, CHEAP),
        },
        GateRules(max_cost_share=None),
    )
    assert not verdict.promote
    assert "the baseline gave readable answers to 0.7% of the queries" in verdict.reasons[1]
