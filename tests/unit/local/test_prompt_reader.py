"""The local models read the channel configuration from their prompt, which is all they receive."""

from __future__ import annotations

import json

import pytest

from distillery.task.channels import Channel, ChannelConfig, default_channel_config
from distillery.task.prompts import student_prompt, teacher_prompt
from local.models.baseline import Baseline
from local.models.prompt_reader import (
    channel_config_of_examples,
    channel_config_of_names,
    channel_config_of_prompt,
    channels_of_label,
)
from local.models.teacher import Teacher
from tests.unit.sample_evaluations import channel_config_of

SOUNDS = ChannelConfig(
    subject="sound search",
    channels=(
        Channel(
            name="pitch", description="how high it is", cues=("squeaky", "deep"), examples=("a deep hum",)
        ),
        Channel(name="on_set", description="where it was recorded: indoors, outdoors", cues=("studio",)),
        Channel(name="mood", description="how it feels"),
    ),
    fallback={"pitch": 0.5, "on_set": 0.25, "mood": 0.25},
    label_grid=0.25,
)


@pytest.mark.parametrize(
    "channel_config", [default_channel_config(), SOUNDS, channel_config_of(2), channel_config_of(6)]
)
def test_teacher_prompt_gives_back_the_channel_config_it_was_rendered_from(
    channel_config: ChannelConfig,
) -> None:
    assert channel_config_of_prompt(teacher_prompt(channel_config)) == channel_config


@pytest.mark.parametrize(
    "channel_config", [default_channel_config(), SOUNDS, channel_config_of(2), channel_config_of(6)]
)
def test_student_prompt_gives_back_the_channels(channel_config: ChannelConfig) -> None:
    read = channel_config_of_prompt(student_prompt(channel_config))
    assert read is not None
    assert read.names == channel_config.names


@pytest.mark.parametrize("prompt", ["", "Weigh the channels.", "You are a pirate.", "heavy weights"])
def test_prompt_without_channels_gives_nothing(prompt: str) -> None:
    assert channel_config_of_prompt(prompt) is None


@pytest.mark.parametrize("model", [Teacher(default_channel_config()), Baseline(default_channel_config())])
@pytest.mark.parametrize("prompt", [teacher_prompt, student_prompt])
def test_models_answer_over_the_channels_of_the_prompt(model: Teacher, prompt: object) -> None:
    answer = model.answer(prompt(SOUNDS), "a deep voice")  # type: ignore[operator]
    assert set(json.loads(answer.text.strip("`json\n"))) == {*SOUNDS.names, "reasoning"}


def test_teacher_follows_the_cues_of_the_prompt() -> None:
    teacher = Teacher(default_channel_config())
    answers = [json.loads(teacher.answer(teacher_prompt(SOUNDS), f"deep {n}").text) for n in range(20)]
    assert sum(answer["pitch"] >= 0.5 for answer in answers) > 15


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ('{"a": 0.5, "b": 0.5, "reasoning": "x"}', ("a", "b")),
        ('{"a": "much", "b": 0.5}', ()),
        ("[1, 2]", ()),
        ("junk", ()),
        ("[" * 100_000, ()),
    ],
)
def test_channels_of_a_label(text: str, channels: tuple[str, ...]) -> None:
    assert channels_of_label(text) == channels


@pytest.mark.parametrize("grid", [0.1, 0.05, 0.01])
def test_grid_is_derived_from_the_labels(grid: float) -> None:
    examples = [("q", {"a": grid * step, "b": 1 - grid * step}) for step in range(1, 10)]
    assert channel_config_of_examples(examples).label_grid == grid


def test_channels_of_the_default_configuration_keep_their_description_and_cues() -> None:
    known = default_channel_config()
    mixed = channel_config_of_names((known.names[0], "on_screen_text"))
    assert mixed is not None
    assert mixed.channels[0] == known.channels[0]
    assert mixed.channels[1].cues == ("on screen text",)
