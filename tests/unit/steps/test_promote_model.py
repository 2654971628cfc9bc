"""Promotion: the verdict, the active model, and what a function error leaves behind."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from distillery.aws.active_model import ActiveModelParameter, parse_active_model
from distillery.aws.queues import Queue
from distillery.runs.events import WatchMessage
from distillery.runs.states import Stage, State, now
from distillery.settings import PromoteSettings
from distillery.steps.promote_model import VerdictPending, promote_model
from distillery.steps.watch_bedrock import watch_bedrock
from tests.unit.fakes import FakeConverse
from tests.unit.steps.run_helpers import (
    CHANNEL_CONFIG,
    dead_letter_reason,
    deployments,
    evaluate,
    evaluations,
    finish_evaluation,
    promote,
)

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


def active_run() -> tuple[str, int]:
    parameter = boto3.client("ssm").get_parameter(Name="/stack/active-model")["Parameter"]
    return str(json.loads(parameter["Value"]).get("run_id", "")), parameter["Version"]


def test_promotion_changes_the_active_model_once_and_writes_the_report(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    finish_evaluation(cloud, steps, deployed)
    for _ in range(2):
        run = promote(cloud, steps, deployed)
    assert run.state is State.PROMOTED
    assert active_run() == (deployed, 2)
    assert (run.active_model_version_before, run.active_model_version_after) == (1, 2)
    active = parse_active_model(ActiveModelParameter("/stack/active-model").read()[0])
    assert (active.run_id, active.model_id, active.prompt) == (deployed, run.deployment_arn, "student")
    assert active.promoted_at is not None
    assert cloud.published()["Model Promoted"] == 1
    page = boto3.client("s3").get_object(Bucket="data", Key=run.report_key or "")["Body"].read()
    assert deployed.encode() in page


def test_verdict_comes_with_the_measured_cost_and_a_warning_about_a_small_holdout(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    finish_evaluation(cloud, steps, deployed)
    before = steps.run_store.get(deployed).warnings
    run = promote(cloud, steps, deployed)
    assert run.measured_cost is not None
    assert run.measured_cost.usd > 0
    added = run.warnings[len(before) :]
    assert run.warnings[: len(before)] == before
    assert any(warning.startswith("The holdout is small") for warning in added)


def test_cost_includes_the_teacher_that_answered_a_holdout_without_labels(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    finish_evaluation(cloud, steps, deployed)
    s3 = boto3.client("s3")
    key = f"runs/{deployed}/validation.json"
    validation = json.loads(s3.get_object(Bucket="data", Key=key)["Body"].read())
    s3.put_object(Bucket="data", Key=key, Body=json.dumps(validation | {"reference": "teacher"}).encode())
    answers = s3.get_object(Bucket="data", Key=f"runs/{deployed}/predictions/baseline.jsonl")["Body"].read()
    s3.put_object(Bucket="data", Key=f"runs/{deployed}/predictions/teacher.jsonl", Body=answers)
    run = promote(cloud, steps, deployed)
    content = s3.get_object(Bucket="data", Key=f"runs/{deployed}/evaluation.json")["Body"].read()
    assert "evaluation of the teacher model" in [item["name"] for item in json.loads(content)["usage"]]
    assert any("trained on the queries" in warning for warning in run.warnings)


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_evaluation_job_that_failed_or_was_stopped_fails_the_run_and_leaves_nothing_deployed(
    cloud: CloudResources, steps: RunSteps, deployed: str, status: str
) -> None:
    finish_evaluation(cloud, steps, deployed, status)
    assert promote(cloud, steps, deployed).state is State.FAILED
    assert not deployments(steps).deployments
    assert active_run() == ("", 1)


def test_model_that_fails_the_quality_gate_is_not_promoted_and_its_deployment_is_deleted(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    finish_evaluation(cloud, steps, deployed)
    strict = PromoteSettings.load(cloud.environment | {"MAX_COST_SHARE": "0.000001"})
    run = promote_model(deployed, strict, steps)
    assert run.state is State.NOT_PROMOTED
    assert not deployments(steps).deployments
    assert active_run() == ("", 1)


def stop_after_verdict(
    cloud: CloudResources, steps: RunSteps, name: str, patched: pytest.MonkeyPatch
) -> None:
    """Let the function stop right after it has written the verdict to the run table."""
    finish_evaluation(cloud, steps, name)

    def fail(*_: object) -> None:
        raise MemoryError

    patched.setattr("distillery.steps.promote_model._apply_verdict", fail)
    with pytest.raises(MemoryError):
        promote(cloud, steps, name)


def test_verdict_that_was_not_applied_is_applied_by_the_next_delivery(
    cloud: CloudResources, steps: RunSteps, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after_verdict(cloud, steps, deployed, patched)
    assert active_run() == ("", 1)
    assert promote(cloud, steps, deployed).announced is State.PROMOTED
    assert active_run() == (deployed, 2)


def test_active_model_that_changed_after_the_verdict_stays_active(
    cloud: CloudResources, steps: RunSteps, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after_verdict(cloud, steps, deployed, patched)
    content = json.dumps({"run_id": "later", "model_id": "m", "prompt": "student"})
    boto3.client("ssm").put_parameter(Name="/stack/active-model", Value=content, Overwrite=True)
    run = promote(cloud, steps, deployed)
    assert run.superseded
    assert active_run() == ("later", 2)
    published = cloud.published()
    assert (published["Model Promoted"], published["Model Not Promoted"]) == (0, 1)
    assert not deployments(steps).deployments


def test_verdict_that_is_never_applied_goes_to_the_dead_letter_queue_and_is_not_announced(
    cloud: CloudResources, steps: RunSteps, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after_verdict(cloud, steps, deployed, patched)
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    for hours, over in ((1, False), (-1, True)):
        deadline = now() + timedelta(hours=hours)
        wait = WatchMessage(run_id=deployed, stage=Stage.EVALUATION, deadline=deadline)
        assert watch_bedrock(wait, steps, dead) is over
    assert "PROMOTED" in dead_letter_reason(cloud)
    assert cloud.published()["Model Promoted"] == 0


def test_evaluation_uses_the_stacks_own_price_list_and_states_its_date(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    models = [
        {
            "ids": ["amazon.nova-micro-v1:0"],
            "customised": customised,
            "input": 2 if customised else 1,
            "output": 0,
            "source": "a bill",
        }
        for customised in (False, True)
    ]
    own = {"as_of": "2027-01-02", "currency": "USD", "models": models}
    boto3.client("s3").put_object(Bucket="data", Key="config/prices.yaml", Body=json.dumps(own).encode())
    finish_evaluation(cloud, steps, deployed)
    run = promote(cloud, steps, deployed)
    body = boto3.client("s3").get_object(Bucket="data", Key=f"runs/{deployed}/evaluation.json")["Body"]
    document = json.load(body)
    assert document["prices_as_of"] == "2027-01-02"
    assert document["served_by"] == run.served_by != []
    assert {name: metrics["model_id"] for name, metrics in document["candidates"].items()} == {
        "distilled": run.deployment_arn,
        "untuned": "amazon.nova-micro-v1:0",
        "baseline": cloud.environment["BASELINE_MODEL"],
    }
    assert run.scores["untuned"]["cost_per_1000_usd"] > 0
    assert run.scores["distilled"]["cost_per_1000_usd"] == 2 * run.scores["untuned"]["cost_per_1000_usd"]
    assert "cost_per_1000_usd" not in run.scores["baseline"]


LENIENT = {"MIN_WEIGHT_SCORE": "1", "MAX_WEIGHT_SCORE_LOSS": "4", "MIN_VALID_JSON": "0"}


@pytest.mark.parametrize(
    ("strict", "state"),
    [
        ({}, State.PROMOTED),
        ({"MIN_WEIGHT_SCORE": "4.5"}, State.NOT_PROMOTED),
        ({"MAX_WEIGHT_SCORE_LOSS": "0.5"}, State.NOT_PROMOTED),
        ({"MIN_VALID_JSON": "0.01"}, State.NOT_PROMOTED),
    ],
    ids=["lenient", "weight score", "loss of weight score", "valid JSON"],
)
def test_each_parameter_of_the_quality_gate_counts(
    cloud: CloudResources, steps: RunSteps, deployed: str, strict: dict[str, str], state: State
) -> None:
    # Off by 0.1 from the reference, which is weight score 4, and not plain JSON.
    first, second, *_ = sorted(CHANNEL_CONFIG.fallback, key=lambda name: -CHANNEL_CONFIG.fallback[name])
    weights = dict(CHANNEL_CONFIG.fallback)
    weights[first], weights[second] = weights[first] + 0.1, weights[second] - 0.1
    text = f"```json\n{json.dumps(weights | {'reasoning': 'because'})}\n```"
    distilled = str(steps.run_store.get(deployed).deployment_arn)
    evaluate(cloud, steps, deployed, FakeConverse(**{distilled: text}))
    evaluations(steps).end("Completed")
    run = promote(cloud, steps, deployed, **LENIENT | strict)
    assert run.scores["distilled"]["weight_score"] == 4
    assert run.scores["distilled"]["valid_json"] == 0
    assert run.state is state
    assert run.reasons


def test_no_verdict_while_an_evaluation_job_is_running(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    run = evaluate(cloud, steps, deployed, FakeConverse())
    *ended, running = run.evaluation_jobs.values()
    evaluations(steps).end("Completed", arns=ended)
    with pytest.raises(VerdictPending):
        promote(cloud, steps, deployed)
    evaluations(steps).end("Completed", arns=[running])
    assert promote(cloud, steps, deployed).state is State.PROMOTED


def test_failed_run_that_was_not_announced_changes_nothing(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    finish_evaluation(cloud, steps, deployed)
    steps.run_store.move(deployed, State.FAILED, step="test")
    assert promote(cloud, steps, deployed).state is State.FAILED
    assert active_run() == ("", 1)


def test_active_model_is_set_once_when_the_announcement_is_repeated(
    cloud: CloudResources, steps: RunSteps, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    finish_evaluation(cloud, steps, deployed)
    with monkeypatch.context() as patched:
        patched.setattr(steps.event_bus, "publish", fail)
        with pytest.raises(MemoryError):
            promote(cloud, steps, deployed)
    assert promote(cloud, steps, deployed).active_model_version_after == 2
    assert active_run() == (deployed, 2)
    assert cloud.published()["Model Promoted"] == 1


def test_run_is_promoted_when_the_active_model_parameter_was_deleted(
    cloud: CloudResources, steps: RunSteps, deployed: str
) -> None:
    finish_evaluation(cloud, steps, deployed)
    boto3.client("ssm").delete_parameter(Name="/stack/active-model")
    assert promote(cloud, steps, deployed).state is State.PROMOTED
    assert active_run() == (deployed, 1)
