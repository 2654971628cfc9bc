"""Evaluation and promotion: what is asked, what is judged, who is in charge afterwards, and when not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from distillery.aws.clients import AccessDenied
from distillery.aws.queues import Queue
from distillery.errors import Permanent, Transient
from distillery.runs.events import WatchMessage
from distillery.runs.states import Run, Stage, State, now
from distillery.settings import EvaluateSettings, PromoteSettings, StartSettings, ValidateSettings
from distillery.steps.deploy_model import deploy_model
from distillery.steps.evaluate_model import evaluate_model, ready_for_evaluation
from distillery.steps.promote_model import promote_model
from distillery.steps.start_distillation import start_distillation
from distillery.steps.validate_dataset import validate_dataset
from distillery.steps.watch_bedrock import watch_bedrock
from tests.unit.fakes import FakeDeployments, FakeEvaluations, FakeJobs, FakeModels, FakeRoles
from tests.unit.steps.test_route_queries import FakeConverse
from tests.unit.steps.test_validate_dataset import GOOD, drop

if TYPE_CHECKING:
    from distillery.steps.run_steps import Pipeline
    from tests.unit.fakes import Surroundings

HOLDOUT, WARM_UPS = 50, 3


@pytest.fixture
def deployed(cloud: Surroundings, pipeline: Pipeline) -> str:
    """A run whose model has just been deployed."""
    jobs, deployments = pipeline.jobs, pipeline.deployments
    assert isinstance(jobs, FakeJobs)
    assert isinstance(deployments, FakeDeployments)
    source = drop("datasets/set/a.jsonl", GOOD)
    name = validate_dataset(source, ValidateSettings.load(cloud.environment), pipeline).run_id
    start_distillation(name, StartSettings.load(cloud.environment), pipeline, FakeModels(), FakeRoles())
    deploy_model(jobs.end(name, "Completed"), pipeline)
    deployments.become(name, "Active")
    assert ready_for_evaluation(name, pipeline)
    return name


def evaluate(cloud: Surroundings, pipeline: Pipeline, name: str, converse: FakeConverse) -> Run:
    evaluate_model(name, EvaluateSettings.load(cloud.environment), pipeline, converse=converse)
    return pipeline.run_store.get(name)


def promote(cloud: Surroundings, pipeline: Pipeline, name: str) -> Run:
    return promote_model(name, PromoteSettings.load(cloud.environment), pipeline)


def judged(cloud: Surroundings, pipeline: Pipeline, name: str, status: str = "Completed") -> None:
    """Let the judges of a run come to an end."""
    evaluate(cloud, pipeline, name, FakeConverse())
    assert isinstance(pipeline.evaluations, FakeEvaluations)
    pipeline.evaluations.end(status)


def active() -> tuple[str, int]:
    parameter = boto3.client("ssm").get_parameter(Name="/stack/active-model")["Parameter"]
    return str(json.loads(parameter["Value"]).get("run_id", "")), parameter["Version"]


def test_every_candidate_answers_the_holdout_once_after_warming_up(
    cloud: Surroundings, pipeline: Pipeline, deployed: str
) -> None:
    converse = FakeConverse()
    run = evaluate(cloud, pipeline, deployed, converse)
    assert run.is_being_judged
    assert set(converse.models.values()) == {HOLDOUT + WARM_UPS}
    assert cloud.heard()["Evaluation Started"] == 1


def test_answers_that_are_stored_are_not_paid_again(
    cloud: Surroundings, pipeline: Pipeline, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse = FakeConverse()
    with monkeypatch.context() as patched:

        def busy(_: object) -> str:
            raise Transient("slow down")

        patched.setattr(pipeline.evaluations, "start", busy)
        with pytest.raises(Transient):
            evaluate(cloud, pipeline, deployed, converse)
    asked = converse.models.total()
    assert evaluate(cloud, pipeline, deployed, converse).is_being_judged
    assert converse.models.total() == asked


def test_query_that_a_model_refuses_counts_against_the_model_and_not_against_the_run(
    cloud: Surroundings, pipeline: Pipeline, deployed: str
) -> None:
    run = evaluate(cloud, pipeline, deployed, FakeConverse(us=Permanent("not this query")))
    assert run.state is State.EVALUATING
    assert isinstance(pipeline.evaluations, FakeEvaluations)
    pipeline.evaluations.end("Completed")
    run = promote(cloud, pipeline, deployed)
    assert run.scores["baseline"]["weight_score"] == 1


def test_model_that_may_not_be_called_fails_the_run(
    cloud: Surroundings, pipeline: Pipeline, deployed: str
) -> None:
    run = evaluate(cloud, pipeline, deployed, FakeConverse(us=AccessDenied("not authorized")))
    assert run.failure is not None
    assert (run.state, run.failure.step) == (State.FAILED, "evaluate_model")
    assert isinstance(pipeline.deployments, FakeDeployments)
    assert not pipeline.deployments.deployments


def test_judges_that_were_started_are_stopped_when_the_next_one_is_refused(
    cloud: Surroundings, pipeline: Pipeline, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluations = pipeline.evaluations
    assert isinstance(evaluations, FakeEvaluations)
    start, started = evaluations.start, []

    def start_one(wanted: object) -> str:
        if started:
            raise Permanent("quota")
        started.append(start(wanted))  # type: ignore[arg-type]
        return started[0]

    monkeypatch.setattr(evaluations, "start", start_one)
    assert evaluate(cloud, pipeline, deployed, FakeConverse()).state is State.FAILED
    assert evaluations.stopped == started


def test_promotion_moves_the_active_model_once_and_writes_the_report(
    cloud: Surroundings, pipeline: Pipeline, deployed: str
) -> None:
    judged(cloud, pipeline, deployed)
    for _ in range(2):
        run = promote(cloud, pipeline, deployed)
    assert run.state is State.PROMOTED
    assert active() == (deployed, 2)
    assert (run.active_model_version_before, run.active_model_version_after) == (1, 2)
    assert cloud.heard()["Model Promoted"] == 1
    page = boto3.client("s3").get_object(Bucket="data", Key=run.report_key or "")["Body"].read()
    assert deployed.encode() in page


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_judge_that_failed_or_was_stopped_fails_the_run_and_leaves_nothing_deployed(
    cloud: Surroundings, pipeline: Pipeline, deployed: str, status: str
) -> None:
    judged(cloud, pipeline, deployed, status)
    assert promote(cloud, pipeline, deployed).state is State.FAILED
    assert isinstance(pipeline.deployments, FakeDeployments)
    assert not pipeline.deployments.deployments
    assert active() == ("", 1)


def test_model_that_misses_the_gate_is_not_promoted_and_its_deployment_is_deleted(
    cloud: Surroundings, pipeline: Pipeline, deployed: str
) -> None:
    judged(cloud, pipeline, deployed)
    strict = PromoteSettings.load(cloud.environment | {"MAX_COST_SHARE": "0.000001"})
    run = promote_model(deployed, strict, pipeline)
    assert run.state is State.NOT_PROMOTED
    assert isinstance(pipeline.deployments, FakeDeployments)
    assert not pipeline.deployments.deployments
    assert active() == ("", 1)


def decided_only(cloud: Surroundings, pipeline: Pipeline, name: str, patched: pytest.MonkeyPatch) -> None:
    """Let the function die right after the verdict is in the run table."""
    judged(cloud, pipeline, name)

    def die(*_: object) -> None:
        raise MemoryError

    patched.setattr("distillery.steps.promote_model._conclude", die)
    with pytest.raises(MemoryError):
        promote(cloud, pipeline, name)


def test_function_that_died_after_the_verdict_is_completed_by_the_next_delivery(
    cloud: Surroundings, pipeline: Pipeline, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        decided_only(cloud, pipeline, deployed, patched)
    assert active() == ("", 1)
    assert promote(cloud, pipeline, deployed).announced is State.PROMOTED
    assert active() == (deployed, 2)


def test_verdict_that_was_overtaken_does_not_move_the_active_model(
    cloud: Surroundings, pipeline: Pipeline, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        decided_only(cloud, pipeline, deployed, patched)
    content = json.dumps({"run_id": "later", "model_id": "m", "prompt": "student"})
    boto3.client("ssm").put_parameter(Name="/stack/active-model", Value=content, Overwrite=True)
    run = promote(cloud, pipeline, deployed)
    assert run.superseded
    assert active() == ("later", 2)
    heard = cloud.heard()
    assert (heard["Model Promoted"], heard["Model Not Promoted"]) == (0, 1)
    assert isinstance(pipeline.deployments, FakeDeployments)
    assert not pipeline.deployments.deployments


def test_verdict_that_nobody_acts_upon_is_kept_as_a_dead_letter_and_not_announced(
    cloud: Surroundings, pipeline: Pipeline, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        decided_only(cloud, pipeline, deployed, patched)
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    for hours, over in ((1, False), (-1, True)):
        deadline = now() + timedelta(hours=hours)
        wait = WatchMessage(run_id=deployed, stage=Stage.EVALUATION, deadline=deadline)
        assert watch_bedrock(wait, pipeline, dead) is over
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert "PROMOTED" in letter["MessageAttributes"]["reason"]["StringValue"]
    assert cloud.heard()["Model Promoted"] == 0


def test_evaluation_is_priced_by_the_stacks_own_list_and_says_of_which_day(
    cloud: Surroundings, pipeline: Pipeline, deployed: str
) -> None:
    models = [
        {
            "ids": ["amazon.nova-micro-v1:0"],
            "customised": customised,
            "input": 0,
            "output": 0,
            "source": "a bill",
        }
        for customised in (False, True)
    ]
    own = {"as_of": "2027-01-02", "currency": "USD", "models": models}
    boto3.client("s3").put_object(Bucket="data", Key="config/prices.yaml", Body=json.dumps(own).encode())
    judged(cloud, pipeline, deployed)
    run = promote(cloud, pipeline, deployed)
    document = boto3.client("s3").get_object(Bucket="data", Key=f"runs/{deployed}/evaluation.json")["Body"]
    assert json.load(document)["prices_as_of"] == "2027-01-02"
    assert "cost_per_1000_usd" not in run.scores["baseline"]
