"""The poller: wake-up events, deadlines, and the messages of the watch queue."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from distillery.aws.bedrock.evaluations import Judgement
from distillery.aws.clients import Missing
from distillery.aws.queues import Queue
from distillery.errors import BadInput, Permanent, Transient
from distillery.runs.events import WatchMessage
from distillery.runs.states import CANDIDATES, Stage, State, now
from distillery.steps.watch_bedrock import StillWaiting, poll_message
from tests.unit.steps.run_helpers import (
    RUN,
    bring_to,
    create_run,
    dead_letter_reason,
    deployments,
    evaluations,
    jobs,
    poll,
)

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


def test_lost_completion_event_is_replaced_by_a_wake_up_event(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.TRAINING, steps)
    assert poll(steps, cloud, Stage.DISTILLATION) is False
    assert not cloud.published()
    jobs(steps).end(RUN, "Completed")
    assert poll(steps, cloud, Stage.DISTILLATION) is False
    assert cloud.published() == {"Distillation Finished": 1}


def test_validated_run_that_has_not_started_gets_its_event_again(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.VALIDATED, steps)
    assert poll(steps, cloud, Stage.VALIDATION) is False
    assert not cloud.published()
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta(seconds=-1))
    assert poll(steps, cloud, Stage.VALIDATION) is False
    assert cloud.published() == {"Dataset Validated": 1}


def test_wait_is_over_once_the_run_has_left_the_stage(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.DEPLOYING, steps)
    assert poll(steps, cloud, Stage.DISTILLATION) is True
    assert not cloud.published()


def test_active_deployment_sends_model_deployed(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.DEPLOYING, steps)
    assert poll(steps, cloud, Stage.DEPLOYMENT) is False
    deployments(steps).become(RUN, "Active")
    assert poll(steps, cloud, Stage.DEPLOYMENT) is False
    assert cloud.published() == {"Model Deployed": 1}


def test_failed_deployment_fails_the_run_and_is_deleted(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.DEPLOYING, steps)
    deployments(steps).become(RUN, "Failed")
    poll(steps, cloud, Stage.DEPLOYMENT)
    assert steps.run_store.get(RUN).state is State.FAILED
    assert deployments(steps).deleted == [RUN]


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        (State.VALIDATED, Stage.VALIDATION),
        (State.TRAINING, Stage.DISTILLATION),
        (State.DEPLOYING, Stage.DEPLOYMENT),
        (State.EVALUATING, Stage.EVALUATION),
    ],
)
def test_wait_past_its_deadline_fails_the_run_and_goes_to_the_dead_letter_queue(
    steps: RunSteps, cloud: CloudResources, state: State, stage: Stage
) -> None:
    bring_to(state, steps)
    # A step may still be starting the evaluation jobs.
    assert poll(steps, cloud, stage, overdue=True) is (state is not State.EVALUATING)
    run = steps.run_store.get(RUN)
    assert run.state is State.FAILED
    assert "deadline" in dead_letter_reason(cloud)
    if state is State.TRAINING:
        assert jobs(steps).stopped == [RUN]
    if state in {State.DEPLOYING, State.EVALUATING}:
        assert deployments(steps).deleted == [RUN]


def test_what_a_step_starts_for_a_run_that_has_just_failed_is_removed(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.DEPLOYING, steps)
    steps.run_store.note(RUN, deployment_arn=None)
    steps.fail(RUN, "test", "because")
    deployments(steps).start(RUN, "arn:model")
    assert poll(steps, cloud, Stage.DEPLOYMENT) is False
    monkeypatch.setattr("distillery.steps.watch_bedrock.FUNCTION_SECONDS", timedelta())
    assert poll(steps, cloud, Stage.DEPLOYMENT) is True
    assert not deployments(steps).deployments


def test_job_that_a_read_does_not_find_yet_does_not_fail_the_run(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise Missing("no such job")

    bring_to(State.TRAINING, steps)
    monkeypatch.setattr(steps.jobs, "get", missing)
    assert poll(steps, cloud, Stage.DISTILLATION) is False
    assert steps.run_store.get(RUN).state is State.TRAINING
    monkeypatch.setattr("distillery.steps.watch_bedrock.READ_LAG", timedelta(seconds=-1))
    poll(steps, cloud, Stage.DISTILLATION)
    assert steps.run_store.get(RUN).state is State.FAILED


def train_during_an_outage(steps: RunSteps, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in TRAINING whose job cannot be read."""

    def down(_: str) -> None:
        raise Transient("down")

    bring_to(State.TRAINING, steps)
    monkeypatch.setattr(steps.jobs, "get", down)


def test_deadline_holds_while_a_service_is_down(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_during_an_outage(steps, monkeypatch)
    with pytest.raises(Transient):
        poll(steps, cloud, Stage.DISTILLATION)
    poll(steps, cloud, Stage.DISTILLATION, overdue=True)
    assert steps.run_store.get(RUN).state is State.FAILED


def test_what_has_started_is_announced_when_its_function_stopped_before(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.TRAINING, steps)
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta())
    for _ in range(2):
        assert poll(steps, cloud, Stage.DISTILLATION) is False
    assert cloud.published() == {"Distillation Started": 1}


