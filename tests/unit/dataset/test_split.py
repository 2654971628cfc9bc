"""The split: no cluster is divided, every channel has its share, and the size is as requested."""

from __future__ import annotations

import io
import json
import unicodedata
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.near_duplicates import folded_words, near_duplicate_clusters
from distillery.dataset.split import MIN_TRAINING_RECORDS, Group, Split, plan_split, query_key
from distillery.dataset.validation import Rules, validate_dataset
from distillery.task.channels import default_channel_config

LABELS = Path(__file__).parents[4] / "shared" / "data" / "teacher_labels.jsonl"
CHANNELS = ("a", "b", "c")


def key(number: int) -> bytes:
    return query_key(f"query {number}")


@st.composite
def datasets(draw: st.DrawFn) -> tuple[dict[bytes, Group], list[list[bytes]]]:
    """Queries with their records and channels, some in clusters, some without a label."""
    count = draw(st.integers(150, 400))
    rng = draw(st.randoms(use_true_random=False))
    groups = {}
    for number in range(count):
        records = rng.choice((1, 1, 1, 1, 2, 5))
        labelled = records if rng.random() < 0.95 else rng.randrange(records)
        dominants = Counter(rng.choices(CHANNELS, (5, 3, 1), k=labelled))
        groups[key(number)] = Group(records, labelled, dominants)
    numbers = list(range(count))
    rng.shuffle(numbers)
    clusters = []
    for _ in range(rng.randrange(25)):
        size = rng.choice((2, 2, 3, 8, 20))
        clusters.append([key(number) for number in numbers[:size]])
        numbers = numbers[size:]
    return groups, [cluster for cluster in clusters if len(cluster) > 1]


def plan(groups: dict[bytes, Group], clusters: list[list[bytes]], **more: object) -> Split:
    rules: dict[str, object] = {"share": 0.1, "least": 20, "most": 60} | more
    return plan_split(groups, clusters=clusters, **rules)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(datasets())
def test_no_cluster_is_divided(made: tuple[dict[bytes, Group], list[list[bytes]]]) -> None:
    groups, clusters = made
    split = plan(groups, clusters)
    assert split.set_aside
    for cluster in clusters:
        held = set(cluster) & split.queries
        assert not held or set(cluster) <= split.queries | split.left_out


@settings(max_examples=150, deadline=None)
@given(datasets())
def test_size_is_within_one_record_of_the_requested_size(
    made: tuple[dict[bytes, Group], list[list[bytes]]],
) -> None:
    groups, clusters = made
    split = plan(groups, clusters)
    assert split.held == sum(groups[held].records for held in split.queries)
    assert abs(split.held - split.aim) <= 1
    assert sum(group.records for group in groups.values()) - split.held >= MIN_TRAINING_RECORDS


@settings(max_examples=100, deadline=None)
@given(datasets())
def test_every_channel_has_its_share_within_one_unit(
    made: tuple[dict[bytes, Group], list[list[bytes]]],
) -> None:
    groups, clusters = made
    split = plan(groups, clusters)
    largest = max([5, *(sum(groups[member].records for member in cluster) for cluster in clusters)])
    assert sum(wanted for wanted, _ in split.strata.values()) == split.aim
    for wanted, held in split.strata.values():
        assert abs(wanted - held) <= largest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 30))
def test_size_is_the_nearest_that_whole_clusters_add_up_to(sizes: list[int], wanted: int) -> None:
    # Each query has `size` records. The query with 500 records is too large to be held out.
    groups = {key(n): Group(size, size, Counter(a=size)) for n, size in enumerate(sizes)}
    groups[key(1_000)] = Group(500, 500, Counter(a=500))
    split = plan(groups, [], share=0.0001, least=wanted, most=2 * wanted)
    sums = {sum(chosen) for count in range(len(sizes) + 1) for chosen in combinations(sizes, count)} - {0}
    assert abs(split.held - wanted) == min(abs(total - wanted) for total in sums)


