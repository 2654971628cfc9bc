"""The cost estimate: low and high bounds, unknown prices by name, and the break-even."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.cost_estimate import MODELS
from distillery.cost.estimate import Estimate, Line, Span, make_estimate, text_tokens
from distillery.cost.prices import Customising, PriceList, price_list
from distillery.dataset.records import Record
from distillery.dataset.scan import MAX_RECORDS, KeptRecords
from distillery.dataset.statistics import Characters, collect_statistics
from distillery.messages import usd
from distillery.task.channels import default_channel_config
from tests.channel_configs import TWO
from tests.unit.fakes import validation

if TYPE_CHECKING:
    from distillery.dataset.validation import DatasetReport


def estimated(
    report: DatasetReport | None = None, prices: PriceList | None = None, models: dict[str, str] | None = None
) -> Estimate:
    return make_estimate(
        report or validation(), default_channel_config(), MODELS | (models or {}), prices or price_list()
    )


def line(estimate: Estimate, name: str) -> Line:
    (found,) = [line for line in estimate.lines if line.name == name]
    return found


def multiplied(factor: float) -> PriceList:
    """The shipped list with every price times a factor, and with prices for training and storage."""
    known = price_list()
    models = tuple(
        price.model_copy(update={"input": price.input * factor, "output": price.output * factor})
        for price in known.models
    )
    training = Customising(
        ids=("amazon.nova-micro-v1:0",), training=1.0 * factor, storage=2.0 * factor, source="a test"
    )
    return known.model_copy(update={"models": models, "customising": (training,)})


# Calls and tokens


def test_labelled_dataset_needs_no_teacher_calls_unless_bedrock_adds_prompts() -> None:
    calls = line(estimated(), "teacher's answers").calls
    assert calls == Span(low=0, high=MAX_RECORDS)


def test_every_missing_label_is_a_call_of_the_teacher() -> None:
    calls = line(estimated(validation(records=500, labelled=100)), "teacher's answers").calls
    assert calls is not None
    assert calls.low == 400


def test_every_candidate_answers_the_holdout_and_its_warm_ups() -> None:
    estimate = estimated(validation(holdout=50))
    for name in ("distilled", "untuned", "baseline"):
        assert line(estimate, f"evaluation of the {name} model").calls == Span.exactly(50)
    assert line(estimate, "judge").calls == Span.exactly(150)


def test_dataset_without_labels_needs_the_teacher_for_the_holdout_too() -> None:
    assert "evaluation of the teacher model" not in [each.name for each in estimated().lines]
    estimate = estimated(validation(labelled=0, holdout=50))
    assert line(estimate, "evaluation of the teacher model").calls == Span.exactly(50)


def test_other_scripts_are_estimated_with_a_wider_span() -> None:
    latin, other = text_tokens("harbour at night"), text_tokens("夜の港")
    assert other.high / other.low > latin.high / latin.low
    assert text_tokens("") == Span.exactly(0)


def test_tokens_are_a_third_to_a_fifth_of_ascii_and_up_to_two_for_any_other_character() -> None:
    assert text_tokens("x" * 30) == Span(low=6, high=10)
    assert text_tokens("港" * 10) == Span(low=4, high=20)


def test_every_figure_of_a_known_dataset() -> None:
    # 500 queries of 45 characters with reasonings of 80. The prompts of this channel configuration have 117
    # (student), 768 (teacher) and 431 (judge) characters, and a label without its reasoning has 46.
    estimate = make_estimate(validation(records=500, holdout=50), TWO, MODELS, multiplied(1.0))
    assert {each.name: each.usd and (each.usd.low, each.usd.high) for each in estimate.lines} == {
        "teacher's answers": (0.0, 7.784),
        "training": (0.02412, 15.2),
        "storage": (2.0, 2.0),
        "evaluation of the distilled model": (0.000205, 0.001135),
        "evaluation of the untuned model": (0.000205, 0.001135),
        "evaluation of the baseline model": (0.014773, 0.055788),
        "judge": (0.0438, 0.2986),
    }
    assert estimate.known == Span(low=2.083103, high=25.340658)


def test_range_with_low_above_high_is_refused() -> None:
    with pytest.raises(ValueError, match="low is above high"):
        Span(low=2, high=1)
    assert Span(low=1, high=1) == Span.exactly(1)


def test_validation_counts_the_characters_that_the_estimate_uses() -> None:
    label = dict.fromkeys(default_channel_config().names, 0.0) | {default_channel_config().names[0]: 1.0}
    kept = KeptRecords()
    kept.add(b"1", Record(1, "harbour", label, "Oui.", ""), b"")
    kept.add(b"2", Record(2, "夜の港 café", None, "", ""), b"")
    counted = collect_statistics(kept, default_channel_config())
    assert counted.query_characters == Characters(total=15, beyond_ascii=4)
    assert counted.reasoning_characters == Characters(total=4, beyond_ascii=0)


# Unknown prices


def test_price_of_training_and_storage_is_in_the_shipped_list() -> None:
    estimate = estimated()
    assert estimate.unknown == []
    assert line(estimate, "storage").usd == Span.exactly(1.95)


def test_unknown_price_is_listed_by_name_and_left_out_of_the_sum() -> None:
    estimate = estimated(prices=price_list().model_copy(update={"customising": ()}))
    assert estimate.unknown == ["training", "storage"]
    priced = [each.usd for each in estimate.lines if each.usd]
    assert estimate.known.high == pytest.approx(sum(span.high for span in priced))
    assert "training, storage" in estimate.sentence()
    assert estimate.short(50).approval_reason == ""


def test_training_price_of_the_stack_is_in_the_sum() -> None:
    estimate = estimated(prices=multiplied(1.0))
    assert estimate.unknown == []
    assert line(estimate, "storage").usd == Span.exactly(2.0)
    unpriced = price_list().model_copy(update={"customising": ()})
    assert estimate.known.low > estimated(prices=unpriced).known.low


def test_student_without_a_price_needs_approval_and_never_counts_as_free() -> None:
    estimate = estimated(models={"student": "amazon.nova-lite-v1:0:300k"})
    assert "evaluation of the distilled model" in estimate.unknown
    assert estimate.per_thousand["student"] is None
    assert estimate.pays_off_after is None
    assert (
        "no price for the distilled model amazon.nova-lite-v1:0:300k" in estimate.short(1e9).approval_reason
    )
    assert "an unknown amount" in estimate.sentence()


@pytest.mark.parametrize("role", ["teacher", "judge", "baseline"])
def test_model_of_any_role_without_a_price_needs_approval(role: str) -> None:
    estimate = estimated(models={role: "amazon.nova-9-v1:0"})
    reason = estimate.short(1e9).approval_reason
    assert f"no price for the {role}" in reason
    assert "amazon.nova-9-v1:0" in reason


def test_sentence_of_a_fully_priced_run_names_no_unknown_price() -> None:
    sentence = estimated(prices=multiplied(1.0)).sentence()
    assert "not known" not in sentence
    assert "known prices" not in sentence
    assert "The run has paid for itself after" in sentence


def test_run_needs_approval_when_its_high_estimate_is_above_the_limit() -> None:
    estimate = estimated()
    high = estimate.known.high
    assert estimate.short(high).approval_reason == ""
    assert "the stack's limit is $0.00" in estimate.short(0).approval_reason
    assert usd(high) in estimate.short(high - 0.01).approval_reason


# Break-even


def test_student_with_higher_prices_than_the_baseline_never_pays_for_itself() -> None:
    micro = "amazon.nova-micro-v1:0"
    known = price_list()
    models = tuple(
        price.model_copy(update={"input": 99.0, "output": 99.0}) if price.customised else price
        for price in known.models
    )
    estimate = estimated(prices=known.model_copy(update={"models": models}), models={"baseline": micro})
    assert estimate.pays_off_after is not None
    assert estimate.pays_off_after.low is None
    assert "never pays for itself" in estimate.sentence()


def test_break_even_is_the_cost_over_what_a_query_saves() -> None:
    estimate = estimated()
    student, baseline, after = (
        estimate.per_thousand["student"],
        estimate.per_thousand["baseline"],
        estimate.pays_off_after,
    )
    assert student is not None
    assert baseline is not None
    assert after is not None
    assert after.high is not None
    saved = min(baseline.low - student.low, baseline.high - student.high) / 1_000
    assert after.high * saved == pytest.approx(estimate.known.high, rel=0.01)


# For any dataset

reports = st.builds(
    lambda records, share, holdout, characters, beyond: validation(
        records=records,
        labelled=round(records * share),
        holdout=holdout,
        characters=Characters(total=characters * records, beyond_ascii=beyond * records),
    ),
    records=st.integers(100, MAX_RECORDS),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    holdout=st.integers(1, 90),
    characters=st.integers(5, 1_000),
    beyond=st.integers(0, 5),
)


@given(report=reports, factor=st.floats(0.01, 100))
def test_low_is_never_above_high_and_nothing_is_negative(report: DatasetReport, factor: float) -> None:
    estimate = estimated(report, multiplied(factor))
    for span in (estimate.known, *(each.usd for each in estimate.lines if each.usd)):
        assert 0 <= span.low <= span.high
    after = estimate.pays_off_after
    assert after is not None
    assert after.low is not None
    assert after.high is None or after.low <= after.high
    assert Estimate.model_validate_json(estimate.model_dump_json()) == estimate


@given(report=reports, factor=st.floats(1, 100))
def test_higher_prices_never_lower_the_estimate(report: DatasetReport, factor: float) -> None:
    lower, higher = estimated(report, multiplied(1.0)).known, estimated(report, multiplied(factor)).known
    assert higher.low >= lower.low
    assert higher.high >= lower.high


@given(records=st.integers(100, 10_000), more=st.integers(0, 5_000), labels=st.booleans())
def test_more_records_of_the_same_kind_cost_no_less(records: int, more: int, labels: bool) -> None:
    smaller, larger = (
        estimated(validation(records=count, labelled=count if labels else 0), multiplied(1.0)).known
        for count in (records, records + more)
    )
    # Up to the last digit that is kept.
    assert larger.low >= smaller.low - 1e-5
    assert larger.high >= smaller.high - 1e-5


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.1, "$0.10"), (0.0999, "$0.100"), (0.00123, "$0.0012")],
)
def test_small_amounts_are_not_rounded_to_nothing(amount: float, words: str) -> None:
    assert usd(amount) == words
