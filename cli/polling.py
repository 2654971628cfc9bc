"""Polling a run or a generation until it has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cli.approvals import waiting
from distillery.aws import clients
from distillery.aws.bedrock.deployments import Deployments
from distillery.aws.bedrock.evaluations import EvaluationJobs
from distillery.errors import DistilleryError, Transient
from distillery.generation.states import GENERATION_ENDED, Generation, GenerationState
from distillery.runs.states import ENDED, Run, State, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.stack import Stack

LOCAL_INTERVAL = 0.5
AWS_INTERVAL = 5.0
"""Seconds between two polls. A run takes under a minute on the local cloud and hours on AWS."""
SETTLED_SECONDS = 60
JOB_PHASES = (
    ("validationDetails", "validation"),
    ("dataProcessingDetails", "data processing"),
    ("trainingDetails", "training"),
)
"""Fields of `statusDetails` of a customization job, in the order of the phases."""


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A run at one poll, and its current activity. `run` is None until the run is in the run table."""

    run: Run | None
    activity: str


@dataclass(frozen=True, slots=True)
class GenerationSnapshot:
    """A generation at one poll; None until the generation is in its table. `labelled` counts queries."""

    generation: Generation | None
    labelled: int = 0

    @property
    def progress(self) -> str:
        """The progress in one line."""
        generation = self.generation
        if generation is None:
            return "waiting for the generation to start"
        if generation.state is GenerationState.PLANNING:
            return "planning queries"
        return (
            f"{self.labelled} of {generation.planned} queries labelled, "
            f"${generation.cost:.4f} of ${generation.max_cost_usd:g} spent"
        )


class TimedOut(DistilleryError):
    """A run, a generation or a result did not come within the timeout."""


def poll_run(
    stack: Stack,
    run_id: str,
    *,
    timeout: float,
    start_timeout: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[RunSnapshot]:
    """Yield snapshots of a run until it has ended. The last snapshot has the run in its final state.

    Raises TimedOut if the run has not ended after `timeout` seconds or has not started after `start_timeout`
    seconds, and Transient if AWS could not be reached for `start_timeout` seconds.
    """
    begin = reached = clock()
    run: Run | None = None
    while True:
        try:
            snapshot = run_snapshot(stack, run_id)
            run, reached = snapshot.run, clock()
        except Transient as error:
            if clock() - reached >= start_timeout:
                raise
            snapshot = RunSnapshot(run, error.message)
        yield snapshot
        if run is not None and settled(run):
            return
        if run is None and clock() - begin >= start_timeout:
            raise TimedOut(
                f"Run {run_id} did not start within {start_timeout:g} seconds.",
                fix="Run `distillery runs` to list the runs.",
            )
        if clock() - begin >= timeout:
            raise TimedOut(f"Run {run_id} has not ended within {timeout:g} seconds. It continues.")
        pause(_interval(stack))


def settled(run: Run) -> bool:
    """Whether a run has ended and its verdict is applied: report and active model are written.

    The verdict is in the run table before it is applied, and `announced` is set after that. If a function
    fails in between, the poller completes its work within minutes, so an older verdict counts as settled.
    """
    if run.state not in ENDED:
        return False
    old = not run.history or now() - run.history[-1].at > timedelta(seconds=SETTLED_SECONDS)
    return run.announced is run.state or run.state is State.RETIRED or old


def run_snapshot(stack: Stack, run_id: str) -> RunSnapshot:
    """Read a run from the run table, and its progress from Bedrock."""
    run = stack.run_store.find(run_id)
    if run is None:
        return RunSnapshot(None, "waiting for the run to start")
    try:
        return RunSnapshot(run, _activity(stack, run))
    except DistilleryError as error:  # The run does not depend on the progress being readable.
        return RunSnapshot(run, f"progress is not available: {error.message}")


def _activity(stack: Stack, run: Run) -> str:
    match run.state:
        case State.RECEIVED:
            return "validating the dataset"
        case State.VALIDATED:
            return "starting the distillation"
        case State.AWAITING_APPROVAL:
            return waiting(run)
        case State.TRAINING if run.job_arn:
            return _job_progress(stack, run.job_arn)
        case State.DEPLOYING:
            deployment = Deployments(stack.client("bedrock")).find(run.run_id)
            return f"deployment {deployment.status}" if deployment else "creating the deployment"
        case State.EVALUATING if run.evaluation_jobs:
            jobs = EvaluationJobs(stack.client("bedrock"))
            ended = sum(jobs.get(arn).ended for arn in run.evaluation_jobs.values())
            return f"judged {ended} of {len(run.evaluation_jobs)} candidates"
        case State.EVALUATING:
            return "answering the holdout queries"
        case state if state in ENDED and not settled(run):
            return "applying the verdict"
        case _:
            return ""


def _job_progress(stack: Stack, job_arn: str) -> str:
    with clients.explained("get the customization job"):
        job = stack.client("bedrock").get_model_customization_job(jobIdentifier=job_arn)
    details: dict[str, Any] = job.get("statusDetails", {})
    phases = [
        f"{name} {details[field]['status']}"
        for field, name in JOB_PHASES
        if details.get(field, {}).get("status")
    ]
    return ", ".join(phases) or f"job {job['status']}"


def exists(stack: Stack, name: str) -> bool:
    """Whether a run or a generation with this ID exists."""
    if stack.run_store.find(name) is not None:
        return True
    return "GenerationsTableName" in stack.outputs and stack.generations.find(name) is not None


def is_generation(stack: Stack, name: str, start_timeout: float) -> bool:
    """Whether an ID is that of a generation. Waits until the ID is in one of the two tables."""
    begin = time.monotonic()
    while True:
        if stack.run_store.find(name) is not None:
            return False
        if "GenerationsTableName" in stack.outputs and stack.generations.find(name) is not None:
            return True
        if time.monotonic() - begin >= start_timeout:
            return False
        time.sleep(_interval(stack))


def poll_generation(
    stack: Stack,
    generation_id: str,
    *,
    timeout: float,
    start_timeout: float,
    version: str = "",
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[GenerationSnapshot]:
    """Yield snapshots of a generation until it has ended and its end is published.

    A spec that is uploaded again has the same ID. With `version`, the object version of an upload, an end
    before that upload does not count. Raises TimedOut and Transient as `poll_run` does.
    """
    begin = reached = clock()
    found: Generation | None = None
    started = False
    while True:
        try:
            found = stack.generations.find(generation_id)
            labelled = stack.labels.count(generation_id) if found and found.planned else 0
            reached = clock()
            started = found is not None and (not version or version in found.versions)
            yield GenerationSnapshot(found if started else None, labelled)
        except Transient:
            if clock() - reached >= start_timeout:
                raise
        if started and found is not None and _published(found):
            return
        if not started and clock() - begin >= start_timeout:
            raise TimedOut(f"Generation {generation_id} did not start within {start_timeout:g} seconds.")
        if clock() - begin >= timeout:
            raise TimedOut(
                f"Generation {generation_id} has not ended within {timeout:g} seconds. It continues."
            )
        pause(_interval(stack))


def _published(generation: Generation) -> bool:
    """Whether the end of a generation is published, and it is not going to continue."""
    published = generation.state in GENERATION_ENDED and generation.announced == generation.ending
    return published and not generation.continues


def _interval(stack: Stack) -> float:
    return LOCAL_INTERVAL if stack.local else AWS_INTERVAL
