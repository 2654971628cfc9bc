"""`distillery approve` and `reject`, and how a run that waits for approval is printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli import polling
from cli.app import main
from cli.polling import poll_run
from distillery.runs.states import EstimatedCost, Source, State, now
from tests.unit.cli.stacks import ON_AWS, REGION, RUN, printed, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.stack import Stack

ESTIMATE = EstimatedCost(
    low=0.38,
    high=63.1,
    unknown=["training"],
    approval_reason="it may cost $63.10, and the stack's limit is $50.00",
)


@pytest.fixture
def published(stack: Stack) -> Callable[[], list[str]]:
    """Returns the types of the events that were published."""
    events, sqs = boto3.client("events", REGION), boto3.client("sqs", REGION)
    url = sqs.create_queue(QueueName="published")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="bus", EventPattern='{"source": ["distillery"]}')
    events.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "1", "Arn": arn}])

    def detail_types() -> list[str]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["detail-type"] for message in messages]

    return detail_types


@pytest.fixture
def waiting(stack: Stack, published: Callable[[], list[str]]) -> str:
    """The ID of a run that waits for approval."""
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    stack.run_store.move(RUN, State.VALIDATED, step="a_step")
    stack.run_store.move(
        RUN, State.AWAITING_APPROVAL, step="a_step", estimate=ESTIMATE.model_dump(), approve_by=now()
    )
    put(stack, f"runs/{RUN}/validation.json", {"findings": []})
    return RUN


def test_approval_records_who_and_when_and_publishes_an_event(
    stack: Stack,
    waiting: str,
    published: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["approve", waiting, *ON_AWS]) == 0
    assert f"{waiting} was approved by arn:aws:" in capsys.readouterr().out
    run = stack.run_store.get(waiting)
    assert run.approval is not None
    assert (run.state, run.is_approved) == (State.AWAITING_APPROVAL, True)
    assert (now() - run.approval.at).total_seconds() < 60
    assert published() == ["Run Approved"]


def test_rejection_records_who_and_why_and_ends_the_run(
    stack: Stack,
    waiting: str,
    published: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["reject", waiting, "--reason", "Too expensive", "--json", *ON_AWS]) == 0
    assert printed(capsys)["approval"]["reason"] == "Too expensive"
    run = stack.run_store.get(waiting)
    assert (run.state, run.announced) == (State.REJECTED, State.REJECTED)
    assert run.reasons[0].startswith("Cost not approved: rejected by arn:aws:")
    assert run.reasons[0].endswith("Too expensive.")
    assert published() == ["Dataset Rejected"]
    assert main(["watch", waiting, *ON_AWS]) == 2


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_second_decision_is_refused_and_names_the_first(
    waiting: str, capsys: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    assert main([first, waiting, *ON_AWS]) == 0
    capsys.readouterr()
    assert main([second, waiting, *ON_AWS]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        f"Run {waiting} was already {'approved' if first == 'approve' else 'rejected'} by"
    )
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_decision_on_a_run_that_does_not_wait_is_an_error(
    stack: Stack,
    published: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    assert main([command, RUN, *ON_AWS]) == 1
    assert "does not wait for approval: it is RECEIVED." in capsys.readouterr().err
    assert main([command, "nobody", *ON_AWS]) == 1
    assert capsys.readouterr().err.startswith("Run nobody does not exist.")
    assert published() == []


def test_approval_without_its_event_is_left_to_the_poller(
    stack: Stack,
    waiting: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Refusing:
        def put_events(self, **_: object) -> None:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "Not you."}}
            raise ClientError(error, "PutEvents")  # type: ignore[arg-type]

    client = type(stack).client
    monkeypatch.setattr(
        type(stack),
        "client",
        lambda self, service: Refusing() if service == "events" else client(self, service),
    )
    assert main(["approve", waiting, *ON_AWS]) == 0
    assert "The poller publishes the decision" in capsys.readouterr().out
    assert stack.run_store.get(waiting).is_approved


def test_show_and_runs_print_the_estimate_and_the_command(
    waiting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", waiting, *ON_AWS]) == 0
    text = capsys.readouterr().out
    for part in ("AWAITING_APPROVAL", "$0.38 to $63.10", "limit is $50.00", f"distillery approve {waiting}"):
        assert part in text
    assert main(["runs", *ON_AWS]) == 0
    text = capsys.readouterr().out
    assert "AWAITING_APPROVAL" in text
    assert "$0.38 to $63.10" in text


def test_show_prints_who_approved(waiting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", waiting, *ON_AWS]) == 0
    assert main(["show", waiting, *ON_AWS]) == 0
    text = capsys.readouterr().out
    assert "approved by arn:aws:" in text
    assert "about to continue" in text


def test_show_prints_the_warnings_of_the_preflight_checks(
    stack: Stack,
    waiting: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.run_store.note(waiting, warnings=["The teacher is a legacy model."])
    assert main(["show", waiting, *ON_AWS]) == 0
    assert "warning: The teacher is a legacy model." in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [True, False])
def test_watch_prints_once_what_the_run_waits_for(
    waiting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setattr(polling, "AWS_INTERVAL", 0.01)
    assert main(["watch", waiting, "--timeout", "1", *(["--json"] if as_json else []), *ON_AWS]) == 6
    output = capsys.readouterr()
    text = output.err if as_json else output.out
    assert text.count(f"distillery approve {waiting}") == 1
    assert "has not ended within 1 seconds. It continues." in output.err


def test_polling_continues_after_the_approval(stack: Stack, waiting: str) -> None:
    moves: list[Any] = [["approve", waiting, *ON_AWS], State.TRAINING, State.FAILED]

    def make_progress(_: float) -> None:
        step = moves.pop(0) if moves else None
        if isinstance(step, list):
            assert main(step) == 0
        elif step:
            stack.run_store.move(waiting, step, step="a_step")
        else:
            stack.run_store.note(waiting, announced=State.FAILED)

    seen = [
        snapshot.activity
        for snapshot in poll_run(stack, waiting, timeout=60, start_timeout=60, pause=make_progress)
    ]
    assert seen[0].startswith("waiting for approval of $0.38 to $63.10")
    assert "about to continue" in seen[1]
