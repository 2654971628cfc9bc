"""The local teacher invents queries when it is asked to, and labels otherwise."""

from __future__ import annotations

import pytest

from distillery.dataset.split import query_key
from distillery.generation.planner import parse_invented
from distillery.task.answers import parse_routing
from distillery.task.channels import Taxonomy, default_taxonomy
from distillery.task.prompts import invention_prompt, teacher_prompt
from distillery.task.weights import dominant
from local.models.answers import Teacher
from local.models.query_writer import invention_of_prompt
from tests.taxonomies import SIX, TWO

TAXONOMY = default_taxonomy()


@pytest.mark.parametrize("taxonomy", [TAXONOMY, SIX, TWO], ids=["four", "six", "two"])
def test_every_facet_of_any_taxonomy_gets_as_many_as_were_asked_for(taxonomy: Taxonomy) -> None:
    teacher = Teacher(TAXONOMY)
    for facet in taxonomy.names:
        prompt = invention_prompt(taxonomy, facet, 20)
        found = parse_invented(teacher.answer(prompt, "Part 1 of the list.").text)
        assert len(found) == 20
        assert found == parse_invented(teacher.answer(prompt, "Part 1 of the list.").text)
        assert found != parse_invented(teacher.answer(prompt, "Part 2 of the list.").text)


def test_most_of_what_is_invented_is_led_by_its_facet_and_distinct() -> None:
    teacher = Teacher(TAXONOMY)
    for facet in TAXONOMY.names:
        found = parse_invented(teacher.answer(invention_prompt(TAXONOMY, facet, 20), "Part 1").text)
        led = sum(dominant(teacher.label(query)[0]) == facet for query in found)
        assert led >= 15, facet
        assert len({query_key(query) for query in found}) >= 15


def test_a_prompt_that_asks_for_weights_is_no_invention() -> None:
    assert invention_of_prompt(teacher_prompt(TAXONOMY)) is None
    answer = Teacher(TAXONOMY).answer(teacher_prompt(TAXONOMY), "You invent things. Write 3 queries")
    assert parse_routing(answer.text, TAXONOMY.names).weights
