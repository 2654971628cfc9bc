"""Which model a run uses when its data, or its data, teacher and student, were trained with before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest

from distillery.runs.states import Run, Source, State
from distillery.settings import StartSettings, ValidateSettings
from distillery.steps.deploy_model import deploy_model
from distillery.steps.evaluate_model import ready_for_evaluation
from distillery.steps.start_distillation import start_distillation
from distillery.steps.validate_dataset import validate_dataset
from tests.unit.fakes import FakeConverse, FakeModels, FakeRoles
from tests.unit.steps.run_helpers import (
    GOOD_DATASET,
    deployments,
    drop,
    evaluate,
    evaluations,
    jobs,
    promote,
)

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources

OTHER_BASELINE = {"BASELINE_MODEL": "amazon.nova-pro-v1:0"}


class Stack:
    """The stack, whose settings may change between two datasets."""

    def __init__(self, cloud: CloudResources, steps: RunSteps) -> None:
        self.cloud, self.steps, self.drops = cloud, steps, 0

    def validate(self, **environment: str) -> Run:
        """Drop the dataset and validate it."""
        self.drops += 1
        return self._validate(drop(f"datasets/set/{self.drops}.jsonl", GOOD_DATASET), environment)

    def again(self) -> Run:
        """Drop the dataset with the request to train again."""
        self.drops += 1
        key = f"datasets/set/{self.drops}.jsonl"
        etag = boto3.client("s3").put_object(
            Bucket="data", Key=key, Body=GOOD_DATASET.encode(), Metadata={"again": "true"}
        )["ETag"]
        return self._validate(Source(bucket="data", key=key, etag=etag.strip('"')), {})

    def _validate(self, source: Source, environment: dict[str, str]) -> Run:
        settings = ValidateSettings.load(self.cloud.environment | environment)
        return validate_dataset(source, settings, self.steps)

    def start(self, run: Run, **environment: str) -> Run:
        """Deliver `Dataset Validated`."""
        settings = StartSettings.load(self.cloud.environment | environment)
        return start_distillation(run.run_id, settings, self.steps, FakeModels(), FakeRoles())

    def approve(self, run: Run, **environment: str) -> Run:
        """Approve the run, and deliver `Run Approved`."""
        assert run.state is State.AWAITING_APPROVAL
        approval = {"by": "someone", "at": "2026-11-25T00:00:00+00:00", "decision": "approved"}
        self.steps.run_store.note(run.run_id, approval=approval)
        return self.start(run, **environment)

    def train(self, run: Run) -> Run:
        """Start the run's job and let it end; the model is being deployed."""
        assert self.start(run).state is State.TRAINING
        deploy_model(jobs(self.steps).end(run.run_id, "Completed"), self.steps)
        return self.steps.run_store.get(run.run_id)

    def failed_after_training(self) -> Run:
        run = self.train(self.validate())
        self.steps.fail(run.run_id, "evaluate_model", "Access to the baseline was denied.")
        return run


@pytest.fixture
def stack(cloud: CloudResources, steps: RunSteps) -> Stack:
    return Stack(cloud, steps)


def test_run_that_failed_after_its_training_is_continued_without_a_second_job(
    stack: Stack, cloud: CloudResources, steps: RunSteps
) -> None:
    failed = stack.failed_after_training()
    run = stack.start(stack.validate())
    assert (run.state, run.adopted_from, run.model_arn) == (State.DEPLOYING, failed.run_id, failed.model_arn)
    assert jobs(steps).created.total() == 1
    assert cloud.published()["Distillation Finished"] == 1
    assert run.job_arn is not None
    deploy_model(run.job_arn, steps, run.run_id)
    deployments(steps).become(run.run_id, "Active")
    assert ready_for_evaluation(run.run_id, steps)
    evaluate(cloud, steps, run.run_id, FakeConverse())
    evaluations(steps).end("Completed")
    assert promote(cloud, steps, run.run_id).state is State.PROMOTED


