"""Assembling: cost cap, deadline, too few labels, repeated deliveries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from distillery.generation.states import GenerationState
from distillery.runs.states import now
from tests.specs import spec_text
from tests.unit.steps.generation_flow import PLANNED, SMALL, GenerationFlow


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
    flow.steps.generations.note(name, deadline=(now() - timedelta(minutes=1)).isoformat())
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


def test_assembling_twice_writes_one_object_with_one_version(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the function stopped")

    with monkeypatch.context() as patched:
        patched.setattr(type(flow.steps.generations), "move", fail)
        with pytest.raises(RuntimeError):
            flow.assemble(name)
    assert len(flow.datasets()) == 1
    made = flow.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert flow.datasets() == [made.dataset_key]
