"""Later versions of a dataset keep its holdout, on the deployed pipeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from distillery.runs.states import State
from tests.local.pipeline.deployed_pipeline import sample_records

if TYPE_CHECKING:
    from tests.local.pipeline.deployed_pipeline import DeployedPipeline


def queries(pipeline: DeployedPipeline, run_id: str, file: str) -> set[str]:
    lines = pipeline.read(run_id, file).decode().splitlines()
    return {json.loads(line)["messages"][0]["content"][0]["text"] for line in lines}


def test_later_version_of_a_dataset_keeps_the_holdout_of_the_first(pipeline: DeployedPipeline) -> None:
    pipeline.faults(job="never")
    lines = sample_records(500, "versions").splitlines(keepends=True)
    first = pipeline.drop(b"".join(lines[:300]), "datasets/versions/a.jsonl")
    pipeline.reach(first, State.TRAINING)
    second = pipeline.drop(b"".join(lines[100:]), "datasets/versions/a.jsonl")
    pipeline.reach(second, State.TRAINING)

    before, after = queries(pipeline, first, "holdout.jsonl"), queries(pipeline, second, "holdout.jsonl")
    present = queries(pipeline, second, "train.jsonl") | after
    assert before & present
    assert before & present <= after
    assert not before & queries(pipeline, second, "train.jsonl")
    assert pipeline.document(second, "validation.json")["split"]["kept"] == len(before & present)
