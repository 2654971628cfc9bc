"""A run above the cost limit waits until a person approves or rejects it, or until its deadline."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import State
from tests.local.pipeline.deployed_pipeline import sample_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.deployed_pipeline import DeployedPipeline

NOTHING = {"jobs": 0, "models": 0, "evaluations": 0}


@pytest.fixture
def waiting(
    pipeline: DeployedPipeline, start_environment: Callable[..., None], request: pytest.FixtureRequest
) -> str:
    """A run that waits for approval."""
    start_environment(MAX_RUN_COST_USD="0.01")
    mark = request.node.name
    name = pipeline.drop(sample_records(150, mark), f"datasets/{mark}/a.jsonl")
    pipeline.reach(name, State.AWAITING_APPROVAL)
    return name


def test_run_above_the_cost_limit_waits_for_approval_and_starts_no_job(
    pipeline: DeployedPipeline, start_environment: Callable[..., None], notification: Callable[[str], str]
) -> None:
    start_environment(MAX_RUN_COST_USD="0.01")
    name = pipeline.drop(sample_records(150, "expensive"), "datasets/expensive/a.jsonl")
    message = notification(name)
    run = pipeline.reach(name, State.AWAITING_APPROVAL)
    assert run.estimate is not None
    assert f"${run.estimate.high:.2f}" in message
    assert f"distillery approve {name}" in message
    assert pipeline.document(name, "estimate.json")["known"]["high"] == pytest.approx(
        run.estimate.high, abs=1e-4
    )
    assert all(check["verdict"] == "met" for check in pipeline.document(name, "preflight.json")["checks"])
    assert pipeline.created(name) == NOTHING
    assert pipeline.calls("CreateModelCustomizationJob") == 0


def test_approved_run_continues_once_to_its_verdict(
    pipeline: DeployedPipeline,
    waiting: str,
    distillery: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert distillery("approve", waiting) == 0
    assert distillery("approve", waiting) == 1
    assert f"Run {waiting} was already approved by arn:" in capsys.readouterr().err
    run = pipeline.reach(waiting, State.PROMOTED, State.NOT_PROMOTED)
    assert [move.state for move in run.history][1:4] == [
        State.VALIDATED,
        State.AWAITING_APPROVAL,
        State.TRAINING,
    ]
    assert run.approval is not None
    assert run.approval.by.startswith("arn:aws:")
    assert pipeline.created(waiting)["jobs"] == 1


def test_rejected_run_records_who_and_why_and_its_content_can_be_uploaded_again(
    pipeline: DeployedPipeline,
    waiting: str,
    distillery: Callable[..., int],
    notification: Callable[[str], str],
) -> None:
    # The characters that JSON escapes must not keep the notification from its readers.
    reason = r'Not "this" quarter, see R:\budget'
    assert distillery("reject", waiting, "--reason", reason) == 0
    # The request for approval names the run as well.
    assert waiting in notification(reason)
    run = pipeline.reach(waiting, State.REJECTED)
    assert run.reasons[0].startswith("Cost not approved: rejected by arn:aws:")
    assert distillery("approve", waiting) == 1
    assert pipeline.created(waiting) == NOTHING
    again = pipeline.s3.get_object(Bucket=run.source.bucket, Key=run.source.key)["Body"].read()
    pipeline.reach(pipeline.drop(again, "datasets/again/a.jsonl"), State.AWAITING_APPROVAL)


def test_run_without_approval_fails_at_its_deadline(pipeline: DeployedPipeline, waiting: str) -> None:
    past = (datetime.now(UTC) - timedelta(1)).isoformat()
    overdue = {"run_id": waiting, "stage": "approval", "deadline": past}
    pipeline.sqs.send_message(QueueUrl=pipeline.outputs["WatchQueueUrl"], MessageBody=json.dumps(overdue))
    run = pipeline.reach(waiting, State.FAILED)
    assert run.failure is not None
    assert run.failure.cause.startswith("Nobody approved the run before")
    assert "Nobody approved" in pipeline.dead_letter(waiting)["MessageAttributes"]["reason"]["StringValue"]
    assert pipeline.created(waiting) == NOTHING
