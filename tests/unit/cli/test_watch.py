"""`distillery watch`: polling, progress, exit codes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from cli import polling
from cli.app import main
from cli.console import duration
from cli.polling import RunSnapshot, TimedOut, poll_run
from cli.watching import show_run_progress
from distillery.runs.states import Source, State
from tests.unit.cli.stacks import ON_AWS, RUN, ended_run, printed

if TYPE_CHECKING:
    from cli.stack import Stack


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.PROMOTED, 0), (State.FAILED, 3), (State.NOT_PROMOTED, 4), (State.DUPLICATE, 5)],
)
def test_exit_code_of_watch_is_the_verdict(
    stack: Stack, capsys: pytest.CaptureFixture[str], state: State, code: int
) -> None:
    ended_run(stack, state)
    assert main(["watch", RUN, *ON_AWS]) == code
    assert state.value in capsys.readouterr().out
    assert main(["watch", RUN, "--json", *ON_AWS]) == code
    assert printed(capsys)["state"] == state.value


def test_run_that_does_not_start_times_out(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(polling, "AWS_INTERVAL", 0.01)
    assert main(["watch", "films-000000000000", "--start-timeout", "1", *ON_AWS]) == 6
    assert "Run films-000000000000 did not start within 1 seconds." in capsys.readouterr().err


def test_run_that_does_not_exist_is_an_error_at_once(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "films-000000000000", *ON_AWS]) == 1
    assert "Run films-000000000000 does not exist." in capsys.readouterr().err


def test_timeout_says_that_the_run_continues(stack: Stack) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    seconds = iter(range(100))
    with pytest.raises(TimedOut, match="It continues"):
        list(
            poll_run(
                stack,
                RUN,
                timeout=5,
                start_timeout=50,
                pause=lambda _: None,
                clock=lambda: float(next(seconds)),
            )
        )


def test_polling_returns_every_state_until_the_run_has_ended(stack: Stack) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    moves = iter([State.VALIDATED, State.FAILED])

    def make_progress(_: float) -> None:
        state = next(moves, None)
        if state:
            stack.run_store.move(RUN, state, step="a_step")
        else:
            stack.run_store.note(RUN, announced=State.FAILED)

    seen = [
        snapshot.run for snapshot in poll_run(stack, RUN, timeout=60, start_timeout=60, pause=make_progress)
    ]
    # The last state comes twice: when the verdict is written, and when it is applied.
    assert [run.state for run in seen if run] == [
        State.RECEIVED,
        State.VALIDATED,
        State.FAILED,
        State.FAILED,
    ]


def test_activity_shows_the_status_in_bedrock(stack: Stack) -> None:
    stack.run_store.receive(RUN, Source(bucket="data", key="datasets/films/films.jsonl", version_id="1"))
    activities = [polling.run_snapshot(stack, RUN).activity]
    for state in (State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING):
        stack.run_store.move(RUN, state, step="a_step", job_arn="arn", deployment_arn="arn")
        activities.append(polling.run_snapshot(stack, RUN).activity)
    stack.run_store.note(RUN, evaluation_jobs={"distilled": "one", "untuned": "two"})
    activities.append(polling.run_snapshot(stack, RUN).activity)
    assert activities == [
        "validating the dataset",
        "starting the distillation",
        "validation Completed, data processing Completed, training InProgress",
        "deployment Creating",
        "answering the holdout queries",
        "judged 1 of 2 candidates",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_printed_with_and_without_a_terminal(stack: Stack, terminal: bool) -> None:
    ended_run(stack, State.NOT_PROMOTED)
    run = stack.run_store.get(RUN)
    early = run.model_copy(update={"state": State.RECEIVED, "history": run.history[:1]})
    snapshots = [RunSnapshot(None, "waiting"), RunSnapshot(early, "checking"), RunSnapshot(run, "")]
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=120, highlight=False)
    assert show_run_progress(console, iter(snapshots)) == run
    for state in ("RECEIVED", "TRAINING", "NOT_PROMOTED"):
        assert state in output.getvalue()
    if not terminal:
        assert "\x1b" not in output.getvalue()
        assert output.getvalue().count("TRAINING") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (3.21, "3.2 s"), (245, "4 min 05 s"), (7_800, "2 h 10 min")]
)
def test_durations_are_printed_in_suitable_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
