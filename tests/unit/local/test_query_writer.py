"""The local teacher writes queries for a query-writing prompt and labels queries for any other prompt."""

from __future__ import annotations

import pytest

from distillery.dataset.split import query_key
from distillery.task.answers import parse_routing
from distillery.task.channels import ChannelConfig, default_channel_config
from distillery.task.prompts import query_writing_prompt, teacher_prompt
from distillery.task.query_lists import parse_query_list
from distillery.task.weights import dominant
from local.models.query_writer import query_request_of_prompt
from local.models.teacher import Teacher
from tests.channel_configs import SIX, TWO

CHANNEL_CONFIG = default_channel_config()


@pytest.mark.parametrize("channel_config", [CHANNEL_CONFIG, SIX, TWO], ids=["four", "six", "two"])
def test_teacher_writes_the_requested_number_of_queries_for_every_channel(
    channel_config: ChannelConfig,
) -> None:
    teacher = Teacher(CHANNEL_CONFIG)
    for channel in channel_config.names:
        prompt = query_writing_prompt(channel_config, channel, 20)
        found = parse_query_list(teacher.answer(prompt, "Part 1 of the list.").text)
        assert len(found) == 20
        assert found == parse_query_list(teacher.answer(prompt, "Part 1 of the list.").text)
        assert found != parse_query_list(teacher.answer(prompt, "Part 2 of the list.").text)


def test_most_written_queries_are_distinct_and_have_their_channel_as_dominant() -> None:
    teacher = Teacher(CHANNEL_CONFIG)
    for channel in CHANNEL_CONFIG.names:
        found = parse_query_list(
            teacher.answer(query_writing_prompt(CHANNEL_CONFIG, channel, 20), "Part 1").text
        )
        count = sum(dominant(teacher.label(query)[0]) == channel for query in found)
        assert count >= 15, channel
        assert len({query_key(query) for query in found}) >= 15


def test_labelling_prompt_is_not_a_query_request() -> None:
    assert query_request_of_prompt(teacher_prompt(CHANNEL_CONFIG)) is None
    answer = Teacher(CHANNEL_CONFIG).answer(
        teacher_prompt(CHANNEL_CONFIG), "You invent things. Write 3 queries"
    )
    assert parse_routing(answer.text, CHANNEL_CONFIG.names).weights
