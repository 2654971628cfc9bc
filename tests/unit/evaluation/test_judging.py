"""Judge jobs: the dataset that Bedrock reads, and the grades in the results that it writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import Permanent
from distillery.evaluation.judging import JudgeGrades, is_judge_output, judge_records, read_judge_outputs
from distillery.task.channels import default_channel_config
from tests.unit.sample_evaluations import answer, label

CHANNEL_CONFIG = default_channel_config()


def judge_output(*results: object, metric: object = "OverallQuality") -> bytes:
    """The output of a judge job, with one record for each result."""
    records = (
        {
            "automatedEvaluationResult": {"scores": [{"metricName": metric, "result": result}]},
            "inputRecord": {},
        }
        for result in results
    )
    return "\n".join(json.dumps(record) for record in records).encode()


def test_judge_records_have_the_form_that_bedrock_reads() -> None:
    answered = answer(CHANNEL_CONFIG, 1)
    lines = judge_records(
        [answered, answer(CHANNEL_CONFIG, 2, text=" ")], "untuned", "Weigh it."
    ).splitlines()
    first, second = map(json.loads, lines)
    assert first["prompt"] == "Weigh it.\n\nQuery: query 1"
    assert json.loads(first["referenceResponse"]) == label(CHANNEL_CONFIG, 0.6)
    assert first["modelResponses"] == [{"response": answered.text, "modelIdentifier": "untuned"}]
    assert second["modelResponses"][0]["response"] == "(no answer)"


def test_judge_records_keep_to_a_thousand_prompts_of_4_kb() -> None:
    long = answer(CHANNEL_CONFIG, 0).model_copy(update={"query": "ü" * 2_000})
    lines = judge_records(
        [long, *(answer(CHANNEL_CONFIG, n) for n in range(1_001))], "untuned", "s"
    ).splitlines()
    assert len(lines) == 1_000
    assert all(len(json.loads(line)["prompt"].encode()) <= 4_000 for line in lines)


def test_a_prompt_of_4000_bytes_is_judged_and_one_of_4001_is_left_out() -> None:
    rest = len(b"s\n\nQuery: ")
    longest, too_long = (
        answer(CHANNEL_CONFIG, 1).model_copy(update={"query": "q" * (size - rest)}) for size in (4_000, 4_001)
    )
    (line,) = judge_records([longest, too_long], "untuned", "s").splitlines()
    assert len(json.loads(line)["prompt"]) == 4_000


def test_no_empty_dataset_is_written_when_there_is_nothing_to_judge() -> None:
    unlabelled = answer(CHANNEL_CONFIG, 1).model_copy(update={"reference": None})
    with pytest.raises(Permanent, match="judge"):
        judge_records([unlabelled], "untuned", "s")


def test_normalised_results_become_grades_and_null_is_missing_not_zero() -> None:
    outputs = {"distilled": [judge_output(0.0, 0.25, None), judge_output(1)]}
    grades = read_judge_outputs(outputs, "OverallQuality")["distilled"]
    assert grades == JudgeGrades((1.0, 2.0, 5.0), missing=1, scale="normalised")
    assert grades.mean == pytest.approx(8 / 3)


def test_one_result_above_1_means_that_all_results_of_all_candidates_are_grades() -> None:
    outputs = {"distilled": [judge_output(5, 4)], "untuned": [judge_output(1, 1, 0.5)]}
    grades = read_judge_outputs(outputs, "OverallQuality")
    assert grades["distilled"].grades == (5.0, 4.0)
    assert grades["untuned"] == JudgeGrades((1.0, 1.0), missing=1, scale="grades")


def test_a_result_between_1_and_2_is_a_grade() -> None:
    grades = read_judge_outputs({"untuned": [judge_output(1.5)]}, "OverallQuality")["untuned"]
    assert grades == JudgeGrades((1.5,), scale="grades")


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"automatedEvaluationResult":{"scores":[]}}',
        b'{"automatedEvaluationResult":{"scores":null}}',
        judge_output("0.5"),
        judge_output(True),
        judge_output(-0.5),
        judge_output(0.5, metric="Helpfulness"),
        judge_output(0.5, metric=5),
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"automatedEvaluationResult":{"scores":[{"metricName":"OverallQuality","result":NaN}]}}',
        b'{"automatedEvaluationResult":{"scores":[{"metricName":"OverallQuality","result":Infinity}]}}',
    ],
    ids=lambda line: repr(line[:120]),
)
def test_a_record_without_a_usable_result_is_missing(line: bytes) -> None:
    grades = read_judge_outputs({"untuned": [line]}, "OverallQuality")["untuned"]
    assert (grades.grades, grades.missing, grades.mean) == ((), 1, None)


def test_an_infinite_result_does_not_change_the_scale_of_the_others() -> None:
    infinite = b'{"automatedEvaluationResult":{"scores":[{"metricName":"OverallQuality","result":Infinity}]}}'
    grades = read_judge_outputs({"untuned": [infinite, judge_output(0.5)]}, "OverallQuality")["untuned"]
    assert grades == JudgeGrades((3.0,), missing=1, scale="normalised")


def test_no_output_at_all_gives_no_grades() -> None:
    assert read_judge_outputs({"untuned": []}, "OverallQuality") == {"untuned": JudgeGrades()}


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20))
def test_grades_are_on_the_scale_and_none_is_lost(results: list[float | None]) -> None:
    grades = read_judge_outputs({"untuned": [judge_output(*results)]}, "OverallQuality")["untuned"]
    assert len(grades.grades) + grades.missing == len(results)
    assert all(1 <= grade <= 5 for grade in grades.grades)


def test_only_output_objects_are_read() -> None:
    assert is_judge_output("runs/x/bedrock/a/b/uuid_output.jsonl")
    assert not is_judge_output("runs/x/bedrock/a/permission-check")


@pytest.mark.parametrize(
    "name",
    ["OverallQuality", "OverallQuality-0123456789ab-untuned", "Custom.OverallQuality-0123456789ab-untuned"],
)
def test_a_grade_is_found_whatever_is_added_to_the_name_of_the_metric(name: str) -> None:
    outputs = {"untuned": [judge_output(0.5, metric=name), judge_output(0.5, metric="Builtin.Coherence")]}
    grades = read_judge_outputs(outputs, "OverallQuality")["untuned"]
    assert (grades.grades, grades.missing) == ((3.0,), 1)
