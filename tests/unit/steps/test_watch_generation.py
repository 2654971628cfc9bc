"""The poller of generations: overdue planning, lost messages, events that were not published."""

from __future__ import annotations

from datetime import timedelta

import boto3
import pytest

from distillery.generation.states import GenerationState
from distillery.steps import watch_generation
from tests.unit.steps.generation_flow import MODEL, SMALL, GenerationFlow


def test_planning_that_never_finishes_fails_the_generation(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.name(SMALL)
    flow.steps.generations.receive(name, flow.drop(SMALL), step="plan_dataset", teacher=MODEL)
    assert flow.poll(name) is False
    monkeypatch.setattr(watch_generation, "PLANNING_TIME", timedelta())
    assert flow.poll(name) is True
    assert flow.generation(name).state is GenerationState.FAILED
    assert flow.cloud.published() == {"Generation Failed": 1}
    assert flow.plan(flow.drop(SMALL)).state is GenerationState.LABELLING


def test_queries_whose_messages_were_lost_are_queued_again(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(SMALL)
    for record in flow.receive(8):  # lost
        boto3.client("sqs").delete_message(
            QueueUrl=flow.settings.label_queue_url, ReceiptHandle=record["receiptHandle"]
        )
    flow.label()
    assert flow.steps.labels.count(name) == 30
    assert flow.poll(name) is False
    assert flow.receive() == []
    monkeypatch.setattr(watch_generation, "REQUEUE_AFTER", timedelta())
    assert flow.poll(name) is False
    flow.label()
    assert flow.assemble(name).state is GenerationState.ASSEMBLED
    assert set(flow.teacher.asked.values()) == {1}


def test_an_end_that_was_not_announced_is_announced_by_the_poller(
    flow: GenerationFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = flow.drop_and_plan(SMALL)
    flow.label()

    def fail(*_: object) -> None:
        raise RuntimeError("the function stopped")

    with monkeypatch.context() as patched:
        patched.setattr(flow.steps.event_bus, "publish", fail)
        with pytest.raises(RuntimeError):
            flow.assemble(name)
    assert flow.poll(name) is True
    assert flow.cloud.published()["Dataset Generated"] == 1


def test_a_wait_of_a_generation_that_does_not_exist_goes_to_the_dead_letter_queue(
    flow: GenerationFlow,
) -> None:
    assert flow.poll("nobody-000000000000") is True
    assert flow.dead_letter_reasons() == ["The generations table has no generation nobody-000000000000."]