def test_estimate_of_a_run_that_uses_a_trained_model_has_no_training(stack: Stack) -> None:
    stack.failed_after_training()
    run = stack.start(stack.validate())
    body = boto3.client("s3").get_object(Bucket="data", Key=f"runs/{run.run_id}/estimate.json")["Body"].read()
    names = {line["name"] for line in json.loads(body)["lines"]}
    assert not names & {"training", "storage", "teacher's answers"}
    assert "judge" in names


def test_same_content_and_same_settings_is_a_duplicate(stack: Stack) -> None:
    first = stack.validate()
    second = stack.validate()
    assert (second.state, second.duplicate_of) == (State.DUPLICATE, first.run_id)


@pytest.mark.parametrize(
    "changed", [OTHER_BASELINE, {"JUDGE_MODEL": "amazon.nova-premier-v1:0"}, {"MIN_WEIGHT_SCORE": "4"}]
)
def test_same_content_with_another_baseline_judge_or_gate_is_evaluated_anew_with_the_same_model(
    stack: Stack, steps: RunSteps, changed: dict[str, str]
) -> None:
    first = stack.train(stack.validate())
    second = stack.start(stack.validate(**changed), **changed)
    assert (second.state, second.adopted_from) == (State.DEPLOYING, first.run_id)
    assert jobs(steps).created.total() == 1


@pytest.mark.parametrize(
    "changed",
    [{"TEACHER_MODEL": "us.amazon.nova-premier-v1:0"}, {"STUDENT_MODEL": "amazon.nova-lite-v1:0:300k"}],
)
def test_same_content_with_another_teacher_or_student_is_trained_again(
    stack: Stack, steps: RunSteps, changed: dict[str, str]
) -> None:
    stack.train(stack.validate())
    # The price list has no price for these models, so the run needs approval.
    second = stack.approve(stack.start(stack.validate(**changed), **changed), **changed)
    assert (second.state, second.adopted_from) == (State.TRAINING, None)
    assert jobs(steps).created.total() == 2


def test_dataset_dropped_with_again_is_trained_again(stack: Stack, steps: RunSteps) -> None:
    stack.train(stack.validate())
    second = stack.start(stack.again())
    assert (second.state, second.adopted_from) == (State.TRAINING, None)
    assert jobs(steps).created.total() == 2


def test_run_is_evaluated_with_the_split_that_its_model_was_trained_with(stack: Stack) -> None:
    first = stack.train(stack.validate())
    other = {"HOLDOUT_MIN": "80", "HOLDOUT_MAX": "80"}
    second = stack.start(stack.validate(**OTHER_BASELINE, **other), **OTHER_BASELINE)
    read = boto3.client("s3").get_object
    for name in ("train.jsonl", "holdout.jsonl"):
        keys = [f"runs/{run.run_id}/{name}" for run in (first, second)]
        assert len({read(Bucket="data", Key=key)["Body"].read() for key in keys}) == 1, name
    assert second.counts["holdout"] == first.counts["holdout"] == 50
    report = read(Bucket="data", Key=f"runs/{second.run_id}/validation.json")["Body"].read()
    assert json.loads(report)["holdout"] == 50


def test_run_trains_when_the_earlier_model_no_longer_exists(stack: Stack, steps: RunSteps) -> None:
    stack.failed_after_training()
    deployments(steps).model_state = "Failed"
    assert stack.start(stack.validate()).state is State.TRAINING


def test_run_that_needs_a_model_which_another_run_is_training_says_so(stack: Stack, steps: RunSteps) -> None:
    first = stack.start(stack.validate())
    second = stack.start(stack.validate(**OTHER_BASELINE), **OTHER_BASELINE)
    assert second.state is State.FAILED
    assert second.failure is not None
    assert first.run_id in second.failure.cause
    assert jobs(steps).created.total() == 1


def test_approval_of_a_run_without_a_training_does_not_cover_a_training(
    stack: Stack, steps: RunSteps
) -> None:
    failed = stack.failed_after_training()
    run = stack.start(stack.validate(), MAX_RUN_COST_USD="0")
    assert (run.state, run.adopted_from) == (State.AWAITING_APPROVAL, failed.run_id)
    deployments(steps).model_state = "Failed"
    run = stack.approve(run)
    assert run.state is State.FAILED
    assert run.failure is not None
    assert "no longer exists" in run.failure.cause
