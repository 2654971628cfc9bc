"""What the steps of a run do with events that are repeated, late, foreign or untrue."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery.aws.clients import AccessDenied
from distillery.aws.queues import Queue
from distillery.errors import Transient
from distillery.runs.events import WatchMessage
from distillery.runs.states import CANDIDATES, MOVES, Run, Source, Stage, State, now
from distillery.settings import StartSettings
from distillery.steps.deploy_model import deploy_model
from distillery.steps.evaluate_model import ready_for_evaluation
from distillery.steps.start_distillation import start_distillation
from distillery.steps.watch_bedrock import StillWaiting, keep_watching, watch_bedrock
from tests.unit.fakes import (
    ARN,
    FakeDeployments,
    FakeEvaluations,
    FakeJobs,
    FakeModels,
    FakeRoles,
    Surroundings,
    put_validation,
)

if TYPE_CHECKING:
    from distillery.steps.run_steps import Pipeline

RUN = "set-0123456789ab"


@pytest.fixture
def start_settings(cloud: Surroundings) -> StartSettings:
    return StartSettings.load(cloud.environment)


def jobs(pipeline: Pipeline) -> FakeJobs:
    assert isinstance(pipeline.jobs, FakeJobs)
    return pipeline.jobs


def deployments(pipeline: Pipeline) -> FakeDeployments:
    assert isinstance(pipeline.deployments, FakeDeployments)
    return pipeline.deployments


def evaluations(pipeline: Pipeline) -> FakeEvaluations:
    assert isinstance(pipeline.evaluations, FakeEvaluations)
    return pipeline.evaluations


def received(pipeline: Pipeline, run_id: str = RUN) -> Run:
    put_validation(run_id)
    return pipeline.run_store.receive(
        run_id, Source(bucket="data", key="datasets/set/a.jsonl", version_id="1")
    )


def bring_to(state: State, pipeline: Pipeline, run_id: str = RUN) -> None:
    """Move a run along the good way up to `state`, with Bedrock's side of it in place."""
    received(pipeline, run_id)
    way = [State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING]
    for step in way[: way.index(state) + 1]:
        pipeline.run_store.move(run_id, step, step="test")
        if step is State.TRAINING:
            name = run_id
            job = jobs(pipeline)
            from distillery.aws.bedrock.jobs import Distillation

            arn = job.start(Distillation(name, "t", "s", "r", "i", "o")).arn
            pipeline.run_store.note(run_id, job_arn=arn)
        if step is State.DEPLOYING:
            jobs(pipeline).end(run_id, "Completed")
            deployment = deployments(pipeline).start(run_id, f"{ARN}:custom-model/m/{run_id}")
            pipeline.run_store.note(run_id, deployment_arn=deployment.arn)
        if step is State.EVALUATING:
            deployments(pipeline).become(run_id, "Active")


def watch(pipeline: Pipeline, cloud: Surroundings, stage: Stage, *, overdue: bool = False) -> bool:
    deadline = now() + timedelta(hours=-1 if overdue else 1)
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    return watch_bedrock(WatchMessage(run_id=RUN, stage=stage, deadline=deadline), pipeline, dead)


def test_validated_event_delivered_twice_starts_one_job(
    pipeline: Pipeline, start_settings: StartSettings, cloud: Surroundings
) -> None:
    bring_to(State.VALIDATED, pipeline)
    for _ in range(2):
        run = start_distillation(RUN, start_settings, pipeline, FakeModels(), FakeRoles())
        assert run.state is State.TRAINING
    assert jobs(pipeline).created[RUN] == 1
    assert cloud.heard()["Distillation Started"] == 1


def test_function_that_died_before_creating_the_job_is_taken_up_again(
    pipeline: Pipeline, start_settings: StartSettings
) -> None:
    bring_to(State.VALIDATED, pipeline)
    jobs(pipeline).failure = Transient("Bedrock is busy")
    with pytest.raises(Transient):
        start_distillation(RUN, start_settings, pipeline, FakeModels(), FakeRoles())
    jobs(pipeline).failure = None
    run = start_distillation(RUN, start_settings, pipeline, FakeModels(), FakeRoles())
    assert (run.state, run.job_arn is not None) == (State.TRAINING, True)
    assert jobs(pipeline).created[RUN] == 1


