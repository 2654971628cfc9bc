"""The local teacher invents queries when it is asked to, and labels otherwise."""

from __future__ import annotations

import pytest

from distillery.dataset.split import query_key
from distillery.generation.planner import parse_invented
from distillery.task.answers import parse_routing
from distillery.task.channels import ChannelConfig, default_channel_config
from distillery.task.prompts import invention_prompt, teacher_prompt
from distillery.task.weights import dominant
from local.models.query_writer import invention_of_prompt
from local.models.teacher import Teacher
from tests.channel_configs import SIX, TWO

CHANNEL_CONFIG = default_channel_config()


@pytest.mark.parametrize("channel_config", [CHANNEL_CONFIG, SIX, TWO], ids=["four", "six", "two"])
def test_every_channel_of_any_channel_config_gets_as_many_as_were_asked_for(
    channel_config: ChannelConfig,
) -> None:
    teacher = Teacher(CHANNEL_CONFIG)
    for channel in channel_config.names:
        prompt = invention_prompt(channel_config, channel, 20)
        found = parse_invented(teacher.answer(prompt, "Part 1 of the list.").text)
        assert len(found) == 20
        assert found == parse_invented(teacher.answer(prompt, "Part 1 of the list.").text)
        assert found != parse_invented(teacher.answer(prompt, "Part 2 of the list.").text)


def test_most_of_what_is_invented_is_led_by_its_channel_and_distinct() -> None:
    teacher = Teacher(CHANNEL_CONFIG)
    for channel in CHANNEL_CONFIG.names:
        found = parse_invented(teacher.answer(invention_prompt(CHANNEL_CONFIG, channel, 20), "Part 1").text)
        led = sum(dominant(teacher.label(query)[0]) == channel for query in found)
        assert led >= 15, channel
        assert len({query_key(query) for query in found}) >= 15


def test_a_prompt_that_asks_for_weights_is_no_invention() -> None:
    assert invention_of_prompt(teacher_prompt(CHANNEL_CONFIG)) is None
    answer = Teacher(CHANNEL_CONFIG).answer(
        teacher_prompt(CHANNEL_CONFIG), "You invent things. Write 3 queries"
    )
    assert parse_routing(answer.text, CHANNEL_CONFIG.names).weights
