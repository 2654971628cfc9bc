"""One fault at each call of the chain, and two deliveries interleaved at each call."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import State
from tests.races.grid import calls_of, sample, single_faults, until
from tests.unit.steps.run_helpers import GOOD_DATASET

if TYPE_CHECKING:
    from tests.races.cloud import Invocation
    from tests.races.grid import World
    from tests.races.pipeline import Pipeline

KEY = "datasets/set/a.jsonl"
WRONG = '{"visual": 0, "audio": 0, "transcription": 0, "metadata": 1, "reasoning": "wrong"}'
STEPS = ("validate", "start", "deploy", "evaluate", "promote")
AFTER_TRAINING = {"deploy": 1, "evaluate": 2, "promote": 3}


def drop(pipeline: Pipeline) -> None:
    pipeline.drop(KEY, GOOD_DATASET)


def drop_a_bad_model(pipeline: Pipeline) -> None:
    """The distilled model answers wrong, so the run ends NOT_PROMOTED."""
    pipeline.cloud.runtime.answers["custom-model-deployment"] = WRONG
    drop(pipeline)


def recorded(world: World, scenario: object) -> list[tuple[str, Invocation]]:
    with world() as pipeline:
        assert callable(scenario)
        scenario(pipeline)
        pipeline.settle()
        assert pipeline.violations() == []
        return pipeline.invocations


@pytest.mark.parametrize(
    ("scenario", "state"), [(drop, State.PROMOTED), (drop_a_bad_model, State.NOT_PROMOTED)]
)
def test_one_fault_at_any_call_leaves_the_end_of_the_run_as_it_is(
    world: World, scenario: object, state: State
) -> None:
    wrong = []
    for fault in sample(single_faults(recorded(world, scenario)), 16):
        with world() as pipeline:
            pipeline.plan = fault.plan
            assert callable(scenario)
            scenario(pipeline)
            pipeline.settle()
            found = pipeline.violations()
            found += [f"{run.state}: {run.failure}" for run in pipeline.runs() if run.state is not state]
            wrong += [f"{fault}: {one}" for one in found]
    assert wrong == []


@pytest.mark.parametrize("target", STEPS)
def test_event_delivered_twice_at_once_has_one_effect(world: World, target: str) -> None:
    wrong = []
    for call in sample(range(calls_of(world, drop, target)), 4):
        with world() as pipeline:
            drop(pipeline)
            delivery = until(pipeline, target)
            pipeline.interleave(
                lambda invocation, one=delivery, p=pipeline: p.invoke(one, invocation),  # type: ignore[misc]
                call,
                lambda one=delivery, p=pipeline: p.invoke(one),  # type: ignore[misc]
            )
            pipeline.settle()
            found = pipeline.violations()
            found += [str(run.state) for run in pipeline.runs() if run.state is not State.PROMOTED]
            wrong += [f"{target} paused at call {call}: {one}" for one in found]
    assert wrong == []


@pytest.mark.parametrize("target", ["start", "deploy", "evaluate", "promote"])
@pytest.mark.parametrize("undeletable", [False, True])
def test_deadline_that_passes_during_a_step_leaves_nothing_behind(
    world: World, target: str, undeletable: bool
) -> None:
    wrong = []
    for call in sample(range(calls_of(world, drop, target)), 3):
        with world() as pipeline:
            pipeline.cloud.undeletable_while_creating = undeletable
            drop(pipeline)
            delivery = until(pipeline, target)

            def pass_the_deadline(pipeline: Pipeline = pipeline) -> None:
                pipeline.cloud.clock.shift(timedelta(days=3))
                for message in list(pipeline.cloud.queues["watch"]):
                    pipeline.poll(message)

            pipeline.interleave(
                lambda invocation, one=delivery, p=pipeline: p.invoke(one, invocation),  # type: ignore[misc]
                call,
                pass_the_deadline,
            )
            pipeline.settle()
            wrong += [f"{target} paused at call {call}: {one}" for one in pipeline.violations()]
    assert wrong == []