def test_teacher_that_no_longer_exists_fails_the_run_before_money_is_spent(
    pipeline: Pipeline, start_settings: StartSettings, cloud: Surroundings
) -> None:
    bring_to(State.VALIDATED, pipeline)
    models = FakeModels(missing=("amazon.nova-pro-v1:0",))
    run = start_distillation(RUN, start_settings, pipeline, models, FakeRoles())
    assert run.state is State.FAILED
    assert run.failure is not None
    assert "amazon.nova-pro-v1:0" in run.failure.cause
    assert not jobs(pipeline).created
    assert cloud.heard()["Run Failed"] == 1


def test_access_denied_fails_the_run_with_step_and_cause(
    pipeline: Pipeline, start_settings: StartSettings
) -> None:
    bring_to(State.VALIDATED, pipeline)
    jobs(pipeline).failure = AccessDenied("Could not start the distillation: not authorized.")
    run = start_distillation(RUN, start_settings, pipeline, FakeModels(), FakeRoles())
    assert run.failure is not None
    assert (run.state, run.failure.step) == (State.FAILED, "start_distillation")


def test_job_of_somebody_else_is_ignored(pipeline: Pipeline) -> None:
    bring_to(State.TRAINING, pipeline)
    assert deploy_model(f"{ARN}:model-customization-job/m/unknown", pipeline) is None
    from distillery.aws.bedrock.jobs import Distillation

    jobs(pipeline).start(Distillation("foreign", "t", "s", "r", "i", "o"))
    assert deploy_model(jobs(pipeline).end("foreign", "Completed"), pipeline) is None
    assert not deployments(pipeline).created


def test_event_that_says_completed_while_bedrock_says_in_progress_is_ignored(pipeline: Pipeline) -> None:
    bring_to(State.TRAINING, pipeline)
    run = deploy_model(jobs(pipeline).jobs[RUN].arn, pipeline)
    assert run is not None
    assert run.state is State.TRAINING
    assert not deployments(pipeline).created


def test_completed_job_reported_twice_is_deployed_once(pipeline: Pipeline, cloud: Surroundings) -> None:
    bring_to(State.TRAINING, pipeline)
    arn = jobs(pipeline).end(RUN, "Completed")
    for _ in range(2):
        run = deploy_model(arn, pipeline)
        assert run is not None
        assert run.state is State.DEPLOYING
    assert deployments(pipeline).created[RUN] == 1
    assert cloud.heard()["Deployment Started"] == 1


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_job_that_failed_or_was_stopped_fails_the_run(pipeline: Pipeline, status: str) -> None:
    bring_to(State.TRAINING, pipeline)
    run = deploy_model(jobs(pipeline).end(RUN, status, "Too few records."), pipeline)
    assert run is not None
    assert run.failure is not None
    assert run.state is State.FAILED
    assert status in run.failure.cause
    assert "Too few records." in run.failure.cause


def test_model_that_is_not_active_yet_is_left_to_the_watch(pipeline: Pipeline) -> None:
    bring_to(State.TRAINING, pipeline)
    deployments(pipeline).model_state = "Creating"
    run = deploy_model(jobs(pipeline).end(RUN, "Completed"), pipeline)
    assert run is not None
    assert run.state is State.TRAINING


def test_watch_rings_when_the_completion_event_never_came(pipeline: Pipeline, cloud: Surroundings) -> None:
    bring_to(State.TRAINING, pipeline)
    assert watch(pipeline, cloud, Stage.DISTILLATION) is False
    assert not cloud.heard()
    jobs(pipeline).end(RUN, "Completed")
    assert watch(pipeline, cloud, Stage.DISTILLATION) is False
    assert cloud.heard() == {"Distillation Finished": 1}


def test_watch_rings_again_for_a_validated_run_that_nobody_started(
    pipeline: Pipeline, cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.VALIDATED, pipeline)
    assert watch(pipeline, cloud, Stage.VALIDATION) is False
    assert not cloud.heard()
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta(seconds=-1))
    assert watch(pipeline, cloud, Stage.VALIDATION) is False
    assert cloud.heard() == {"Dataset Validated": 1}


