"""Lists of queries as models write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.task.query_lists import parse_query_list

QUERIES = ["crackling fire", "humming wires", "a buoy in fog"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(QUERIES),
        f"```json\n{json.dumps(QUERIES, indent=1)}\n```",
        f"Here are 3 queries [audio channel]:\n{json.dumps(QUERIES)}",
        json.dumps({"queries": QUERIES}),
        json.dumps([{"query": query} for query in QUERIES]),
        json.dumps({"list": [{"query": query, "channel": "audio"} for query in QUERIES]}),
        "".join(f"{number}. {query}\n" for number, query in enumerate(QUERIES, 1)),
        "".join(f"- {query}\n" for query in QUERIES),
        json.dumps(QUERIES)[:-1] + ",]",
        str(QUERIES),
    ],
    ids=[
        "bare",
        "fence",
        "bracket before",
        "in an object",
        "objects",
        "both",
        "numbered",
        "dashes",
        "comma",
        "Python",
    ],
)
def test_form_is_read(text: str) -> None:
    assert parse_query_list(text) == QUERIES


def test_half_a_query_at_the_end_of_a_text_that_is_cut_off_is_left_out() -> None:
    assert parse_query_list('["crackling fire", "humming wires", "a buoy in') == QUERIES[:2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "[]",
        "{}",
        "[1, 2]",
        '{"visual": 0.5}',
        '{"a": "b"}',
        "[" * 10_000 + "]",
    ],
)
def test_text_without_queries_gives_none(text: str) -> None:
    assert parse_query_list(text) == []


@given(st.text(max_size=200))
def test_any_text_gives_a_list_of_texts(text: str) -> None:
    assert all(query and query == query.strip() for query in parse_query_list(text))
