"""Generations on the local cloud: from a spec to a run, and failures of the teacher."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from distillery.generation.states import GenerationState
from distillery.runs.states import State
from distillery.task.answers import parse_routing
from distillery.task.channels import default_channel_config
from distillery.task.weights import dominant
from tests.local.pipeline.generation_client import GenerationClient
from tests.local.waiting import wait_for
from tests.specs import spec_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.deployed_pipeline import DeployedPipeline

CHANNEL_CONFIG = default_channel_config()


@pytest.fixture
def generations(pipeline: DeployedPipeline) -> GenerationClient:
    """A client of the generations on the deployed pipeline."""
    return GenerationClient(pipeline)


def test_spec_becomes_a_dataset_and_a_run(generations: GenerationClient) -> None:
    hard = {"typos": 0.05, "mixed_intent": 0.05, "adversarial": 0.05, "very_long": 0.05}
    name = generations.drop("small", spec_text(records=150, hard=hard))
    made = generations.reach(name, GenerationState.ASSEMBLED)
    records = generations.dataset(made)
    assert len(records) == 150
    assert made.counts["labelled"] == made.counts["planned"] == 180
    assert generations.teacher_calls() >= 180
    leading = Counter(
        dominant(parse_routing(r["messages"][1]["content"][0]["text"], CHANNEL_CONFIG.names).weights)
        for r in records
    )
    assert all(abs(leading[channel] / 150 - 0.25) <= 0.02 for channel in CHANNEL_CONFIG.names)
    assert made.spent == pytest.approx(sum(label.cost_usd for label in generations.labels.all(name)))
    assert generations.document(name, "summary.json")["run_id"] == made.run_id
    run = generations.pipeline.reach(made.run_id or "", State.PROMOTED, State.NOT_PROMOTED)
    assert run.counts["labelled"] == 150


def test_throttled_teacher_labels_every_query(
    generations: GenerationClient,
) -> None:
    generations.pipeline.faults(calls=[{"operation": "Converse", "error": "ThrottlingException", "every": 3}])
    name = generations.drop("throttled", spec_text(records=100, oversample=0.1, seed=2))
    made = generations.reach(name, GenerationState.ASSEMBLED, seconds=120)
    assert made.counts["labelled"] == made.planned == 110
    assert generations.pipeline.waiting("LabelQueueUrl") == 0


def test_unreadable_answer_is_requested_again_and_recorded_if_it_stays_unreadable(
    generations: GenerationClient,
) -> None:
    generations.pipeline.faults(
        calls=[{"operation": "Converse", "text": "I would rather not say.", "every": 2}]
    )
    name = generations.drop("junk", spec_text(records=100, oversample=1, seed=3))
    made = generations.reach(name, GenerationState.ASSEMBLED)
    labels = generations.labels.all(name)
    unlabelled = [label for label in labels if label.weights is None]
    assert len(labels) == made.planned == 200
    assert made.counts["records"] == 100
    assert all("I would rather not say." in label.reason for label in unlabelled)
    assert generations.document(name, "summary.json")["counts"]["unlabelled"] == len(unlabelled)


def test_unavailable_teacher_stops_the_generation_and_the_same_spec_resumes_it_without_repeated_calls(
    generations: GenerationClient,
) -> None:
    text = spec_text(records=150, seed=4)
    # The delay leaves time to inject the next fault before all queries are labelled.
    generations.pipeline.faults(calls=[{"operation": "Converse", "delay_seconds": 0.4}])
    name = generations.drop("dying", text)
    generations.labelled(name, 20)
    generations.pipeline.faults(calls=[{"operation": "Converse", "error": "AccessDeniedException"}])
    stopped = generations.reach(name, GenerationState.STOPPED)
    assert "The teacher cannot be called." in stopped.reasons[0]
    generations.pipeline.dead_letter(name)
    labelled = generations.settled(name)
    assert 20 <= labelled < 180
    generations.pipeline.control.reset()
    assert generations.drop("dying", text) == name
    made = generations.reach(name, GenerationState.ASSEMBLED)
    assert made.counts["labelled"] == 180
    assert made.counts["records"] == 150
    # The queries that already had a label are not sent to the teacher again.
    assert generations.teacher_calls() == 180 - labelled


def test_cost_cap_stops_the_generation_and_a_higher_cap_resumes_it(generations: GenerationClient) -> None:
    dead_letters = generations.pipeline.waiting("DeadLetterQueueUrl")
    name = generations.drop("capped", spec_text(records=150, seed=5, max_cost_usd=0.1))
    stopped = generations.reach(name, GenerationState.STOPPED)
    assert "The cost cap of $0.1 was reached." in stopped.reasons
    labelled = generations.settled(name)
    assert labelled < 180
    assert generations.pipeline.waiting("DeadLetterQueueUrl") == dead_letters
    calls = generations.teacher_calls()
    assert generations.drop("capped", spec_text(records=150, seed=5, max_cost_usd=5)) == name
    made = generations.reach(name, GenerationState.ASSEMBLED)
    assert made.counts["records"] == 150
    assert generations.teacher_calls() - calls == 180 - labelled


def test_same_spec_twice_is_one_generation_one_dataset_one_run(generations: GenerationClient) -> None:
    text = spec_text(records=100, oversample=0.1, seed=6)
    name = generations.drop("same-spec-twice", text)
    assert generations.drop("same-spec-twice", text) == name
    made = generations.reach(name, GenerationState.ASSEMBLED)
    assert generations.drop("same-spec-twice", text) == name
    wait_for(
        lambda: len(generations.run_store.get(name).versions) > len(made.versions) or None,
        "the last upload",
        30,
    )
    assert generations.run_store.get(name).history == made.history
    assert generations.datasets("same-spec-twice") == [made.dataset_key]
    assert generations.teacher_calls() == 110
    assert generations.pipeline.reach(made.run_id or "", State.PROMOTED, State.NOT_PROMOTED)


def test_invalid_spec_sends_a_notification(
    generations: GenerationClient, notification: Callable[[str], str]
) -> None:
    generations.pipeline.s3.put_object(
        Bucket=generations.pipeline.outputs["DataBucketName"], Key="specs/wrong.yaml", Body=b"records: 5"
    )
    assert "records must be at least 100" in notification("The spec of dataset 'wrong'")