@settings(max_examples=100, deadline=None)
@given(datasets(), st.randoms(use_true_random=False))
def test_queries_held_out_before_are_held_out_again(
    made: tuple[dict[bytes, Group], list[list[bytes]]], rng: object
) -> None:
    groups, clusters = made
    first = plan(groups, clusters)
    fewer = {name: group for number, (name, group) in enumerate(groups.items()) if number % 7}
    more = fewer | {key(number): Group(1, 1, Counter(a=1)) for number in range(5_000, 5_200)}
    second = plan(more, clusters, held_before=first.queries)
    assert first.queries & more.keys() <= second.queries
    assert second.set_aside
    assert second.kept == len(first.queries & more.keys())
    assert second.held == sum(more[held].records for held in second.queries)
    kept = sum(more[query].records for query in _kept_units(first.queries & more.keys(), more, clusters))
    assert second.held == kept or abs(second.held - second.aim) <= 1
    assert sum(quota for quota, _ in second.strata.values()) == second.aim
    assert sum(held for _, held in second.strata.values()) == second.held
    for cluster in clusters:
        present = set(cluster) & more.keys()
        held = present & second.queries
        assert not held or present <= second.queries | second.left_out


def _kept_units(
    held_before: frozenset[bytes], groups: dict[bytes, Group], clusters: list[list[bytes]]
) -> set[bytes]:
    """The fully labelled queries of the clusters, and the single queries, that were held out before."""
    units = [set(cluster) & groups.keys() for cluster in clusters]
    kept = set(held_before).union(*(unit for unit in units if unit & held_before))
    return {query for query in kept if groups[query].labelled == groups[query].records}


def single(number: int, channel: str, records: int = 1) -> tuple[bytes, Group]:
    return key(number), Group(records, records, Counter({channel: records}))


def test_later_version_fills_the_holdout_up_to_the_requested_size() -> None:
    groups = dict(single(number, CHANNELS[number % 2]) for number in range(400))
    before = frozenset(list(groups)[:10])
    split = plan(groups, [], held_before=before, least=40, most=40)
    assert before < split.queries
    assert (split.wanted, split.aim, split.held, split.kept) == (40, 40, 40, 10)
    # Each channel's share counts what is held out already.
    assert split.strata == {"a": (20, 20), "b": (20, 20)}


def test_later_version_counts_kept_records_of_one_channel_against_its_quota() -> None:
    groups = dict(single(number, "a" if number < 200 else "b") for number in range(400))
    before = frozenset(key(number) for number in range(15))
    split = plan(groups, [], held_before=before, least=40, most=40)
    assert split.strata == {"a": (20, 20), "b": (20, 20)}


def test_later_version_keeps_more_than_the_requested_size_and_adds_nothing() -> None:
    groups = dict(single(number, "a") for number in range(400))
    before = frozenset(list(groups)[:70])
    split = plan(groups, [], held_before=before, least=40, most=70)
    assert split.queries == before
    assert (split.aim, split.held, split.kept) == (40, 70, 70)
    assert split.strata == {"a": (40, 70)}


def test_holdouts_of_earlier_versions_never_exceed_the_largest_holdout_and_are_not_trained_on() -> None:
    groups = dict(single(number, CHANNELS[number % 2], records=1 + number % 2) for number in range(400))
    before = frozenset(list(groups)[:70])
    split = plan(groups, [], held_before=before, least=40, most=40)
    assert split.held == sum(groups[query].records for query in split.queries) == 40
    assert split.queries | split.left_out == before
    assert not split.queries & split.left_out
    # Which of them stay depends on their hashes only, so two versions with the same queries agree.
    assert max(query for query in split.queries if groups[query].records == 2) < min(
        query for query in split.left_out if groups[query].records == 2
    )


def test_prompts_of_earlier_versions_never_exceed_the_largest_holdout() -> None:
    groups = {key(number): Group(1) for number in range(300)}
    split = plan(groups, [], held_before=frozenset(list(groups)[:90]), least=10, most=40)
    assert (len(split.queries), split.kept, split.set_aside) == (40, 40, False)


def test_later_version_never_leaves_fewer_than_100_records_for_training() -> None:
    groups = dict(single(number, "a") for number in range(10))
    groups |= dict(single(number, "a", records=24) for number in range(10, 15))
    before = frozenset(key(number) for number in range(10))
    # A query of 24 records would bring the holdout nearer to 30, and leave 96 records for training.
    split = plan(groups, [], held_before=before, least=30, most=30)
    assert (split.set_aside, split.aim, split.held) == (True, 30, 10)


def test_channel_with_the_most_room_fills_up_the_holdout() -> None:
    groups = dict(single(number, "a" if number < 100 else "b", records=3) for number in range(180))
    split = plan(groups, [], least=9, most=9)
    assert split.strata == {"a": (5, 6), "b": (4, 3)}


