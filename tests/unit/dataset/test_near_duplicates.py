"""Which queries are near-duplicates, and that the search finds all of them in any input."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset import near_duplicates
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
         "a space missing", "an additional word", "full-width letters"],
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
def test_query_for_another_thing_is_not_a_near_duplicate(one: str, other: str) -> None:
    assert not together(one, other)


def test_no_clusters_without_a_second_query() -> None:
    assert near_duplicate_clusters([]) == []
    assert near_duplicate_clusters([QUERY]) == []


@pytest.mark.parametrize("query", ["", "?!", "🎬🎬", "夜の港で鳴る汽笛", "موسيقى هادئة", "\x00", "\ud800"])
def test_equal_queries_in_any_script_are_one_cluster(query: str) -> None:
    assert near_duplicate_clusters([query, "another thing entirely", query]) == [[0, 2]]


def test_near_duplicates_of_near_duplicates_are_in_one_cluster() -> None:
    chain = [QUERY, f"{QUERY} please", f"{QUERY} please now", f"{QUERY} please now thanks"]
    assert near_duplicate_clusters(chain) == [[0, 1, 2, 3]]


def test_folded_words_have_no_case_punctuation_or_compatibility_forms() -> None:
    assert folded_words("Rain, on: a ROOF!") == ["rain", "on", "a", "roof"]
    assert folded_words("it\u2019s the caf\u00e9\u2026 \uff34\uff36") == ["its", "the", "caf\u00e9", "tv"]
    assert folded_words("rain-roof, 2 \U0001f3ac") == ["rain", "roof", "2", "\U0001f3ac"]
    assert folded_words("?!") == ["?!"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("slow motion heron", "slowmotion heron", True),
        ("slow motion heron", "slowmotions heron", True),
        ("the heron", "heron the", True),
        ("a b c d", "a b c d more", True),
        ("a b c", "a b c more", False),
        ("a b c d e f g h", "a b c d e f g h two more", True),
        ("a b c d e f g", "a b c d e f g two more", False),
        ("grey heron at dawn", "gray herons at dawn", True),
        ("grey heron at dawn", "grey heron at dusk", False),
        ("grey heron", "grey hreon", True),
        ("grey heron", "grey hroen", False),
        ("grey heron", "grey herno", True),
        ("grey heron", "grey norhe", False),
        ("grey lantern", "grey latnern", True),
        ("grey lantern", "grey letnarn", False),
        ("a man", "a men", False),
    ],
)
def test_words_are_the_same_up_to_misspellings_and_one_additional_word_in_four(
    one: str, other: str, same: bool
) -> None:
    assert same_words(one.split(), other.split()) is same
    assert same_words(other.split(), one.split()) is same


def test_near_duplicates_are_found_among_more_similar_queries_than_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_CHECKED", 4)
    names = ("Anna", "Berta", "Clara", "Doris", "Emily", "Frida", "Greta", "Heidi", "Irene", "Julia")
    queries = [
        f"{name} narrating a long documentary about machine learning and its many uses" for name in names
    ]
    copy = queries[0].replace("machine", "mahcine")
    # All are similar to the copy, but only the nearest four in alphabetical order are compared with it.
    assert near_duplicate_clusters([*queries, copy]) == [[0, 10]]


def test_nearest_queries_are_compared_first() -> None:
    everything = (1 << 1_000) - 1
    assert near_duplicates._nearest(0b1011, 7) == [0, 1, 3]
    nearest = near_duplicates._nearest(everything, 500)
    assert len(nearest) == near_duplicates.MOST_CHECKED
    assert sorted(nearest) == list(range(400, 600))


def near(one: str, other: str) -> bool:
    """The rule of the module's docstring, applied to one pair of queries."""
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
def test_worst_case_queries_are_searched(queries: list[str]) -> None:
    found = near_duplicate_clusters(queries)
    assert all(len(cluster) > 1 for cluster in found)
    assert len({place for cluster in found for place in cluster}) == sum(map(len, found))
