"""What a version of a dataset holds out stays held out in its later versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.aws.bucket import run_key
from distillery.aws.run_store import Holdouts
from distillery.dataset.split import query_key
from distillery.errors import Transient
from distillery.runs.states import Run, Source, State
from distillery.settings import ValidateSettings
from distillery.steps.validate_dataset import validate_dataset
from tests.unit.steps.test_validate_dataset import drop, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distillery.steps.run_steps import Pipeline
    from tests.unit.fakes import Surroundings

KEYS = [query_key(f"query {number}") for number in range(4)]


@pytest.fixture
def holdouts(cloud: Surroundings) -> Holdouts:
    return Holdouts("ClaimsTable")


@pytest.fixture
def version(cloud: Surroundings, pipeline: Pipeline) -> Any:
    """Drops and validates a version of a dataset."""
    settings = ValidateSettings.load(cloud.environment)

    def validated(queries: Iterable[str], key: str) -> Run:
        content = "".join(f"{line(query)}\n" for query in queries)
        return validate_dataset(drop(key, content), settings, pipeline)

    return validated


def side(run: Run, name: str) -> set[str]:
    content = boto3.client("s3").get_object(Bucket="data", Key=run_key(run.run_id, name))["Body"].read()
    return {
        json.loads(raw)["messages"][0]["content"][0]["text"] for raw in content.decode("utf-8").splitlines()
    }


# The set


def test_nothing_is_held_out_of_a_dataset_that_has_no_version(holdouts: Holdouts) -> None:
    assert holdouts.read("harbour") == frozenset()


def test_what_is_added_is_read_and_adds_up(holdouts: Holdouts) -> None:
    holdouts.add("harbour", KEYS[:2], known=())
    holdouts.add("harbour", KEYS[1:3], known=KEYS[:2])
    assert holdouts.read("harbour") == set(KEYS[:3])
    assert holdouts.read("other") == frozenset()


def test_adding_what_is_known_or_nothing_writes_nothing(holdouts: Holdouts) -> None:
    holdouts.add("harbour", (), known=())
    assert holdouts.read("harbour") == frozenset()
    holdouts.add("harbour", KEYS[:2], known=())
    holdouts.add("harbour", KEYS[:1], known=KEYS[:2])
    assert holdouts.read("harbour") == set(KEYS[:2])


@pytest.mark.parametrize("known", [0, 1])
def test_version_that_was_split_meanwhile_makes_this_one_split_again(holdouts: Holdouts, known: int) -> None:
    holdouts.add("harbour", KEYS[:2], known=())
    with pytest.raises(Transient, match="same time"):
        holdouts.add("harbour", KEYS[2:], known=KEYS[:known])
    assert holdouts.read("harbour") == set(KEYS[:2])


# Versions


def test_holdout_of_each_version_is_held_out_of_all_later_ones(version: Any) -> None:
    first = version((f"rain on roof {n}" for n in range(400)), "datasets/set/a.jsonl")
    second = version((f"rain on roof {n}" for n in range(200, 1_000)), "datasets/set/b.jsonl")
    third = version((f"rain on roof {n}" for n in range(1_200)), "datasets/set/c.jsonl")
    assert [run.state for run in (first, second, third)] == [State.VALIDATED] * 3
    held = set[str]()
    for run, aim in ((first, 50), (second, 80), (third, 120)):
        holdout, train = side(run, "holdout.jsonl"), side(run, "train.jsonl")
        everything = holdout | train
        assert held & everything <= holdout
        assert not holdout & train
        # More than wanted only where what was held out before is more.
        assert len(holdout) == max(aim, len(held & everything))
        held |= holdout


def test_copy_of_what_was_held_out_before_is_not_trained_on(version: Any) -> None:
    words = ("harbour", "lantern", "orchestra", "interview", "glacier", "kettle", "budget", "ladder")
    queries = [f"{a} {b} {c} documentary" for a in words for b in words for c in words if a < b < c]
    queries += [f"{a} {b} interview with {c} seen" for a in words for b in words for c in words if a < b < c]
    first = version(queries, "datasets/set/a.jsonl")
    copies = {query: query.title().replace("documentary", "documentry") + "!" for query in queries}
    second = version([*queries, *copies.values()], "datasets/set/b.jsonl")
    held = side(first, "holdout.jsonl")
    assert held
    assert held <= side(second, "holdout.jsonl")
    assert not {copies[query] for query in held} & side(second, "train.jsonl")


def test_another_dataset_splits_as_if_it_were_the_first(version: Any) -> None:
    first = version((f"rain on roof {n}" for n in range(400)), "datasets/set/a.jsonl")
    other = version((f"rain on roof {n}" for n in range(401)), "datasets/other/a.jsonl")
    assert len(side(first, "holdout.jsonl")) == len(side(other, "holdout.jsonl")) == 50


def test_rejected_and_duplicate_versions_hold_nothing_out(version: Any, holdouts: Holdouts) -> None:
    assert version(["same"] * 120, "datasets/set/a.jsonl").state is State.REJECTED
    assert holdouts.read("set") == frozenset()
    queries = [f"rain on roof {n}" for n in range(200)]
    assert version(queries, "datasets/other/a.jsonl").state is State.VALIDATED
    assert version(queries, "datasets/set/b.jsonl").state is State.DUPLICATE
    assert holdouts.read("set") == frozenset()
    assert len(holdouts.read("other")) == 50


def test_version_that_died_after_remembering_splits_the_same_again(
    pipeline: Pipeline, cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ValidateSettings.load(cloud.environment)
    source: Source = drop(
        "datasets/set/a.jsonl", "".join(f"{line(f'rain on roof {n}')}\n" for n in range(300))
    )
    with monkeypatch.context() as patched:

        def die(*_: Any, **__: Any) -> None:
            raise MemoryError

        patched.setattr(pipeline.run_store, "move", die)
        with pytest.raises(MemoryError):
            validate_dataset(source, settings, pipeline)
    remembered = Holdouts("ClaimsTable").read("set")
    run = validate_dataset(source, settings, pipeline)
    assert {query_key(query) for query in side(run, "holdout.jsonl")} == remembered
    assert len(remembered) == 50
