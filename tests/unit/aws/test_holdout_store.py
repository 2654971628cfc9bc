"""The set of held-out queries of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from distillery.aws.holdout_store import Holdouts
from distillery.dataset.split import query_key
from distillery.errors import Transient

if TYPE_CHECKING:
    from tests.unit.fakes import CloudResources


KEYS = [query_key(f"query {number}") for number in range(4)]


@pytest.fixture
def holdouts(cloud: CloudResources) -> Holdouts:
    return Holdouts("ClaimsTable")


def test_a_dataset_without_versions_has_no_held_out_queries(holdouts: Holdouts) -> None:
    assert holdouts.read("harbour") == frozenset()


def test_added_queries_are_read_and_accumulate(holdouts: Holdouts) -> None:
    holdouts.add("harbour", KEYS[:2], known=())
    holdouts.add("harbour", KEYS[1:3], known=KEYS[:2])
    assert holdouts.read("harbour") == set(KEYS[:3])
    assert holdouts.read("other") == frozenset()


def test_adding_known_queries_or_none_writes_nothing(holdouts: Holdouts) -> None:
    holdouts.add("harbour", (), known=())
    assert holdouts.read("harbour") == frozenset()
    holdouts.add("harbour", KEYS[:2], known=())
    holdouts.add("harbour", KEYS[:1], known=KEYS[:2])
    assert holdouts.read("harbour") == set(KEYS[:2])


@pytest.mark.parametrize("known", [0, 1])
def test_a_set_that_changed_since_it_was_read_is_transient(holdouts: Holdouts, known: int) -> None:
    holdouts.add("harbour", KEYS[:2], known=())
    with pytest.raises(Transient, match="same time"):
        holdouts.add("harbour", KEYS[2:], known=KEYS[:known])
    assert holdouts.read("harbour") == set(KEYS[:2])
