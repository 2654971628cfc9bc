"""A run that may cost more than the limit waits for a person who approves it, rejects it, or stays away."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import State
from tests.local.pipeline.chain import sample_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.chain import Chain

NOTHING = {"jobs": 0, "models": 0, "evaluations": 0}


@pytest.fixture
def waiting(chain: Chain, spending: Callable[..., None], request: pytest.FixtureRequest) -> str:
    """A run that waits for approval."""
    spending(MAX_RUN_COST_USD="0.01")
    mark = request.node.name
    name = chain.drop(sample_records(150, mark), f"datasets/{mark}/a.jsonl")
    chain.reach(name, State.AWAITING_APPROVAL)
    return name


def test_run_above_the_limit_waits_and_says_so_and_nothing_is_paid(
    chain: Chain, spending: Callable[..., None], told: Callable[[str], str]
) -> None:
    spending(MAX_RUN_COST_USD="0.01")
    name = chain.drop(sample_records(150, "dear"), "datasets/dear/a.jsonl")
    said = told(name)
    run = chain.reach(name, State.AWAITING_APPROVAL)
    assert run.estimate is not None
    assert f"${run.estimate.high:.2f}" in said
    assert f"distillery approve {name}" in said
    assert chain.document(name, "estimate.json")["known"]["high"] == pytest.approx(
        run.estimate.high, abs=1e-4
    )
    assert all(check["verdict"] == "met" for check in chain.document(name, "preflight.json")["checks"])
    assert chain.paid(name) == NOTHING
    assert chain.calls("CreateModelCustomizationJob") == 0


def test_approved_run_goes_on_to_its_verdict_once(
    chain: Chain, waiting: str, distillery: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert distillery("approve", waiting) == 0
    assert distillery("approve", waiting) == 1
    assert f"Run {waiting} was already approved by arn:" in capsys.readouterr().err
    run = chain.reach(waiting, State.PROMOTED, State.NOT_PROMOTED)
    assert [move.state for move in run.history][1:4] == [
        State.VALIDATED,
        State.AWAITING_APPROVAL,
        State.TRAINING,
    ]
    assert run.approval is not None
    assert run.approval.by.startswith("arn:aws:")
    assert chain.paid(waiting)["jobs"] == 1


def test_rejected_run_ends_with_who_and_why_and_leaves_its_content_free(
    chain: Chain, waiting: str, distillery: Callable[..., int], told: Callable[[str], str]
) -> None:
    assert distillery("reject", waiting, "--reason", "Not this quarter") == 0
    assert "Not this quarter" in told(waiting)
    run = chain.reach(waiting, State.REJECTED)
    assert run.reasons[0].startswith("Cost not approved: rejected by arn:aws:")
    assert distillery("approve", waiting) == 1
    assert chain.paid(waiting) == NOTHING
    again = chain.s3.get_object(Bucket=run.source.bucket, Key=run.source.key)["Body"].read()
    chain.reach(chain.drop(again, "datasets/again/a.jsonl"), State.AWAITING_APPROVAL)


def test_run_that_nobody_approves_fails_at_its_deadline(chain: Chain, waiting: str) -> None:
    late = (datetime.now(UTC) - timedelta(1)).isoformat()
    overdue = {"run_id": waiting, "stage": "approval", "deadline": late}
    chain.sqs.send_message(QueueUrl=chain.outputs["WatchQueueUrl"], MessageBody=json.dumps(overdue))
    run = chain.reach(waiting, State.FAILED)
    assert run.failure is not None
    assert run.failure.cause.startswith("Nobody approved the run before")
    assert "Nobody approved" in chain.letter(waiting)["MessageAttributes"]["reason"]["StringValue"]
    assert chain.paid(waiting) == NOTHING
