"""Assembling: cost cap, deadline, too few labels, repeated deliveries."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.aws.generation_store import Label
from distillery.errors import Transient
from distillery.generation.states import GenerationState
from tests.specs import spec_text
from tests.unit.steps.generation_flow import (
    CHANNEL_CONFIG,
    PLANNED,
    SMALL,
    Died,
    GenerationFlow,
    before_first,
    die,
    spent,
)


def test_the_cost_cap_stops_the_generation_with_a_dataset_and_a_higher_cap_continues_it(
    flow: GenerationFlow,
) -> None:
    cheap = spec_text(records=100, oversample=0.5, max_cost_usd=0.18)
    name = flow.drop_and_plan(cheap)
    while records := flow.receive(1):
        assert flow.label(records) == []
    capped = flow.generation(name)
    assert capped.is_capped
    assert capped.cost < 0.18 + 10 * 0.002  # what one message may still have under way
    assert flow.dead_letter_reasons() == []
    asked = flow.teacher.calls
    assert 100 <= asked < 150
    assert flow.poll(name) is False
    stopped = flow.assemble(name)
    assert stopped.state is GenerationState.STOPPED
    assert "The cost cap of $0.18 was reached." in stopped.reasons
    assert stopped.run_id
    assert flow.poll(name) is True

    assert flow.plan(flow.drop(cheap)).state is GenerationState.STOPPED
    assert flow.receive() == []
    more = flow.plan(flow.drop(spec_text(records=100, oversample=0.5, max_cost_usd=5)))
    assert more.generation_id == name
    assert more.state is GenerationState.LABELLING
    flow.label()
    made = flow.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert set(flow.teacher.asked.values()) == {1}
    assert flow.teacher.calls == 150
    assert flow.cloud.published() == {
        "Dataset Planned": 2,
        "Labels Complete": 1,
        "Generation Stopped": 1,
        "Dataset Generated": 1,
    }


def test_too_few_labels_give_no_dataset_and_a_reason(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(spec_text(records=100, max_cost_usd=0.02))
    flow.label()
    stopped = flow.assemble(name)
    assert stopped.state is GenerationState.STOPPED
    assert stopped.dataset_key is None
    assert stopped.run_id is None
    assert "A dataset needs at least 100 records." in stopped.reasons
    assert flow.datasets() == []


def test_the_deadline_stops_the_generation_and_a_later_drop_continues_it(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(5))
    flow.end_time(name)
    assert flow.label() == []
    assert flow.teacher.calls == 50
    flow.poll(name)
    stopped = flow.assemble(name)
    assert stopped.state is GenerationState.STOPPED
    assert "has passed" in stopped.reasons[0]
    assert flow.plan(flow.drop(SMALL)).state is GenerationState.LABELLING
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert flow.teacher.calls == PLANNED


def test_the_event_has_no_effect_while_labelling_continues(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(10))
    assert flow.assemble(name).state is GenerationState.LABELLING
    assert flow.datasets() == []


@pytest.mark.parametrize("last", ["put_new", "put", "move"])
def test_an_assembly_that_stops_anywhere_writes_the_same_dataset_when_tried_again(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """A call that was open when labelling ended has returned in between. Its label is kept for later."""
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(10))
    open_call = flow.receive()
    generations, bucket = flow.steps.generations, flow.steps.bucket
    move = generations.move

    def die_at_the_end(name: str, to: GenerationState, **values: Any) -> Any:
        return die() if to is GenerationState.STOPPED else move(name, to, **values)

    def assemble_during_the_call(*_: object) -> None:
        flow.teacher.script = lambda _, __: None
        flow.end_time(name)
        with monkeypatch.context() as patched:
            if last == "move":
                patched.setattr(generations, "move", die_at_the_end)
            else:
                patched.setattr(bucket, last, die)
            with pytest.raises(Died):
                flow.assemble(name)

    flow.teacher.script = assemble_during_the_call
    assert len(flow.label(open_call)) == 1
    assert flow.generation(name).state is GenerationState.ASSEMBLING
    assert flow.steps.labels.count(name) == 100
    assert flow.poll(name) is False
    assert flow.cloud.published()["Labels Complete"] == 1
    made = flow.assemble(name)
    assert made.state is GenerationState.STOPPED
    assert flow.datasets() == [made.dataset_key]
    calls = flow.teacher.calls
    assert flow.label(open_call) == []
    assert flow.teacher.calls == calls
    assert flow.steps.labels.count(name) == calls > 100
    assert flow.generation(name).spent == pytest.approx(spent(flow, name))


def test_two_deliveries_of_the_event_write_one_dataset(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(10))
    flow.end_time(name)

    def overtake() -> None:
        number = min(set(range(1, PLANNED + 1)) - flow.steps.labels.numbers(name))
        label = Label(generation_id=name, number=number, query="a", weights=CHANNEL_CONFIG.fallback)
        with pytest.raises(Transient, match="is being assembled"):
            flow.steps.labels.store(label, flow.settings.generations_table)
        flow.assemble(name)
        flow.steps.labels.store(label, flow.settings.generations_table)

    before_first(monkeypatch, flow.steps.bucket, "put_new", overtake)
    made = flow.assemble(name)
    assert flow.datasets() == [made.dataset_key]
    assert [move.state for move in made.history].count(GenerationState.STOPPED) == 1


def test_a_function_delayed_until_the_next_assembly_does_not_end_that(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(10))
    flow.end_time(name)

    def overtake() -> None:
        flow.assemble(name)
        flow.plan(flow.drop(SMALL))
        flow.label()
        with monkeypatch.context() as patched:
            patched.setattr(flow.steps.bucket, "put_new", die)
            with pytest.raises(Died):
                flow.assemble(name)

    before_first(monkeypatch, flow.steps.bucket, "put", overtake)
    flow.assemble(name)
    assert flow.generation(name).state is GenerationState.ASSEMBLING
    made = flow.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert made.counts["labelled"] == PLANNED


def test_a_drop_while_the_end_of_labelling_is_decided_counts(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(spec_text(records=100, oversample=0.1, max_cost_usd=0.02))
    flow.label()
    assert flow.generation(name).is_capped
    before_first(monkeypatch, flow.steps.labels, "count", lambda: flow.plan(flow.drop(SMALL)))
    assert flow.assemble(name).state is GenerationState.LABELLING
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert set(flow.teacher.asked.values()) == {1}


@pytest.mark.parametrize("finisher", ["assembler", "poller"])
def test_a_drop_while_the_dataset_is_assembled_continues_the_generation_afterwards(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch, finisher: str
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label(flow.receive(10))
    flow.end_time(name)

    with monkeypatch.context() as patched:
        before_first(patched, flow.steps.bucket, "put_new", lambda: flow.plan(flow.drop(SMALL)))
        if finisher == "poller":
            patched.setattr(flow.steps.event_bus, "publish", die)
            with pytest.raises(Died):
                flow.assemble(name)
        else:
            flow.assemble(name)
    assert flow.poll(name) is False
    assert flow.generation(name).state is GenerationState.LABELLING
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert flow.teacher.calls == PLANNED
    assert flow.cloud.published() == {
        "Dataset Planned": 2,
        "Generation Stopped": 1,
        "Dataset Generated": 1,
    }
