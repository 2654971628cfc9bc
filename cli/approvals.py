"""A person's decision on a run that waits: recorded once in the run table with who and when, then said aloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from distillery.aws import clients
from distillery.aws.event_bus import EventBus
from distillery.errors import BadInput, DistilleryError
from distillery.messages import usd
from distillery.runs.states import Approval, Run, State, now
from distillery.steps.run_steps import announcement, run_approved

if TYPE_CHECKING:
    from cli.stack import Stack

STEP = "distillery"
"""What the history names for a move that a person made with this command."""


def approve(stack: Stack, run_id: str) -> tuple[Run, str]:
    """Let a run go on that waits; returns it with a sentence, BadInput when it does not wait."""
    run = _decided(stack, run_id, "approved", "")
    return run, _said(stack, run, "It goes on")


def reject(stack: Stack, run_id: str, reason: str) -> tuple[Run, str]:
    """End a run that waits in REJECTED; returns it with a sentence, BadInput when it does not wait."""
    run = _decided(stack, run_id, "rejected", reason)
    return run, _said(stack, run, "It has ended, and nothing was paid")


def _decided(stack: Stack, run_id: str, decision: Literal["approved", "rejected"], reason: str) -> Run:
    with clients.explained("ask who you are"):
        by = str(stack.client("sts").get_caller_identity()["Arn"])
    approval = Approval(by=by, at=now(), decision=decision, reason=reason)
    lineage = {"reasons": [f"By a person: {approval}."]} if decision == "rejected" else {}
    run = stack.run_store.decide(run_id, approval, step=STEP, **lineage)
    if run is None:
        raise _refusal(run_id, stack.run_store.find(run_id))
    return run


def _refusal(run_id: str, run: Run | None) -> BadInput:
    """Why nothing can be decided."""
    if run is None:
        return BadInput(f"There is no run {run_id}.", fix="`distillery runs` lists those there are.")
    if run.approval is not None:
        return BadInput(f"The run {run_id} was already {run.approval}.")
    return BadInput(f"The run {run_id} does not wait for approval: it is {run.state.value}.")


def _said(stack: Stack, run: Run, consequence: str) -> str:
    """Ring for the next step, or leave that to the watch, which does it again within minutes."""
    rejected = run.state is State.REJECTED
    event = announcement(run) if rejected else run_approved(run)
    try:
        EventBus(stack.output("EventBusName"), stack.client("events")).publish(event)
        if rejected:
            stack.run_store.note(run.run_id, announced=run.state)
    except DistilleryError as error:
        return f"{run.run_id} was {run.approval}. {consequence} with the watch's next look: {error.message}"
    return f"{run.run_id} was {run.approval}. {consequence}."


def waiting(run: Run) -> str:
    """What a run waits for, and the command that is needed."""
    if run.approval is not None:
        return f"{run.approval}; about to go on"
    if run.estimate is None:
        return "waiting for approval"
    until = f" (until {run.approve_by.astimezone():%F %T})" if run.approve_by else ""
    return (
        f"waiting for approval of {usd(run.estimate.low)} to {usd(run.estimate.high)}{until}: "
        f"{run.estimate.approval_reason}. distillery approve {run.run_id}, or distillery reject {run.run_id}"
    )


def cost(run: Run) -> str:
    """The run's estimate in short, with what a person decided on it."""
    if run.estimate is None:
        return ""
    span = f"{usd(run.estimate.low)} to {usd(run.estimate.high)}"
    return f"{span}, {run.approval.decision}" if run.approval else span
