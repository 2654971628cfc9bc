"""Following a run: what the run table says, and what Bedrock says of the step it is in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cli.approvals import waiting
from distillery.aws import clients
from distillery.aws.bedrock.deployments import Deployments
from distillery.aws.bedrock.evaluations import EvaluationJobs
from distillery.aws.tables import from_item
from distillery.errors import DistilleryError, Transient
from distillery.runs.states import ENDED, Run, State, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.stack import Stack

LOCAL_INTERVAL = 0.5
AWS_INTERVAL = 5.0
"""Seconds between two looks; a run takes under a minute locally and hours on AWS."""
SETTLED_SECONDS = 60
TRAINING_PARTS = (
    ("validationDetails", "checking data"),
    ("dataProcessingDetails", "asking the teacher"),
    ("trainingDetails", "training"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one look; `run` is None until the first function has opened it."""

    run: Run | None
    doing: str


class TimedOut(DistilleryError):
    """What was waited for did not come in time."""


def follow(
    stack: Stack,
    run_id: str,
    *,
    timeout: float,
    arrival: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Snapshot]:
    """Look at a run until it has ended; the last snapshot is the ended run.

    Raises TimedOut after `timeout` seconds, or when no such run appears within `arrival` seconds, and
    Transient when nothing could be read for as long.
    """
    begin = reached = clock()
    interval = LOCAL_INTERVAL if stack.local else AWS_INTERVAL
    run: Run | None = None
    while True:
        try:
            snapshot = look(stack, run_id)
            run, reached = snapshot.run, clock()
        except Transient as trouble:
            if clock() - reached >= arrival:
                raise
            snapshot = Snapshot(run, trouble.message)
        yield snapshot
        if run is not None and settled(run):
            return
        if run is None and clock() - begin >= arrival:
            raise TimedOut(
                f"No run {run_id} appeared within {arrival:g} seconds.",
                fix="`distillery runs` lists those there are.",
            )
        if clock() - begin >= timeout:
            raise TimedOut(f"The run {run_id} has not ended within {timeout:g} seconds; it goes on.")
        pause(interval)


def settled(run: Run) -> bool:
    """Whether a run has ended and what follows from its end is done: the report, the active model.

    The verdict is in the run table before it is acted upon and announced after. A function that died in
    between is made good within minutes, so a verdict that old counts as settled either way.
    """
    if run.state not in ENDED:
        return False
    old = not run.history or now() - run.history[-1].at > timedelta(seconds=SETTLED_SECONDS)
    return run.announced is run.state or run.state is State.RETIRED or old


def look(stack: Stack, run_id: str) -> Snapshot:
    """The run now, and what Bedrock is doing for it."""
    run = stack.run_store.find(run_id)
    if run is None:
        return Snapshot(None, "waiting for the first function")
    try:
        return Snapshot(run, _doing(stack, run))
    except DistilleryError as error:  # Progress is a courtesy; the run does not depend on it.
        return Snapshot(run, f"progress is not readable: {error.message}")


def _doing(stack: Stack, run: Run) -> str:
    match run.state:
        case State.RECEIVED:
            return "checking the dataset"
        case State.VALIDATED:
            return "starting the distillation"
        case State.AWAITING_APPROVAL:
            return waiting(run)
        case State.TRAINING if run.job_arn:
            return _training(stack, run.job_arn)
        case State.DEPLOYING:
            deployment = Deployments(stack.client("bedrock")).find(run.run_id)
            return f"deployment {deployment.status}" if deployment else "creating the deployment"
        case State.EVALUATING if run.evaluation_jobs:
            jobs = EvaluationJobs(stack.client("bedrock"))
            ended = sum(jobs.get(arn).ended for arn in run.evaluation_jobs.values())
            return f"judged {ended} of {len(run.evaluation_jobs)} candidates"
        case State.EVALUATING:
            return "answering the holdout"
        case state if state in ENDED and not settled(run):
            return "acting on the verdict"
        case _:
            return ""


def _training(stack: Stack, job_arn: str) -> str:
    with clients.explained("ask for the customization job"):
        job = stack.client("bedrock").get_model_customization_job(jobIdentifier=job_arn)
    details: dict[str, Any] = job.get("statusDetails", {})
    parts = [
        f"{words} {details[part]['status']}"
        for part, words in TRAINING_PARTS
        if details.get(part, {}).get("status")
    ]
    return ", ".join(parts) or f"job {job['status']}"


def all_runs(stack: Stack) -> list[Run]:
    """Every run of the stack, the latest first."""
    table = stack.output("RunsTableName")
    with clients.explained("list the runs"):
        pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        runs = [Run.model_validate(from_item(item)) for page in pages for item in page["Items"]]
    return sorted(runs, key=lambda run: run.history[0].at, reverse=True)
