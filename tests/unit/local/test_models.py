"""The local models: the form of their answers, repeatability, and how closely they follow the guidelines."""

from __future__ import annotations

import json
from statistics import mean
from typing import TYPE_CHECKING

import pytest

from distillery.errors import UnreadableRouting
from distillery.task.answers import parse_routing
from distillery.task.channels import Channel, ChannelConfig, default_channel_config
from distillery.task.prompts import student_prompt, teacher_prompt
from distillery.task.weights import weight_score
from local.models.baseline import Baseline
from local.models.distilled import Distilled
from local.models.judge import judge
from local.models.keyword_guidelines import KINDS, Guidelines, on_grid, stem
from local.models.prompt_reader import channels_of_prompt
from local.models.teacher import Teacher
from local.models.untuned import Untuned

if TYPE_CHECKING:
    from local.bedrock.runtime import LocalModel

CHANNEL_CONFIG = default_channel_config()
CHANNELS = CHANNEL_CONFIG.names
SYSTEM = teacher_prompt(CHANNEL_CONFIG)
SHORT_SYSTEM = student_prompt(CHANNEL_CONFIG)
QUERIES = [f"{what} {where}" for what in ("a red kite", "why", "loud applause", "4K trailer", "x")
           for where in ("on a beach", "says \"no\"", "in March 2020", "with a violin", "", "?")]  # fmt: skip

OTHER = ChannelConfig(
    subject="recipe search",
    channels=(
        Channel(name="smell", description="what it smells of", cues=("vanilla", "burnt")),
        Channel(name="texture", description="how it feels", cues=("crispy", "[duration]")),
    ),
    fallback={"smell": 0.5, "texture": 0.5},
    label_grid=0.25,
)


class FixedPredictor:
    def predict(self, query: str) -> dict[str, float]:
        assert query
        return dict(CHANNEL_CONFIG.fallback)

    def explain(self, query: str) -> str:
        return f'because of "{query}"'


@pytest.mark.parametrize(
    "model",
    [Teacher(CHANNEL_CONFIG), Baseline(CHANNEL_CONFIG), Untuned(), Distilled(FixedPredictor())],
    ids=lambda m: type(m).__name__,
)
def test_same_query_gets_the_same_answer(model: LocalModel) -> None:
    for query in QUERIES:
        first = model.answer(SHORT_SYSTEM, query)
        assert model.answer(SHORT_SYSTEM, query) == first
        assert first.input_tokens > 0
        assert first.output_tokens > 0
        assert 100 < first.latency_ms < 10_000


def test_teacher_answers_bare_json_on_the_grid() -> None:
    teacher = Teacher(CHANNEL_CONFIG)
    for query in QUERIES:
        content = json.loads(teacher.answer(SYSTEM, query).text)
        assert set(content) == {*CHANNELS, "reasoning"}
        assert content["reasoning"]
        for channel in CHANNELS:
            assert content[channel] >= 0
            assert round(content[channel] / CHANNEL_CONFIG.label_grid, 6).is_integer()
        assert sum(content[channel] for channel in CHANNELS) == pytest.approx(1)


def test_guidelines_give_a_channels_examples_that_channel_as_dominant() -> None:
    guidelines = Guidelines(CHANNEL_CONFIG)
    for channel in CHANNEL_CONFIG.channels:
        for example in channel.examples:
            weights = guidelines.read(example).weights
            assert max(weights, key=lambda name: weights[name]) == channel.name, example


def test_teacher_follows_the_given_channel_config() -> None:
    teacher = Teacher(OTHER)
    crispy = [teacher.label(f"crispy number {n}")[0]["texture"] for n in range(40)]
    burnt = [teacher.label(f"burnt number {n}")[0]["smell"] for n in range(40)]
    assert mean(crispy) > 0.6
    assert mean(burnt) > 0.6
    assert set(teacher.label("x")[0]) == set(OTHER.names)


def test_teacher_deviates_from_the_guidelines_for_some_queries() -> None:
    teacher, guidelines = Teacher(CHANNEL_CONFIG), Guidelines(CHANNEL_CONFIG)
    labels = {query: teacher.label(query)[0] for query in (f"a violin {n}" for n in range(300))}
    assert 2 < len({tuple(label.values()) for label in labels.values()}) < 40
    assert guidelines.read("a violin 1") == guidelines.read("a violin 1")


def test_every_cue_in_brackets_has_a_pattern() -> None:
    bracketed = {cue for channel in CHANNEL_CONFIG.channels for cue in channel.cues if cue.startswith("[")}
    assert bracketed == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        ("[quoted words]", 'she says "stop there"', "she says stop"),
        ("[quoted words]", "somebody shouts 'not today'", "the baker's oven isn't hot"),
        ("[question]", "why is the sky dark", "how to tie a knot"),
        ("[date]", "fair in June", "in june sunlight and 12345"),
        ("[date]", "cartoon from the 1930s", "camera 4"),
        ("[proper name]", "a song by Ada", "Drone over rocks"),
        ("[proper name]", "Harbour Nights", "harbour nights"),
        ("[resolution]", "waves 1080p", "1080 waves"),
        ("[duration]", "under 3 minutes", "minutes of the meeting"),
        ("[episode]", "Tin Meridian s02e05", "seasons of the year"),
    ],
)
def test_patterns_of_cues_in_brackets(kind: str, yes: str, no: str) -> None:
    assert KINDS[kind].search(yes)
    assert not KINDS[kind].search(no)


