"""A run that may cost more than the limit: it waits, a person decides once, and it goes on once or ends."""

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
from distillery.runs.events import WatchMessage
from distillery.runs.states import MOVES, Approval, Run, Stage, State, now
from distillery.settings import StartSettings, ValidateSettings
from distillery.steps.start_distillation import start_distillation
from distillery.steps.validate_dataset import validate_dataset
from distillery.steps.watch_bedrock import watch_bedrock
from tests.unit.fakes import FakeModels, FakeRoles, Surroundings
from tests.unit.steps.test_steps import RUN, jobs, received, watch
from tests.unit.steps.test_validate_dataset import GOOD, drop

if TYPE_CHECKING:
    from distillery.steps.run_steps import Pipeline

WHO = "arn:aws:iam::123456789012:user/somebody"


@pytest.fixture
def strict(cloud: Surroundings) -> StartSettings:
    """Settings under which every run waits."""
    return StartSettings.load(cloud.environment | {"MAX_RUN_COST_USD": "0"})


def decide(pipeline: Pipeline, decision: Any = "approved", run_id: str = RUN) -> Run | None:
    approval = Approval(by=WHO, at=now(), decision=decision)
    return pipeline.run_store.decide(run_id, approval, step="a person", reasons=["Too dear."])


def start(pipeline: Pipeline, settings: StartSettings, run_id: str = RUN) -> Run:
    return start_distillation(run_id, settings, pipeline, FakeModels(), FakeRoles())


@pytest.fixture
def waiting(pipeline: Pipeline, strict: StartSettings) -> Run:
    """A run that waits for approval."""
    received(pipeline)
    pipeline.run_store.move(RUN, State.VALIDATED, step="test")
    return start(pipeline, strict)


def stages(cloud: Surroundings) -> list[Stage]:
    """The waits that were put under watch, in their order."""
    bodies = [message["Body"] for message in cloud.received("WATCH_QUEUE_URL")]
    return [WatchMessage.model_validate_json(body).stage for body in bodies]


# Waiting


def test_run_above_the_limit_waits_under_watch_and_says_so_once(
    pipeline: Pipeline, strict: StartSettings, cloud: Surroundings, waiting: Run
) -> None:
    assert waiting.state is State.AWAITING_APPROVAL
    assert waiting.estimate is not None
    assert waiting.estimate.high > 0
    assert waiting.approve_by is not None
    assert start(pipeline, strict).state is State.AWAITING_APPROVAL
    assert not jobs(pipeline).created
    assert cloud.heard() == {"Approval Needed": 1}
    assert stages(cloud) == [Stage.APPROVAL]


def test_run_within_the_limit_does_not_wait_and_keeps_its_quote(
    pipeline: Pipeline, cloud: Surroundings
) -> None:
    received(pipeline)
    pipeline.run_store.move(RUN, State.VALIDATED, step="test")
    run = start(pipeline, StartSettings.load(cloud.environment))
    assert run.state is State.TRAINING
    assert run.estimate is not None
    assert run.estimate.approval_reason == ""
    assert cloud.heard()["Approval Needed"] == 0


def test_need_is_told_with_the_amount_and_the_command(waiting: Run) -> None:
    from distillery.steps.run_steps import announcement

    event = announcement(waiting)
    assert waiting.estimate is not None
    for words in (
        f"${waiting.estimate.high:.2f}",
        "limit is $0.00",
        "training, storage",
        f"distillery approve {RUN}",
        f"distillery reject {RUN}",
        f"{waiting.approve_by:%F}",
    ):
        assert words in event.message
    # The rule puts the message between quotes.
    assert '"' not in event.message


def test_function_that_died_before_saying_so_says_it_when_the_watch_rings(
    pipeline: Pipeline, strict: StartSettings, cloud: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    received(pipeline)
    pipeline.run_store.move(RUN, State.VALIDATED, step="test")
    with monkeypatch.context() as patched:

        def die(*_: object) -> None:
            raise MemoryError

        patched.setattr(type(pipeline), "announce", die)
        with pytest.raises(MemoryError):
            start(pipeline, strict)
    assert pipeline.run_store.get(RUN).state is State.AWAITING_APPROVAL
    assert watch(pipeline, cloud, Stage.APPROVAL) is False
    assert not cloud.heard()
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta(seconds=-1))
    assert watch(pipeline, cloud, Stage.APPROVAL) is False
    assert cloud.heard() == {"Dataset Validated": 1}
    start(pipeline, strict)
    assert cloud.heard() == {"Approval Needed": 1}
    assert watch(pipeline, cloud, Stage.APPROVAL) is False
    assert not cloud.heard()


