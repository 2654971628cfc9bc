"""Starting a distillation: one job per run, and what a function error leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from distillery.aws.bedrock.jobs import Distillation
from distillery.aws.clients import AccessDenied
from distillery.errors import Transient
from distillery.runs.events import WatchMessage
from distillery.runs.states import Stage, State
from distillery.steps.start_distillation import start_distillation
from tests.unit.fakes import FakeModels, FakeRoles
from tests.unit.steps.run_helpers import RUN, bring_to, jobs, poll

if TYPE_CHECKING:
    from distillery.settings import (
        StartSettings,
    )
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


def test_validated_event_delivered_twice_starts_one_job(
    steps: RunSteps, start_settings: StartSettings, cloud: CloudResources
) -> None:
    bring_to(State.VALIDATED, steps)
    for _ in range(2):
        run = start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles())
        assert run.state is State.TRAINING
    assert jobs(steps).created[RUN] == 1
    assert cloud.published()["Distillation Started"] == 1
    assert jobs(steps).requests == [
        Distillation(
            name=RUN,
            teacher="amazon.nova-pro-v1:0",
            student="amazon.nova-micro-v1:0:128k",
            role_arn="arn:aws:iam::123456789012:role/bedrock",
            training_uri=f"s3://data/runs/{RUN}/train.jsonl",
            output_uri=f"s3://data/runs/{RUN}/bedrock/training/",
        )
    ]


def test_run_without_a_job_gets_it_on_the_next_delivery(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    bring_to(State.VALIDATED, steps)
    jobs(steps).failure = Transient("Bedrock is busy")
    with pytest.raises(Transient):
        start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles())
    jobs(steps).failure = None
    run = start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles())
    assert (run.state, run.job_arn is not None) == (State.TRAINING, True)
    assert jobs(steps).created[RUN] == 1


def test_teacher_that_does_not_exist_fails_the_run_before_any_job(
    steps: RunSteps, start_settings: StartSettings, cloud: CloudResources
) -> None:
    bring_to(State.VALIDATED, steps)
    models = FakeModels(missing=("amazon.nova-pro-v1:0",))
    run = start_distillation(RUN, start_settings, steps, models, FakeRoles())
    assert run.state is State.FAILED
    assert run.failure is not None
    assert "amazon.nova-pro-v1:0" in run.failure.cause
    assert not jobs(steps).created
    assert cloud.published()["Run Failed"] == 1


def test_access_denied_fails_the_run_with_step_and_cause(
    steps: RunSteps, start_settings: StartSettings
) -> None:
    bring_to(State.VALIDATED, steps)
    jobs(steps).failure = AccessDenied("Could not start the distillation: not authorized.")
    run = start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles())
    assert run.failure is not None
    assert (run.state, run.failure.step) == (State.FAILED, "start_distillation")


def test_function_error_between_the_wait_and_the_move_leaves_no_run_without_a_wait(
    steps: RunSteps,
    start_settings: StartSettings,
    cloud: CloudResources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bring_to(State.VALIDATED, steps)
    with monkeypatch.context() as patched:

        def fail(*_: object, **__: object) -> None:
            raise MemoryError

        patched.setattr(steps.run_store, "move", fail)
        with pytest.raises(MemoryError):
            start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles())
    (message,) = cloud.messages("WATCH_QUEUE_URL")
    assert WatchMessage.model_validate_json(message["Body"]).stage is Stage.DISTILLATION
    assert poll(steps, cloud, Stage.DISTILLATION) is False
    start_distillation(RUN, start_settings, steps, FakeModels(), FakeRoles())
    assert poll(steps, cloud, Stage.DISTILLATION) is False
    assert poll(steps, cloud, Stage.VALIDATION) is True
