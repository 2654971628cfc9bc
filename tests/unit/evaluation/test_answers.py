"""Answers survive storage as JSON lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distillery.evaluation.answers import Answer, dump_answers, load_answers
from distillery.task.channels import default_channel_config
from tests.unit.evaluation.strategies import ANSWERS
from tests.unit.sample_evaluations import answer

CHANNEL_CONFIG = default_channel_config()


@given(st.lists(ANSWERS, max_size=5))
def test_answers_are_read_as_they_were_written(answers: list[Answer]) -> None:
    assert load_answers(dump_answers(answers)) == answers


def test_a_line_separator_within_a_query_does_not_split_a_line() -> None:
    answers = [answer(CHANNEL_CONFIG, 1).model_copy(update={"query": "a\u2028b\u0085c\x0bd"})]
    assert load_answers(dump_answers(answers)) == answers


@pytest.mark.parametrize("field", ["latency_ms", "input_tokens", "output_tokens"])
def test_a_negative_count_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Answer.model_validate({"query": "q", "reference": None, "text": None, field: -1})
