"""A whole generation, and its events."""

from __future__ import annotations

import boto3
import pytest

from distillery.generation.states import GENERATION_MOVES, Generation, GenerationState
from distillery.runs.states import Source, run_id
from distillery.steps.generation_steps import announcement
from tests.unit.steps.generation_flow import PLANNED, SMALL, GenerationFlow, summary


def test_a_spec_becomes_a_dataset_with_the_id_of_its_run(flow: GenerationFlow) -> None:
    name = flow.drop_and_plan(SMALL)
    planned = flow.generation(name)
    assert planned.state is GenerationState.LABELLING
    assert planned.counts == {"planned": PLANNED, "invented": 0}
    assert flow.label() == []
    assert flow.poll(name) is False
    made = flow.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert made.counts["records"] == 100
    assert flow.teacher.calls == PLANNED
    assert flow.datasets() == [made.dataset_key]
    version = boto3.client("s3").head_object(Bucket="data", Key=made.dataset_key or "")["VersionId"]
    assert made.run_id == run_id("data", made.dataset_key or "", version)
    labels = flow.steps.labels.all(name)
    cost = sum(label.cost_usd for label in labels)
    assert made.spent == pytest.approx(cost)
    assert summary(name)["spent_usd"] == pytest.approx(cost, abs=1e-6)
    assert flow.poll(name) is True
    assert flow.cloud.published() == {"Dataset Planned": 1, "Labels Complete": 1, "Dataset Generated": 1}
    assert flow.dead_letter_reasons() == []


SILENT = {GenerationState.PLANNING, GenerationState.ASSEMBLING}


@pytest.mark.parametrize("state", sorted(set(GenerationState) - SILENT))
def test_every_state_that_is_announced_has_an_event_with_a_message(state: GenerationState) -> None:
    generation = Generation(
        generation_id="small-0123456789ab",
        state=state,
        dataset="small",
        source=Source(bucket="data", key="specs/small.yaml"),
    )
    assert "small" in announcement(generation).message
    assert set(GENERATION_MOVES) == set(GenerationState)
