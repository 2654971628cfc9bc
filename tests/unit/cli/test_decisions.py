"""`distillery approve` and `reject`, and how a run that waits is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli import following
from cli.cli import main
from cli.following import follow
from distillery.runs.states import EstimatedCost, Source, State, now
from tests.unit.cli import test_commands
from tests.unit.cli.test_commands import ON_AWS, REGION, RUN, printed, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.stack import Stack

stack = test_commands.stack  # the fixture
ESTIMATE_KEY = EstimatedCost(
    low=0.38,
    high=63.1,
    unknown=["training"],
    approval_reason="it may cost $63.10, and the stack's limit is $50.00",
)


@pytest.fixture
def heard(stack: Stack) -> Callable[[], list[str]]:
    """The types of the events that were said."""
    events, sqs = boto3.client("events", REGION), boto3.client("sqs", REGION)
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="bus", EventPattern='{"source": ["distillery"]}')
    events.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "1", "Arn": arn}])

    def types() -> list[str]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["detail-type"] for message in messages]

    return types


@pytest.fixture
def waiting(stack: Stack, heard: Callable[[], list[str]]) -> str:
    """A run that waits for approval."""
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    stack.run_store.move(RUN, State.VALIDATED, step="a_step")
    stack.run_store.move(
        RUN, State.AWAITING_APPROVAL, step="a_step", estimate=ESTIMATE_KEY.model_dump(), approve_by=now()
    )
    put(stack, f"runs/{RUN}/validation.json", {"findings": []})
    return RUN


def test_approval_is_recorded_with_who_and_when_and_rings(
    stack: Stack,
    waiting: str,
    heard: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["approve", waiting, *ON_AWS]) == 0
    assert f"{waiting} was approved by arn:aws:" in capsys.readouterr().out
    run = stack.run_store.get(waiting)
    assert run.approval is not None
    assert (run.state, run.is_approved) == (State.AWAITING_APPROVAL, True)
    assert (now() - run.approval.at).total_seconds() < 60
    assert heard() == ["Run Approved"]


def test_rejection_ends_the_run_with_who_and_why(
    stack: Stack,
    waiting: str,
    heard: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["reject", waiting, "--reason", "Too dear", "--json", *ON_AWS]) == 0
    assert printed(capsys)["approval"]["reason"] == "Too dear"
    run = stack.run_store.get(waiting)
    assert (run.state, run.announced) == (State.REJECTED, State.REJECTED)
    assert run.reasons[0].startswith("By a person: rejected by arn:aws:")
    assert run.reasons[0].endswith("Too dear.")
    assert heard() == ["Dataset Rejected"]
    assert main(["watch", waiting, *ON_AWS]) == 2


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_second_decision_is_one_sentence_that_says_whose_was_first(
    waiting: str, capsys: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    assert main([first, waiting, *ON_AWS]) == 0
    capsys.readouterr()
    assert main([second, waiting, *ON_AWS]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        f"The run {waiting} was already {'approved' if first == 'approve' else 'rejected'} by"
    )
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_run_that_does_not_wait_is_one_sentence(
    stack: Stack,
    heard: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    assert main([command, RUN, *ON_AWS]) == 1
    assert "does not wait for approval: it is RECEIVED." in capsys.readouterr().err
    assert main([command, "nobody", *ON_AWS]) == 1
    assert capsys.readouterr().err.startswith("There is no run nobody.")
    assert heard() == []


def test_approval_whose_event_is_refused_is_left_to_the_watch(
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
    assert "with the watch's next look" in capsys.readouterr().out
    assert stack.run_store.get(waiting).is_approved


# How it is shown


def test_show_and_runs_tell_the_quote_and_the_command(
    waiting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", waiting, *ON_AWS]) == 0
    text = capsys.readouterr().out
    for words in ("AWAITING_APPROVAL", "$0.38 to $63.10", "limit is $50.00", f"distillery approve {waiting}"):
        assert words in text
    assert main(["runs", *ON_AWS]) == 0
    text = capsys.readouterr().out
    assert "AWAITING_APPROVAL" in text
    assert "$0.38 to $63.10" in text


def test_show_tells_who_approved(waiting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", waiting, *ON_AWS]) == 0
    assert main(["show", waiting, *ON_AWS]) == 0
    text = capsys.readouterr().out
    assert "approved by arn:aws:" in text
    assert "about to go on" in text


def test_warnings_of_the_preflight_are_shown(
    stack: Stack,
    waiting: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.run_store.note(waiting, warnings=["The teacher is a legacy model."])
    assert main(["show", waiting, *ON_AWS]) == 0
    assert "warning: The teacher is a legacy model." in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [True, False])
def test_watch_says_what_it_waits_for_and_goes_on(
    waiting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setattr(following, "AWS_INTERVAL", 0.01)
    assert main(["watch", waiting, "--timeout", "1", *(["--json"] if as_json else []), *ON_AWS]) == 6
    said = capsys.readouterr()
    shown = said.err if as_json else said.out
    assert shown.count(f"distillery approve {waiting}") == 1
    assert "has not ended within 1 seconds; it goes on" in said.err


def test_watch_follows_a_run_beyond_its_approval(stack: Stack, waiting: str) -> None:
    moves: list[Any] = [["approve", waiting, *ON_AWS], State.TRAINING, State.FAILED]

    def go_on(_: float) -> None:
        step = moves.pop(0) if moves else None
        if isinstance(step, list):
            assert main(step) == 0
        elif step:
            stack.run_store.move(waiting, step, step="a_step")
        else:
            stack.run_store.note(waiting, announced=State.FAILED)

    seen = [snapshot.doing for snapshot in follow(stack, waiting, timeout=60, arrival=60, pause=go_on)]
    assert seen[0].startswith("waiting for approval of $0.38 to $63.10")
    assert "about to go on" in seen[1]
