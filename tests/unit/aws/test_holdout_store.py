"""The set of held-out queries of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.aws.holdout_store import HeldOut, Holdouts
from distillery.dataset.split import query_key
from distillery.errors import Transient

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


KEYS = [query_key(f"query {number}") for number in range(4)]
NONE = HeldOut(frozenset(), 1)


@pytest.fixture
def holdouts(cloud: CloudResources) -> Holdouts:
    return Holdouts("ClaimsTable")


def items() -> list[dict[str, Any]]:
    return [dict(item) for item in boto3.client("dynamodb").scan(TableName="ClaimsTable")["Items"]]


def test_a_dataset_without_versions_has_no_held_out_queries(holdouts: Holdouts) -> None:
    assert holdouts.read("harbour") == NONE


def test_added_queries_are_read_and_accumulate(holdouts: Holdouts) -> None:
    holdouts.add("harbour", KEYS[:2], known=holdouts.read("harbour"))
    holdouts.add("harbour", KEYS[1:3], known=holdouts.read("harbour"))
    assert holdouts.read("harbour").keys == set(KEYS[:3])
    assert holdouts.read("other") == NONE


def test_adding_known_queries_or_none_writes_nothing(holdouts: Holdouts) -> None:
    holdouts.add("harbour", (), known=NONE)
    assert items() == []
    holdouts.add("harbour", KEYS[:2], known=NONE)
    holdouts.add("harbour", KEYS[:1], known=holdouts.read("harbour"))
    assert len(items()) == 1


@pytest.mark.parametrize("added", [KEYS[2:], KEYS[:1], []], ids=["new queries", "known queries", "none"])
def test_a_set_that_changed_since_it_was_read_is_transient(holdouts: Holdouts, added: list[bytes]) -> None:
    holdouts.add("harbour", KEYS[:1], known=NONE)
    known = holdouts.read("harbour")
    holdouts.add("harbour", KEYS[:2], known=known)
    with pytest.raises(Transient, match="same time"):
        holdouts.add("harbour", added, known=known)
    assert holdouts.read("harbour").keys == set(KEYS[:2])


def test_no_item_grows_with_the_number_of_versions(holdouts: Holdouts) -> None:
    for version in range(60):
        keys = [query_key(f"{version} {number}") for number in range(1_000)]
        holdouts.add("harbour", keys, known=holdouts.read("harbour"))
    assert len(holdouts.read("harbour").keys) == 60_000
    assert max(len(item["queries"]["BS"]) for item in items()) == 1_000


def test_the_single_item_of_an_earlier_version_is_read_and_not_written(holdouts: Holdouts) -> None:
    earlier = {"claim": {"S": "holdout/harbour"}, "queries": {"BS": KEYS[:2]}}
    boto3.client("dynamodb").put_item(TableName="ClaimsTable", Item=earlier)  # type: ignore[arg-type]
    holdouts.add("harbour", KEYS[1:], known=holdouts.read("harbour"))
    assert holdouts.read("harbour").keys == set(KEYS)
    first = min(items(), key=lambda item: str(item["claim"]["S"]))
    assert set(first["queries"]["BS"]) == set(KEYS[:2])


def test_forgotten_queries_are_no_longer_held_out_and_later_ones_are(holdouts: Holdouts) -> None:
    earlier = {"claim": {"S": "holdout/harbour"}, "queries": {"BS": KEYS[:1]}}
    boto3.client("dynamodb").put_item(TableName="ClaimsTable", Item=earlier)  # type: ignore[arg-type]
    holdouts.add("harbour", KEYS[1:2], known=holdouts.read("harbour"))
    holdouts.add("other", KEYS, known=NONE)
    assert holdouts.forget("harbour") == 2
    assert holdouts.read("harbour").keys == frozenset()
    holdouts.add("harbour", KEYS[2:], known=holdouts.read("harbour"))
    assert holdouts.read("harbour").keys == set(KEYS[2:])
    assert holdouts.read("other").keys == set(KEYS)


def test_a_version_that_was_split_before_forgetting_still_holds_out_its_queries(holdouts: Holdouts) -> None:
    holdouts.add("harbour", KEYS[:1], known=NONE)
    known = holdouts.read("harbour")
    holdouts.forget("harbour")
    holdouts.add("harbour", KEYS[1:2], known=known)
    assert holdouts.read("harbour").keys == {KEYS[1]}
