"""Queries that one version of a dataset holds out stay held out in its later versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.aws.bucket import run_key
from distillery.aws.holdout_store import Holdouts
from distillery.dataset.split import query_key
from distillery.runs.states import Run, Source, State
from distillery.settings import ValidateSettings
from distillery.steps.validate_dataset import validate_dataset
from tests.unit.steps.run_helpers import drop, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


@pytest.fixture
def version(cloud: CloudResources, steps: RunSteps) -> Any:
    """Drops and validates a version of a dataset."""
    settings = ValidateSettings.load(cloud.environment)

    def validated(queries: Iterable[str], key: str) -> Run:
        content = "".join(f"{line(query)}\n" for query in queries)
        return validate_dataset(drop(key, content), settings, steps)

    return validated


def side(run: Run, name: str) -> set[str]:
    content = boto3.client("s3").get_object(Bucket="data", Key=run_key(run.run_id, name))["Body"].read()
    return {
        json.loads(raw)["messages"][0]["content"][0]["text"] for raw in content.decode("utf-8").splitlines()
    }


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


def test_near_duplicate_of_a_query_held_out_before_is_not_in_the_training_data(version: Any) -> None:
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


def test_another_dataset_is_split_independently(version: Any) -> None:
    first = version((f"rain on roof {n}" for n in range(400)), "datasets/set/a.jsonl")
    other = version((f"rain on roof {n}" for n in range(401)), "datasets/other/a.jsonl")
    assert len(side(first, "holdout.jsonl")) == len(side(other, "holdout.jsonl")) == 50


def test_rejected_and_duplicate_versions_hold_nothing_out(version: Any) -> None:
    holdouts = Holdouts("ClaimsTable")
    assert version(["same"] * 120, "datasets/set/a.jsonl").state is State.REJECTED
    assert holdouts.read("set").keys == frozenset()
    queries = [f"rain on roof {n}" for n in range(200)]
    assert version(queries, "datasets/other/a.jsonl").state is State.VALIDATED
    assert version(queries, "datasets/set/b.jsonl").state is State.DUPLICATE
    assert holdouts.read("set").keys == frozenset()
    assert len(holdouts.read("other").keys) == 50


def test_version_whose_function_stopped_after_storing_its_holdout_is_split_the_same_again(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ValidateSettings.load(cloud.environment)
    source: Source = drop(
        "datasets/set/a.jsonl", "".join(f"{line(f'rain on roof {n}')}\n" for n in range(300))
    )
    with monkeypatch.context() as patched:

        def fail(*_: Any, **__: Any) -> None:
            raise MemoryError

        patched.setattr(steps.run_store, "move", fail)
        with pytest.raises(MemoryError):
            validate_dataset(source, settings, steps)
    remembered = Holdouts("ClaimsTable").read("set").keys
    run = validate_dataset(source, settings, steps)
    assert {query_key(query) for query in side(run, "holdout.jsonl")} == remembered
    assert len(remembered) == 50
