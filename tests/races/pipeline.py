"""The steps of a run over the cloud in memory: deliveries, retries, polls, and what must hold at the end."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from distillery.aws.bedrock.deployments import Deployments
from distillery.aws.bedrock.evaluations import EvaluationJobs
from distillery.aws.bedrock.jobs import CustomizationJobs
from distillery.aws.event_bus import EventBus
from distillery.aws.idempotent_calls import CallInProgress, OutOfTime, one_at_a_time
from distillery.aws.queues import Queue
from distillery.aws.run_store import RunStore
from distillery.runs.events import WatchMessage
from distillery.runs.states import ENDED, Run, Source, State
from distillery.settings import (
    EvaluateSettings,
    PromoteSettings,
    RunSettings,
    StartSettings,
    ValidateSettings,
)
from distillery.steps.deploy_model import deploy_model
from distillery.steps.evaluate_model import evaluate_model, ready_for_evaluation
from distillery.steps.promote_model import VerdictPending, promote_model
from distillery.steps.run_steps import RunSteps
from distillery.steps.start_distillation import start_distillation
from distillery.steps.validate_dataset import validate_dataset
from distillery.steps.watch_bedrock import StillWaiting, poll_message
from tests.races.cloud import Died, Invocation
from tests.unit.fakes import FakeContext, FakeModels, FakeRoles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from tests.races.cloud import Cloud, Message

TARGETS = {
    "Dataset Validated": "start",
    "Run Approved": "start",
    "Distillation Finished": "deploy",
    "Model Deployed": "evaluate",
    "Evaluation Finished": "promote",
}
"""The function that receives each event."""
TERMINAL_EVENTS = {
    State.PROMOTED: {"Model Promoted", "Model Not Promoted"},
    State.NOT_PROMOTED: {"Model Not Promoted"},
    State.FAILED: {"Run Failed"},
    State.REJECTED: {"Dataset Rejected"},
    State.DUPLICATE: {"Dataset Rejected"},
}
RETRY_AFTER = (timedelta(seconds=60), timedelta(seconds=120))
"""Lambda's retries of an asynchronous invocation."""
LONGEST = timedelta(days=40)


