"""Evaluation: which models are called how often, and which jobs are started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from distillery.aws.clients import AccessDenied
from distillery.errors import Permanent, Transient
from distillery.runs.states import CANDIDATES, State
from distillery.steps.evaluate_model import ready_for_evaluation
from distillery.task.prompts import student_prompt, teacher_prompt
from tests.unit.fakes import FakeConverse
from tests.unit.steps.run_helpers import (
    CHANNEL_CONFIG,
    RUN,
    bring_to,
    deployments,
    evaluate,
    evaluations,
    promote,
)

if TYPE_CHECKING:
    from distillery.aws.bedrock.evaluations import Judgement
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


HOLDOUT = 50


def test_evaluation_starts_only_on_an_active_deployment(steps: RunSteps) -> None:
    bring_to(State.DEPLOYING, steps)
    assert ready_for_evaluation(RUN, steps) is False
    deployments(steps).become(RUN, "Active")
    assert ready_for_evaluation(RUN, steps) is True
    assert steps.run_store.get(RUN).state is State.EVALUATING
    assert ready_for_evaluation(RUN, steps) is True
    steps.run_store.note(RUN, evaluation_jobs=dict.fromkeys(CANDIDATES, "arn"))
    assert ready_for_evaluation(RUN, steps) is False


def test_every_candidate_answers_each_query_of_the_holdout_once(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    converse = FakeConverse()
    run = evaluate(cloud, steps, deployed, converse)
    assert run.is_being_judged
    assert set(converse.models.values()) == {HOLDOUT}
    student, teacher = student_prompt(CHANNEL_CONFIG), teacher_prompt(CHANNEL_CONFIG)
    assert converse.systems == {
        run.deployment_arn: {student},
        "amazon.nova-micro-v1:0": {student},
        cloud.environment["BASELINE_MODEL"]: {teacher},
    }
    assert [request.judge for request in evaluations(steps).requests] == ["amazon.nova-pro-v1:0"] * 3
    assert cloud.published()["Evaluation Started"] == 1


def test_stored_answers_are_not_collected_again(
    cloud: CloudResources, steps: RunSteps, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse = FakeConverse()
    with monkeypatch.context() as patched:

        def busy(_: object) -> str:
            raise Transient("slow down")

        patched.setattr(steps.evaluations, "start", busy)
        with pytest.raises(Transient):
            evaluate(cloud, steps, deployed, converse)
    asked = converse.models.total()
    assert evaluate(cloud, steps, deployed, converse).is_being_judged
    assert converse.models.total() == asked


def test_query_that_a_model_refuses_lowers_its_score_and_does_not_fail_the_run(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    run = evaluate(cloud, steps, deployed, FakeConverse(us=Permanent("not this query")))
    assert run.state is State.EVALUATING
    evaluations(steps).end("Completed")
    run = promote(cloud, steps, deployed)
    assert run.scores["baseline"]["weight_score"] == 1


def test_model_that_the_role_may_not_call_fails_the_run(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    run = evaluate(cloud, steps, deployed, FakeConverse(us=AccessDenied("not authorized")))
    assert run.failure is not None
    assert (run.state, run.failure.step) == (State.FAILED, "evaluate_model")
    assert not deployments(steps).deployments


def test_evaluation_jobs_are_stopped_when_the_next_one_is_refused(
    cloud: CloudResources, steps: RunSteps, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = evaluations(steps).start
    started: list[str] = []

    def start_one(request: Judgement) -> str:
        if started:
            raise Permanent("quota")
        started.append(start(request))
        return started[0]

    monkeypatch.setattr(steps.evaluations, "start", start_one)
    assert evaluate(cloud, steps, deployed, FakeConverse()).state is State.FAILED
    assert set(evaluations(steps).stopped) == set(started)
