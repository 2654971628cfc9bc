"""What counts as a near-duplicate, what does not, and that the search finds all of them whatever it is given."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.near_duplicates import (
    ALIKE,
    EQUAL,
    folded_words,
    near_duplicate_clusters,
    same_words,
    trigrams,
)

if TYPE_CHECKING:
    import random

SAMPLES = Path(__file__).parents[3] / "samples" / "dataset.jsonl"
QUERY = "grey heron catching a fish at dawn in slow motion"
WORDS = (
    "heron",
    "harbour",
    "lantern",
    "slow",
    "motion",
    "catching",
    "a",
    "fish",
    "at",
    "dawn",
    "season",
    "2",
)


def together(one: str, other: str) -> bool:
    return near_duplicate_clusters([one, other]) == [[0, 1]]


@pytest.mark.parametrize(
    "copy",
    [
        QUERY.upper(),
        f"{QUERY}!!",
        f"  {QUERY.replace(' ', '   ')} ",
        "in slow motion: a grey heron, catching fish at dawn",
        QUERY.replace("heron", "hreon"),
        QUERY.replace("catching", "catchin"),
        QUERY.replace("motion", "motiom"),
        QUERY.replace("slow motion", "slowmotion"),
        f"{QUERY} please",
        QUERY.replace("grey", "\uff47\uff52\uff45\uff59"),
    ],
    ids=["case", "punctuation", "spaces", "order", "swapped letters", "a letter missing", "a letter changed",
         "a space missing", "a word put in", "full-width letters"],
)  # fmt: skip
def test_near_duplicate_of_a_query_is_found(copy: str) -> None:
    assert together(QUERY, copy)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rain on roof 12", "rain on roof 13"),
        ("Tin Meridian season 2 episode 7", "Tin Meridian season 3 episode 7"),
        ("newsreel from 1938 in 4K", "newsreel from 1983 in 4K"),
        ("drone view of a red tractor in the fog", "drone view of a blue tractor in the fog"),
        ("Tom narrating a documentary about bees", "Ann narrating a documentary about bees"),
        ("a man with a hat near the quarry wall", "a men with a hat near the quarry wall"),
        ("harbour", "lantern"),
        ("", "harbour"),
    ],
)
def test_query_that_asks_for_another_thing_is_no_copy(one: str, other: str) -> None:
    assert not together(one, other)


def test_no_clusters_among_nothing_or_one() -> None:
    assert near_duplicate_clusters([]) == []
    assert near_duplicate_clusters([QUERY]) == []


@pytest.mark.parametrize("query", ["", "?!", "🎬🎬", "夜の港で鳴る汽笛", "موسيقى هادئة", "\x00", "\ud800"])
def test_equal_queries_of_any_script_are_one_cluster(query: str) -> None:
    assert near_duplicate_clusters([query, "another thing entirely", query]) == [[0, 2]]


def test_copies_of_copies_are_in_one_cluster() -> None:
    chain = [QUERY, f"{QUERY} please", f"{QUERY} please now", f"{QUERY} please now thanks"]
    assert near_duplicate_clusters(chain) == [[0, 1, 2, 3]]


def near(one: str, other: str) -> bool:
    """The rule of the module's docstring, read once more and applied to one pair."""
    ours, theirs = folded_words(one), folded_words(other)
    digits = [[char for char in " ".join(words) if char.isdigit() or char == " "] for words in (ours, theirs)]
    if "".join(digits[0]).split() != "".join(digits[1]).split():
        return False
    mine, yours = trigrams(ours), trigrams(theirs)
    if not mine or not yours:
        return mine == yours
    common = len(mine & yours) / len(mine | yours)
    return common >= EQUAL - 1e-9 or (common >= ALIKE - 1e-9 and same_words(ours, theirs))


def brute(queries: list[str]) -> list[list[int]]:
    """Connected components over all pairs."""
    home = list(range(len(queries)))
    for one, other in combinations(range(len(queries)), 2):
        if near(queries[one], queries[other]):
            old, new = home[other], home[one]
            home = [new if place == old else place for place in home]
    members: dict[int, list[int]] = {}
    for index, place in enumerate(home):
        members.setdefault(place, []).append(index)
    return sorted(cluster for cluster in members.values() if len(cluster) > 1)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=2, max_size=14),
    st.randoms(use_true_random=False),
)
def test_search_finds_what_comparing_all_pairs_finds(queries: list[str], rng: random.Random) -> None:
    worn = [*queries, *(_worn(query, rng) for query in queries[:5])]
    assert near_duplicate_clusters(worn) == brute(worn)


def _worn(query: str, rng: random.Random) -> str:
    at = rng.randrange(len(query))
    return query[:at] + rng.choice(("", query[at] * 2, "x")) + query[at + 1 :]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=12), st.randoms(use_true_random=False))
def test_order_of_the_queries_does_not_matter(queries: list[str], rng: random.Random) -> None:
    order = list(range(len(queries)))
    rng.shuffle(order)
    found = near_duplicate_clusters([queries[place] for place in order])
    back = sorted(sorted(order[place] for place in cluster) for cluster in found)
    assert back == near_duplicate_clusters(queries)


def test_every_typo_in_a_query_of_usual_length_is_a_near_duplicate() -> None:
    missed = Counter[str]()
    for at in range(len(QUERY) - 1):
        if QUERY[at] == " " or QUERY[at + 1] == " ":
            continue
        swapped = QUERY[:at] + QUERY[at + 1] + QUERY[at] + QUERY[at + 2 :]
        word = QUERY[: at + 1].rsplit(" ", 1)[-1] + QUERY[at + 1 :].split(" ", 1)[0]
        missed[word] += len(word) >= 5 and not together(QUERY, swapped)
    assert missed.total() == 0


def test_sample_queries_have_no_near_duplicates() -> None:
    lines = SAMPLES.read_text("utf-8").splitlines()
    queries = [json.loads(line)["messages"][0]["content"][0]["text"] for line in lines]
    assert near_duplicate_clusters(queries) == []


def test_templates_do_not_chain_into_one_cluster() -> None:
    colours = ("red", "blue", "green", "yellow", "silver", "striped")
    things = ("tractor", "kettle", "lighthouse", "windmill", "barge", "piano")
    queries = [f"drone view of a {colour} {thing} in the fog" for colour in colours for thing in things]
    assert near_duplicate_clusters(queries) == []


@pytest.mark.parametrize(
    "queries",
    [
        ["same"] * 2_000,
        [QUERY.replace("heron", f"heron{'x' * (number % 40)}") for number in range(2_000)],
        ["".join("abc "[(number * place) % 7 % 4] for place in range(1_000)) for number in range(400)],
        [f"q{'é' * 5_000}" for _ in range(50)],
    ],
    ids=["all equal", "copies of one", "long over three letters", "longer than any query"],
)
def test_hostile_queries_are_answered(queries: list[str]) -> None:
    found = near_duplicate_clusters(queries)
    assert all(len(cluster) > 1 for cluster in found)
    assert len({place for cluster in found for place in cluster}) == sum(map(len, found))
