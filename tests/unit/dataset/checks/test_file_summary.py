"""Counts of blank lines, system prompts and missing reasonings."""

from __future__ import annotations

import json

from tests.unit.dataset.datasets import PROMPT, findings_of, good_lines, line, validate, varied_lines


def test_several_system_prompts_are_a_warning_with_the_first_line_of_each() -> None:
    content = varied_lines(150)
    content += [line(f"kite {number}", prompt=f"Prompt {number % 2}.") for number in range(6)]
    (finding,) = findings_of(validate(content).report, "mixed_system_prompts")
    assert finding.severity == "warning"
    assert finding.lines == (1, 151, 152)
    assert not findings_of(validate(varied_lines(150)).report, "mixed_system_prompts")


def test_other_system_prompts_are_replaced_by_the_student_prompt() -> None:
    done = validate([line(f"query {number}", prompt="Other words.") for number in range(120)])
    assert done.report.valid
    assert done.report.finding_counts["system_replaced"] == 1
    assert {json.loads(raw)["system"][0]["text"] for raw in done.train + done.holdout} == {PROMPT}
    (finding,) = findings_of(done.report, "system_replaced")
    assert finding.message == "120 system prompts replaced by the student prompt."


def test_labels_without_a_reasoning_are_counted() -> None:
    content = good_lines(150)
    content[:2] = [line("red kite", reasoning=""), line("blue kite", None)]
    (finding,) = findings_of(validate(content).report, "no_reasoning")
    assert (finding.severity, finding.message) == ("note", "1 of 149 labels have no reasoning.")
