"""Deploying a model: events that are repeated, early, or about the job of another stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from distillery.aws.bedrock.jobs import Distillation
from distillery.runs.states import State
from distillery.steps.deploy_model import deploy_model
from tests.unit.fakes import ARN
from tests.unit.steps.run_helpers import RUN, bring_to, deployments, jobs

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


def test_job_of_another_stack_is_ignored(steps: RunSteps) -> None:
    bring_to(State.TRAINING, steps)
    assert deploy_model(f"{ARN}:model-customization-job/m/unknown", steps) is None
    jobs(steps).start(Distillation("foreign", "t", "s", "r", "i", "o"))
    assert deploy_model(jobs(steps).end("foreign", "Completed"), steps) is None
    assert not deployments(steps).created


def test_event_about_a_job_that_is_still_in_progress_is_ignored(steps: RunSteps) -> None:
    bring_to(State.TRAINING, steps)
    run = deploy_model(jobs(steps).jobs[RUN].arn, steps)
    assert run is not None
    assert run.state is State.TRAINING
    assert not deployments(steps).created


def test_completed_job_reported_twice_is_deployed_once(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.TRAINING, steps)
    arn = jobs(steps).end(RUN, "Completed")
    for _ in range(2):
        run = deploy_model(arn, steps)
        assert run is not None
        assert run.state is State.DEPLOYING
    assert deployments(steps).created[RUN] == 1
    assert cloud.published()["Deployment Started"] == 1


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_job_that_failed_or_was_stopped_fails_the_run(steps: RunSteps, status: str) -> None:
    bring_to(State.TRAINING, steps)
    run = deploy_model(jobs(steps).end(RUN, status, "Too few records."), steps)
    assert run is not None
    assert run.failure is not None
    assert run.state is State.FAILED
    assert status in run.failure.cause
    assert "Too few records." in run.failure.cause


def test_model_that_is_not_active_yet_is_left_to_the_poller(steps: RunSteps) -> None:
    bring_to(State.TRAINING, steps)
    deployments(steps).model_state = "Creating"
    run = deploy_model(jobs(steps).end(RUN, "Completed"), steps)
    assert run is not None
    assert run.state is State.TRAINING


def test_deployment_of_a_run_that_failed_in_the_meantime_is_deleted(
    steps: RunSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.TRAINING, steps)
    arn = jobs(steps).end(RUN, "Completed")
    start = steps.deployments.start

    def start_slowly(name: str, model_arn: str) -> object:
        steps.fail(RUN, "test", "the deadline has passed")
        return start(name, model_arn)

    monkeypatch.setattr(steps.deployments, "start", start_slowly)
    run = deploy_model(arn, steps)
    assert run is not None
    assert run.state is State.FAILED
    assert not deployments(steps).deployments
