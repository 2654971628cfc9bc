"""Labelling: calls to the teacher, stored labels, retried messages and dead letters."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from distillery.aws.clients import AccessDenied
from distillery.aws.generation_store import Labels
from distillery.errors import Permanent, Throttled, Transient
from distillery.generation.states import GenerationState
from tests.specs import spec_text
from tests.unit.fakes import FakeContext
from tests.unit.steps.generation_flow import PLANNED, SMALL, Died, GenerationFlow, die, spent, summary


def test_a_message_delivered_twice_costs_each_call_once(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    records = flow.receive()
    flow.label(records)
    spent = flow.generation(name).spent
    assert flow.label(records) == []
    assert flow.teacher.calls == PLANNED
    assert flow.generation(name).spent == spent


def test_two_deliveries_at_the_same_time_cost_each_call_once(flow: GenerationFlow) -> None:
    flow.drop_and_plan(SMALL)
    records = flow.receive(2)
    gate = threading.Barrier(2, timeout=10)

    def deliver(_: int) -> list[str]:
        gate.wait()
        return flow.label(records)

    with ThreadPoolExecutor(2) as pool:
        back = [body for bodies in pool.map(deliver, range(2)) for body in bodies]
    assert flow.teacher.calls == 20
    assert flow.label([record for record in records if record["body"] in back]) == []
    assert flow.teacher.calls == 20


def test_throttling_retries_one_message_and_no_other_call(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    throttled = flow.steps.plan(name)[4].query
    flow.teacher.script = lambda q, n: Transient("Too many.") if q == throttled and n == 1 else None
    back = flow.label()
    assert len(back) == 1
    assert throttled in [queued["query"] for queued in json.loads(back[0])["queries"]]
    assert flow.steps.labels.count(name) == PLANNED - 1
    flow.steps.queue_missing(name, flow.steps.plan(name))
    assert flow.label() == []
    assert {count for query, count in flow.teacher.asked.items() if query != throttled} == {1}


def test_an_unreadable_answer_is_requested_once_more_then_stored_with_its_reason(
    flow: GenerationFlow,
) -> None:
    name = flow.drop_and_plan(SMALL)
    plan = flow.steps.plan(name)
    once, always = plan[0].query, plan[1].query
    flow.teacher.script = lambda q, n: "I'd rather not" if q == always or (q == once and n == 1) else None
    flow.label()
    labels = {label.query: label for label in flow.steps.labels.all(name)}
    assert labels[once].weights
    assert labels[always].weights is None
    assert "weights" in labels[always].reason
    assert flow.teacher.asked[once] == flow.teacher.asked[always] == 2
    made = flow.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert made.counts["unlabelled"] == 1
    assert summary(name)["unlabelled"][0]["query"] == always


def test_a_refused_query_is_stored_with_its_reason_and_the_others_are_labelled(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    refused = flow.steps.plan(name)[0].query
    flow.teacher.script = lambda q, _: Permanent("This content is blocked.") if q == refused else None
    flow.label()
    label = next(label for label in flow.steps.labels.all(name) if label.weights is None)
    assert (label.query, label.reason) == (refused, "This content is blocked.")
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert flow.dead_letter_reasons() == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{", "not a message of the label queue"),
        ('{"generation_id": "x", "queries": []}', "not a message of the label queue"),
        ('{"generation_id": "x", "queries": [{"number": 1, "query": "a"}]}', "has no generation x"),
    ],
)
def test_a_message_that_can_never_be_handled_goes_to_the_dead_letter_queue(
    flow: GenerationFlow, body: str, expected: str
) -> None:
    flow.steps.label_queue.send([body])
    assert flow.label() == []
    assert [expected in reason for reason in flow.dead_letter_reasons()] == [True]


def test_a_message_that_keeps_failing_goes_to_the_dead_letter_queue_and_its_queries_stay_unlabelled(
    flow: GenerationFlow,
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.teacher.script = lambda _, __: Transient("Server error.")
    records = flow.receive(1)
    for _ in range(14):
        assert len(flow.label(records)) == 1
    assert flow.label(records) == []
    assert flow.dead_letter_reasons() == ["Given up after 15 failures. Server error."]
    flow.teacher.script = lambda _, __: None
    assert flow.steps.queue_missing(name, flow.steps.plan(name)) == PLANNED


def test_a_throttled_message_is_not_given_up_however_often_it_is_delivered(flow: GenerationFlow) -> None:
    flow.drop_and_plan(SMALL)
    flow.teacher.script = lambda _, __: Throttled("Too many.")
    records = flow.receive(1)
    for receives in range(1, 20):
        records[0]["attributes"]["ApproximateReceiveCount"] = str(receives)
        assert len(flow.label(records)) == 1
    flow.teacher.script = lambda _, __: None
    assert flow.label(records) == []
    assert flow.dead_letter_reasons() == []


def test_no_call_is_started_that_could_exceed_the_time_of_the_function(flow: GenerationFlow) -> None:
    flow.drop_and_plan(SMALL)
    assert len(flow.label(context=FakeContext(remaining=60_000))) == PLANNED / 10
    assert flow.teacher.calls == 0


def test_a_teacher_that_cannot_be_called_stops_the_generation_until_it_can(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(4))
    flow.teacher.script = lambda _, __: AccessDenied("You may not.")
    assert flow.label(flow.receive(1)) == []
    assert flow.dead_letter_reasons() == ["You may not."]
    refused = flow.teacher.calls
    assert flow.label() == []
    assert flow.teacher.calls == refused
    assert flow.assemble(name).state is GenerationState.STOPPED
    assert flow.generation(name).reasons[0] == "The teacher cannot be called. You may not."
    flow.teacher.script = lambda _, __: None
    assert flow.plan(flow.drop(SMALL)).state is GenerationState.LABELLING
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert len(flow.steps.labels.all(name)) == PLANNED
    assert flow.teacher.calls == PLANNED + refused - 40


def test_a_call_is_counted_with_its_label_when_the_function_stops_between_them(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(SMALL)
    records = flow.receive(1)
    with monkeypatch.context() as patched:
        patched.setattr(Labels, "store", die)
        with pytest.raises(Died):
            flow.label(records)
    calls = flow.teacher.calls
    assert calls > 0
    assert flow.generation(name).spent == 0
    assert flow.label(records) == []
    assert flow.teacher.calls == 10
    assert flow.generation(name).spent > 0
    assert flow.generation(name).spent == pytest.approx(spent(flow, name))


def test_no_further_call_is_paid_while_its_cost_cannot_be_counted(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.cloud.environment["LABEL_CONCURRENCY"] = "1"
    name = flow.drop_and_plan(spec_text(records=100, oversample=0.1, max_cost_usd=0.02))
    records = flow.receive()

    def fail(*_: object) -> None:
        raise Transient("Too many.")

    with monkeypatch.context() as patched:
        patched.setattr(Labels, "store", fail)
        for _ in range(3):
            assert len(flow.label(records)) == len(records)
    assert flow.teacher.calls == 1
    flow.label(records)
    capped = flow.generation(name)
    assert capped.is_capped
    assert capped.spent < 0.02 + 0.002
    assert capped.spent == pytest.approx(spent(flow, name))
    assert set(flow.teacher.asked.values()) == {1}


def test_the_cost_of_an_answer_that_gave_no_label_is_counted(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.teacher.script = lambda _, n: "I'd rather not" if n == 1 else Transient("Too many.")
    assert len(flow.label(flow.receive(1))) == 1
    assert flow.steps.labels.count(name) == 0
    assert flow.generation(name).spent > 0


@pytest.mark.parametrize("why", ["halted", "capped", "overdue"])
def test_a_drop_while_no_labels_are_taken_but_before_the_poll_continues_at_once(
    flow: GenerationFlow, why: str
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(1))
    match why:
        case "halted":
            flow.teacher.script = lambda _, __: AccessDenied("You may not.")
            flow.label(flow.receive(1))
            flow.teacher.script = lambda _, __: None
        case "capped":
            flow.steps.generations.note(name, max_cost_usd=0.001)
        case "overdue":
            flow.end_time(name)
    calls = flow.teacher.calls
    assert flow.label() == []
    assert flow.teacher.calls == calls
    assert flow.plan(flow.drop(SMALL)).state is GenerationState.LABELLING
    assert flow.label() == []
    assert flow.steps.labels.count(name) == PLANNED
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