def test_watch_lets_go_once_the_run_has_moved_on(pipeline: Pipeline, cloud: Surroundings) -> None:
    bring_to(State.DEPLOYING, pipeline)
    assert watch(pipeline, cloud, Stage.DISTILLATION) is True
    assert not cloud.heard()


def test_watch_finds_the_active_deployment(pipeline: Pipeline, cloud: Surroundings) -> None:
    bring_to(State.DEPLOYING, pipeline)
    assert watch(pipeline, cloud, Stage.DEPLOYMENT) is False
    deployments(pipeline).become(RUN, "Active")
    assert watch(pipeline, cloud, Stage.DEPLOYMENT) is False
    assert cloud.heard() == {"Model Deployed": 1}


def test_failed_deployment_fails_the_run_and_is_deleted(pipeline: Pipeline, cloud: Surroundings) -> None:
    bring_to(State.DEPLOYING, pipeline)
    deployments(pipeline).become(RUN, "Failed")
    assert watch(pipeline, cloud, Stage.DEPLOYMENT) is True
    assert pipeline.run_store.get(RUN).state is State.FAILED
    assert deployments(pipeline).deleted == [RUN]


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        (State.VALIDATED, Stage.VALIDATION),
        (State.TRAINING, Stage.DISTILLATION),
        (State.DEPLOYING, Stage.DEPLOYMENT),
        (State.EVALUATING, Stage.EVALUATION),
    ],
)
def test_wait_past_its_deadline_fails_the_run_and_is_kept_with_the_reason(
    pipeline: Pipeline, cloud: Surroundings, state: State, stage: Stage
) -> None:
    bring_to(state, pipeline)
    assert watch(pipeline, cloud, stage, overdue=True) is True
    run = pipeline.run_store.get(RUN)
    assert run.state is State.FAILED
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert "deadline" in letter["MessageAttributes"]["reason"]["StringValue"]
    if state is State.TRAINING:
        assert jobs(pipeline).stopped == [RUN]
    if state in {State.DEPLOYING, State.EVALUATING}:
        assert deployments(pipeline).deleted == [RUN]


def test_failed_run_is_announced_once_even_when_cleaning_up_had_to_be_repeated(
    pipeline: Pipeline, cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.DEPLOYING, pipeline)
    with monkeypatch.context() as patched:

        def busy(_: str) -> None:
            raise Transient("still creating")

        patched.setattr(pipeline.deployments, "delete", busy)
        with pytest.raises(Transient):
            pipeline.fail(RUN, "test", "because")
    assert pipeline.run_store.get(RUN).announced is None
    assert watch(pipeline, cloud, Stage.DEPLOYMENT) is True
    assert watch(pipeline, cloud, Stage.DEPLOYMENT) is True
    assert cloud.heard() == {"Run Failed": 1}
    failure = pipeline.run_store.get(RUN).failure
    assert failure is not None
    assert failure.cause == "because"


def test_evaluation_starts_only_on_an_active_deployment(pipeline: Pipeline) -> None:
    bring_to(State.DEPLOYING, pipeline)
    assert ready_for_evaluation(RUN, pipeline) is False
    deployments(pipeline).become(RUN, "Active")
    assert ready_for_evaluation(RUN, pipeline) is True
    assert pipeline.run_store.get(RUN).state is State.EVALUATING
    assert ready_for_evaluation(RUN, pipeline) is True
    pipeline.run_store.note(RUN, evaluation_jobs=dict.fromkeys(CANDIDATES, "arn"))
    assert ready_for_evaluation(RUN, pipeline) is False


events = st.lists(
    st.sampled_from(["validated", "job ends", "job event", "deployment active", "deployed", "watch", "fail"]),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=events, number=st.integers(min_value=0))
