"""A person's decision on the cost of a run: written to the run table with who and when, then published."""

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
"""The step that the history of a run names for a decision made with this command."""


def approve(stack: Stack, run_id: str) -> tuple[Run, str]:
    """Approve the cost of a run; returns the run and a message. BadInput if the run is not waiting."""
    run = _decide(stack, run_id, "approved", "")
    return run, _publish(stack, run, "The run continues.")


def reject(stack: Stack, run_id: str, reason: str) -> tuple[Run, str]:
    """End a run in REJECTED; returns the run and a message. BadInput if the run is not waiting."""
    run = _decide(stack, run_id, "rejected", reason)
    return run, _publish(stack, run, "The run has ended without starting a distillation job.")


def _decide(stack: Stack, run_id: str, decision: Literal["approved", "rejected"], reason: str) -> Run:
    with clients.explained("get your AWS identity"):
        by = str(stack.client("sts").get_caller_identity()["Arn"])
    approval = Approval(by=by, at=now(), decision=decision, reason=reason)
    lineage = {"reasons": [f"Cost not approved: {approval}."]} if decision == "rejected" else {}
    run = stack.run_store.decide(run_id, approval, step=STEP, **lineage)
    if run is None:
        raise _cannot_decide(run_id, stack.run_store.find(run_id))
    return run


def _cannot_decide(run_id: str, run: Run | None) -> BadInput:
    if run is None:
        return unknown_run(run_id)
    if run.approval is not None:
        return BadInput(f"Run {run_id} was already {run.approval}.")
    return BadInput(f"Run {run_id} does not wait for approval: it is {run.state.value}.")


def unknown_run(run_id: str) -> BadInput:
    """The error for a run that does not exist."""
    return BadInput(f"Run {run_id} does not exist.", fix="Run `distillery runs` to list the runs.")


def _publish(stack: Stack, run: Run, consequence: str) -> str:
    """Publish the decision and return a message.

    If EventBridge does not accept the event, the poller publishes it within minutes, because the decision is
    already in the run table.
    """
    rejected = run.state is State.REJECTED
    event = announcement(run) if rejected else run_approved(run)
    try:
        EventBus(stack.output("EventBusName"), stack.client("events")).publish(event)
        if rejected:
            stack.run_store.note(run.run_id, announced=run.state)
    except DistilleryError as error:
        consequence = (
            f"The poller publishes the decision within minutes, because the event failed: {error.message}"
        )
    return f"{run.run_id} was {run.approval}. {consequence}"


def waiting(run: Run) -> str:
    """What a run in AWAITING_APPROVAL waits for, and the commands that decide."""
    if run.approval is not None:
        return f"{run.approval}; about to continue"
    if run.estimate is None:
        return "waiting for approval"
    until = f" (until {run.approve_by.astimezone():%F %T})" if run.approve_by else ""
    return (
        f"waiting for approval of {cost_span(run)}{until}: {run.estimate.approval_reason}. "
        f"Run `distillery approve {run.run_id}` or `distillery reject {run.run_id}`"
    )


def cost_span(run: Run) -> str:
    """The cost estimate of a run, low to high; empty without an estimate."""
    return f"{usd(run.estimate.low)} to {usd(run.estimate.high)}" if run.estimate else ""


def cost(run: Run) -> str:
    """The cost estimate of a run with the decision on it."""
    span = cost_span(run)
    return f"{span}, {run.approval.decision}" if span and run.approval else span
