"""The split: no cluster on both sides, every channel its share, and the size that was asked for."""

from __future__ import annotations

import io
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.dataset.near_duplicates import near_duplicate_clusters
from distillery.dataset.split import MIN_TRAINING_RECORDS, Group, Split, plan_split, query_key
from distillery.dataset.validation import Rules, validate_dataset
from distillery.task.channels import default_channel_config

LABELS = Path(__file__).parents[4] / "shared" / "data" / "teacher_labels.jsonl"
CHANNELS = ("a", "b", "c")


def key(number: int) -> bytes:
    return query_key(f"query {number}")


@st.composite
def datasets(draw: st.DrawFn) -> tuple[dict[bytes, Group], list[list[bytes]]]:
    """Queries with their records and channels, some of them in clusters, some of them without a label."""
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
    asked: dict[str, object] = {"share": 0.1, "least": 20, "most": 60} | more
    return plan_split(groups, clusters=clusters, **asked)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(datasets())
def test_no_cluster_has_members_on_both_sides(made: tuple[dict[bytes, Group], list[list[bytes]]]) -> None:
    groups, clusters = made
    split = plan(groups, clusters)
    assert split.set_aside
    for cluster in clusters:
        held = set(cluster) & split.queries
        assert not held or set(cluster) <= split.queries | split.left_out


@settings(max_examples=150, deadline=None)
@given(datasets())
def test_size_is_within_one_record_of_what_was_asked_where_single_queries_abound(
    made: tuple[dict[bytes, Group], list[list[bytes]]],
) -> None:
    groups, clusters = made
    split = plan(groups, clusters)
    assert split.held == sum(groups[held].records for held in split.queries)
    assert abs(split.held - split.aim) <= 1
    assert sum(group.records for group in groups.values()) - split.held >= MIN_TRAINING_RECORDS


@settings(max_examples=100, deadline=None)
@given(datasets())
def test_every_channel_has_its_share_as_far_as_whole_units_allow(
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
    # Each cluster is one query with so many records; a hundred records more are too large to be held out.
    groups = {key(n): Group(size, size, Counter(a=size)) for n, size in enumerate(sizes)}
    groups[key(1_000)] = Group(500, 500, Counter(a=500))
    split = plan(groups, [], share=0.01, least=wanted, most=wanted)
    sums = {sum(chosen) for count in range(len(sizes) + 1) for chosen in combinations(sizes, count)} - {0}
    assert abs(split.held - wanted) == min(abs(total - wanted) for total in sums)


@settings(max_examples=100, deadline=None)
@given(datasets(), st.randoms(use_true_random=False))
def test_what_was_held_out_before_is_held_out_again(
    made: tuple[dict[bytes, Group], list[list[bytes]]], rng: object
) -> None:
    groups, clusters = made
    first = plan(groups, clusters)
    fewer = {name: group for number, (name, group) in enumerate(groups.items()) if number % 7}
    more = fewer | {key(number): Group(1, 1, Counter(a=1)) for number in range(5_000, 5_200)}
    second = plan(more, clusters, held_before=first.queries)
    assert first.queries & more.keys() <= second.queries
    assert second.set_aside
    for cluster in clusters:
        present = set(cluster) & more.keys()
        held = present & second.queries
        assert not held or present <= second.queries | second.left_out


@settings(max_examples=50, deadline=None)
@given(datasets())
def test_order_of_queries_and_clusters_does_not_matter(
    made: tuple[dict[bytes, Group], list[list[bytes]]],
) -> None:
    groups, clusters = made
    turned = dict(reversed(groups.items()))
    assert plan(groups, clusters) == plan(turned, [cluster[::-1] for cluster in reversed(clusters)])


def test_one_cluster_of_everything_is_told_and_trained_on() -> None:
    groups = {key(number): Group(1, 1, Counter(a=1)) for number in range(200)}
    split = plan(groups, [list(groups)])
    assert (split.set_aside, split.held) != (True, 200)


@pytest.mark.skipif(not LABELS.exists(), reason="the reference labels are not beside this checkout")
def test_no_near_duplicate_straddles_the_split_of_the_teachers_labels() -> None:
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
