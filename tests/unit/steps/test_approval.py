"""A run above the cost limit: it waits for approval, one decision counts, and it starts once or ends."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery.aws.queues import Queue
from distillery.errors import Transient
from distillery.messages import usd
from distillery.runs.events import WatchMessage
from distillery.runs.states import MOVES, Approval, Run, Stage, State, now
from distillery.settings import StartSettings, ValidateSettings
from distillery.steps.run_steps import announcement
from distillery.steps.start_distillation import start_distillation
from distillery.steps.validate_dataset import validate_dataset
from distillery.steps.watch_bedrock import watch_bedrock
from tests.unit.fakes import FakeModels, FakeRoles
from tests.unit.steps.run_helpers import GOOD_DATASET, RUN, create_run, dead_letter_reason, drop, jobs, poll

if TYPE_CHECKING:
    from distillery.steps.run_steps import RunSteps
    from tests.unit.fakes import CloudResources


WHO = "arn:aws:iam::123456789012:user/approver"


@pytest.fixture
def strict(cloud: CloudResources) -> StartSettings:
    """Settings under which every run waits."""
    return StartSettings.load(cloud.environment | {"MAX_RUN_COST_USD": "0"})


def decide(steps: RunSteps, decision: Any = "approved", run_id: str = RUN) -> Run | None:
    approval = Approval(by=WHO, at=now(), decision=decision)
    return steps.run_store.decide(run_id, approval, step="a person", reasons=["Too dear."])


def start(steps: RunSteps, settings: StartSettings, run_id: str = RUN) -> Run:
    return start_distillation(run_id, settings, steps, FakeModels(), FakeRoles())


@pytest.fixture
def waiting(steps: RunSteps, strict: StartSettings) -> Run:
    """A run that waits for approval."""
    create_run(steps)
    steps.run_store.move(RUN, State.VALIDATED, step="test")
    return start(steps, strict)


def stages_of_waits(cloud: CloudResources) -> list[Stage]:
    """The waits that were put under watch, in their order."""
    bodies = [message["Body"] for message in cloud.messages("WATCH_QUEUE_URL")]
    return [WatchMessage.model_validate_json(body).stage for body in bodies]


def test_run_above_the_limit_waits_for_approval_and_is_announced_once(
    steps: RunSteps, strict: StartSettings, cloud: CloudResources, waiting: Run
) -> None:
    assert waiting.state is State.AWAITING_APPROVAL
    assert waiting.estimate is not None
    assert waiting.estimate.high > 0
    assert waiting.approve_by is not None
    assert start(steps, strict).state is State.AWAITING_APPROVAL
    assert not jobs(steps).created
    assert cloud.published() == {"Approval Needed": 1}
    assert stages_of_waits(cloud) == [Stage.APPROVAL]


def test_run_within_the_limit_does_not_wait_and_keeps_its_estimate(
    steps: RunSteps, cloud: CloudResources
) -> None:
    create_run(steps)
    steps.run_store.move(RUN, State.VALIDATED, step="test")
    run = start(steps, StartSettings.load(cloud.environment))
    assert run.state is State.TRAINING
    assert run.estimate is not None
    assert run.estimate.approval_reason == ""
    assert cloud.published()["Approval Needed"] == 0


def test_message_has_the_amount_and_the_commands(waiting: Run) -> None:
    event = announcement(waiting)
    assert waiting.estimate is not None
    for words in (
        f"${waiting.estimate.high:.2f}",
        "limit is $0.00",
        f"distillery approve {RUN}",
        f"distillery reject {RUN}",
        f"{waiting.approve_by:%F}",
    ):
        assert words in event.message
    # The rule puts the message between quotation marks.
    assert '"' not in event.message


def test_message_names_what_has_no_price(waiting: Run) -> None:
    assert waiting.estimate is not None
    estimate = waiting.estimate.model_copy(update={"unknown": ["training", "storage"]})
    assert "training, storage" in announcement(waiting.model_copy(update={"estimate": estimate})).message


def test_wait_for_approval_that_was_not_announced_is_announced_after_a_wake_up_event(
    steps: RunSteps, strict: StartSettings, cloud: CloudResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(steps)
    steps.run_store.move(RUN, State.VALIDATED, step="test")
    with monkeypatch.context() as patched:

        def fail(*_: object) -> None:
            raise MemoryError

        patched.setattr(type(steps), "announce", fail)
        with pytest.raises(MemoryError):
            start(steps, strict)
    assert steps.run_store.get(RUN).state is State.AWAITING_APPROVAL
    assert poll(steps, cloud, Stage.APPROVAL) is False
    assert not cloud.published()
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta(seconds=-1))
    assert poll(steps, cloud, Stage.APPROVAL) is False
    assert cloud.published() == {"Dataset Validated": 1}
    start(steps, strict)
    assert cloud.published() == {"Approval Needed": 1}
    assert poll(steps, cloud, Stage.APPROVAL) is False
    assert not cloud.published()


def test_run_that_nobody_approves_fails_at_its_deadline(
    steps: RunSteps, cloud: CloudResources, waiting: Run
) -> None:
    assert poll(steps, cloud, Stage.APPROVAL, overdue=True) is True
    run = steps.run_store.get(waiting.run_id)
    assert run.failure is not None
    assert run.failure.cause.startswith("Nobody approved the run before")
    assert jobs(steps).stopped == []
    assert "Nobody approved" in dead_letter_reason(cloud)
    assert decide(steps) is None


def test_run_that_was_approved_in_the_last_moment_is_not_failed_by_its_deadline(
    steps: RunSteps,
    strict: StartSettings,
    cloud: CloudResources,
    waiting: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decide(steps, run_id=waiting.run_id)
    assert start(steps, strict).state is State.TRAINING
    with monkeypatch.context() as patched:
        patched.setattr(steps.run_store, "find", lambda _: waiting)
        assert poll(steps, cloud, Stage.APPROVAL, overdue=True) is True
    assert steps.run_store.get(waiting.run_id).state is State.TRAINING
    assert not jobs(steps).stopped
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")


def test_approved_run_goes_on_once(
    steps: RunSteps, strict: StartSettings, cloud: CloudResources, waiting: Run
) -> None:
    assert decide(steps) is not None
    for _ in range(2):
        run = start(steps, strict)
        assert run.state is State.TRAINING
    assert run.approval is not None
    assert (run.approval.by, run.approval.decision) == (WHO, "approved")
    assert run.estimate == waiting.estimate
    assert jobs(steps).created[RUN] == 1
    assert poll(steps, cloud, Stage.APPROVAL) is True


def test_event_without_an_approval_starts_nothing(
    steps: RunSteps, cloud: CloudResources, waiting: Run
) -> None:
    generous = StartSettings.load(cloud.environment)
    assert start(steps, generous, waiting.run_id).state is State.AWAITING_APPROVAL
    assert not jobs(steps).created


@pytest.mark.parametrize(("first", "second"), list(itertools.product(("approved", "rejected"), repeat=2)))
def test_only_the_first_decision_counts(steps: RunSteps, waiting: Run, first: str, second: str) -> None:
    assert decide(steps, first) is not None
    assert decide(steps, second) is None
    run = steps.run_store.get(waiting.run_id)
    assert run.approval is not None
    assert run.approval.decision == first
    assert (run.state is State.REJECTED) is (first == "rejected")


@pytest.mark.parametrize("state", [State.RECEIVED, State.VALIDATED, State.TRAINING])
def test_run_that_does_not_wait_takes_no_decision(steps: RunSteps, state: State) -> None:
    create_run(steps)
    for step in {State.RECEIVED: [], State.VALIDATED: [State.VALIDATED]}.get(
        state, [State.VALIDATED, State.TRAINING]
    ):
        steps.run_store.move(RUN, step, step="test")
    assert decide(steps) is None
    assert steps.run_store.get(RUN).approval is None


def test_approved_run_that_has_not_started_gets_its_event_again(
    steps: RunSteps, cloud: CloudResources, waiting: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(steps, run_id=waiting.run_id)
    cloud.published()
    assert poll(steps, cloud, Stage.APPROVAL) is False
    assert not cloud.published()
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta(seconds=-1))
    assert poll(steps, cloud, Stage.APPROVAL) is False
    assert cloud.published() == {"Run Approved": 1}


def test_rejection_that_was_not_announced_is_announced_by_the_poller(
    steps: RunSteps, cloud: CloudResources, waiting: Run
) -> None:
    cloud.published()
    decide(steps, "rejected", waiting.run_id)
    assert poll(steps, cloud, Stage.APPROVAL) is True
    assert cloud.published() == {"Dataset Rejected": 1}


def test_preflight_checks_run_again_after_the_approval(
    steps: RunSteps, strict: StartSettings, waiting: Run
) -> None:
    decide(steps)
    gone = FakeModels(missing=(strict.teacher_model,))
    run = start_distillation(waiting.run_id, strict, steps, gone, FakeRoles())
    assert run.failure is not None
    assert "does not exist" in run.failure.cause
    assert not jobs(steps).created


def test_approval_is_for_the_models_of_the_estimate(
    steps: RunSteps, strict: StartSettings, waiting: Run
) -> None:
    decide(steps)
    dearer = strict.model_copy(update={"judge_model": "us.amazon.nova-premier-v1:0"})
    run = start(steps, dearer, waiting.run_id)
    assert run.failure is not None
    assert "no longer those of the approved estimate" in run.failure.cause
    assert not jobs(steps).created


def test_same_content_is_validated_after_a_person_rejected_it(
    steps: RunSteps, cloud: CloudResources, strict: StartSettings
) -> None:
    validating = ValidateSettings.load(cloud.environment)
    first = validate_dataset(drop("datasets/set/a.jsonl", GOOD_DATASET), validating, steps).run_id
    assert start(steps, strict, first).state is State.AWAITING_APPROVAL
    again = validate_dataset(drop("datasets/set/b.jsonl", GOOD_DATASET), validating, steps)
    assert (again.state, again.duplicate_of) == (State.DUPLICATE, first)
    decide(steps, "rejected", first)
    assert (
        validate_dataset(drop("datasets/set/c.jsonl", GOOD_DATASET), validating, steps).state
        is State.VALIDATED
    )


event_lists = st.lists(
    st.sampled_from(["validated", "approved", "approve", "reject", "watch", "overdue", "busy", "job ends"]),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=event_lists, number=st.integers(min_value=0))
def test_any_order_of_repeated_events_starts_one_job_and_only_with_an_approval(
    steps: RunSteps, cloud: CloudResources, strict: StartSettings, order: list[str], number: int
) -> None:
    name = f"set-{abs(hash((tuple(order), number))):012x}"[:16]
    create_run(steps, name)
    steps.run_store.move(name, State.VALIDATED, step="test")
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    for event in order:
        jobs(steps).failure = Transient("quota") if event == "busy" else None
        match event:
            case "validated" | "approved" | "busy":
                try:
                    start(steps, strict, name)
                except Transient:
                    assert event == "busy"
            case "approve" | "reject":
                decide(steps, "approved" if event == "approve" else "rejected", name)
            case "watch" | "overdue":
                deadline = now() + timedelta(hours=1 if event == "watch" else -1)
                for stage in Stage:
                    wait = WatchMessage(run_id=name, stage=stage, deadline=deadline)
                    watch_bedrock(wait, steps, dead)
            case "job ends" if name in jobs(steps).jobs:
                jobs(steps).end(name, "Completed")
    run = steps.run_store.get(name)
    states = [move.state for move in run.history]
    assert all(after in MOVES[before] for before, after in itertools.pairwise(states))
    assert states[-1] is run.state
    assert jobs(steps).created[name] <= 1
    if jobs(steps).created[name] or State.TRAINING in states:
        assert run.is_approved
        assert states.index(State.AWAITING_APPROVAL) < states.index(State.TRAINING)
    if run.state is State.REJECTED:
        assert run.approval is not None
        assert not jobs(steps).created[name]


def test_price_that_is_removed_while_the_run_waits_does_not_change_the_approved_estimate(
    steps: RunSteps, strict: StartSettings, waiting: Run
) -> None:
    body = json.dumps({"as_of": "2026-01-01", "currency": "USD", "models": []}).encode()
    boto3.client("s3").put_object(Bucket="data", Key="config/prices.yaml", Body=body)
    decide(steps)
    run = start(steps, strict, waiting.run_id)
    assert (run.state, run.estimate) == (State.TRAINING, waiting.estimate)


def test_run_without_its_validation_report_fails_with_a_cause(steps: RunSteps, strict: StartSettings) -> None:
    create_run(steps)
    steps.run_store.move(RUN, State.VALIDATED, step="test")
    boto3.client("s3").delete_object(Bucket="data", Key=f"runs/{RUN}/validation.json")
    run = start(steps, strict)
    assert run.failure is not None
    assert "validation.json" in run.failure.cause


def test_datasets_dropped_at_once_wait_when_the_limit_of_the_day_is_reached(
    steps: RunSteps, cloud: CloudResources
) -> None:
    runs = [create_validated(steps, cloud, number) for number in range(4)]
    first = start(steps, StartSettings.load(cloud.environment), runs[0])
    assert first.estimate is not None
    limit = 2.5 * first.estimate.high
    day = StartSettings.load(cloud.environment | {"MAX_DAY_COST_USD": str(limit)})
    states = [start(steps, day, run_id).state for run_id in runs for _ in range(2)]
    assert states == [State.TRAINING] * 4 + [State.AWAITING_APPROVAL] * 4
    waiting = steps.run_store.get(runs[2])
    assert waiting.estimate is not None
    assert waiting.estimate.approval_reason == (
        f"it may cost {usd(first.estimate.high)}, the runs started today may cost "
        f"{usd(2 * first.estimate.high)}, and the stack's limit for a day is {usd(limit)}"
    )
    decide(steps, run_id=runs[2])
    assert start(steps, day, runs[2]).state is State.TRAINING
    assert sum(jobs(steps).created.values()) == 3
    # The approved run counts as well.
    more = StartSettings.load(cloud.environment | {"MAX_DAY_COST_USD": str(limit + first.estimate.high)})
    assert start(steps, more, create_validated(steps, cloud, 4)).state is State.AWAITING_APPROVAL


def create_validated(steps: RunSteps, cloud: CloudResources, number: int) -> str:
    """Drop and validate a dataset. Returns its run."""
    source = drop(f"datasets/many/{number}.jsonl", GOOD_DATASET.replace("roof", f"roof{number}"))
    return validate_dataset(source, ValidateSettings.load(cloud.environment), steps).run_id