def test_mixed_cluster_counts_for_its_most_frequent_channel() -> None:
    groups = dict([single(0, "a"), single(1, "a"), single(2, "b")])
    groups |= dict(single(number, "c") for number in range(3, 200))
    cluster = [key(0), key(1), key(2)]
    split = plan(groups, [cluster], held_before=cluster)
    assert split.strata["a"][1] == 3
    assert set(split.strata) == {"a", "c"}


def test_later_version_of_an_unlabelled_dataset_keeps_its_prompts() -> None:
    groups = {key(number): Group(1) for number in range(300)}
    before = frozenset(list(groups)[:8])
    split = plan(groups, [], held_before=before)
    assert before < split.queries
    assert (split.reference, split.set_aside) == ("teacher", False)
    assert (split.wanted, split.aim, split.held, split.kept) == (30, 30, 30, 8)
    assert len(split.queries) == 30


@settings(max_examples=50, deadline=None)
@given(datasets())
def test_order_of_queries_and_clusters_does_not_matter(
    made: tuple[dict[bytes, Group], list[list[bytes]]],
) -> None:
    groups, clusters = made
    turned = dict(reversed(groups.items()))
    assert plan(groups, clusters) == plan(turned, [cluster[::-1] for cluster in reversed(clusters)])


def test_single_cluster_of_all_queries_is_trained_on() -> None:
    groups = {key(number): Group(1, 1, Counter(a=1)) for number in range(200)}
    split = plan(groups, [list(groups)])
    assert (split.set_aside, split.held) != (True, 200)


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_query_key_ignores_case_spacing_and_unicode_form(
    text: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    key = query_key(text)
    assert query_key(unicodedata.normalize(form, text)) == key
    assert query_key(f"  {text}\n") == key
    assert query_key(unicodedata.normalize("NFD", text).casefold()) == key


@given(st.integers(100, 400), st.integers(0, 400))
def test_adding_records_only_moves_the_cut(before: int, more: int) -> None:
    def held_out(count: int) -> frozenset[bytes]:
        groups = {query_key(f"query {number}"): Group(records=1, labelled=1) for number in range(count)}
        return plan_split(groups, share=0.1, least=20, most=30).queries

    old_keys = {query_key(f"query {number}") for number in range(before)}
    old, new = held_out(before), held_out(before + more) & old_keys
    assert new <= old or old <= new


def test_query_larger_than_the_holdout_is_trained_on() -> None:
    groups = {bytes([0]): Group(1_000, 1_000)}
    groups |= {bytes([1, number]): Group(1, 1) for number in range(200)}
    split = plan_split(groups, share=0.1, least=50, most=120)
    assert bytes([0]) not in split.queries
    assert len(split.queries) == 120


@pytest.mark.skipif(not LABELS.exists(), reason="the reference labels are not beside this checkout")
def test_no_cluster_of_the_teacher_labels_is_divided() -> None:
    train, holdout = io.BytesIO(), io.BytesIO()
    with LABELS.open("rb") as stream:
        report = validate_dataset(
            stream, channel_config=default_channel_config(), rules=Rules(), train=train, holdout=holdout
        )
    sides = [
        [json.loads(line)["messages"][0]["content"][0]["text"] for line in file.getvalue().splitlines()]
        for file in (train, holdout)
    ]
    assert (len(sides[0]), len(sides[1])) == (report.train, report.holdout) == (1_249, 139)
    assert not {query_key(query) for query in sides[0]} & {query_key(query) for query in sides[1]}
    queries = sides[0] + sides[1]
    for cluster in near_duplicate_clusters(queries):
        assert len({place < len(sides[0]) for place in cluster}) == 1
    for stratum in report.split.strata.values():
        assert abs(stratum.wanted - stratum.held) <= 1


@pytest.mark.parametrize(
    "ignorable", ["\u00ad", "\u200b", "\u200d", "\u2060", "\ufe0f", "\U000e0041", "\u200e"]
)
def test_characters_that_nobody_sees_make_no_other_query(ignorable: str) -> None:
    assert query_key(f"light{ignorable}house at dusk") == query_key("lighthouse at dusk")
    assert folded_words(f"light{ignorable}house") == ["lighthouse"]


def test_queries_of_other_flags_are_other_queries() -> None:
    england, scotland = (
        "\U0001f3f4" + "".join(chr(0xE0000 + ord(char)) for char in region) + "\U000e007f"
        for region in ("gbeng", "gbsct")
    )
    assert query_key(england) != query_key(scotland)
