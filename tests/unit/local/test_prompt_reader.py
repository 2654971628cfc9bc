"""What the stand-in models read out of a prompt: nothing of the stack's is known to them otherwise."""

from __future__ import annotations

import json

import pytest

from distillery.task.channels import Facet, Taxonomy, default_taxonomy
from distillery.task.prompts import student_prompt, teacher_prompt
from local.models.answers import Baseline, Teacher
from local.models.prompt_reader import (
    facets_of_label,
    taxonomy_of_examples,
    taxonomy_of_names,
    taxonomy_of_prompt,
)
from tests.unit.examinations import taxonomy_of

SOUNDS = Taxonomy(
    subject="sound search",
    facets=(
        Facet(name="pitch", description="how high it is", cues=("squeaky", "deep"), examples=("a deep hum",)),
        Facet(name="on_set", description="where it was recorded: indoors, outdoors", cues=("studio",)),
        Facet(name="mood", description="how it feels"),
    ),
    fallback={"pitch": 0.5, "on_set": 0.25, "mood": 0.25},
    label_grid=0.25,
)


@pytest.mark.parametrize("taxonomy", [default_taxonomy(), SOUNDS, taxonomy_of(2), taxonomy_of(6)])
def test_teacher_prompt_gives_back_the_taxonomy_it_was_rendered_from(taxonomy: Taxonomy) -> None:
    assert taxonomy_of_prompt(teacher_prompt(taxonomy)) == taxonomy


@pytest.mark.parametrize("taxonomy", [default_taxonomy(), SOUNDS, taxonomy_of(2), taxonomy_of(6)])
def test_student_prompt_gives_back_the_facets(taxonomy: Taxonomy) -> None:
    read = taxonomy_of_prompt(student_prompt(taxonomy))
    assert read is not None
    assert read.names == taxonomy.names


@pytest.mark.parametrize("prompt", ["", "Weigh the channels.", "You are a pirate.", "heavy weights"])
def test_prompt_without_facets_gives_nothing(prompt: str) -> None:
    assert taxonomy_of_prompt(prompt) is None


@pytest.mark.parametrize("model", [Teacher(default_taxonomy()), Baseline(default_taxonomy())])
@pytest.mark.parametrize("prompt", [teacher_prompt, student_prompt])
def test_models_answer_over_the_facets_of_the_prompt(model: Teacher, prompt: object) -> None:
    answer = model.answer(prompt(SOUNDS), "a deep voice")  # type: ignore[operator]
    assert set(json.loads(answer.text.strip("`json\n"))) == {*SOUNDS.names, "reasoning"}


def test_teacher_follows_the_cues_of_the_prompt() -> None:
    teacher = Teacher(default_taxonomy())
    answers = [json.loads(teacher.answer(teacher_prompt(SOUNDS), f"deep {n}").text) for n in range(20)]
    assert sum(answer["pitch"] >= 0.5 for answer in answers) > 15


@pytest.mark.parametrize(
    ("text", "facets"),
    [
        ('{"a": 0.5, "b": 0.5, "reasoning": "x"}', ("a", "b")),
        ('{"a": "much", "b": 0.5}', ()),
        ("[1, 2]", ()),
        ("junk", ()),
        ("[" * 100_000, ()),
    ],
)
def test_facets_of_a_label(text: str, facets: tuple[str, ...]) -> None:
    assert facets_of_label(text) == facets


@pytest.mark.parametrize("grid", [0.1, 0.05, 0.01])
def test_grid_is_read_off_the_labels(grid: float) -> None:
    examples = [("q", {"a": grid * step, "b": 1 - grid * step}) for step in range(1, 10)]
    assert taxonomy_of_examples(examples).label_grid == grid


def test_known_facets_keep_what_is_generally_known_of_them() -> None:
    known = default_taxonomy()
    mixed = taxonomy_of_names((known.names[0], "on_screen_text"))
    assert mixed is not None
    assert mixed.facets[0] == known.facets[0]
    assert mixed.facets[1].cues == ("on screen text",)