@pytest.mark.parametrize(("one", "other"), [
    ("sings", "singing"), ("running", "run"), ("voices", "voice"), ("speaker", "speaks"), ("cities", "city"),
    ("kneading", "kneads"), ("says", "saying"),
])  # fmt: skip
def test_inflections_share_a_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize("grid", [0.05, 0.1, 0.25, 0.5])
def test_grid_steps_always_sum_to_one(grid: float) -> None:
    for query in QUERIES:
        steps = on_grid(Guidelines(CHANNEL_CONFIG).read(query).weights, grid)
        assert sum(steps.values()) * grid == pytest.approx(1)
        assert min(steps.values()) >= 0


def test_baseline_is_readable_and_close_to_the_teacher() -> None:
    teacher, baseline = Teacher(CHANNEL_CONFIG), Baseline(CHANNEL_CONFIG)
    answers = {
        query: baseline.answer(SYSTEM, query).text
        for query in (f"{q} {n}" for q in QUERIES for n in range(20))
    }
    grades = [
        weight_score(teacher.label(query)[0], parse_routing(text, CHANNELS).weights, CHANNELS)
        for query, text in answers.items()
    ]
    assert 3.5 < mean(grades) < 4.8
    fenced = sum(text.startswith("```") for text in answers.values()) / len(answers)
    assert 0.02 < fenced < 0.12


def test_untuned_model_reads_the_channels_from_the_student_prompt() -> None:
    assert channels_of_prompt(SHORT_SYSTEM) == CHANNELS
    assert channels_of_prompt(student_prompt(OTHER)) == OTHER.names
    assert channels_of_prompt("You are helpful.") == ()
    with pytest.raises(UnreadableRouting):
        parse_routing(Untuned().answer("You are helpful.", "a red kite").text, CHANNELS)


def test_untuned_model_answers_in_every_form() -> None:
    texts = [Untuned().answer(SHORT_SYSTEM, f"query {n}").text for n in range(400)]
    repairs: set[str] = set()
    unreadable = 0
    for text in texts:
        try:
            repairs.update(parse_routing(text, CHANNELS).repairs)
        except UnreadableRouting:
            unreadable += 1
    assert 0.05 < unreadable / len(texts) < 0.25
    assert repairs >= {"surroundings", "trailing_comma", "key_spelling", "number_as_text", "percentage"}


def test_distilled_model_answers_with_the_linear_models_weights_and_explanation() -> None:
    content = json.loads(Distilled(FixedPredictor()).answer(SHORT_SYSTEM, 'say "it"').text)
    assert content == {**CHANNEL_CONFIG.fallback, "reasoning": 'because of "say "it""'}


def test_emulated_latencies_have_the_published_means() -> None:
    def mean_latency(model: LocalModel) -> float:
        return mean(model.answer(SHORT_SYSTEM, f"query {n}").latency_ms for n in range(2000))

    assert mean_latency(Distilled(FixedPredictor())) == pytest.approx(833, rel=0.03)
    assert mean_latency(Baseline(CHANNEL_CONFIG)) == pytest.approx(1741, rel=0.03)


def _text(*weights: float) -> str:
    return json.dumps({**dict(zip(CHANNELS, weights, strict=True)), "reasoning": "r"})


def test_judge_follows_the_weight_score_with_some_deviations() -> None:
    reference = _text(0.6, 0.2, 0.1, 0.1)
    for response, expected in ((reference, 1.0), (_text(0.5, 0.3, 0.1, 0.1), 0.75), (_text(0, 0, 1, 0), 0.0)):
        scores = [judge(f"query {n}", reference, response)[0] for n in range(200)]
        assert sorted(scores)[100] == expected
        assert set(scores) <= {0.0, 0.25, 0.5, 0.75, 1.0}
        assert mean(score != expected for score in scores) < 0.2
    score, explanation = judge("q", reference, _text(0.5, 0.3, 0.1, 0.1))
    assert "0.10" in explanation
    assert judge("q", reference, _text(0.5, 0.3, 0.1, 0.1)) == (score, explanation)


def test_judge_grades_an_unreadable_response_zero_and_refuses_an_unreadable_reference() -> None:
    assert judge("q", _text(1, 0, 0, 0), "no idea")[0] == 0.0
    with pytest.raises(UnreadableRouting):
        judge("q", "no idea", _text(1, 0, 0, 0))