def test_any_order_of_repeated_events_makes_only_allowed_moves_and_pays_once(
    pipeline: Pipeline, cloud: Surroundings, start_settings: StartSettings, order: list[str], number: int
) -> None:
    global_name = f"set-{abs(hash((tuple(order), number))):012x}"[:16]
    received(pipeline, global_name)
    pipeline.run_store.move(global_name, State.VALIDATED, step="test")
    for event in order:
        match event:
            case "validated":
                start_distillation(global_name, start_settings, pipeline, FakeModels(), FakeRoles())
            case "job ends" if global_name in jobs(pipeline).jobs:
                jobs(pipeline).end(global_name, "Completed")
            case "job event" if global_name in jobs(pipeline).jobs:
                deploy_model(jobs(pipeline).jobs[global_name].arn, pipeline)
            case "deployment active" if global_name in deployments(pipeline).deployments:
                deployments(pipeline).become(global_name, "Active")
            case "deployed":
                ready_for_evaluation(global_name, pipeline)
            case "watch":
                soon = now() + timedelta(hours=1)
                waits = [WatchMessage(run_id=global_name, stage=stage, deadline=soon) for stage in Stage]
                for wait in waits:
                    watch_bedrock(wait, pipeline, Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"]))
            case "fail":
                pipeline.fail(global_name, "test", "because")
    run = pipeline.run_store.get(global_name)
    states = [move.state for move in run.history]
    assert all(after in MOVES[before] for before, after in itertools.pairwise(states))
    assert states[-1] is run.state
    assert jobs(pipeline).created[global_name] <= 1
    assert deployments(pipeline).created[global_name] <= 1
    if run.state is State.FAILED:
        assert global_name not in deployments(pipeline).deployments


def keep(pipeline: Pipeline, cloud: Surroundings, receives: int) -> None:
    deadline = now() + timedelta(hours=1)
    message = WatchMessage(run_id=RUN, stage=Stage.DISTILLATION, deadline=deadline)
    pipeline.watch_queue.watch(message)
    (received_message,) = cloud.received("WATCH_QUEUE_URL")
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    keep_watching(message, received_message["ReceiptHandle"], receives, pipeline, dead)


def test_wait_that_goes_on_keeps_its_message(pipeline: Pipeline, cloud: Surroundings) -> None:
    bring_to(State.TRAINING, pipeline)
    with pytest.raises(StillWaiting):
        keep(pipeline, cloud, receives=1)


def test_message_polled_almost_as_often_as_sqs_allows_is_replaced_by_a_fresh_one(
    pipeline: Pipeline, cloud: Surroundings
) -> None:
    bring_to(State.TRAINING, pipeline)
    keep(pipeline, cloud, receives=900)
    (fresh,) = cloud.received("WATCH_QUEUE_URL")
    assert WatchMessage.model_validate_json(fresh["Body"]).run_id == RUN


def test_function_that_died_between_the_watch_and_the_move_leaves_no_run_unwatched(
    pipeline: Pipeline,
    start_settings: StartSettings,
    cloud: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bring_to(State.VALIDATED, pipeline)
    with monkeypatch.context() as patched:

        def die(*_: object, **__: object) -> None:
            raise MemoryError

        patched.setattr(pipeline.run_store, "move", die)
        with pytest.raises(MemoryError):
            start_distillation(RUN, start_settings, pipeline, FakeModels(), FakeRoles())
    (message,) = cloud.received("WATCH_QUEUE_URL")
    assert WatchMessage.model_validate_json(message["Body"]).stage is Stage.DISTILLATION
    assert watch(pipeline, cloud, Stage.DISTILLATION) is False
    start_distillation(RUN, start_settings, pipeline, FakeModels(), FakeRoles())
    assert watch(pipeline, cloud, Stage.DISTILLATION) is False
    assert watch(pipeline, cloud, Stage.VALIDATION) is True


def test_what_is_started_for_a_run_that_was_failed_meanwhile_is_taken_away_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(State.TRAINING, pipeline)
    arn = jobs(pipeline).end(RUN, "Completed")
    start = pipeline.deployments.start

    def start_slowly(name: str, model_arn: str) -> object:
        pipeline.fail(RUN, "test", "the deadline has passed")
        return start(name, model_arn)

    monkeypatch.setattr(pipeline.deployments, "start", start_slowly)
    run = deploy_model(arn, pipeline)
    assert run is not None
    assert run.state is State.FAILED
    assert not deployments(pipeline).deployments


def test_wait_of_a_run_that_was_never_opened_is_kept_as_a_dead_letter(
    pipeline: Pipeline, cloud: Surroundings
) -> None:
    assert watch(pipeline, cloud, Stage.VALIDATION) is False
    assert watch(pipeline, cloud, Stage.VALIDATION, overdue=True) is True
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert RUN in letter["MessageAttributes"]["reason"]["StringValue"]
