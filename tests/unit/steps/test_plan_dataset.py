"""Planning: specs that are rejected, repeated or continued, and queries that the teacher writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from distillery.aws.stack_config import PRICES_KEY
from distillery.generation.states import GenerationState, generation_key
from distillery.runs.events import GenerationWatch
from distillery.runs.states import now
from distillery.steps import plan_dataset, watch_generation
from tests.specs import spec_text
from tests.unit.steps.generation_flow import MODEL, PLANNED, SMALL, Died, GenerationFlow, before_first, die


def test_the_bucket_keeps_spec_channel_config_and_plan(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    keys = flow.steps.bucket.keys(generation_key(name, ""))
    assert [key.rsplit("/", 1)[1] for key in keys] == ["channels.yaml", "plan.jsonl", "spec.yaml"]
    assert len(flow.steps.plan(name)) == PLANNED


def test_an_invalid_spec_is_rejected_once_with_a_reason(flow: GenerationFlow) -> None:
    source = flow.drop("records: 5")
    for _ in range(2):
        rejected = flow.plan(source)
    assert rejected.state is GenerationState.REJECTED
    assert "records must be at least 100" in rejected.reasons[0]
    assert flow.cloud.published() == {"Generation Failed": 1}
    assert flow.teacher.calls == 0


def test_an_invalid_spec_has_a_wait_so_that_it_ends_when_the_function_stops(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(flow.steps.generations, "move", die)
        with pytest.raises(Died):
            flow.plan(flow.drop("records: 5"))
    monkeypatch.setattr(watch_generation, "PLANNING_TIME", timedelta())
    (wait,) = flow.cloud.messages("WATCH_QUEUE_URL")
    name = GenerationWatch.model_validate_json(wait["Body"]).generation_id
    assert flow.poll(name) is True
    assert flow.generation(name).state is GenerationState.FAILED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"channels": ["visual", "smell"]}, "the channel configuration has no channel 'smell'"),
        ({"records": 15_000}, "material is too little"),
    ],
)
def test_a_spec_that_cannot_be_planned_is_rejected_with_a_reason(
    flow: GenerationFlow, changes: dict[str, Any], expected: str
) -> None:
    rejected = flow.plan(flow.drop(spec_text(**changes)))
    assert rejected.state is GenerationState.REJECTED
    assert expected in rejected.reasons[0]
    assert flow.receive() == []


def test_a_teacher_without_a_price_fails_the_generation_before_any_call(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.steps.generation_flow.MODEL", "unknown.model-v1:0")
    failed = flow.plan(flow.drop(SMALL))
    assert failed.state is GenerationState.FAILED
    assert "There is no price for the teacher unknown.model-v1:0" in failed.reasons[0]


def test_the_stacks_own_prices_count_against_the_cap(flow: GenerationFlow) -> None:
    prices = (
        "as_of: 2027-01-02\ncurrency: USD\nmodels:\n"
        f"  - {{ids: [{MODEL}], input: 8.0, output: 32.0, source: our bill}}\n"
    )
    boto3.client("s3").put_object(Bucket="data", Key=PRICES_KEY, Body=prices.encode())
    planned = flow.plan(flow.drop(SMALL))
    assert planned.price is not None
    assert (planned.price.input, planned.price.output) == (8.0, 32.0)


def test_the_same_event_twice_is_one_plan(flow: GenerationFlow) -> None:
    source = flow.drop(SMALL)
    first, second = flow.plan(source), flow.plan(source)
    assert first.generation_id == second.generation_id
    assert len(flow.receive()) == PLANNED / 10
    assert flow.cloud.published() == {"Dataset Planned": 1}


def test_the_same_spec_again_changes_nothing_when_the_dataset_exists(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label()
    made = flow.assemble(name)
    flow.cloud.published()
    again = flow.plan(flow.drop(SMALL))
    assert again.generation_id == name
    assert again.state is GenerationState.ASSEMBLED
    assert again.history == made.history
    assert flow.receive() == []
    assert flow.cloud.published() == {}
    assert len(flow.datasets()) == 1


def test_planning_that_was_interrupted_continues_with_the_next_delivery(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("the function stopped")

    source = flow.drop(SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(plan_dataset, "dump_plan", fail)
        with pytest.raises(RuntimeError):
            flow.plan(source)
    assert flow.generation(flow.name(SMALL)).state is GenerationState.PLANNING
    assert flow.plan(source).state is GenerationState.LABELLING
    assert len(flow.receive()) == PLANNED / 10


def test_the_teacher_writes_the_queries_that_the_spec_allows_and_is_called_once_for_each_part(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec_text(records=100, oversample=0, teacher_queries=0.2)

    def fail(*_: object) -> bytes:
        raise RuntimeError("the function stopped")

    source = flow.drop(text)
    with monkeypatch.context() as patched:
        patched.setattr(plan_dataset, "dump_plan", fail)
        with pytest.raises(RuntimeError):
            flow.plan(source)
    planned = flow.plan(source)
    assert flow.teacher.calls == 4 == flow.teacher.asked["Part 1 of the list."]
    assert planned.counts == {"planned": 100, "invented": 20}
    assert planned.invented_usd > 0
    assert planned.cost == planned.invented_usd
    template_groups = [one.template_group for one in flow.steps.plan(planned.generation_id)]
    assert template_groups.count("teacher") == 20


def test_a_redelivered_event_does_not_continue_a_stopped_generation(flow: GenerationFlow) -> None:
    source = flow.drop(SMALL)
    name = flow.plan(source).generation_id
    flow.steps.generations.note(name, halted="It was halted.")
    flow.assemble(name)
    assert flow.plan(source).state is GenerationState.STOPPED


def end_as(flow: GenerationFlow, state: GenerationState) -> str:
    """Plan a generation and let it end as STOPPED or FAILED with labels missing."""
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(3))
    if state is GenerationState.FAILED:
        flow.steps.end(name, GenerationState.FAILED, "a", "It failed.")
    else:
        flow.end_time(name)
        flow.assemble(name)
    assert flow.generation(name).state is state
    flow.cloud.published()
    return name


ENDED = pytest.mark.parametrize("state", [GenerationState.STOPPED, GenerationState.FAILED])


@ENDED
def test_the_wait_of_a_drop_is_kept_when_it_is_polled_before_the_generation_continues(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch, state: GenerationState
) -> None:
    name = end_as(flow, state)
    watch = flow.steps.watch_queue.watch
    polls = []

    def watch_and_poll(message: GenerationWatch) -> None:
        watch(message)
        polls.append(flow.poll(name))

    monkeypatch.setattr(flow.steps.watch_queue, "watch", watch_and_poll)
    assert flow.plan(flow.drop(SMALL)).state is GenerationState.LABELLING
    assert polls == [False]
    assert flow.poll(name) is False
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert flow.teacher.calls == PLANNED
    assert flow.cloud.published() == {"Dataset Planned": 1, "Dataset Generated": 1}


@ENDED
@pytest.mark.parametrize("method", ["watch", "move"])
def test_a_drop_counts_when_the_function_stops_before_the_generation_continues(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch, state: GenerationState, method: str
) -> None:
    name = end_as(flow, state)
    source = flow.drop(SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(flow.steps.watch_queue if method == "watch" else flow.steps.generations, method, die)
        with pytest.raises(Died):
            flow.plan(source)
    assert flow.generation(name).state is state
    if method == "move":
        assert flow.poll(name) is False
    assert flow.plan(source).state is GenerationState.LABELLING
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    made = flow.plan(source)
    assert made.state is GenerationState.ASSEMBLED
    assert flow.teacher.calls == PLANNED


def test_a_drop_during_planning_changes_the_limits_and_counts_once(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = flow.drop(spec_text(records=100, oversample=0.1, max_cost_usd=0.01))
    with monkeypatch.context() as patched:
        patched.setattr(plan_dataset, "dump_plan", die)
        with pytest.raises(Died):
            flow.plan(first)
    second = flow.drop(spec_text(records=100, oversample=0.1, max_cost_usd=0.02))
    planned = flow.plan(second)
    assert planned.state is GenerationState.LABELLING
    assert planned.max_cost_usd == 0.02
    flow.label()
    name = planned.generation_id
    assert flow.assemble(name).state is GenerationState.STOPPED
    for late in (first, second):
        assert flow.plan(late).state is GenerationState.STOPPED
    assert flow.receive() == []


def test_a_planner_that_was_delayed_does_not_continue_a_stopped_generation(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = flow.drop(SMALL)

    def overtake() -> None:
        name = flow.plan(source).generation_id
        flow.end_time(name)
        assert flow.assemble(name).state is GenerationState.STOPPED

    before_first(monkeypatch, plan_dataset, "dump_plan", overtake)
    assert flow.plan(source).state is GenerationState.STOPPED


def test_a_drop_with_a_cap_that_is_reached_already_does_not_continue(flow: GenerationFlow) -> None:
    name = end_as(flow, GenerationState.STOPPED)
    low = spec_text(records=100, oversample=0.1, max_cost_usd=0.001)
    assert flow.plan(flow.drop(low)).state is GenerationState.STOPPED
    assert flow.poll(name) is True
    assert flow.plan(flow.drop(SMALL)).state is GenerationState.LABELLING


def test_the_answers_of_the_teacher_are_kept_for_as_long_as_planning_may_be_tried_again(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec_text(records=100, oversample=0, teacher_queries=0.2)
    with monkeypatch.context() as patched:
        patched.setattr(plan_dataset, "dump_plan", die)
        for _ in range(3):
            with pytest.raises(Died):
                flow.plan(flow.drop(text))
    flow.steps.end(flow.name(text), GenerationState.FAILED, "a", "Planning did not finish in time.")
    items = boto3.client("dynamodb").scan(TableName="IdempotencyTable")["Items"]
    expiries = [datetime.fromtimestamp(int(item["expiration"]["N"]), UTC) for item in items]
    assert len(expiries) == 4
    assert min(expiries) - now() > timedelta(days=300)
    planned = flow.plan(flow.drop(text))
    assert flow.teacher.calls == 4
    assert planned.invented_usd > 0
