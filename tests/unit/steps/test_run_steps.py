"""What the steps of a run share: failing a run once, and any order of events."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery.aws.queues import Queue
from distillery.errors import Transient
from distillery.runs.events import WatchMessage
from distillery.runs.states import MOVES, Stage, State, now
from distillery.settings import RunSettings
from distillery.steps.deploy_model import deploy_model
from distillery.steps.evaluate_model import ready_for_evaluation
from distillery.steps.run_steps import RunSteps
from distillery.steps.start_distillation import start_distillation
from distillery.steps.watch_bedrock import watch_bedrock
from tests.unit.fakes import FakeModels, FakeRoles
from tests.unit.steps.run_helpers import RUN, bring_to, create_run, deployments, jobs, poll

if TYPE_CHECKING:
    from distillery.settings import (
        StartSettings,
    )
    from tests.unit.fakes import CloudResources


def test_failed_run_is_announced_once_even_when_its_clean_up_is_repeated(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.DEPLOYING, steps)
    with monkeypatch.context() as patched:

        def busy(_: str) -> None:
            raise Transient("still creating")

        patched.setattr(steps.deployments, "delete", busy)
        with pytest.raises(Transient):
            steps.fail(RUN, "test", "because")
    assert steps.run_store.get(RUN).announced is None
    for _ in range(2):
        poll(steps, cloud, Stage.DEPLOYMENT)
    assert cloud.published() == {"Run Failed": 1}
    failure = steps.run_store.get(RUN).failure
    assert failure is not None
    assert failure.cause == "because"
    assert not deployments(steps).deployments


event_lists = st.lists(
    st.sampled_from(["validated", "job ends", "job event", "deployment active", "deployed", "watch", "fail"]),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=event_lists, number=st.integers(min_value=0))
def test_any_order_of_repeated_events_makes_only_allowed_moves_and_starts_one_job(
    steps: RunSteps, cloud: CloudResources, start_settings: StartSettings, order: list[str], number: int
) -> None:
    name = f"set-{abs(hash((tuple(order), number))):012x}"[:16]
    create_run(steps, name)
    steps.run_store.move(name, State.VALIDATED, step="test")
    for event in order:
        match event:
            case "validated":
                start_distillation(name, start_settings, steps, FakeModels(), FakeRoles())
            case "job ends" if name in jobs(steps).jobs:
                jobs(steps).end(name, "Completed")
            case "job event" if name in jobs(steps).jobs:
                deploy_model(jobs(steps).jobs[name].arn, steps)
            case "deployment active" if name in deployments(steps).deployments:
                deployments(steps).become(name, "Active")
            case "deployed":
                ready_for_evaluation(name, steps)
            case "watch":
                soon = now() + timedelta(hours=1)
                waits = [WatchMessage(run_id=name, stage=stage, deadline=soon) for stage in Stage]
                for wait in waits:
                    watch_bedrock(wait, steps, Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"]))
            case "fail":
                steps.fail(name, "test", "because")
    run = steps.run_store.get(name)
    states = [move.state for move in run.history]
    assert all(after in MOVES[before] for before, after in itertools.pairwise(states))
    assert states[-1] is run.state
    assert jobs(steps).created[name] <= 1
    assert deployments(steps).created[name] <= 1
    if run.state is State.FAILED:
        assert name not in deployments(steps).deployments


@pytest.mark.parametrize("stage", Stage)
def test_wait_has_the_deadline_of_its_stage(cloud: CloudResources, stage: Stage) -> None:
    seconds = {f"{stage.value.upper()}_DEADLINE_SECONDS": "12345"}
    run_steps = RunSteps.from_settings(RunSettings.load(cloud.environment | seconds))
    before = now()
    deadline = run_steps.watch(RUN, stage)
    assert before <= deadline - timedelta(seconds=12_345) <= now()
    (message,) = cloud.messages("WATCH_QUEUE_URL")
    wait = WatchMessage.model_validate_json(message["Body"])
    assert (wait.run_id, wait.stage, wait.deadline) == (RUN, stage, deadline)


@pytest.mark.parametrize("state", [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING])
def test_failed_run_stops_its_job_only_while_it_trains(steps: RunSteps, state: State) -> None:
    bring_to(state, steps)
    assert steps.fail(RUN, "test", "because")
    assert jobs(steps).stopped == ([RUN] if state is State.TRAINING else [])
    assert deployments(steps).deleted == ([RUN] if state in {State.DEPLOYING, State.EVALUATING} else [])