class SerialExecutor:
    """Takes the place of the thread pools of the steps, so that a schedule is deterministic."""

    def __init__(self, _workers: int | None = None) -> None:
        pass

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[..., Any], *values: Iterable[Any]) -> Iterator[Any]:
        """Call the function for each value, when the result is asked for."""
        return map(function, *values)

    def submit(self, function: Callable[..., Any], *values: Any) -> Future[Any]:
        """Call the function now."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*values))
        except Exception as error:  # noqa: BLE001 (as a pool does)
            future.set_exception(error)
        return future


@dataclass
class Delivery:
    """An asynchronous invocation that is due."""

    target: str
    subject: str
    due: datetime
    attempt: int = 0


@dataclass
class Pipeline:
    """Runs the functions of the chain, one delivery after another in the order of the virtual clock."""

    cloud: Cloud
    environment: dict[str, str]
    pending: list[Delivery] = field(default_factory=list)
    letters: list[Delivery] = field(default_factory=list)
    """Invocations that failed three times."""
    plan: Callable[[str, int], Invocation | None] = lambda _target, _number: None
    """The invocation, with its faults, for the n-th delivery to a function."""
    delivered: dict[str, int] = field(default_factory=dict)
    invocations: list[tuple[str, Invocation]] = field(default_factory=list)
    lost_events: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cloud.on_event = self._route
        self.cloud.on_job = self._job_will_end

    @property
    def steps(self) -> RunSteps:
        settings = RunSettings.load(self.environment)
        return RunSteps(
            settings=settings,
            run_store=RunStore("RunsTable"),
            event_bus=EventBus("bus"),
            watch_queue=Queue(settings.watch_queue_url),
            jobs=CustomizationJobs(),
            deployments=Deployments(),
            evaluations=EvaluationJobs(),
        )

    def drop(self, key: str, content: str) -> str:
        """Put a dataset into the bucket. Returns the subject of its `Object Created` event."""
        response = self.cloud.client("s3").put_object(Bucket="data", Key=key, Body=content.encode())
        subject = Source(bucket="data", key=key, etag=response["ETag"].strip('"')).model_dump_json()
        self.deliver("validate", subject)
        return subject

    def deliver(self, target: str, subject: str, after: timedelta = timedelta()) -> Delivery:
        """Schedule an invocation."""
        delivery = Delivery(target, subject, self.cloud.now + after)
        self.pending.append(delivery)
        return delivery

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        items = self.cloud.client("dynamodb").scan(TableName="RunsTable")["Items"]
        runs = [RunStore("RunsTable").get(item["run_id"]["S"]) for item in items]
        return sorted(runs, key=lambda run: (run.history[0].at, run.run_id))

    def function(self, target: str, subject: str) -> Callable[[], Any]:
        """The function that a delivery invokes."""
        env = self.environment
        match target:
            case "validate":
                source = Source.model_validate_json(subject)
                return lambda: validate_dataset(source, ValidateSettings.load(env), self.steps)
            case "start":
                settings = StartSettings.load(env)
                return lambda: start_distillation(subject, settings, self.steps, FakeModels(), FakeRoles())
            case "deploy":
                job_arn, _, run_id = subject.partition(" ")
                return lambda: deploy_model(job_arn, self.steps, run_id or None)
            case "evaluate":
                return lambda: self._evaluate(subject)
            case "promote":
                return lambda: self._promote(subject)
        raise AssertionError(target)

    def _evaluate(self, run_id: str) -> None:
        steps, context = self.steps, self._context
        settings = EvaluateSettings.load(self.environment)
        if ready_for_evaluation(run_id, steps):
            self._one_at_a_time("evaluate", run_id, lambda: evaluate_model(run_id, settings, steps, context))

    def _promote(self, run_id: str) -> None:
        settings = PromoteSettings.load(self.environment)
        self._one_at_a_time("promote", run_id, lambda: promote_model(run_id, settings, self.steps))

    def _one_at_a_time(self, prefix: str, run_id: str, step: Callable[[], object]) -> None:
        """As the handlers do."""
        with suppress(CallInProgress, OutOfTime, VerdictPending):
            one_at_a_time(prefix, "IdempotencyTable", run_id, self._context, step)

    @property
    def _context(self) -> Any:
        return FakeContext(900_000)

    def settle(self) -> None:
        """Deliver until nothing is pending: no invocation, no event of Bedrock and no wait."""
        limit = self.cloud.now + LONGEST
        while (due := self._next()) is not None and due <= limit:
            self.next_step()

    def next_step(self) -> None:
        """Move the clock to the next delivery or poll, and make it."""
        due = self._next()
        assert due is not None, "nothing is pending"
        if due > self.cloud.now:
            self.cloud.clock.move_to(due)
        self.step()

    def step(self) -> bool:
        """Make the deliveries that are due at this moment, one of them. Returns whether there was one."""
        now = self.cloud.now
        for delivery in sorted(self.pending, key=lambda one: one.due):
            if delivery.due <= now:
                self.pending.remove(delivery)
                self.invoke(delivery)
                return True
        for message in self.cloud.queues["watch"]:
            if message.visible_at <= now:
                self.poll(message)
                return True
        return False

    def _next(self) -> datetime | None:
        times = [delivery.due for delivery in self.pending]
        times += [message.visible_at for message in self.cloud.queues["watch"]]
        return min(times, default=None)

    def _invocation(self, target: str) -> Invocation:
        number = self.delivered[target] = self.delivered.get(target, -1) + 1
        invocation = self.plan(target, number) or Invocation()
        self.invocations.append((target, invocation))
        return invocation

    def invoke(self, delivery: Delivery, invocation: Invocation | None = None) -> None:
        """Invoke the function of a delivery, and schedule Lambda's retry when it fails."""
        function = self.function(delivery.target, delivery.subject)
        try:
            self.cloud.invoke(invocation or self._invocation(delivery.target), function)
        except (Exception, Died):  # noqa: BLE001 (as Lambda does)
            if delivery.attempt == len(RETRY_AFTER):
                self.letters.append(delivery)
                return
            due = self.cloud.now + RETRY_AFTER[delivery.attempt]
            self.pending.append(Delivery(delivery.target, delivery.subject, due, delivery.attempt + 1))

    def poll(self, message: Message, invocation: Invocation | None = None) -> None:
        """Deliver a wait to the poller; delete the message when the wait is over."""
        if not self.cloud.receive("watch", message):
            return
        wait = WatchMessage.model_validate_json(message.body)
        try:
            self.cloud.invoke(
                invocation or self._invocation("watch"),
                lambda: poll_message(
                    wait, message.receipt, message.receives, self.steps, Queue("https://queue/dead")
                ),
            )
        except StillWaiting:
            return
        except (Exception, Died):  # noqa: BLE001 (the message becomes visible again)
            return
        self.cloud.queues["watch"].remove(message)

    def interleave(
        self, first: Callable[[Invocation], None], pause_at: int, second: Callable[[], None]
    ) -> bool:
        """Run `first` up to a call, then `second` to its end, then the rest of `first`.

        Returns False when `first` made fewer calls, so that it never paused.
        """
        invocation = Invocation(pause_at=pause_at)
        errors: list[BaseException] = []

        def run() -> None:
            try:
                first(invocation)
            except BaseException as error:  # noqa: BLE001 (raised below)
                errors.append(error)
            finally:
                invocation.paused.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert invocation.paused.wait(60)
        paused = thread.is_alive() and len(invocation.calls) == pause_at + 1
        second()
        invocation.resumed.set()
        thread.join(60)
        if errors:
            raise errors[0]
        return paused

    def _route(self, detail_type: str, detail: dict[str, Any]) -> None:
        if detail_type in self.lost_events or detail_type not in TARGETS:
            return
        target = TARGETS[detail_type]
        subject = detail["run_id"]
        if target == "deploy":
            subject = f"{detail['job_arn']} {subject}"
        self.deliver(target, subject, timedelta(seconds=1))

    def _job_will_end(self, arn: str) -> None:
        if "Model Customization Job State Change" not in self.lost_events:
            self.deliver("deploy", arn, timedelta(hours=1, seconds=5))

    def violations(self, *, one_each: bool = True) -> list[str]:
        """What does not hold at the end of a schedule; empty when everything does."""
        found: list[str] = []
        bedrock = self.cloud.bedrock
        if self.cloud.queues["watch"]:
            found.append("a wait is left in the queue")
        if one_each:
            found += [f"{name} created {count} times" for name, count in bedrock.created.items() if count > 1]
        active = json.loads(
            self.cloud.client("ssm").get_parameter(Name="/stack/active-model")["Parameter"]["Value"]
        )
        existing = {deployment.arn for deployment in bedrock.deployments.values()}
        if active and active["model_id"] not in existing:
            found.append("the active model names a deployment that does not exist")
        for run in self.runs():
            found += self._run_violations(run)
        return found

    def _run_violations(self, run: Run) -> Iterator[str]:
        bedrock, name = self.cloud.bedrock, run.run_id
        if run.state not in ENDED:
            yield f"{name} is {run.state} for ever"
            return
        said = {kind for kind, detail in self.cloud.published if detail["run_id"] == name}
        if not said & TERMINAL_EVENTS[run.state]:
            yield f"{name} is {run.state} and nothing says so"
        deployed = name in bedrock.deployments
        if deployed != (run.state is State.PROMOTED and not run.superseded):
            yield f"{name} is {run.state}{' (superseded)' * run.superseded} and deployed: {deployed}"
        if run.state is State.FAILED:
            # A job that would end after the run failed, and was not stopped, was left running.
            failed_at = run.entered(State.FAILED)
            running = [
                job.name
                for job in (*bedrock.jobs.values(), *bedrock.evaluations.values())
                if job.name.startswith(name) and not job.stopped and failed_at and job.ready_at > failed_at
            ]
            if running:
                yield f"{name} is FAILED and left running: {', '.join(running)}"