def test_run_that_nobody_approves_fails_at_its_deadline(
    pipeline: Pipeline, cloud: Surroundings, waiting: Run
) -> None:
    assert watch(pipeline, cloud, Stage.APPROVAL, overdue=True) is True
    run = pipeline.run_store.get(waiting.run_id)
    assert run.failure is not None
    assert run.failure.cause.startswith("Nobody approved the run before")
    assert jobs(pipeline).stopped == []
    (letter,) = cloud.received("DEAD_LETTER_QUEUE_URL")
    assert "Nobody approved" in letter["MessageAttributes"]["reason"]["StringValue"]
    assert decide(pipeline) is None


def test_run_that_was_approved_in_the_last_moment_is_not_failed_by_its_deadline(
    pipeline: Pipeline,
    strict: StartSettings,
    cloud: Surroundings,
    waiting: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decide(pipeline, run_id=waiting.run_id)
    assert start(pipeline, strict).state is State.TRAINING
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.run_store, "find", lambda _: waiting)
        assert watch(pipeline, cloud, Stage.APPROVAL, overdue=True) is True
    assert pipeline.run_store.get(waiting.run_id).state is State.TRAINING
    assert not jobs(pipeline).stopped
    assert not cloud.received("DEAD_LETTER_QUEUE_URL")


# Deciding


def test_approved_run_goes_on_once(
    pipeline: Pipeline, strict: StartSettings, cloud: Surroundings, waiting: Run
) -> None:
    assert decide(pipeline) is not None
    for _ in range(2):
        run = start(pipeline, strict)
        assert run.state is State.TRAINING
    assert run.approval is not None
    assert (run.approval.by, run.approval.decision) == (WHO, "approved")
    assert run.estimate == waiting.estimate
    assert jobs(pipeline).created[RUN] == 1
    assert watch(pipeline, cloud, Stage.APPROVAL) is True


def test_wake_up_without_an_approval_starts_nothing(
    pipeline: Pipeline, cloud: Surroundings, waiting: Run
) -> None:
    generous = StartSettings.load(cloud.environment)
    assert start(pipeline, generous, waiting.run_id).state is State.AWAITING_APPROVAL
    assert not jobs(pipeline).created


@pytest.mark.parametrize(("first", "second"), list(itertools.product(("approved", "rejected"), repeat=2)))
def test_only_the_first_decision_counts(pipeline: Pipeline, waiting: Run, first: str, second: str) -> None:
    assert decide(pipeline, first) is not None
    assert decide(pipeline, second) is None
    run = pipeline.run_store.get(waiting.run_id)
    assert run.approval is not None
    assert run.approval.decision == first
    assert (run.state is State.REJECTED) is (first == "rejected")


@pytest.mark.parametrize("state", [State.RECEIVED, State.VALIDATED, State.TRAINING])
def test_run_that_does_not_wait_takes_no_decision(pipeline: Pipeline, state: State) -> None:
    received(pipeline)
    for step in {State.RECEIVED: [], State.VALIDATED: [State.VALIDATED]}.get(
        state, [State.VALIDATED, State.TRAINING]
    ):
        pipeline.run_store.move(RUN, step, step="test")
    assert decide(pipeline) is None
    assert pipeline.run_store.get(RUN).approval is None


