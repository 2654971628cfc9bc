"""One fault at each call of the chain, and two deliveries interleaved at each call."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from distillery.aws.bucket import Bucket, run_key
from distillery.runs.states import State
from tests.races.cloud import Invocation
from tests.races.grid import EXPLORE, sample, single_faults, until
from tests.unit.steps.run_helpers import GOOD_DATASET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.races.grid import World
    from tests.races.pipeline import Pipeline

KEY = "datasets/set/a.jsonl"
WRONG = '{"visual": 0, "audio": 0, "transcription": 0, "metadata": 1, "reasoning": "wrong"}'
STEPS = ("validate", "start", "deploy", "evaluate", "promote")


def drop(pipeline: Pipeline) -> None:
    pipeline.drop(KEY, GOOD_DATASET)


def drop_a_bad_model(pipeline: Pipeline) -> None:
    """The distilled model answers wrong, so the run ends NOT_PROMOTED."""
    pipeline.cloud.runtime.answers["custom-model-deployment"] = WRONG
    drop(pipeline)


def recorded(world: World, scenario: Callable[[Pipeline], None]) -> list[tuple[str, Invocation]]:
    """The invocations of a scenario without faults."""
    with world() as pipeline:
        scenario(pipeline)
        pipeline.settle()
        assert pipeline.violations() == []
        return pipeline.invocations


@pytest.fixture
def calls(world: World) -> dict[str, int]:
    """How many calls the first delivery to each function makes."""
    made: dict[str, int] = {}
    for target, invocation in recorded(world, drop):
        made.setdefault(target, len(invocation.calls))
    return made


@pytest.mark.parametrize(
    ("scenario", "state"), [(drop, State.PROMOTED), (drop_a_bad_model, State.NOT_PROMOTED)]
)
def test_one_fault_at_any_call_leaves_the_end_of_the_run_as_it_is(
    world: World, scenario: Callable[[Pipeline], None], state: State
) -> None:
    wrong = []
    for fault in sample(single_faults(recorded(world, scenario)), 6):
        with world() as pipeline:
            pipeline.plan = fault.plan
            scenario(pipeline)
            pipeline.settle()
            found = pipeline.violations()
            found += [f"{run.state}: {run.failure}" for run in pipeline.runs() if run.state is not state]
            wrong += [f"{fault}: {one}" for one in found]
    assert wrong == []


def test_event_delivered_twice_at_once_has_one_effect(world: World, calls: dict[str, int]) -> None:
    wrong = []
    for target, call in sample([(step, call) for step in STEPS for call in range(calls[step])], 9):
        with world() as pipeline:
            drop(pipeline)
            delivery = until(pipeline, target)
            deliver = partial(pipeline.invoke, delivery)
            pipeline.interleave(deliver, call, deliver)
            pipeline.settle()
            found = pipeline.violations()
            found += [str(run.state) for run in pipeline.runs() if run.state is not State.PROMOTED]
            wrong += [f"{target} paused at call {call}: {one}" for one in found]
    assert wrong == []


@pytest.mark.parametrize("undeletable", [False, True])
def test_deadline_that_passes_during_a_step_leaves_nothing_behind(
    world: World, calls: dict[str, int], undeletable: bool
) -> None:
    def pass_the_deadline(pipeline: Pipeline) -> None:
        pipeline.cloud.clock.shift(timedelta(days=3))
        for message in list(pipeline.cloud.queues["watch"]):
            pipeline.poll(message)

    wrong = []
    for target, call in sample([(step, call) for step in STEPS[1:] for call in range(calls[step])], 6):
        with world() as pipeline:
            pipeline.cloud.undeletable_while_creating = undeletable
            drop(pipeline)
            deliver = partial(pipeline.invoke, until(pipeline, target))
            pipeline.interleave(deliver, call, partial(pass_the_deadline, pipeline))
            pipeline.settle()
            wrong += [f"{target} paused at call {call}: {one}" for one in pipeline.violations()]
    assert wrong == []


def test_duplicate_that_finds_no_room_for_a_second_model_does_not_fail_the_run(
    world: World, calls: dict[str, int]
) -> None:
    wrong = []
    for call in sample(range(calls["start"]), 4):
        with world() as pipeline:
            pipeline.cloud.bedrock.other_models = 99
            drop(pipeline)
            deliver = partial(pipeline.invoke, until(pipeline, "start"))
            pipeline.interleave(deliver, call, deliver)
            pipeline.settle()
            states = [run.state for run in pipeline.runs()]
            if states != [State.PROMOTED]:
                wrong.append(f"paused at call {call}: {states}")
    assert wrong == []


@pytest.mark.parametrize("at", ["start", "evaluate", "promote"])
def test_run_keeps_its_models_when_those_of_the_stack_change(world: World, at: str) -> None:
    with world() as pipeline:
        drop(pipeline)
        delivery = until(pipeline, at)
        if at == "start":
            # The function stops after the move to TRAINING; the poller or Lambda's retry starts the job.
            pipeline.invoke(delivery, Invocation(dies_at="bedrock.create_model_customization_job"))
        pipeline.environment |= {
            "TEACHER_MODEL": "amazon.nova-premier-v1:0",
            "STUDENT_MODEL": "amazon.nova-lite-v1:0:300k",
            "BASELINE_MODEL": "amazon.nova-lite-v1:0",
            "JUDGE_MODEL": "amazon.nova-premier-v1:0",
        }
        if at != "start":
            pipeline.invoke(delivery)
        pipeline.settle()
        (run,) = pipeline.runs()
        (job,) = pipeline.cloud.bedrock.jobs.values()
        assert job.details["baseModelIdentifier"] == run.models["student"] == "amazon.nova-micro-v1:0:128k"
        assert run.state is State.PROMOTED
        assert not any("nova-lite" in call for call in pipeline.cloud.billed)


def test_run_that_failed_after_its_training_is_continued_by_the_next_one(world: World) -> None:
    with world() as pipeline:
        drop(pipeline)
        pipeline.cloud.outages["bedrock-runtime.converse"] = "AccessDeniedException"
        pipeline.settle()
        (failed,) = pipeline.runs()
        assert failed.state is State.FAILED
        pipeline.cloud.outages.clear()
        pipeline.drop("datasets/set/b.jsonl", GOOD_DATASET)
        pipeline.settle()
        _, run = pipeline.runs()
        assert (run.state, run.adopted_from) == (State.PROMOTED, failed.run_id)
        assert len(pipeline.cloud.bedrock.jobs) == 1
        assert pipeline.violations() == []


@pytest.mark.parametrize("call", range(0, 24, 4) if not EXPLORE else range(24))
def test_validation_that_is_held_up_does_not_change_the_files_of_a_run_that_trains(
    world: World, call: int
) -> None:
    with world() as pipeline:
        drop(pipeline)
        delivery = until(pipeline, "validate")
        other = {"HOLDOUT_MIN": "9", "HOLDOUT_MAX": "9"}  # stands for a memory that has grown

        def files() -> dict[str, bytes]:
            bucket = Bucket("data")
            (run,) = pipeline.runs()
            names = ("train.jsonl", "holdout.jsonl", "validation.json")
            return {name: bucket.read(run_key(run.run_id, name)) for name in names}

        read: list[dict[str, bytes]] = []

        def validate_and_train() -> None:
            pipeline.environment |= other
            pipeline.invoke(delivery)
            until(pipeline, "deploy")
            read.append(files())

        pipeline.interleave(partial(pipeline.invoke, delivery), call, validate_and_train)
        (run,) = pipeline.runs()
        assert run.state is State.TRAINING
        assert [files()] == read
        assert len(read[0]["holdout.jsonl"].splitlines()) == run.counts["holdout"]