def poll_received(steps: RunSteps, cloud: CloudResources, receives: int) -> None:
    deadline = now() + timedelta(hours=1)
    message = WatchMessage(run_id=RUN, stage=Stage.DISTILLATION, deadline=deadline)
    steps.watch_queue.watch(message)
    (received_message,) = cloud.messages("WATCH_QUEUE_URL")
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    poll_message(message, received_message["ReceiptHandle"], receives, steps, dead)


def test_message_of_a_wait_that_goes_on_stays_in_the_queue(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.TRAINING, steps)
    with pytest.raises(StillWaiting):
        poll_received(steps, cloud, receives=1)


def test_message_polled_almost_as_often_as_sqs_allows_is_replaced_by_a_new_one(
    steps: RunSteps, cloud: CloudResources
) -> None:
    bring_to(State.TRAINING, steps)
    poll_received(steps, cloud, receives=900)
    (fresh,) = cloud.messages("WATCH_QUEUE_URL")
    assert WatchMessage.model_validate_json(fresh["Body"]).run_id == RUN


def test_message_is_replaced_also_when_its_poll_fails(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_during_an_outage(steps, monkeypatch)
    with pytest.raises(Transient):
        poll_received(steps, cloud, receives=899)
    poll_received(steps, cloud, receives=900)
    (fresh,) = cloud.messages("WATCH_QUEUE_URL")
    assert WatchMessage.model_validate_json(fresh["Body"]).run_id == RUN


def test_wait_of_a_run_that_was_never_created_goes_to_the_dead_letter_queue(
    steps: RunSteps, cloud: CloudResources
) -> None:
    assert poll(steps, cloud, Stage.VALIDATION) is False
    assert poll(steps, cloud, Stage.VALIDATION, overdue=True) is True
    assert RUN in dead_letter_reason(cloud)


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the poller read a later time than it is."""
    later = timedelta(seconds=seconds)
    monkeypatch.setattr("distillery.steps.watch_bedrock.now", lambda: now() + later)


@pytest.mark.parametrize(
    ("path", "stage", "grace", "event"),
    [
        ([State.VALIDATED], Stage.VALIDATION, 30, "Dataset Validated"),
        ([State.VALIDATED, State.TRAINING], Stage.DISTILLATION, 30, "Dataset Validated"),
        (
            [State.VALIDATED, State.TRAINING, State.DEPLOYING],
            Stage.DEPLOYMENT,
            30,
            "Distillation Finished",
        ),
        (
            [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING],
            Stage.EVALUATION,
            900,
            "Model Deployed",
        ),
        (
            [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING, State.PROMOTED],
            Stage.EVALUATION,
            900,
            "Evaluation Finished",
        ),
    ],
    ids=["not started", "no job", "no deployment", "no evaluation jobs", "verdict not applied"],
)
def test_step_whose_function_stopped_gets_its_event_again_after_the_grace_period(
    steps: RunSteps,
    cloud: CloudResources,
    monkeypatch: pytest.MonkeyPatch,
    path: list[State],
    stage: Stage,
    grace: float,
    event: str,
) -> None:
    create_run(steps)
    for state in path:
        steps.run_store.move(RUN, state, step="test")
    pass_time(monkeypatch, grace - 15)
    assert poll(steps, cloud, stage) is False
    assert not cloud.published()
    pass_time(monkeypatch, grace + 1)
    assert poll(steps, cloud, stage) is False
    assert cloud.published() == {event: 1}


def test_evaluation_is_finished_once_every_job_has_ended(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.EVALUATING, steps)
    arns = {
        candidate: evaluations(steps).start(Judgement(f"job-{candidate}", candidate, "r", "j", "i", "d", "o"))
        for candidate in CANDIDATES
    }
    steps.run_store.note(RUN, evaluation_jobs=arns)
    for arn in arns.values():
        assert poll(steps, cloud, Stage.EVALUATION) is False
        assert not cloud.published()
        evaluations(steps).end("Completed", arns=[arn])
    assert poll(steps, cloud, Stage.EVALUATION) is False
    assert cloud.published() == {"Evaluation Finished": 1}


def test_wait_of_a_promoted_run_is_over_once_it_is_announced(steps: RunSteps, cloud: CloudResources) -> None:
    bring_to(State.EVALUATING, steps)
    steps.run_store.move(RUN, State.PROMOTED, step="test", announced=State.PROMOTED)
    assert poll(steps, cloud, Stage.EVALUATION) is True
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")


@pytest.mark.parametrize("error", [BadInput("no such job"), Permanent("no such job")])
def test_poll_that_can_never_succeed_fails_the_run(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: str) -> None:
        raise error

    bring_to(State.TRAINING, steps)
    monkeypatch.setattr(steps.jobs, "get", fail)
    poll(steps, cloud, Stage.DISTILLATION)
    failure = steps.run_store.get(RUN).failure
    assert failure is not None
    assert (failure.step, failure.cause) == ("watch_bedrock", "no such job")


@pytest.mark.parametrize(("receives", "delay"), [(1, 30), (2, 60), (3, 120), (20, 120)])
def test_polls_are_spaced_by_up_to_the_poll_interval(
    steps: RunSteps, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch, receives: int, delay: float
) -> None:
    delays: list[float] = []
    monkeypatch.setattr(steps.watch_queue, "hide", lambda _, seconds: delays.append(seconds))
    bring_to(State.TRAINING, steps)
    with pytest.raises(StillWaiting):
        poll_received(steps, cloud, receives=receives)
    assert steps.settings.poll_interval_seconds == 120
    assert delays == [delay]