def test_watch_rings_again_for_an_approved_run_that_nobody_went_on_with(
    pipeline: Pipeline, cloud: Surroundings, waiting: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(pipeline, run_id=waiting.run_id)
    cloud.heard()
    assert watch(pipeline, cloud, Stage.APPROVAL) is False
    assert not cloud.heard()
    monkeypatch.setattr("distillery.steps.watch_bedrock.STEP_GRACE", timedelta(seconds=-1))
    assert watch(pipeline, cloud, Stage.APPROVAL) is False
    assert cloud.heard() == {"Run Approved": 1}


def test_rejection_that_was_not_said_aloud_is_said_by_the_watch(
    pipeline: Pipeline, cloud: Surroundings, waiting: Run
) -> None:
    cloud.heard()
    decide(pipeline, "rejected", waiting.run_id)
    assert watch(pipeline, cloud, Stage.APPROVAL) is True
    assert cloud.heard() == {"Dataset Rejected": 1}


def test_checks_are_made_again_after_the_approval(
    pipeline: Pipeline, strict: StartSettings, waiting: Run
) -> None:
    decide(pipeline)
    gone = FakeModels(missing=(strict.teacher_model,))
    run = start_distillation(waiting.run_id, strict, pipeline, gone, FakeRoles())
    assert run.failure is not None
    assert "does not exist" in run.failure.cause
    assert not jobs(pipeline).created


def test_approval_is_for_the_models_that_were_quoted(
    pipeline: Pipeline, strict: StartSettings, waiting: Run
) -> None:
    decide(pipeline)
    dearer = strict.model_copy(update={"judge_model": "us.amazon.nova-premier-v1:0"})
    run = start(pipeline, dearer, waiting.run_id)
    assert run.failure is not None
    assert "no longer those of the estimate" in run.failure.cause
    assert not jobs(pipeline).created


def test_same_content_goes_ahead_after_a_person_rejected_it(
    pipeline: Pipeline, cloud: Surroundings, strict: StartSettings
) -> None:
    validating = ValidateSettings.load(cloud.environment)
    first = validate_dataset(drop("datasets/set/a.jsonl", GOOD), validating, pipeline).run_id
    assert start(pipeline, strict, first).state is State.AWAITING_APPROVAL
    again = validate_dataset(drop("datasets/set/b.jsonl", GOOD), validating, pipeline)
    assert (again.state, again.duplicate_of) == (State.DUPLICATE, first)
    decide(pipeline, "rejected", first)
    assert validate_dataset(drop("datasets/set/c.jsonl", GOOD), validating, pipeline).state is State.VALIDATED


# Any order


events = st.lists(
    st.sampled_from(["validated", "approved", "approve", "reject", "watch", "overdue", "busy", "job ends"]),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=events, number=st.integers(min_value=0))
def test_any_order_of_repeated_events_pays_once_and_only_with_an_approval(
    pipeline: Pipeline, cloud: Surroundings, strict: StartSettings, order: list[str], number: int
) -> None:
    name = f"set-{abs(hash((tuple(order), number))):012x}"[:16]
    received(pipeline, name)
    pipeline.run_store.move(name, State.VALIDATED, step="test")
    dead = Queue(cloud.environment["DEAD_LETTER_QUEUE_URL"])
    for event in order:
        jobs(pipeline).failure = Transient("quota") if event == "busy" else None
        match event:
            case "validated" | "approved" | "busy":
                try:
                    start(pipeline, strict, name)
                except Transient:
                    assert event == "busy"
            case "approve" | "reject":
                decide(pipeline, "approved" if event == "approve" else "rejected", name)
            case "watch" | "overdue":
                deadline = now() + timedelta(hours=1 if event == "watch" else -1)
                for stage in Stage:
                    wait = WatchMessage(run_id=name, stage=stage, deadline=deadline)
                    watch_bedrock(wait, pipeline, dead)
            case "job ends" if name in jobs(pipeline).jobs:
                jobs(pipeline).end(name, "Completed")
    run = pipeline.run_store.get(name)
    states = [move.state for move in run.history]
    assert all(after in MOVES[before] for before, after in itertools.pairwise(states))
    assert states[-1] is run.state
    assert jobs(pipeline).created[name] <= 1
    if jobs(pipeline).created[name] or State.TRAINING in states:
        assert run.is_approved
        assert states.index(State.AWAITING_APPROVAL) < states.index(State.TRAINING)
    if run.state is State.REJECTED:
        assert run.approval is not None
        assert not jobs(pipeline).created[name]


def test_price_that_is_gone_while_the_run_waits_changes_nothing_of_what_was_approved(
    pipeline: Pipeline, strict: StartSettings, waiting: Run
) -> None:
    body = json.dumps({"as_of": "2026-01-01", "currency": "USD", "models": []}).encode()
    boto3.client("s3").put_object(Bucket="data", Key="config/prices.yaml", Body=body)
    decide(pipeline)
    run = start(pipeline, strict, waiting.run_id)
    assert (run.state, run.estimate) == (State.TRAINING, waiting.estimate)


def test_run_whose_validation_is_gone_fails_with_a_sentence(
    pipeline: Pipeline, strict: StartSettings
) -> None:
    received(pipeline)
    pipeline.run_store.move(RUN, State.VALIDATED, step="test")
    boto3.client("s3").delete_object(Bucket="data", Key=f"runs/{RUN}/validation.json")
    run = start(pipeline, strict)
    assert run.failure is not None
    assert "validation.json" in run.failure.cause
